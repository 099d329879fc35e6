#!/usr/bin/env bash
# The bundled model as a GGUF file and back: the same answers, and nothing half-written. tests/e2e/convert.sh BUILD
set -euo pipefail
shenhong=$(realpath "${1:?usage: convert.sh BUILD}")/shenhong
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
model=$(ls -d models/*/ | head -1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

die() {
  echo "convert.sh: $*" >&2
  exit 1
}
refuse() {  # refuse CODE TEXT COMMAND...: exit code CODE and one line that holds TEXT
  local code=$1 text=$2 out got=0
  shift 2
  out=$("$@" 2>&1) || got=$?
  [[ $got == "$code" && $(wc -l <<<"$out") == 1 ]] && grep -qF -- "$text" <<<"$out" && return
  die "$*: want exit code $code and one line with '$text', got $got and: $out"
}
tokens() {  # tokens MODEL: what it answers, most likely tokens only
  for prompt in 写一首七言绝句，题目是秋夜 写一首五律 你好; do
    "$shenhong" generate "$prompt" --model "$1" --json --temperature 0 --presence-penalty 0 --grounding off --max-tokens 60 |
      sed 's/.*"tokens":\(\[[0-9,]*\]\).*/\1/'
  done
}

"$shenhong" convert "$model" "$work/model.gguf" --json 2>/dev/null | grep -q '"type":"bf16"' || die "no JSON"
"$shenhong" convert "$work/model.gguf" "$work/again" 2>/dev/null | grep -q 'again: ' || die "no line about what was written"
tokens "$model" >"$work/wanted"
(($(wc -c <"$work/wanted") > 200)) || die "the model answers nothing"
tokens "$work/model.gguf" | cmp - "$work/wanted" || die "the GGUF answers in another way"
tokens "$work/again" | cmp - "$work/wanted" || die "the directory made of it answers in another way"
cmp "$work/again/chat_template.jinja" "$model/chat_template.jinja"
cmp "$work/again/generation_config.json" "$model/generation_config.json"

# What int8 and 4 bits are worth is measured elsewhere; here they have to run.
for type in f32 f16 q8_0 q4_0; do
  "$shenhong" convert "$model" "$work/model.gguf" --type $type --force >/dev/null 2>&1
  "$shenhong" generate 你好 --model "$work/model.gguf" --max-tokens 8 --temperature 0 --json | grep -q '"text"' || die "$type does not run"
done
shape() {  # what info says but for the bytes, which depend on the numbers' format
  "$shenhong" info "$1" --json | sed 's/"weight_bytes[a-z_]*":[0-9]*,*//g'
}
shape "$work/model.gguf" | cmp - <(shape "$model") || die "info says something else"

refuse 2 "exists already; --force replaces it" "$shenhong" convert "$model" "$work/model.gguf"
refuse 2 "exists already; --force replaces it" "$shenhong" convert "$work/model.gguf" "$work/again"
mkdir "$work/precious"
refuse 2 "no model; it is not replaced" "$shenhong" convert "$work/model.gguf" "$work/precious" --force
mv "$work/model.gguf" "$work/again"
refuse 2 "which would be lost" "$shenhong" convert "$work/again/model.gguf" "$work/again" --force
mv "$work/again/model.gguf" "$work"
refuse 2 "one of the two must be a .gguf file" "$shenhong" convert "$model" "$work/copy"
refuse 2 "a model directory is written in bf16 or f32" "$shenhong" convert "$work/model.gguf" "$work/copy" --type q8_0
refuse 2 "--type" "$shenhong" convert "$model" "$work/copy.gguf" --type q5_0
refuse 3 "no such model directory" "$shenhong" convert "$work/none" "$work/copy.gguf"
refuse 3 "none.gguf" "$shenhong" convert "$work/none.gguf" "$work/copy"
head -c 100000 "$work/model.gguf" >"$work/cut.gguf"
refuse 3 "cut.gguf" "$shenhong" convert "$work/cut.gguf" "$work/copy"
refuse 3 "cut.gguf" "$shenhong" generate --model "$work/cut.gguf" 你好
cp -rL "$model" "$work/broken"
sed -i 's/"hidden_size": [0-9]*/"hidden_size": 64/' "$work/broken/config.json"
refuse 3 "hidden_size" "$shenhong" convert "$work/broken" "$work/copy.gguf"
refuse 2 "num_key_value_heads = 2" "$shenhong" convert tests/golden/llama/grouped "$work/copy.gguf"
refuse 2 "is not written as a directory" "$shenhong" convert tests/golden/llama/grouped.gguf "$work/copy"
[[ $(ls "$work" | tr '\n' ' ') == "again broken cut.gguf model.gguf precious wanted " ]] || die "something half-written is left: $(ls "$work")"
echo "the model answers the same as GGUF and after the way back; nothing half-written is left"
