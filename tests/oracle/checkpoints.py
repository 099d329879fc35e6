"""What checkpoint_golden.py and llama_golden.py do with the checkpoints that they make."""
import os
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers


def make(golden, write, variable, tests):
    """`write(out, large, generator)` into `golden`, the small ones; or, where the script got BUILD_DIR [SEED], larger
    ones that BUILD_DIR/tests/infer_tests finds by the environment's `variable` and compares."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    large = len(sys.argv) > 1
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    with tempfile.TemporaryDirectory() as temporary:
        out = pathlib.Path(temporary) if large else golden
        out.mkdir(parents=True, exist_ok=True)
        write(out, large, generator)
        if large:
            command = [f"{sys.argv[1]}/tests/infer_tests", f"--gtest_filter={tests}", "--gtest_print_time=0"]
            sys.exit(subprocess.run(command, env={**os.environ, variable: str(out)}, check=False).returncode)
