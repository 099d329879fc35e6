# Names of countries, regions and languages, population. $names[0]: names.jq; $info[0]: territoryInfo.json.
include "nt";
def main: .main | to_entries[0].value.localeDisplayNames;
$names[0] as $n | ($languages_zh[0] | main.languages) as $zh | ($languages_en[0] | main.languages) as $en
| ($n.iri | to_entries[] | select(.key | IN("EU", "EZ", "UN", "XA", "XB", "ZZ", "QO") | not) | .value as $iri | .key as $code
    | fact($iri; named; $n.zh[$code] | zh), fact($iri; named; $n.en[$code] // "" | select(. != "") | en),
      fact($iri; also; $n.also[$code] // "" | select(. != "" and . != $n.zh[$code]) | zh),
      ($info[0].supplemental.territoryInfo[$code]._population // "" | select(test("^[1-9]"))
        | has_relation($iri; "population"; integer))),
  ($n.regions | to_entries[] | fact(.value; named; $n.region_names[.key] | zh), fact(.value; named; $n.en[.key] // "" | select(. != "") | en)),
  (["002", "003", "005", "009", "142", "150"][] | has_relation($n.regions[.]; "type"; "大洲" | entity)),
  fact("大洲" | entity; named; ("大洲" | zh), ("continent" | en)),
  fact("语言" | entity; named; ("语言" | zh), ("language" | en)),
  ($zh | to_entries[] | select((.key | test("^[a-z]{2,3}$")) and (.key | IN("mul", "und", "zxx", "mis") | not)) | "<urn:shenhong:language:\(.key)>" as $iri
    | fact($iri; named; .value | zh), fact($iri; named; $en[.key] // "" | select(. != "") | en),
      # 法语, French language: the bare English name is also that of a people.
      fact($iri; also; $en[.key] // "" | select(. != "") | . + " language" | en),
      has_relation($iri; "type"; "语言" | entity))
