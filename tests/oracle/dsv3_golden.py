#!/usr/bin/env python3
"""Goldens of the model from a PyTorch writing of DeepSeek-V3: logits, losses and every gradient, in float64.

usage: dsv3_golden.py PEER_DIR OUT        PEER_DIR holds the peer's dsv3.py
Writes OUT/{config.json, model.safetensors, io.safetensors, grads.safetensors}; tests/model/oracle_test.cpp reads them.
Made with PyTorch 2.13.0: dsv3_golden.py <peer_torch> tests/golden/dsv3_tiny
"""
import dataclasses
import json
import os
import sys

import torch
from safetensors.torch import save_file

sys.path.insert(0, sys.argv[1])
import dsv3  # noqa: E402


def main(out):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    cfg = dataclasses.replace(dsv3.CONFIGS["tiny"], seq_aux=0.0, scale=1.5)
    model = dsv3.Model(cfg)
    for name, p in model.named_parameters():  # gains off 1, biases off 0, where a mistake would hide
        if "norm" in name:
            p.data += 0.1 * torch.randn_like(p)
    for m in model.moes():
        m.bias += 0.05 * torch.randn_like(m.bias)
    weights = {k: v.detach().clone().contiguous() for k, v in dsv3.export_state(model).items()}
    model = model.double()  # the float32 weights, computed with in float64
    tokens = torch.randint(0, cfg.vocab, (2, cfg.seq + 1 + cfg.mtp))
    model.train()
    result = model(tokens)
    result["loss"].backward()
    os.makedirs(out, exist_ok=True)
    save_file(weights, f"{out}/model.safetensors")
    io = {"tokens": tokens, "logits": result["logits"], "mtp_logits": result["mtp_logits"],
          "losses": torch.stack([result["main"], result["mtp"]])}
    save_file({k: (v if k == "tokens" else v.detach().float()).contiguous() for k, v in io.items()}, f"{out}/io.safetensors")
    save_file({k: v.float().contiguous() for k, v in dsv3.export_grads(model).items()}, f"{out}/grads.safetensors")
    json.dump({"vocab_size": cfg.vocab, "hidden_size": cfg.hidden, "num_hidden_layers": cfg.layers,
               "max_position_embeddings": cfg.seq, "rms_norm_eps": cfg.eps, "num_attention_heads": cfg.heads,
               "kv_lora_rank": cfg.kv_lora_rank, "q_lora_rank": None, "qk_nope_head_dim": cfg.nope,
               "qk_rope_head_dim": cfg.rope, "v_head_dim": cfg.v_dim, "intermediate_size": cfg.dense_inter,
               "first_k_dense_replace": cfg.first_k_dense, "n_routed_experts": cfg.experts,
               "num_experts_per_tok": cfg.topk, "n_shared_experts": cfg.shared, "moe_intermediate_size": cfg.moe_inter,
               "routed_scaling_factor": cfg.scale, "num_nextn_predict_layers": cfg.mtp},
              open(f"{out}/config.json", "w"), indent=1)


main(sys.argv[2])
