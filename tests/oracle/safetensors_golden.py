"""Writes tests/golden/tiny.safetensors with the safetensors package; with a file name as argument,
checks instead that the package reads a file of ours: finite floats, contiguous, names unique."""
import pathlib
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file

if len(sys.argv) > 1:
    with safe_open(sys.argv[1], "pt") as file:
        print("metadata", file.metadata())
        for name in file.keys():
            tensor = file.get_tensor(name)
            assert not tensor.is_floating_point() or torch.isfinite(tensor).all(), name
            print(name, tensor.dtype, tuple(tensor.shape), float(tensor.double().sum()))
else:
    values = torch.tensor([[-1.5, -0.5, 0.0], [0.25, 1.0, 1024.0]])
    save_file(
        {
            "f64": values.double(),
            "f32": values,
            "f16": values.half(),
            "bf16": values.bfloat16(),
            "i64": torch.tensor([1, 2, 3]),
            "bool": torch.tensor([True, False, True]),
        },
        pathlib.Path(__file__).parent.parent / "golden" / "tiny.safetensors",
        metadata={"made_by": "safetensors"},
    )
