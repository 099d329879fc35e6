#!/usr/bin/env python3
"""Goldens of training in few bits: loss and every gradient of tests/golden/dsv3_tiny under the fp8 and nvfp4 recipes,
operands on PyTorch's own float8 grid, products in float64.

usage: precision_golden.py PEER_DIR GOLDEN_DIR OUT        PEER_DIR holds the peer's dsv3.py, GOLDEN_DIR dsv3_golden.py's output
Writes OUT/{fp8,nvfp4}.safetensors; tests/model/precision_test.cpp reads them.
Made with PyTorch 2.13.0: precision_golden.py <peer_torch> tests/golden/dsv3_tiny tests/golden/precision
"""
import dataclasses
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

sys.path.insert(0, sys.argv[1])
import dsv3  # noqa: E402

SEED, PASS, ODD, M64 = 42, 5, 0x9E3779B97F4A7C15, (1 << 64) - 1


# --- random numbers: Philox4x32-10 (Salmon et al. 2011)
def philox(seed, stream, index):
    """index: uint64 array -> uint32 [n, 4]"""
    m32 = np.uint64(0xFFFFFFFF)
    index = np.asarray(index, dtype=np.uint64)
    c = [index & m32, index >> np.uint64(32), np.full_like(index, stream & 0xFFFFFFFF), np.full_like(index, stream >> 32)]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), p1 & m32, (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), p0 & m32]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, -1).astype(np.uint32)


def fnv1a(text):
    h = 0xCBF29CE484222325
    for b in text.encode():
        h = ((h ^ b) * 0x100000001B3) & M64
    return h


