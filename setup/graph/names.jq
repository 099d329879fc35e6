# What the sources of countries share: {countries: {cca2: IRI}, zh: {cca2: name}, ...}. By --slurpfile: zh, en (territories of
# CLDR), languages_zh, languages_en; $iso639[0] is iso_639-2.json.
include "nt";
def main: .main | to_entries[0].value.localeDisplayNames;
($zh[0] | main.territories) as $t | ($en[0] | main.territories) as $e
| ($t | with_entries(select(.key | test("^[A-Z]{2}$"))) | with_entries(.value = ($t[.key + "-alt-short"] // .value))) as $countries
| {zh: $countries,
   en: ($e | with_entries(.value = ($e[.key + "-alt-short"] // .value) | select(.key | test("alt") | not))),
   iri: (($countries | map_values(entity)) + {"CN": ("中国" | entity)}),
   regions: ($t | with_entries(select(.key | test("^[0-9]{3}$"))) | map_values(entity)),
   region_names: ($t | with_entries(select(.key | test("^[0-9]{3}$")))),
   languages: ($iso639[0]."639-2" | map({key: .alpha_3, value: (.alpha_2 // .alpha_3)}) | from_entries),
   also: ($t | with_entries(select(.key | test("^[A-Z]{2}-alt")) | .value as $v | .key |= .[0:2]))}
