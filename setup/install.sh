#!/usr/bin/env bash
# Installs what is missing of the Debian packages that Shenhong needs. Run as root or as a sudoer.
#   setup/install.sh          to build and run (make chat)
#   setup/install.sh test     also what the tests need: GoogleTest, Node, Chromium, a Chinese font
# Nothing is done, and no network is touched, when everything is there.
set -euo pipefail

build=(g++ cmake ninja-build pkg-config libfmt-dev nlohmann-json3-dev libcli11-dev libtomlplusplus-dev libhwy-dev
       libpcre2-dev libutf8proc-dev libopencc-dev libzstd-dev libxxhash-dev libboost1.81-dev libsqlite3-dev libserd-dev libcurl4-openssl-dev ca-certificates)
tests=(libgtest-dev nodejs npm chromium fonts-noto-cjk)

wanted=("${build[@]}")
[[ ${1:-} == test ]] && wanted+=("${tests[@]}")

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "setup/install.sh: this is not Debian; install by hand what these packages hold: ${wanted[*]}" >&2
  exit 1
fi

missing=()
for package in "${wanted[@]}"; do
  # Node from elsewhere is as good as Debian's.
  [[ $package == nodejs ]] && command -v node >/dev/null && continue
  [[ $package == npm ]] && command -v npm >/dev/null && continue
  [[ $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) == "install ok installed" ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

echo "setup/install.sh: installing ${missing[*]}"
as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || { echo "setup/install.sh: not root and no sudo; as root: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
