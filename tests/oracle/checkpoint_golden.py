"""Checkpoints as others publish them, and what transformers computes from the same weights.

    python tests/oracle/checkpoint_golden.py                    rewrites tests/golden/checkpoints
    python tests/oracle/checkpoint_golden.py BUILD_DIR [SEED]   other weights, larger; BUILD_DIR/tests/infer_tests compares

    bf16_sharded   DeepseekV3ForCausalLM.save_pretrained: several files and an index; config.json in today's form, which
                   promises a prediction module that the files do not hold
    fp8_mtp        as DeepSeek-V3 is published: 128 x 128 blocks of E4M3 with weight_scale_inv, the prediction module as
                   the layer after the last one, copies of embedding and head in it; sizes that 128 does not divide
    v2_lite        DeepseekV2ForCausalLM.save_pretrained: softmax scores, routers without biases, no scoring_func in config.json
    v2_lite.gguf   DeepSeek-V2-Lite's form, by the gguf package under llama.cpp's names: softmax scores, no query
                   compression, YaRN, two shared experts; v2_lite_mla.gguf with the up-projection taken apart
Beside each NAME.safetensors: tokens and the peer's logits, in float32 from the weights as stored.
Needs torch, transformers, safetensors and gguf. Made with transformers 5.24.0, gguf 0.19.0.
"""
import json
import pathlib
import tempfile

import checkpoints
import gguf
import torch
import transformers
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/checkpoints"
E4M3_MOST = 448.0
BLOCK = 128


def disturbed(model, scale):
    """Random weights, gains off 1 and router biases off 0, where a mistake would hide."""
    for name, p in list(model.named_parameters()) + list(model.named_buffers()):
        if "norm" in name:
            p.data = 1 + 0.2 * torch.randn_like(p)
        elif name.endswith("e_score_correction_bias"):
            p.data = 0.1 * torch.rand_like(p)
        elif "inv_freq" not in name:
            p.data = scale * torch.randn_like(p)
    return model.eval()


def v3_config(large, wide):
    """`wide`: more than one block of 128 each way."""
    k = 3 if large else 1
    return transformers.DeepseekV3Config(
        vocab_size=64 * k, hidden_size=136 * k if wide else 48 * k, intermediate_size=150 * k if wide else 64 * k,
        moe_intermediate_size=24 * k, num_hidden_layers=1 + k, num_attention_heads=4, num_key_value_heads=4,
        q_lora_rank=130 * k if wide else 40 * k, kv_lora_rank=24 * k, qk_nope_head_dim=28 * k, qk_rope_head_dim=8, v_head_dim=20 * k, first_k_dense_replace=1,
        n_routed_experts=4 * k, num_experts_per_tok=2, n_shared_experts=1, n_group=2, topk_group=1,
        routed_scaling_factor=2.5, norm_topk_prob=True, max_position_embeddings=256, rms_norm_eps=1e-6, bos_token_id=0,
        eos_token_id=1, tie_word_embeddings=False, num_nextn_predict_layers=1,
        rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 8.0, "mscale": 1.0, "mscale_all_dim": 1.0,
                         "beta_fast": 32, "beta_slow": 1, "original_max_position_embeddings": 32})


def published_config(config):
    """The keys and forms of DeepSeek-V3's own config.json."""
    rope = config.rope_parameters
    keys = ("vocab_size hidden_size intermediate_size moe_intermediate_size num_hidden_layers num_attention_heads "
            "num_key_value_heads q_lora_rank kv_lora_rank qk_nope_head_dim qk_rope_head_dim v_head_dim n_group topk_group "
            "first_k_dense_replace n_routed_experts num_experts_per_tok n_shared_experts routed_scaling_factor "
            "norm_topk_prob max_position_embeddings rms_norm_eps bos_token_id eos_token_id tie_word_embeddings").split()
    return {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "attention_bias": False,
            "aux_loss_alpha": 0.001, "ep_size": 1, "hidden_act": "silu", "moe_layer_freq": 1, "pretraining_tp": 1,
            "num_nextn_predict_layers": 1, "rope_theta": 10000, "scoring_func": "sigmoid", "seq_aux": True,
            "topk_method": "noaux_tc", "torch_dtype": "bfloat16", "use_cache": True,
            "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
                                    "weight_block_size": [BLOCK, BLOCK]},
            "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": int(rope["factor"]), "mscale": 1.0,
                             "mscale_all_dim": 1.0, "type": "yarn",
                             "original_max_position_embeddings": rope["original_max_position_embeddings"]},
            **{key: getattr(config, key) for key in keys}}


