#!/usr/bin/env python3
"""Variants of a recipe's model and training, each with several seeds, in one table.

usage: bench/ablations.py SHENHONG RECIPE [--variants a,b] [--seeds 1,2,3] [--steps N] [--equal-time] [--out DIR]

Trains the recipe's first stage on its prepared data (run `shenhong data RECIPE` first), once per variant and seed, and prints for each
variant: held-out nats per token as mean ± standard deviation over the seeds, its paired difference from the first variant,
tokens/s, MaxVio over the whole held-out text (worst layer), experts per token and FLOP of the routed experts per token (trunk,
forward). Finished runs in DIR are not run again. --equal-time gives slower variants fewer steps, by speeds of a short trial.
Speeds want a quiet machine.
"""
import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path


def dense(recipe):
    """Every layer dense, as wide on average as what a token met: its experts, the shared one, the first layers."""
    m = recipe["model"]
    layers, first = m["num_hidden_layers"], m.get("first_k_dense_replace", 1)
    met = m.get("num_experts_per_tok", 2) + m.get("n_shared_experts", 1)
    width = (first * m["intermediate_size"] + (layers - first) * met * m["moe_intermediate_size"]) / layers
    m |= {"first_k_dense_replace": layers, "intermediate_size": round(width), "num_nextn_predict_layers": 0}


def memory(recipe):
    """Rows for pairs and triples of tokens before the first layer with experts."""
    m = recipe["model"]
    layer = m.get("first_k_dense_replace", 1)
    m["ngram_memory"] = {"layers": [layer], "max_order": 3, "heads": 4, "rows": 4096, "head_dim": 8}


def change(section, **values):
    return lambda recipe: recipe[section].update(values)


def balance(**values):
    return change("pretrain", balance=values)


def threshold(**values):
    return change("model", routing={"method": "threshold", **values})


def fewer_by_threshold(share):
    """The routed FLOP of that share of the recipe's experts per token."""
    def vary(recipe):
        k = recipe["model"].get("num_experts_per_tok", 2)
        threshold(mean_experts=share * k, min_experts=0, max_experts=min(2 * k, recipe["model"].get("n_routed_experts", 16)))(recipe)
    return vary


