#!/usr/bin/env bash
# The kernels' tests for 64-bit ARM, cross-compiled and run in an emulator: tests/aarch64.sh WORK [GTEST_ARGUMENT...]
# Wants g++-aarch64-linux-gnu and qemu-user-static; takes Highway, GoogleTest and fmt for that processor from Debian,
# into WORK, without installing them. Some minutes. No part of `make test`.
set -euo pipefail
work=$(realpath -m "${1:?usage: tests/aarch64.sh WORK [GTEST_ARGUMENT...]}")
shift
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for tool in aarch64-linux-gnu-g++ qemu-aarch64-static; do
  command -v $tool >/dev/null || { echo "aarch64.sh: no $tool; apt-get install g++-aarch64-linux-gnu qemu-user-static" >&2; exit 1; }
done

mkdir -p "$work"/{lists/partial,cache/archives/partial,packages,include,objects}
if [[ ! -e $work/packages/usr/lib/aarch64-linux-gnu/libhwy.so ]]; then
  cat >"$work/apt.conf" <<EOF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
Dir::State::lists "$work/lists";
Dir::Cache "$work/cache";
EOF
  (cd "$work" && export APT_CONFIG=$work/apt.conf && apt-get -q update && apt-get -q download libhwy-dev libhwy1 libgtest-dev libfmt-dev)
  for package in "$work"/*.deb; do dpkg -x "$package" "$work/packages"; done
fi
# The packages' headers alone: those of this machine's C library must not come along.
for name in hwy gtest fmt; do ln -sfn "$work/packages/usr/include/$name" "$work/include/$name"; done
ln -sfn /usr/include/nlohmann "$work/include/nlohmann"

flags="-std=c++20 -O2 -Wall -Wextra -Wpedantic -Wshadow -Werror -Wno-restrict -Wno-stringop-overflow -ffp-contract=off
  -DFMT_HEADER_ONLY -DSHENHONG_SOURCE_DIR=\"$PWD\" -Isrc -Itests -isystem $work/include"
export flags work
compile() {
  object=$work/objects/$(tr / _ <<<"$1").o
  # Headers count as well: whatever is newer than the object makes it old.
  if [[ -e $object && -z $(find src/core src/kernels tests/kernels -newer "$object" -print -quit) ]]; then return; fi
  # shellcheck disable=SC2086
  $(command -v ccache) aarch64-linux-gnu-g++ $flags -c "$1" -o "$object"
}
export -f compile
printf '%s\n' src/core/parallel.cpp src/kernels/*.cpp tests/kernels/*.cpp | xargs -P "${JOBS:-$(nproc)}" -I{} bash -ec 'compile {}'
libraries=$work/packages/usr/lib/aarch64-linux-gnu
aarch64-linux-gnu-g++ "$work"/objects/*.o -o "$work/kernels_tests" "$libraries"/{libgtest_main.a,libgtest.a,libhwy.so} -lpthread
QEMU_LD_PREFIX=/usr/aarch64-linux-gnu exec qemu-aarch64-static \
  -E LD_LIBRARY_PATH=/usr/aarch64-linux-gnu/lib:"$libraries" "$work/kernels_tests" "$@"
