"""Checkpoints of Llama's form, and what transformers computes from the same weights.

    python tests/oracle/llama_golden.py                    rewrites tests/golden/llama
    python tests/oracle/llama_golden.py BUILD_DIR [SEED]   other weights, larger; BUILD_DIR/tests/infer_tests compares

    grouped   LlamaForCausalLM.save_pretrained, bf16: 6 heads over 2 of keys and values, head_dim that is not
              hidden_size / heads, Llama 3's scaling of the frequencies, a head of its own
    tied      all biases of attention_bias, the head is the embedding, one head of keys and values
    qwen2     Qwen2ForCausalLM.save_pretrained: biases of queries, keys and values
    grouped.gguf, qwen2.gguf   the same weights under llama.cpp's names by the gguf package: llama's rows turned so that
              rotary pairs are neighbours, the frequencies' divisors as a tensor; qwen2's as they are
Beside them NAME.safetensors: tokens and the peer's logits, in float32 from the weights as stored.
Needs torch, transformers, safetensors and gguf. Made with transformers 5.24.0, gguf 0.19.0.
"""
import pathlib

import checkpoints
import gguf
import torch
import transformers
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/llama"


def disturbed(model, scale):
    """Random weights, gains off 1 and biases off 0, where a mistake would hide."""
    for name, p in model.named_parameters():
        p.data = 1 + 0.2 * torch.randn_like(p) if "norm" in name else scale * torch.randn_like(p)
    model.tie_weights()
    return model.eval()


def sizes(large):
    k = 3 if large else 1
    return dict(vocab_size=64 * k, hidden_size=48 * k, intermediate_size=80 * k, num_hidden_layers=1 + k,
                max_position_embeddings=256, rms_norm_eps=1e-5, bos_token_id=0, eos_token_id=1)


def grouped(large):
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(
        **sizes(large), num_attention_heads=6, num_key_value_heads=2, head_dim=20 if large else 10, tie_word_embeddings=False,
        rope_parameters={"rope_type": "llama3", "rope_theta": 50000.0, "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 64}))


def tied(large):
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(
        **sizes(large), num_attention_heads=4, num_key_value_heads=1, tie_word_embeddings=True, attention_bias=True))


def qwen2(large):
    return transformers.Qwen2ForCausalLM(transformers.Qwen2Config(
        **sizes(large), num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}))


LAYER_NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def neighbours(tensor, heads):
    """Rows (i, i + d/2) of each head become (2i, 2i + 1)."""
    return tensor.reshape(heads, 2, -1, *tensor.shape[1:]).transpose(1, 2).reshape(tensor.shape)


def write_gguf(path, architecture, model, state):
    config = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)
    put = lambda name, tensor: writer.add_tensor(name, tensor.float().contiguous().numpy())  # noqa: E731
    put("token_embd.weight", state["model.embed_tokens.weight"])
    put("output_norm.weight", state["model.norm.weight"])
    if not config.tie_word_embeddings:
        put("output.weight", state["lm_head.weight"])
    if config.rope_parameters["rope_type"] == "llama3":
        plain = config.rope_parameters["rope_theta"] ** (-torch.arange(0, head_dim, 2) / head_dim)
        put("rope_freqs.weight", plain / model.model.rotary_emb.inv_freq)
    for layer in range(config.num_hidden_layers):
        for name, short in LAYER_NAMES.items():
            for kind in "weight", "bias":
                tensor = state.get(f"model.layers.{layer}.{name}.{kind}")
                if tensor is None:
                    continue
                heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(short)
                turn = architecture == "llama" and heads
                put(f"blk.{layer}.{short}.{kind}", neighbours(tensor, heads) if turn else tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@torch.no_grad()
def write(out, name, model, generator, architecture=None):
    model = disturbed(model, 0.12).to(torch.bfloat16)
    directory = out / name
    model.save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)
    peer = type(model).from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    tokens = torch.randint(0, model.config.vocab_size, (1, 80), generator=generator)
    logits = peer(tokens, use_cache=False).logits[0]
    save_file({"tokens": tokens[0].contiguous(), "logits": logits.float().contiguous()}, out / f"{name}.safetensors")
    if architecture:
        write_gguf(out / f"{name}.gguf", architecture, peer, load_file(directory / "model.safetensors"))


def write_all(out, large, generator):
    write(out, "grouped", grouped(large), generator, "llama")
    write(out, "tied", tied(large), generator)
    write(out, "qwen2", qwen2(large), generator, "qwen2")


checkpoints.make(GOLDEN, write_all, "SHENHONG_LLAMA_CHECKPOINTS", "LlamaForm.logits*")
