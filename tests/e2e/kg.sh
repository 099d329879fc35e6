#!/usr/bin/env bash
# The knowledge graph from the command line, as a user goes: tests/e2e/kg.sh BUILD
set -euo pipefail
build=$(realpath "${1:?usage: kg.sh BUILD}")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SHENHONG_GRAPH=$work/graph.kg
kg() { "$build/shenhong" kg "$@"; }

expect() {  # expect TEXT COMMAND...: the command succeeds and its output holds TEXT
  local text=$1 out
  shift
  out=$("$@" 2>"$work/err") || { echo "failed: $*"; cat "$work/err"; exit 1; }
  grep -qF -- "$text" <<<"$out" || { echo "$*: no '$text' in:"; echo "$out"; exit 1; }
}
refuse() {  # refuse CODE TEXT COMMAND...: exit code CODE and one line that holds TEXT
  local code=$1 text=$2 out got=0
  shift 2
  out=$("$@" 2>&1) || got=$?
  [[ $got == "$code" && $(wc -l <<<"$out") == 1 ]] && grep -qF -- "$text" <<<"$out" && return
  echo "$*: want exit code $code and one line with '$text', got $got and:"
  echo "$out"
  exit 1
}

refuse 3 "kg init" kg ask 长城有多长
refuse 3 "kg init" kg import "$work/none.nt"
[[ ! -e $SHENHONG_GRAPH ]]
kg init >/dev/null
refuse 2 "exists already" kg init
(($(kg stat --json | sed 's/.*"facts":\([0-9]*\).*/\1/') >= 5000))
expect "秦始皇[1]" kg ask 秦长城是谁修建的？
expect "Qin Shi Huang [1]" kg ask "Who built the Great Wall?"
expect "公元前259年[1]" kg ask 秦始皇什么时候出生？
expect "守株待兔的出处是" kg ask 守株待兔出自哪里
expect '"decision":"abstained"' kg ask --json 长城的妻子是谁？

kg export "$work/before.nq"
printf '甲子书屋\t创立者\t钱某\n坏行\n甲子书屋\t起始年\t1984\n' >"$work/mine.tsv"
expect "1 lines rejected" kg import "$work/mine.tsv" --source 我的表格
expect "甲子书屋的创立者是钱某[1]。" kg ask 甲子书屋是谁创立的
expect "[1] 甲子书屋 — 我的表格" kg ask 甲子书屋是谁创立的
batch=$(kg batches --json | sed 's/.*"id":\([0-9]*\).*/\1/')
expect "undone" kg rollback "$batch"
kg export "$work/after.nq"
cmp "$work/before.nq" "$work/after.nq"
refuse 2 "rolled back already" kg rollback "$batch"

expect "facts retracted" kg retract --entity 嘉峪关市
refuse 2 "nothing of the name" kg facts 嘉峪关市
kg add 李四 老师 张三 >/dev/null
expect "李四的老师是张三[1]。" kg ask 李四的老师是谁

refuse 3 "no such file" kg import "$work/none.nt"
refuse 2 "--format" kg import "$work/before.nq" --format docx
head -c 3000 /dev/urandom >"$work/noise.kg"
refuse 3 "is no graph" kg stat --graph "$work/noise.kg"
chmod a-w "$work/graph.kg"
((EUID == 0)) || refuse 4 "read-only" kg add a b c
echo "the knowledge graph answers, rolls back to the byte and refuses what it should"
