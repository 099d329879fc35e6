#!/usr/bin/env bash
# An attached endpoint, against real ones: Virtuoso (Debian's virtuoso-opensource-7-bin) and Oxigraph (npm oxigraph, found
# by NODE_PATH). What is not there is skipped, and said so.
#   tests/oracle/sparql.sh BUILD
set -euo pipefail
shenhong=$(realpath "$1")/shenhong
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
server=
trap '[[ -n $server ]] && kill "$server" 2>/dev/null; rm -rf "$work"' EXIT

fail() { echo "sparql.sh: $*" >&2; exit 1; }

cat >"$work/facts.nt" <<'NT'
<urn:shenhong:entity:洛庭砚> <http://www.w3.org/2000/01/rdf-schema#label> "洛庭砚"@zh .
<urn:shenhong:entity:云青城> <http://www.w3.org/2000/01/rdf-schema#label> "云青城"@zh .
<urn:shenhong:entity:洛庭砚> <urn:shenhong:relation:birthPlace> <urn:shenhong:entity:云青城> .
<urn:shenhong:entity:洛庭砚> <urn:shenhong:relation:born> "1036"^^<http://www.w3.org/2001/XMLSchema#integer> .
NT

# NAME URL: facts that only the endpoint has are answered, cited and kept; without it local facts still answer.
try_endpoint() {
  local name=$1 url=$2 graph=$work/$1.kg
  "$shenhong" kg init --graph "$graph" >/dev/null
  # The name alone is known here.
  head -1 "$work/facts.nt" >"$work/name.nt"
  "$shenhong" kg import "$work/name.nt" --graph "$graph" >/dev/null
  ask() { "$shenhong" kg ask "$1" --graph "$graph" --json; }
  [[ $(ask 洛庭砚的籍贯是哪里) == *'"decision":"abstained"'* ]] || fail "$name: known before it was attached"
  "$shenhong" kg attach "$url" --allow-private --graph "$graph" >/dev/null
  local answer
  answer=$(ask 洛庭砚的籍贯是哪里)
  [[ $answer == *'洛庭砚的籍贯是云青城[1]'* && $answer == *"\"source\":\"$url\""* ]] || fail "$name: $answer"
  answer=$(ask 洛庭砚哪年出生)
  [[ $answer == *'1036年[1]'* ]] || fail "$name: $answer"
  [[ $(ask 洛庭砚的父亲是谁) == *'"kg_backend":"ok"'* ]] || fail "$name: no answer is not a failure"
  kill "$server"; wait "$server" 2>/dev/null || true; server=
  [[ $(ask 洛庭砚的籍贯是哪里) == *云青城* ]] || fail "$name: what was fetched is gone"
  answer=$(ask 洛庭砚的配偶是谁 2>/dev/null)
  [[ $answer == *'"decision":"abstained"'* && $answer == *'"kg_backend":"unreachable"'* ]] || fail "$name, stopped: $answer"
  [[ $(ask 李白的朝代是什么) == *唐朝* ]] || fail "$name: local facts do not answer"
  "$shenhong" kg detach --graph "$graph" >/dev/null
  echo "sparql.sh: $name: passed"
}

wait_for() {
  for _ in $(seq 300); do curl -s -o /dev/null "$1" && return; sleep 0.1; done
  fail "$1 does not come up"
}

if command -v virtuoso-t >/dev/null; then
  port=28890
  cat >"$work/virtuoso.ini" <<INI
[Database]
DatabaseFile = $work/v.db
TransactionFile = $work/v.trx
ErrorLogFile = $work/v.log
LockFile = $work/v.lck
[Parameters]
ServerPort = 21111
DirsAllowed = $work
NumberOfBuffers = 2000
[HTTPServer]
ServerPort = $port
[SPARQL]
ResultSetMaxRows = 1000
INI
  (cd "$work" && exec virtuoso-t +foreground +configfile virtuoso.ini >/dev/null 2>&1) &
  server=$!
  wait_for "http://127.0.0.1:$port/sparql"
  isql-vt 21111 dba dba exec="DB.DBA.TTLP(file_to_string_output('$work/facts.nt'), '', 'urn:facts', 512); checkpoint;" >/dev/null
  try_endpoint virtuoso "http://127.0.0.1:$port/sparql"
else
  echo "sparql.sh: no virtuoso-t: skipped"
fi

if command -v node >/dev/null && node -e 'require("oxigraph")' 2>/dev/null; then
  port=28891
  node "$here/oxigraph_server.cjs" "$work/facts.nt" $port &
  server=$!
  wait_for "http://127.0.0.1:$port/"
  try_endpoint oxigraph "http://127.0.0.1:$port/sparql"
else
  echo "sparql.sh: no npm oxigraph in NODE_PATH: skipped"
fi
