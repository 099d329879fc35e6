#!/usr/bin/env bash
# All tests on a finished build: tests/all.sh BUILD. Ends with one line 'N passed, N failed'.
set -uo pipefail
build=$(realpath "${1:?usage: tests/all.sh BUILD}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
passed=0
failed=0

step() {  # step NAME COMMAND...: one more test, whose output shows only when it fails
  local name=$1 log
  shift
  log=$(mktemp)
  if "$@" >"$log" 2>&1; then
    echo "ok      $name"
    passed=$((passed + 1))
  else
    echo "FAILED  $name"
    tail -n 60 "$log"
    failed=$((failed + 1))
  fi
  rm -f "$log"
}

log=$(mktemp)
ctest --test-dir "$build" --output-on-failure -j "$(nproc)" >"$log" 2>&1
tail -n 80 "$log" | grep -vE '^ *[0-9]+/[0-9]+ Test .*Passed' | tail -n 60
total=$(sed -n 's/.*tests failed out of \([0-9]*\).*/\1/p' "$log")
broken=$(sed -n 's/.*, \([0-9]*\) tests failed out of.*/\1/p' "$log")
rm -f "$log"
if [[ -z $total ]]; then
  echo "FAILED  ctest ran no test"
  failed=$((failed + 1))
else
  passed=$((passed + total - broken))
  failed=$((failed + broken))
fi

for kernels in scalar avx2; do
  step "model tests with SHENHONG_KERNELS=$kernels" tests/with_kernels.sh "$kernels" "$build/tests/model_tests" --gtest_filter='Model.*'
done
for script in tests/e2e/*.sh; do
  step "$script" "$script" "$build"
done

echo "$passed passed, $failed failed"
((failed == 0))
