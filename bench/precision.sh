#!/usr/bin/env bash
# What training in few bits costs and saves: the nano recipe in each precision, some seeds each.
#   bench/precision.sh SHENHONG [SEEDS] [STEPS] [PRECISION...]
# Prints one line per run as it ends and then a table in Markdown: held-out loss (mean and spread over the seeds), its distance
# from f32's, bytes of the activations between the passes and of the moments, the process's peak memory, and speed.
# Speeds want a quiet machine; the other columns do not care. Figures are the run's own: the loss is that of the precision's own
# forward pass over 400 windows.
set -euo pipefail
shenhong=$(realpath "${1:?usage: precision.sh SHENHONG [SEEDS] [STEPS] [PRECISION...]}")
seeds=${2:-3}
steps=${3:-120}
shift $(($# < 3 ? $# : 3))
precisions=("$@")
((${#precisions[@]})) || precisions=(f32 bf16 fp8 int8 nvfp4 mxfp4)
source=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$source/recipes" "$work/"
cd "$work"
"$shenhong" data recipes/nano.toml >/dev/null 2>data.log || { tail -3 data.log >&2; exit 1; }
for ((seed = 1; seed <= seeds; ++seed)); do
  for precision in "${precisions[@]}"; do
    name=$precision-$seed
    awk -v p="$precision" -v s="$seed" -v n="$steps" '
      /^\[/ { section = $0 }
      section == "[pretrain]" && /^steps/ { print "steps = " n; next }
      section == "[pretrain]" && /^(validate|save)_every/ { print $1 " = " n; next }
      section == "[pretrain]" && /^validation_windows/ { print "validation_windows = 400"; next }
      { print }
      /^\[pretrain\]/ { print "precision = \"" p "\""; print "seed = " s }' recipes/nano.toml >"recipes/$name.toml"
    ln -sfn nano "data/$name"
    "$shenhong" train "recipes/$name.toml" --json >"$name.json" 2>"$name.log" &
    pid=$!
    peak=0  # of the process, as the kernel last told it
    while now=$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null) && [[ -n $now ]]; do
      peak=$now
      timeout 0.2 tail -f /dev/null || true
    done
    wait "$pid" || { tail -3 "$name.log" >&2; exit 1; }
    log=runs/$name/pretrain/log.jsonl
    loss=$(sed 's/.*"nats_per_token":\([0-9.]*\).*/\1/' "$name.json")
    field() { grep '"kind":"memory"' "$log" | sed "s/.*\"$1\":\([0-9]*\).*/\1/"; }
    speed=$(grep '"kind":"train"' "$log" | sed 's/.*"tokens_per_s":\([0-9.]*\).*/\1/' | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')
    echo "$precision $seed $loss $(field activation_bytes) $(field moment_bytes) $peak $speed" | tee -a runs.txt
    rm -rf "runs/$name"
  done
done
awk '
  { n[$1]++; sum[$1] += $3; lo[$1] = n[$1] == 1 || $3 < lo[$1] ? $3 : lo[$1]; hi[$1] = $3 > hi[$1] ? $3 : hi[$1]
    a[$1] = $4; m[$1] = $5; if ($6 > peak[$1]) peak[$1] = $6; speed[$1] += $7; loss[$1, $2] = $3; seeds[$2]
    if (!($1 in seen)) { seen[$1]; order[++k] = $1 } }
  END {
    print "| precision | held-out loss, nats per token (least to most) | against f32, mean (worst seed) | activations | moments | peak of the process | tokens/s |"
    print "|---|---|---|---|---|---|---|"
    for (i = 1; i <= k; ++i) { p = order[i]; d = 0; worst = -1e9
      for (s in seeds) { x = ("f32", s) in loss && (p, s) in loss ? 100 * (loss[p, s] / loss["f32", s] - 1) : 0; d += x / n[p]; worst = x > worst ? x : worst }
      printf "| %s | %.4f (%.4f to %.4f) | %+.2f %% (%+.2f %%) | %.2f MB | %.2f MB | %.0f MB | %.0f |\n", p, sum[p] / n[p], lo[p], hi[p], d, worst, a[p] / 1e6, m[p] / 1e6, peak[p] / 1e3, speed[p] / n[p] }
  }' runs.txt
