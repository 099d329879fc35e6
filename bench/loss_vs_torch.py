#!/usr/bin/env python3
"""Held-out bits per byte after equal tokens: this program's pre-training beside a PyTorch model's.

usage: bench/loss_vs_torch.py SHENHONG PEER_DIR RECIPE [--steps 100]

Both train the recipe's [model] from nothing on its prepared sources (run `shenhong data RECIPE` first): the same mixture, batch,
optimizer, rate and number of tokens; the windows' order, the initial weights' seed and the balancing rule are each side's own.
PEER_DIR holds dsv3.py and muon.py. Both are then scored on the same first windows of each held-out source.
"""
import argparse
import json
import math
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np


class Shards:
    """Tokens of one source and split; docs/formats.md tells the layout."""

    def __init__(self, directory, split):
        tokens, self.text_bytes, self.documents = [], 0, 0
        for path in sorted(Path(directory).glob(f"{split}-*.tok")):
            raw = path.read_bytes()
            width, = np.frombuffer(raw, "<u4", 1, 12)
            count, documents, text_bytes = (int(n) for n in np.frombuffer(raw, "<u8", 3, 16))
            self.bos, = np.frombuffer(raw, "<u4", 1, 52)
            tokens.append(np.frombuffer(raw, f"<u{width}", count, 64).astype(np.int64))
            self.text_bytes += text_bytes
            self.documents += documents
        self.tokens = np.concatenate(tokens) if tokens else np.empty(0, np.int64)

    def bits_per_byte(self, nats):
        return nats * (len(self.tokens) - self.documents) / self.text_bytes / math.log(2)


def train_torch(peer, recipe, data, steps):
    sys.path.insert(0, str(peer))
    import dsv3
    import torch
    import torch.nn.functional as F
    from muon import Muon

    m, stage = recipe["model"], recipe["pretrain"]
    seq, rate = stage["seq_len"], stage["schedule"]["lr"]
    vocab = recipe["data"]["vocab_size"]
    model = dsv3.Model(dsv3.Config(
        vocab=vocab, hidden=m["hidden_size"], layers=m["num_hidden_layers"], first_k_dense=m["first_k_dense_replace"],
        heads=m["num_attention_heads"], kv_lora_rank=m["kv_lora_rank"], nope=m["qk_nope_head_dim"], rope=m["qk_rope_head_dim"],
        v_dim=m["v_head_dim"], dense_inter=m["intermediate_size"], experts=m["n_routed_experts"], topk=m["num_experts_per_tok"],
        moe_inter=m["moe_intermediate_size"], shared=m["n_shared_experts"], scale=m["routed_scaling_factor"], seq=seq, mtp=0,
        tied=m["tie_word_embeddings"], seq_aux=0))
    torch.manual_seed(1)
    torch.set_num_threads(2)
    hidden = [p for n, p in model.named_parameters() if p.dim() > 1 and not any(k in n for k in ("embed", "head", "gate.w"))]
    taken = {id(p) for p in hidden}
    rest = [p for p in model.parameters() if id(p) not in taken]
    optimizers = [Muon(hidden, rate, weight_decay=0.1),
                  torch.optim.AdamW([{"params": [p for p in rest if p.dim() > 1], "weight_decay": 0.1},
                                     {"params": [p for p in rest if p.dim() < 2], "weight_decay": 0.0}], lr=rate, betas=(0.9, 0.95))]

    def loss(windows, bos, reduction):
        x = torch.from_numpy(windows)
        h, _, _ = model.trunk(x[:, :-1])
        y = x[:, 1:].masked_fill(x[:, 1:] == int(bos), -100)
        return F.cross_entropy(model.logits(model.norm(h)).flatten(0, 1), y.flatten(), reduction=reduction)

    sources = [(s.get("weight", 1), Shards(data / s["name"], "train")) for s in recipe["data"]["sources"]]
    sources = [(w, s) for w, s in sources if len(s.tokens) > seq]
    share = np.array([w * len(s.tokens) for w, s in sources])
    random = np.random.RandomState(1)
    for step in range(steps):
        rows = []
        for which in random.choice(len(sources), stage["batch"], p=share / share.sum()):
            tokens = sources[which][1].tokens
            first = random.randint(0, len(tokens) // seq) * seq
            row = tokens[first:first + seq + 1]
            rows.append(row if len(row) == seq + 1 else tokens[-seq - 1:])
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1, (step + 1) / stage["schedule"]["warmup_steps"])
            optimizer.zero_grad(set_to_none=True)
        value = loss(np.stack(rows), sources[0][1].bos, "mean")
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        model.update_bias()
        if (step + 1) % 10 == 0:
            print(f"pytorch step {step + 1} loss {value.item():.3f}", file=sys.stderr, flush=True)

    result = {}
    model.eval()
    with torch.no_grad():
        for s in recipe["data"]["sources"]:
            held_out = Shards(data / s["name"], "valid")
            nats = count = 0
            for i in range(min(stage["validation_windows"], len(held_out.tokens) // (seq + 1))):
                window = held_out.tokens[None, i * (seq + 1):(i + 1) * (seq + 1)]
                nats += loss(window, held_out.bos, "sum").item()
                count += int((window[:, 1:] != held_out.bos).sum())
            if count:
                result[s["name"]] = held_out.bits_per_byte(nats / count)
    return result


def train_ours(shenhong, recipe_path, steps):
    with tempfile.TemporaryDirectory() as work:
        work, root = Path(work), Path.cwd()
        (work / "recipes").mkdir()
        (work / "data").symlink_to(root / "data")
        text = recipe_path.read_text()
        begin = text.index("[pretrain]")
        text = text[:begin] + re.sub(r"\nsteps = \d+", f"\nsteps = {steps}", text[begin:], count=1)
        (work / "recipes" / recipe_path.name).write_text(text)
        run = subprocess.run([shenhong, "train", f"recipes/{recipe_path.name}", "--json"], cwd=work, stdout=subprocess.PIPE, check=True)
        return {loss["source"]: loss["bits_per_byte"] for loss in json.loads(run.stdout)["loss"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("shenhong", type=Path)
    parser.add_argument("peer", type=Path)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    recipe = tomllib.loads(options.recipe.read_text())
    ours = train_ours(options.shenhong.resolve(), options.recipe, options.steps)
    theirs = train_torch(options.peer.resolve(), recipe, Path("data") / options.recipe.stem, options.steps)
    tokens = options.steps * recipe["pretrain"]["batch"] * recipe["pretrain"]["seq_len"]
    print(f"held-out bits per byte after {tokens} tokens")
    for source in sorted(ours.keys() & theirs.keys()):
        print(f"{source:24} shenhong {ours[source]:.4f}  pytorch {theirs[source]:.4f}")


main()
