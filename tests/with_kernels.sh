#!/usr/bin/env bash
# Runs COMMAND under SHENHONG_KERNELS=NAME; a machine that cannot run that table has nothing to test.
#   tests/with_kernels.sh NAME COMMAND...
set -uo pipefail
name=$1
shift
if [[ $name != scalar ]] && ! grep -qm1 -w "$name" /proc/cpuinfo; then
  echo "this machine has no $name"
  exit 0
fi
SHENHONG_KERNELS=$name exec "$@"
