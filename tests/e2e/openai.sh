#!/usr/bin/env bash
# The API as the real openai package sees it. tests/e2e/openai.sh BUILD
set -euo pipefail
export SHENHONG=$(realpath "$1")/shenhong
cd tests/e2e
npm ci --no-audit --no-fund --loglevel=error
node --test openai_contract.mjs
