#!/usr/bin/env bash
# The nano recipe from text to answers, killed with -9 on the way: the resumed run must end with the
# straight run's bits. tests/e2e/pipeline.sh BUILD [KILLS]
set -euo pipefail
shenhong=$(realpath "$1")/shenhong
kills=${2:-3}
source=$(pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

die() {
  echo "pipeline.sh: $*" >&2
  exit 1
}

# Each run has a directory of its own; recipes name their texts relative to it. Pre-training is long enough
# that every kill meets a run that is not at its end.
new_place() {
  mkdir -p "$work/$1"
  cp -r "$source/recipes" "$work/$1/"
  cd "$work/$1"
  sed -i "0,/^steps = 120/s//steps = $((60 * kills))/; 0,/^save_every = 30/s//save_every = 5/" recipes/nano.toml
}

new_place straight
"$shenhong" run recipes/nano.toml --json >report.json 2>run.log || { tail -5 run.log; die "the straight run failed"; }
grep -q '"五绝"' report.json || die "the report holds no poems"
"$shenhong" generate --model runs/nano/model '写一首五绝' --json --max-tokens 60 | grep -q '"text"' || die "generate gave no text"
"$shenhong" info runs/nano/model --json | grep -q '"parameters_total"' || die "info gave no count"
"$shenhong" eval loss --model runs/nano/model --data data/nano --json | grep -q '"bits_per_byte"' || die "eval loss gave no figure"
"$shenhong" convert runs/nano/model nano.gguf >/dev/null 2>&1
cmp <("$shenhong" eval loss --model runs/nano/model --data data/nano --json) <("$shenhong" eval loss --model nano.gguf --data data/nano --json) ||
  die "the same weights have another loss as GGUF"
grep -q '"top_k": 40' runs/nano/model/generation_config.json || die "the exported settings leave out a cut that is in use"

new_place killed
cp -r ../straight/data .
met=0
for ((i = 0; i < kills; ++i)); do
  "$shenhong" train recipes/nano.toml >/dev/null 2>&1 &
  pid=$!
  # A moment that differs from run to run, so that every place is hit sooner or later. Never 0: to
  # timeout that means no limit.
  timeout "$((RANDOM % 4)).$((1 + RANDOM % 9))" tail -f /dev/null || true
  kill -9 "$pid" 2>/dev/null || true
  code=0
  wait "$pid" 2>/dev/null || code=$?
  if ((code == 137)); then met=$((met + 1)); fi
done
"$shenhong" train recipes/nano.toml >/dev/null 2>train.log || { tail -5 train.log; die "the killed run did not go on"; }
cmp runs/nano/pretrain/weights/model.safetensors ../straight/runs/nano/pretrain/weights/model.safetensors ||
  die "the killed and resumed run ends with other weights than the straight one"

# A form beyond DeepSeek-V3's trains, is decoded, quantised, and kept from other programs.
cd .. && new_place beyond
ln -s ../straight/data data
sed -i '0,/^steps = [0-9]*/s//steps = 20/; s/^n_routed_experts = 8/&\nrouting = {method = "threshold", mean_experts = 1.5, max_experts = 3}\nngram_memory = {layers = [1], rows = 500}/' recipes/nano.toml
"$shenhong" train recipes/nano.toml --json >loss.json 2>train.log || { tail -5 train.log; die "a model with thresholds and a memory did not train"; }
weights=runs/nano/pretrain/weights
cp data/nano/tokenizer.json "$weights"
"$shenhong" info "$weights" | grep -q '1.5 on average per token (1 to 3, by threshold)' || die "info does not say how many experts"
"$shenhong" eval loss --model "$weights" --data data/nano --windows 16 >/dev/null || die "it was not decoded"
"$shenhong" quantize "$weights" int8 --format int8 --data data/nano >/dev/null 2>&1 || die "it was not quantised"
code=0
"$shenhong" convert "$weights" refused.gguf >convert.log 2>&1 || code=$?
((code == 2)) && grep -q "routing.method = 'threshold'" convert.log && [[ ! -e refused.gguf ]] || die "convert did not refuse it by name"
rm -rf runs
sed -i 's/^routing = .*/routing = {method = "identity", mean_experts = 1.5, identity_experts = 4}/' recipes/nano.toml
"$shenhong" train recipes/nano.toml --json >loss.json 2>train.log || { tail -5 train.log; die "a model with identity experts did not train"; }
cp data/nano/tokenizer.json "$weights"
"$shenhong" info "$weights" | grep -q '1.5 on average per token (0 to 2, beside 4 identity experts)' || die "info does not tell of the identity experts"
"$shenhong" quantize "$weights" identity-int8 --format int8 --calibrate 0.2 --data data/nano >/dev/null 2>&1 || die "it was not quantised with skipping"
code=0
"$shenhong" convert "$weights" refused.gguf >convert.log 2>&1 || code=$?
((code == 2)) && grep -q "routing.method = 'identity'" convert.log && [[ ! -e refused.gguf ]] || die "convert did not refuse identity experts by name"
cd ../killed

# SIGTERM saves and says so with exit code 75.
rm -rf runs
"$shenhong" train recipes/nano.toml >/dev/null 2>term.log &
pid=$!
until grep -qs '"train"' runs/nano/pretrain/log.jsonl; do kill -0 "$pid" || die "training ended before it was stopped"; done
kill -TERM "$pid"
code=0
wait "$pid" || code=$?
((code == 75)) || die "SIGTERM ended the run with exit code $code; want 75"
echo "the killed run ends with the straight run's bits ($met of $kills kills met it running); SIGTERM saves"
