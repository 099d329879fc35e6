#!/usr/bin/env bash
# What is wrong outside is one line that names the thing, and the right exit code.
# tests/e2e/bad_input.sh BUILD
set -euo pipefail
shenhong=$(realpath "$1")/shenhong
source=$(pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp -r "$source/recipes" .
failures=0

expect() {  # expect CODE TEXT COMMAND...: exit code CODE and one line on stderr that contains TEXT
  local code=0 want=$1 text=$2 said
  shift 2
  said=$("$@" 2>&1 >/dev/null) || code=$?
  if ((code != want)) || [[ $said != *"$text"* ]] || (($(wc -l <<<"$said") != 1)); then
    echo "$*"
    echo "  want exit $want and one line with '$text'"
    echo "  got  exit $code and: $said"
    failures=$((failures + 1))
  fi
}

model=$(ls -d "$source"/models/*/ | head -1)
copy() {
  rm -rf broken
  cp -rL "$model" broken
}

expect 3 "missing.toml" "$shenhong" train missing.toml
printf '[data]\n[[data.sources]]\nname="a"\npath="x"\n[model]\n[pretrain]\nstepz = 3\n' >unknown.toml
expect 2 "unknown key 'stepz'; known: steps" "$shenhong" train unknown.toml
printf '[data]\n[[data.sources]]\nname="a"\npath="x"\n[model]\n[pretrain]\nprecision = "fp4"\n' >precision.toml
expect 2 "precision = 'fp4': known are f32, bf16, fp8, nvfp4, mxfp4, int8, mix" "$shenhong" train precision.toml
printf '[data\n' >broken.toml
expect 3 "broken.toml:1" "$shenhong" train broken.toml
expect 3 "no such model directory" "$shenhong" generate --model nowhere 你好
expect 2 "fp8: want f32, f16, int8" "$shenhong" generate --model "$model" --cache fp8 你好
expect 2 "a cache in int8: this model keeps keys that carry their rotation" "$shenhong" bench decode --model "$source/tests/golden/llama/grouped" --cache int8 --prompt 4 --tokens 4
expect 2 "the prompt is empty" "$shenhong" generate --model "$model" ""
expect 2 "context" "$shenhong" generate --model "$model" "$(printf '明月%.0s' {1..2000})"
expect 2 "--temperatur" "$shenhong" generate --model "$model" --temperatur 1 你好

copy
head -c 100 broken/tokenizer.json >t && mv t broken/tokenizer.json
expect 3 "tokenizer.json" "$shenhong" generate --model broken 你好
copy
sed -i 's/"hidden_size": [0-9]*/"hidden_size": 64/' broken/config.json
expect 3 "hidden_size" "$shenhong" generate --model broken 你好
copy
head -c 100000 broken/model.safetensors >t && mv t broken/model.safetensors
expect 3 "model.safetensors" "$shenhong" generate --model broken 你好

"$shenhong" data recipes/nano.toml >/dev/null 2>&1
sed 's/^batch = 8/batch = 65536/; s/^micro_batch = 8/micro_batch = 65536/' recipes/nano.toml >recipes/large.toml
ln -s nano data/large
expect 4 "recipes/large.toml [pretrain]: micro_batch = 65536 of batch = 65536 needs about" "$shenhong" train recipes/large.toml
expect 4 "fits and needs" "$shenhong" train recipes/large.toml
sed 's/^n_routed_experts = 8/&\nrouting = {max_experts = 3}/' recipes/nano.toml >recipes/form.toml
expect 3 "routing.max_experts = 3: only with routing.method = 'threshold'" "$shenhong" train recipes/form.toml
sed 's/^n_routed_experts = 8/&\nrouting = {method = "threshold"}/; s/^\[pretrain\]/&\nbalance = {method = "auxiliary", alpha = 1e-2}/' recipes/nano.toml >recipes/form.toml
expect 2 "[pretrain].balance: method = 'auxiliary' moves no biases" "$shenhong" train recipes/form.toml
shard=data/nano/poems/train-00000.tok
head -c 1000 "$shard" >t && mv t "$shard"
expect 3 "train-00000.tok" "$shenhong" train recipes/nano.toml
exit $((failures > 0))
