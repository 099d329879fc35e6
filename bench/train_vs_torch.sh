#!/usr/bin/env bash
# Training speed against PyTorch on the same model, batch and machine, by turns.
#   bench/train_vs_torch.sh SHENHONG PEER_DIR [PYTHON] [ROUNDS]
# PEER_DIR holds the peer's train_bench.py; its 'poet' model at batch 16 × 256 is what both train.
# Prints one line per turn and the ratio of the medians. Quiet machine, please: the peer drops noisy repeats itself.
set -euo pipefail
shenhong=$(realpath "${1:?usage: train_vs_torch.sh SHENHONG PEER_DIR [PYTHON] [ROUNDS]}")
peer=$(realpath "${2:?}")
python=${3:-python3}
rounds=${4:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/config.json" <<'J'
{"vocab_size": 8192, "hidden_size": 384, "num_hidden_layers": 8, "max_position_embeddings": 256, "num_attention_heads": 6,
 "kv_lora_rank": 128, "q_lora_rank": null, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 32,
 "intermediate_size": 1024, "first_k_dense_replace": 1, "n_routed_experts": 16, "num_experts_per_tok": 2,
 "n_shared_experts": 1, "moe_intermediate_size": 256, "num_nextn_predict_layers": 1}
J
ours=()
theirs=()
for ((i = 0; i < rounds; ++i)); do
  line=$("$shenhong" bench train --model "$work" --batch 16 --seq-len 256 --steps 3 --json)
  ours+=("$(sed 's/.*"tokens_per_s":\([0-9.]*\).*/\1/' <<<"$line")")
  echo "shenhong  $line"
  # OpenBLAS's forced core type would slow the peer.
  line=$(cd "$peer" && env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE "$python" train_bench.py --config poet --batch 16 --steps 3 | grep '^grouped')
  theirs+=("$(sed 's/.*train *\([0-9]*\) tok.*/\1/' <<<"$line")")
  echo "pytorch   $line"
done
median() { printf '%s\n' "$@" | sort -g | sed -n "$((($# + 1) / 2))p"; }
a=$(median "${ours[@]}")
b=$(median "${theirs[@]}")
awk -v a="$a" -v b="$b" 'BEGIN { printf "median tokens/s: shenhong %.0f, pytorch %.0f, ratio %.2f\n", a, b, a / b }'
