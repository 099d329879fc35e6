#!/usr/bin/env bash
# The page is what its sources build, and works in Chromium against the real server.
# tests/e2e/page.sh BUILD      SHENHONG_SHOTS=DIR keeps screenshots
set -euo pipefail
shenhong=$(realpath "$1")/shenhong
committed=$(sha256sum <web/dist/index.html)
(
  cd web
  npm ci --no-audit --no-fund --loglevel=error
  npm run --silent check
  npm test --silent
  npm run --silent build
)
[[ $(sha256sum <web/dist/index.html) == "$committed" ]] || { echo "web/dist/index.html is not what web/src builds: commit the new one"; exit 1; }

# exec: the coprocess is the server itself, so that the trap ends it and not a shell around it.
coproc server { exec "$shenhong" serve --port 0 --json; }
pid=$server_PID
trap 'kill "$pid" 2>/dev/null || true' EXIT
read -r ready <&"${server[0]}"
url=$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' <<<"$ready")
SHENHONG_URL=$url node --test tests/e2e/page.mjs
