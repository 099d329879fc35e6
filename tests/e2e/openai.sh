#!/usr/bin/env bash
# The API as the real openai package sees it. tests/e2e/openai.sh BUILD
set -euo pipefail
export SHENHONG=$(realpath "$1")/shenhong
# The contract is the plain one: a graph of the working directory would add fields.
export SHENHONG_GRAPH=/nonexistent
cd tests/e2e
npm ci --no-audit --no-fund --loglevel=error
node --test openai_contract.mjs