def chances(name, product, first, count):
    """Uniform in [0, 1), one per element of an operand."""
    stream = (fnv1a(name) + ODD * (product + 4 * first)) & M64
    bits = philox((SEED + PASS * ODD) & M64, stream, np.arange((count + 3) // 4)).reshape(-1)[:count]
    return torch.from_numpy((bits >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24))


# --- grids: float64 in, float32 arithmetic, float64 out
def e4m3(v):
    return v.clamp(-448, 448).to(torch.float8_e4m3fn).float()


def e2m1(v, chance=None):
    a = v.abs().clamp(max=6)
    unit = torch.where(a < 2, 0.5, torch.where(a < 4, 1.0, 2.0))
    steps = a / unit
    whole = torch.round(steps) if chance is None else torch.floor(steps) + (chance < steps - torch.floor(steps))
    return torch.sign(v) * whole * unit


def grid(kind, x, chance=None):
    if kind is None:
        return x
    form, tr, tc = kind
    x = x.float()
    if form == "bf16":
        return x.bfloat16().double()
    rows, cols = x.shape
    padded = F.pad(x, (0, -cols % tc, 0, -rows % tr))
    tiles = padded.view(padded.shape[0] // tr, tr, padded.shape[1] // tc, tc)
    most = tiles.abs().amax((1, 3), keepdim=True)
    if form == "fp8":
        scale = most / 448
    else:
        tensor = x.abs().max() / (6 * 448)
        scale = e4m3(most / 6 / tensor) * tensor
    scale = scale.expand_as(tiles).reshape(padded.shape)[:rows, :cols]
    v = torch.where(scale > 0, x / scale, torch.zeros_like(x))
    if form == "fp8":
        return (e4m3(v) * scale).double()
    return (e2m1(v, None if chance is None else chance.view(rows, cols)) * scale).double()


def hadamard(x):
    """Along the rows in blocks of 16, with random signs."""
    signs = int(philox(SEED, fnv1a("hadamard signs"), np.zeros(1))[0, 0])
    h = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(4):
        h = torch.cat((torch.cat((h, h), 1), torch.cat((h, -h), 1)))
    h = h * torch.tensor([-1.0 if signs >> i & 1 else 1.0 for i in range(16)]) / 4
    x = F.pad(x, (0, 0, 0, -x.shape[0] % 16))
    return (h @ x.view(-1, 16, x.shape[1])).view(x.shape)


@dataclasses.dataclass
class Spec:
    input: tuple = None
    weight: tuple = None
    gradient: tuple = None
    input_tokens: tuple = None
    gradient_tokens: tuple = None
    keeps_input_grid: bool = False
    four: bool = False           # Hadamard and stochastic gradients
    kept: tuple = None           # what waits for the backward pass


BF16 = ("bf16", 1, 1)
HIGH = Spec(BF16, BF16, BF16, BF16, BF16, kept=BF16)
ROW8, COL8 = ("fp8", 1, 128), ("fp8", 128, 1)
FP8 = Spec(ROW8, ("fp8", 128, 128), ROW8, COL8, COL8, keeps_input_grid=True, kept=ROW8)
NVFP4 = Spec(("nvfp4", 1, 16), ("nvfp4", 16, 16), ("nvfp4", 1, 16), ("nvfp4", 16, 1), ("nvfp4", 16, 1), four=True, kept=ROW8)
RECIPE = None


def spec_of(name):
    if RECIPE == "fp8":
        return FP8
    return HIGH if int(name.split(".")[2]) >= 2 else NVFP4  # one of three blocks and the module are spared


def gradient_on(kind, spec, dy, name, product, first):
    return grid(kind, dy, chances(name, product, first, dy.numel()) if spec.four else None)


def weight_gradient(spec, dy, x, name, first):
    if spec.keeps_input_grid:
        x = grid(spec.input, x)
    if spec.four:
        dy, x = hadamard(dy), hadamard(x)
    return gradient_on(spec.gradient_tokens, spec, dy, name, 2, first).T @ grid(spec.input_tokens, x)


class Linear(torch.autograd.Function):
    """y = x wᵀ; the weight's gradient reads x_kept."""

    @staticmethod
    def forward(ctx, x, x_kept, w, name, first):
        ctx.save_for_backward(x_kept, w)
        ctx.at = name, first
        return grid(spec_of(name).input, x) @ grid(spec_of(name).weight, w).T

    @staticmethod
    def backward(ctx, dy):
        (x, w), (name, first) = ctx.saved_tensors, ctx.at
        spec = spec_of(name)
        dx = gradient_on(spec.gradient, spec, dy, name, 1, first) @ grid(spec.weight, w)
        return dx, None, weight_gradient(spec, dy, x, name, first), None, None


class ExpertDown(torch.autograd.Function):
    """y = p ⊙ (h wᵀ) with p the router's weights; the gradient by the slot's output is rounded before p meets it."""

    @staticmethod
    def forward(ctx, h, h_kept, p, w, name):
        ctx.save_for_backward(h_kept, p, w)
        ctx.name = name
        return p[:, None] * (grid(spec_of(name).input, h) @ grid(spec_of(name).weight, w).T)

    @staticmethod
    def backward(ctx, dy):
        (h, p, w), name = ctx.saved_tensors, ctx.name
        spec = spec_of(name)
        g = gradient_on(spec.gradient, spec, dy, name, 1, 0) @ grid(spec.weight, w)
        return p[:, None] * g, None, (h * g).sum(-1), weight_gradient(spec, dy, p[:, None] * h, name, 0), None


class Router(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, x_kept, w):
        ctx.save_for_backward(x_kept, w)
        return x @ w.T

    @staticmethod
    def backward(ctx, dz):
        x, w = ctx.saved_tensors
        return dz @ w, None, dz.T @ x


class Norm(torch.autograd.Function):
    """The backward pass reads x_kept and the forward pass's reciprocal root."""

    @staticmethod
    def forward(ctx, x, x_kept, g, eps):
        r = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x_kept, g, r)
        return x * r * g

    @staticmethod
    def backward(ctx, dy):
        x, g, r = ctx.saved_tensors
        along = (dy * g * x).sum(-1, keepdim=True)
        return dy * g * r - x * along * r**3 / x.shape[-1], None, (dy * x * r).sum(0), None


def norm(module, x, kept=BF16):
    """The norm's output, and what the backward pass computes again of it."""
    k = grid(kept, x.detach())
    again = k * torch.rsqrt(k.pow(2).mean(-1, keepdim=True) + module.eps) * module.weight
    return Norm.apply(x, k, module.weight, module.eps), again.detach()


def kept_of(f, kind, *xs):
    """f(xs), whose gradient is taken at what was kept of xs."""
    with torch.no_grad():
        value = f(*xs)
    s = f(*[x + (grid(kind, x.detach()) - x).detach() for x in xs])
    return s + (value - s).detach(), s.detach()


def swiglu(a, b, kind):
    return kept_of(lambda u, v: F.silu(u) * v, kind, a, b)


def attention(m, x, x_kept, prefix, shape, rot, mask):
    c, (B, T) = m.c, shape
    name = prefix + "self_attn."
    latent = m.kv_a_proj_with_mqa.weight[:c.kv_lora_rank], m.kv_a_proj_with_mqa.weight[c.kv_lora_rank:]
    down = name + "kv_a_proj_with_mqa.weight"
    q = Linear.apply(x, x_kept, m.q_proj.weight, name + "q_proj.weight", 0)
    ckv_raw = Linear.apply(x, x_kept, latent[0], down, 0)
    k_rope = Linear.apply(x, x_kept, latent[1], down, c.kv_lora_rank)
    ckv, _ = norm(m.kv_a_layernorm, ckv_raw)
    kv = Linear.apply(ckv, grid(spec_of(name).kept, ckv.detach()), m.kv_b_proj.weight, name + "kv_b_proj.weight", 0)
    q = q.view(B, T, c.heads, c.nope + c.rope)
    q = torch.cat((q[..., :c.nope], dsv3.rotate(q[..., c.nope:], *rot)), -1).view(B * T, -1)
    k_rope = dsv3.rotate(k_rope.view(B, T, 1, c.rope), *rot).view(B * T, -1)

    def core(q, kv, k_rope):
        q = q.view(B, T, c.heads, -1).transpose(1, 2)
        k_nope, v = kv.view(B, T, c.heads, -1).split([c.nope, c.v_dim], -1)
        k = torch.cat((k_nope, k_rope.view(B, T, 1, -1).expand(-1, -1, c.heads, -1)), -1).transpose(1, 2)
        p = (q @ k.transpose(2, 3) * (c.nope + c.rope) ** -0.5 + mask).softmax(-1)
        return (p @ v.transpose(1, 2)).transpose(1, 2).reshape(B * T, -1)

    o, _ = kept_of(core, BF16, q, kv, k_rope)
    return Linear.apply(o, grid(BF16, o.detach()), m.o_proj.weight, name + "o_proj.weight", 0)


def mlp(m, x, x_kept, name):
    a = Linear.apply(x, x_kept, m.gate_proj.weight, name + "gate_proj.weight", 0)
    b = Linear.apply(x, x_kept, m.up_proj.weight, name + "up_proj.weight", 0)
    h, h_kept = swiglu(a, b, spec_of(name).kept)
    return Linear.apply(h, h_kept, m.down_proj.weight, name + "down_proj.weight", 0)


def moe(m, x, x_kept, name):
    c = m.c
    score = torch.sigmoid(Router.apply(x, x_kept, m.gate.weight))
    chosen = (score.detach() + m.bias).topk(c.topk, -1).indices
    p = score.gather(1, chosen)
    p = p / p.sum(-1, keepdim=True) * c.scale
    y = mlp(m.shared_experts, x, x_kept, name + "shared_experts.")
    for e in range(c.experts):
        token, k = (chosen == e).nonzero(as_tuple=True)
        if token.numel() == 0:
            continue
        at = f"{name}experts.{e}."
        a = Linear.apply(x[token], x_kept[token], m.w_in[e, :c.moe_inter], at + "gate_proj.weight", 0)
        b = Linear.apply(x[token], x_kept[token], m.w_in[e, c.moe_inter:], at + "up_proj.weight", 0)
        h, h_kept = swiglu(a, b, spec_of(at).kept)
        y = y.index_add(0, token, ExpertDown.apply(h, h_kept, p[token, k], m.w_out[e], at + "down_proj.weight"))
    return y


def block(m, x, prefix, shape, rot, mask):
    x = x + attention(m.self_attn, *norm(m.input_layernorm, x), prefix, shape, rot, mask)
    feed = moe if isinstance(m.mlp, dsv3.MoE) else mlp
    return x + feed(m.mlp, *norm(m.post_attention_layernorm, x), prefix + "mlp.")


def losses(model, tokens):
    c, B, T = model.c, tokens.shape[0], tokens.shape[1] - 2
    cos, sin = dsv3.rope_tables(c, torch.float64)
    rot, mask = (cos[:T], sin[:T]), torch.full((T, T), float("-inf"), dtype=torch.float64).triu(1)
    x = model.embed(tokens[:, :T]).view(B * T, -1)
    for i, b in enumerate(model.blocks):
        x = block(b, x, f"model.layers.{i}.", (B, T), rot, mask)
    main = F.cross_entropy(model.logits(model.norm(x)), tokens[:, 1:T + 1].reshape(-1))
    m, prefix = model.mtp, f"model.layers.{c.layers}."
    emb, _ = norm(m.enorm, model.embed(tokens[:, 1:T + 1]).view(B * T, -1))
    hn, _ = norm(m.hnorm, x, kept=None)
    pair = torch.cat((emb, hn), -1)
    h = Linear.apply(pair, grid(spec_of(prefix).kept, pair.detach()), m.eh_proj.weight, prefix + "eh_proj.weight", 0)
    h = block(m.block, h, prefix, (B, T), rot, mask)
    return main, F.cross_entropy(model.logits(m.norm(h)), tokens[:, 2:T + 2].reshape(-1))


def load(model, weights):
    state = dsv3.export_state(model)
    assert state.keys() == weights.keys()
    for name, tensor in state.items():
        tensor.copy_(weights[name])


def main(golden, out):
    global RECIPE
    torch.set_num_threads(1)
    os.makedirs(out, exist_ok=True)
    tokens = load_file(f"{golden}/io.safetensors")["tokens"]
    for RECIPE in ("fp8", "nvfp4"):
        model = dsv3.Model(dataclasses.replace(dsv3.CONFIGS["tiny"], seq_aux=0.0, scale=1.5)).double()
        load(model, load_file(f"{golden}/model.safetensors"))
        first, second = losses(model, tokens)
        (first + 0.3 * second).backward()
        tensors = {k: v.float().contiguous() for k, v in dsv3.export_grads(model).items()}
        tensors["losses"] = torch.stack([first, second]).detach().float()
        save_file(tensors, f"{out}/{RECIPE}.safetensors")
        print(RECIPE, tensors["losses"].tolist())


main(sys.argv[2], sys.argv[3])
