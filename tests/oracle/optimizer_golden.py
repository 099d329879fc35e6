"""Writes tests/golden/optimizer.safetensors: three parameters, the gradients of four steps, and the
weights after each step under torch.optim.AdamW and under Muon (Liu et al. 2025, arXiv 2502.16982)
computed in float64."""
import math
import pathlib

import torch
from safetensors.torch import save_file

LR, STEPS, SCALE = 0.01, 4, 0.5
SHAPES = {"wide": (12, 40), "tall": (36, 10), "gain": (16,)}
JORDAN = [(3.4445, -4.7750, 2.0315)] * 5
POLAR = [(8.1566, -22.4833, 15.8788), (4.0429, -2.8089, 0.5000), (3.8917, -2.7725, 0.5061),
         (3.2858, -2.3681, 0.4645), (2.3465, -1.7098, 0.4232)]


def orthogonal(g, triples, spare):
    x = g.T if g.shape[0] > g.shape[1] else g
    x = x / (spare * x.norm() + 1e-7)
    for a, b, c in triples:
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if g.shape[0] > g.shape[1] else x


def muon(w, grads, triples, spare):
    momentum, out = torch.zeros_like(w), []
    for g in grads:
        momentum = 0.95 * momentum + g
        update = orthogonal(g + 0.95 * momentum, triples, spare)
        w = w * (1 - LR * 0.1) - LR * 0.2 * math.sqrt(max(w.shape)) * update
        out.append(w)
    return out


def adamw(w, grads):
    w = torch.nn.Parameter(w.clone())
    decay = 0.1 if w.dim() == 2 else 0.0
    optimizer = torch.optim.AdamW([w], lr=LR, betas=(0.9, 0.95), eps=1e-8, weight_decay=decay)
    out = []
    for g in grads:
        w.grad = g
        optimizer.step()
        out.append(w.detach().clone())
    return out


torch.manual_seed(1)
tensors = {}
for name, shape in SHAPES.items():
    w = torch.randn(shape).double()
    raw = [torch.randn(shape).double() * 10.0**-i for i in range(STEPS)]
    grads = [SCALE * g for g in raw]
    tensors[f"{name}.start"] = w
    results = {"adamw": adamw(w, grads)}
    if len(shape) == 2:
        results["jordan"] = muon(w, grads, JORDAN, 1.0)
        results["polar"] = muon(w, grads, POLAR, 1.02)
    for step in range(STEPS):
        tensors[f"{name}.grad.{step}"] = raw[step]
        for method, after in results.items():
            tensors[f"{name}.{method}.{step}"] = after[step]
save_file({k: v.float().contiguous() for k, v in tensors.items()},
          pathlib.Path(__file__).parent.parent / "golden" / "optimizer.safetensors")
