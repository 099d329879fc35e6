"""transformers' DeepseekV3ForCausalLM against our decoder, on model directories that our code wrote.

    python tests/oracle/transformers_greedy.py BUILD_DIR [--write-golden]

Runs BUILD_DIR/tests/infer_tests, which saves random float32 models of every kind that transformers
knows together with our logits and greedy continuation, loads each with transformers, and compares.
--write-golden rewrites tests/golden/transformers_greedy.json, which the C++ test reads.
Needs torch and transformers.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/transformers_greedy.json"
ROWS = [0, 7, 15]  # positions of the prompt whose logits the golden keeps
TOLERANCE = 1e-4


def greedy(model, prompt, count):
    ids = list(prompt)
    for _ in range(count):
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
        ids.append(int(logits.argmax()))
    return ids[len(prompt):]


def compare(directory):
    ours = json.loads((directory / "ours.json").read_text())
    model, info = transformers.DeepseekV3ForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    model.eval()
    layers = model.config.num_hidden_layers
    surprises = [k for k in info["unexpected_keys"] if not k.startswith(f"model.layers.{layers}.")]
    missing = sorted(info["missing_keys"]) + surprises + [str(k) for k in info["mismatched_keys"]]
    logits = model(torch.tensor([ours["prompt"]]), use_cache=False).logits[0]
    theirs = greedy(model, ours["prompt"], len(ours["greedy"]))
    gap = float((logits.flatten() - torch.tensor(ours["logits"])).abs().max())
    good = gap <= TOLERANCE and theirs == ours["greedy"] and not missing
    print(f"{directory.name:20} logits differ by at most {gap:.1e} (largest {float(logits.abs().max()):.2f}), greedy "
          f"{'equal' if theirs == ours['greedy'] else 'DIFFERENT'}{', keys ' + str(missing) if missing else ''}")
    golden = {
        "prompt": ours["prompt"],
        "greedy": theirs,
        "rows": ROWS,
        "logits": [round(x, 6) for x in logits[ROWS].flatten().tolist()],
    }
    return good, golden


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--write-golden", action="store_true")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as temporary:
        environment = dict(os.environ, SHENHONG_ORACLE_DIR=temporary)
        # Fails where the golden is old or absent; what counts here is what it writes.
        subprocess.run([args.build / "tests/infer_tests", "--gtest_filter=Oracle.*", "--gtest_brief=1"],
                       env=environment, stdout=subprocess.DEVNULL, check=False)
        directories = sorted(p for p in pathlib.Path(temporary).iterdir() if (p / "ours.json").exists())
        assert directories, "infer_tests wrote nothing"
        results = {d.name: compare(d) for d in directories}
    if args.write_golden:
        GOLDEN.write_text(json.dumps({name: golden for name, (_, golden) in results.items()}) + "\n")
    sys.exit(0 if all(good for good, _ in results.values()) else 1)


main()