@torch.no_grad()
def write_answer(path, model, vocabulary, generator):
    tokens = torch.randint(0, vocabulary, (1, 48), generator=generator)
    logits = model(tokens, use_cache=False).logits[0]
    save_file({"tokens": tokens[0].contiguous(), "logits": logits.float().contiguous()}, path)


def of_directory(directory):
    model, info = transformers.DeepseekV3ForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    assert not info["missing_keys"] and not info["mismatched_keys"], info
    return model.eval()


def bf16_sharded(out, large, generator):
    model = disturbed(transformers.DeepseekV3ForCausalLM(v3_config(large, False)), 0.12).to(torch.bfloat16)
    model.save_pretrained(out / "bf16_sharded", max_shard_size="200KB" if large else "60KB")
    (out / "bf16_sharded/generation_config.json").unlink(missing_ok=True)
    assert (out / "bf16_sharded/model.safetensors.index.json").exists()
    write_answer(out / "bf16_sharded.safetensors", of_directory(out / "bf16_sharded"), model.config.vocab_size, generator)


def quantised(weight):
    """E4M3 numbers and one float per 128 x 128 block, which multiplies them."""
    rows, cols = weight.shape
    blocks = (-(-rows // BLOCK), -(-cols // BLOCK))
    padded = torch.zeros(blocks[0] * BLOCK, blocks[1] * BLOCK)
    padded[:rows, :cols] = weight
    tiles = padded.view(blocks[0], BLOCK, blocks[1], BLOCK)
    scale = tiles.abs().amax(dim=(1, 3)) / E4M3_MOST
    numbers = (tiles / scale[:, None, :, None]).to(torch.float8_e4m3fn)
    back = numbers.float() * scale[:, None, :, None]
    cut = lambda t: t.reshape(padded.shape)[:rows, :cols].contiguous()  # noqa: E731
    return cut(numbers), scale, cut(back)


def prediction_module(config, state):
    """Layer num_hidden_layers, in the shapes of the last layer of the trunk."""
    last, new = (f"model.layers.{config.num_hidden_layers - d}." for d in (1, 0))
    out = {new + k[len(last):]: 0.08 * torch.randn(v.shape) for k, v in state.items() if k.startswith(last)}
    D = config.hidden_size
    for name in "enorm", "hnorm", "shared_head.norm":
        out[f"{new}{name}.weight"] = 1 + 0.2 * torch.randn(D)
    out[new + "eh_proj.weight"] = 0.08 * torch.randn(D, 2 * D)
    out[new + "embed_tokens.weight"] = state["model.embed_tokens.weight"].clone()
    out[new + "shared_head.head.weight"] = state["lm_head.weight"].clone()
    return out


def fp8_mtp(out, large, generator):
    config = v3_config(large, True)
    with tempfile.TemporaryDirectory() as temporary:
        disturbed(transformers.DeepseekV3ForCausalLM(config), 0.08).save_pretrained(temporary)
        state = load_file(f"{temporary}/model.safetensors")
        module = prediction_module(config, state)
        stored, plain = {}, {}
        for name, weight in {**state, **module}.items():
            keep = weight.dim() == 1 or any(
                part in name for part in ("embed_tokens", "head", "mlp.gate.", "eh_proj"))
            if keep:
                narrow = weight if name.endswith("e_score_correction_bias") else weight.to(torch.bfloat16)
                stored[name], plain[name] = narrow, narrow.float()
            else:
                stored[name], stored[name + "_scale_inv"], plain[name] = quantised(weight)
        save_file({k: v.contiguous() for k, v in plain.items() if k not in module}, f"{temporary}/model.safetensors",
                  {"format": "pt"})
        peer = of_directory(temporary)
    directory = out / "fp8_mtp"
    directory.mkdir(parents=True, exist_ok=True)
    names = sorted(stored)
    halves = names[: len(names) // 2], names[len(names) // 2:]
    index = {"metadata": {"total_size": sum(v.numel() * v.element_size() for v in stored.values())}, "weight_map": {}}
    for i, part in enumerate(halves, 1):
        file = f"model-{i:05}-of-{len(halves):06}.safetensors"
        save_file({k: stored[k].contiguous() for k in part}, directory / file, {"format": "pt"})
        index["weight_map"] |= {k: file for k in part}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    (directory / "config.json").write_text(json.dumps(published_config(config), indent=1) + "\n")
    write_answer(out / "fp8_mtp.safetensors", peer, config.vocab_size, generator)


def v2_lite_config(large):
    k = 3 if large else 1
    return transformers.DeepseekV2Config(
        vocab_size=48 * k, hidden_size=48 * k, intermediate_size=80 * k, moe_intermediate_size=12 * k,
        num_hidden_layers=1 + k, num_attention_heads=4, num_key_value_heads=4, q_lora_rank=None, kv_lora_rank=24 * k,
        qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=16, head_dim=8, first_k_dense_replace=1,
        n_routed_experts=8 * k, num_experts_per_tok=3, n_shared_experts=2, topk_method="greedy", n_group=1, topk_group=1,
        norm_topk_prob=False, routed_scaling_factor=1.0, max_position_embeddings=640, rms_norm_eps=1e-6, bos_token_id=0,
        eos_token_id=1, tie_word_embeddings=False, attn_implementation="eager",
        rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 40.0, "mscale": 0.707,
                         "mscale_all_dim": 0.707, "beta_fast": 32, "beta_slow": 1,
                         "original_max_position_embeddings": 16})


LAYER_NAMES = {  # DeepSeek's name of a layer's tensor -> llama.cpp's
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa", "self_attn.kv_a_layernorm": "attn_kv_a_norm",
    "self_attn.kv_b_proj": "attn_kv_b", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate": "ffn_gate_inp",
    "mlp.shared_experts.gate_proj": "ffn_gate_shexp", "mlp.shared_experts.up_proj": "ffn_up_shexp",
    "mlp.shared_experts.down_proj": "ffn_down_shexp"}


def write_gguf(path, config, state, absorbed):
    writer = gguf.GGUFWriter(path, "deepseek2")
    rope = config.rope_parameters
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_leading_dense_block_count(config.first_k_dense_replace)
    writer.add_head_count(config.num_attention_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_kv_lora_rank(config.kv_lora_rank)
    head = config.qk_nope_head_dim + config.qk_rope_head_dim
    if absorbed:
        writer.add_head_count_kv(1)
        writer.add_key_length(config.kv_lora_rank + config.qk_rope_head_dim)
        writer.add_value_length(config.kv_lora_rank)
        writer.add_key_length_mla(head)
        writer.add_value_length_mla(config.v_head_dim)
    else:
        writer.add_head_count_kv(config.num_attention_heads)
        writer.add_key_length(head)
        writer.add_value_length(config.v_head_dim)
    writer.add_rope_dimension_count(config.qk_rope_head_dim)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(rope["factor"])
    writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    writer.add_rope_scaling_yarn_log_mul(0.1 * rope["mscale_all_dim"])
    writer.add_expert_count(config.n_routed_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_expert_shared_count(config.n_shared_experts)
    writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    writer.add_expert_weights_scale(config.routed_scaling_factor)
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)

    put = lambda name, tensor: writer.add_tensor(name, tensor.float().contiguous().numpy())  # noqa: E731
    put("token_embd.weight", state["model.embed_tokens.weight"])
    put("output_norm.weight", state["model.norm.weight"])
    put("output.weight", state["lm_head.weight"])
    for layer in range(config.num_hidden_layers):
        theirs, ours = f"model.layers.{layer}.", f"blk.{layer}."
        for name, short in LAYER_NAMES.items():
            tensor = state.get(f"{theirs}{name}.weight")
            if tensor is None:
                continue
            if absorbed and short == "attn_kv_b":
                per_head = tensor.view(config.num_attention_heads, -1, config.kv_lora_rank)
                keys, values = per_head.split([config.qk_nope_head_dim, config.v_head_dim], dim=1)
                put(ours + "attn_k_b.weight", keys.transpose(1, 2))
                put(ours + "attn_v_b.weight", values)
            else:
                put(f"{ours}{short}.weight", tensor)
        for projection in "gate", "up", "down":
            parts = [state.get(f"{theirs}mlp.experts.{e}.{projection}_proj.weight") for e in range(config.n_routed_experts)]
            if parts[0] is not None:
                put(f"{ours}ffn_{projection}_exps.weight", torch.stack(parts))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def v2_lite(out, large, generator):
    model = disturbed(transformers.DeepseekV2ForCausalLM(v2_lite_config(large)), 0.15)
    model.save_pretrained(out / "v2_lite")  # under the published names
    (out / "v2_lite/generation_config.json").unlink(missing_ok=True)
    state = load_file(out / "v2_lite/model.safetensors")
    for name, absorbed in {"v2_lite": False, "v2_lite_mla": True}.items():
        if large or not absorbed:
            write_gguf(out / f"{name}.gguf", model.config, state, absorbed)
    write_answer(out / "v2_lite.safetensors", model, model.config.vocab_size, generator)


def write_all(out, large, generator):
    bf16_sharded(out, large, generator)
    fp8_mtp(out, large, generator)
    v2_lite(out, large, generator)


checkpoints.make(GOLDEN, write_all, "SHENHONG_CHECKPOINTS", "Checkpoints*")