def identity(recipe):
    """The routed FLOP of threshold-75%: a quarter of the choices falls on identity experts, half as many as there are routed ones (LongCat-Flash)."""
    m = recipe["model"]
    m["routing"] = {"method": "identity", "mean_experts": 0.75 * m.get("num_experts_per_tok", 2),
                    "identity_experts": m.get("n_routed_experts", 16) // 2}


def one_expert_less(recipe):
    recipe["model"]["num_experts_per_tok"] = recipe["model"].get("num_experts_per_tok", 2) - 1


def adamw(recipe):
    recipe["pretrain"]["optimizer"] = recipe["pretrain"].get("optimizer", {}) | {"method": "adamw"}
    recipe["pretrain"]["schedule"]["lr"] /= 2  # half of Muon's rate was AdamW's better one here


VARIANTS = {
    "topk": lambda recipe: None,
    "threshold": threshold(),
    "threshold-capped": lambda r: threshold(max_experts=2 * r["model"].get("num_experts_per_tok", 2))(r),
    "threshold-75%": fewer_by_threshold(0.75),
    "threshold-50%": fewer_by_threshold(0.5),
    "identity": identity,
    "topk-minus-1": one_expert_less,
    "sign": balance(method="sign", speed=1e-3),
    "sign+sequence": balance(method="sign", speed=1e-3, alpha=1e-4),
    "sequence": balance(method="sequence", alpha=1e-2),
    "auxiliary": balance(method="auxiliary", alpha=1e-2),
    "no-balance": balance(method="none"),
    "no-shared": lambda r: r["model"].update(
        n_shared_experts=0, num_experts_per_tok=r["model"].get("num_experts_per_tok", 2) + r["model"].get("n_shared_experts", 1)),
    "no-mtp": change("model", num_nextn_predict_layers=0),
    "dense-no-mtp": dense,
    "adamw": adamw,
    "ngram-memory": memory,
}


def toml_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def toml(recipe):
    return "\n".join(f"[{name}]\n" + "".join(f"{k} = {toml_value(v)}\n" for k, v in section.items())
                     for name, section in recipe.items())


def run(shenhong, path, recipe, place):
    """Trains in `place` unless that is done; the lines of its log."""
    log = place / "runs" / path.stem / "pretrain" / "log.jsonl"
    (place / "recipes").mkdir(parents=True, exist_ok=True)
    for link, target in ((place / "data", Path.cwd() / "data"), (place / "recipes" / path.stem, path.parent / path.stem)):
        if target.exists() and not link.is_symlink():
            link.symlink_to(target.resolve())
    (place / "recipes" / path.name).write_text(toml(recipe))
    subprocess.run([shenhong, "train", f"recipes/{path.name}"], cwd=place, check=True, stdout=subprocess.DEVNULL)
    return [json.loads(line) for line in log.read_text().splitlines()]


def measured(recipe, lines):
    model = recipe["model"]
    end = [line for line in lines if line["kind"] == "validation" and line["step"] == recipe["pretrain"]["steps"]]
    train = [line for line in lines if line["kind"] == "train"]
    late = [line["mean_experts"] for line in train[len(train) // 2:]]
    routing = [line for line in lines if line["kind"] == "routing"][-1]
    layers = model["num_hidden_layers"] - model.get("first_k_dense_replace", 1)
    return {"loss": statistics.fmean(line["nats_per_token"] for line in end),
            "tokens_per_s": statistics.median(line["tokens_per_s"] for line in train),
            "max_vio": routing["max_vio_global"],
            "train_max_vio": statistics.fmean(line["max_vio_global"] for line in train[len(train) // 2:]),
            "experts": statistics.fmean(late),
            "held_out_experts": routing["mean_experts"],
            "mflop": 6e-6 * layers * routing["mean_experts"] * model["hidden_size"] * model["moe_intermediate_size"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shenhong", type=Path)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--variants", default=",".join(VARIANTS), help="the first one is what others are compared with")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--equal-time", action="store_true")
    parser.add_argument("--out", type=Path, help="keeps the runs; default: a temporary directory")
    options = parser.parse_args()
    names = options.variants.split(",")
    if unknown := [name for name in names if name not in VARIANTS]:
        sys.exit(f"unknown variant {unknown[0]}; known: {', '.join(VARIANTS)}")
    path, shenhong = options.recipe.resolve(), options.shenhong.resolve()
    base = tomllib.loads(path.read_text())
    if not (Path("data") / path.stem / "tokenizer.json").exists():
        sys.exit(f"data/{path.stem} is not prepared: run {shenhong.name} data {options.recipe}")
    steps = options.steps or base["pretrain"]["steps"]
    out = options.out.resolve() if options.out else Path(tempfile.mkdtemp(prefix="ablations-"))

    def recipe_of(name, seed, length):
        recipe = copy.deepcopy(base)
        VARIANTS[name](recipe)
        recipe["pretrain"] |= {"seed": seed, "steps": length, "validate_every": length, "save_every": length}
        return recipe

    speed = {}
    if options.equal_time:
        for name in names:
            recipe = recipe_of(name, 1, 20)
            speed[name] = measured(recipe, run(shenhong, path, recipe, out / f"{name}-trial"))["tokens_per_s"]

    table = {}
    for seed in map(int, options.seeds.split(",")):
        for name in names:
            length = round(steps * speed[name] / speed[names[0]]) if speed else steps
            recipe = recipe_of(name, seed, length)
            result = measured(recipe, run(shenhong, path, recipe, out / f"{name}-{length}-{seed}"))
            table.setdefault(name, []).append(result)
            print(f"{name} seed {seed}: {json.dumps(result)}", file=sys.stderr, flush=True)

    print(f"{path.name}, {steps} steps{' of ' + names[0] + ', others as long' if speed else ''}, seeds {options.seeds}\n")
    print("| variant | nats/token | vs. first, % | tokens/s | MaxVio held out, training | experts held out, training | routed MFLOP/token |")
    print("|---|---|---|---|---|---|---|")
    for name, results in table.items():
        mean = {key: statistics.fmean(r[key] for r in results) for key in results[0]}
        spread = statistics.stdev(r["loss"] for r in results) if len(results) > 1 else 0
        paired = [100 * (r["loss"] / first["loss"] - 1) for r, first in zip(results, table[names[0]])]
        off = f" ± {statistics.stdev(paired):.2f}" if len(paired) > 1 else ""
        print(f"| {name} | {mean['loss']:.4f} ± {spread:.4f} | {statistics.fmean(paired):+.2f}{off} | {mean['tokens_per_s']:.0f} "
              f"| {mean['max_vio']:.3f}, {mean['train_max_vio']:.3f} | {mean['held_out_experts']:.3f}, {mean['experts']:.3f} "
              f"| {mean['mflop']:.3f} |")


if __name__ == "__main__":
    main()
