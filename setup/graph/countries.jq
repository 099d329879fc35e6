# world-countries, simplified, in: kind, capital, area, neighbours and so on. $names[0]: names.jq; $capitals: the table.
include "nt";
$names[0] as $n
| ($capitals | rows | map({key: .[0], value: .[1]}) | from_entries) as $cities
| ($n.en | with_entries({key: .value, value: .key})) as $by_name
| (map({key: .cca3, value: .cca2}) | from_entries) as $two
# Two states may have capitals of one name, and a state the name of its capital.
| ($cities | [.[]] | group_by(.) | map(select(length > 1) | {key: .[0], value: true}) | from_entries) as $shared
| def city($code): $cities[$code] as $name
    | if $shared[$name] or ([$n.zh[] == $name] | any) then "<urn:shenhong:capital:\($code)>" else $name | entity end;
  def region($name): ({"South-Eastern Asia": "Southeast Asia", "Australia and New Zealand": "Australasia", "North America": "Northern America", "Central Europe": "", "Southeast Europe": "", "Micronesia": "Micronesian Region"}[$name] // $name)
    | $by_name[.] // "" | $n.regions[.] // "";
  def continent: if .subregion == "South America" then "005" elif .region == "Americas" then "003" else {"Africa": "002", "Asia": "142", "Europe": "150", "Oceania": "009"}[.region] // "" end;
  ([["国家", "country"], ["地区", "territory"], ["首都", "capital city"]][] | (.[0] | entity) as $iri | fact($iri; named; (.[0] | zh), (.[1] | en))),
  (.[] | .cca2 as $code | $n.iri[$code] as $iri | select($iri)
    | has_relation($iri; "type"; (if .unMember or ($code | IN("VA", "PS")) then "国家" else "地区" end) | entity),
      fact($iri; also; (.translations.zho | .official, .common | select(. != $n.zh[$code]) | zh), (.name | .common, .official | select(. != $n.en[$code]) | en)),
      (if $cities[$code] then city($code) as $capital
        | has_relation($iri; "capital"; $capital), fact($capital; named; ($cities[$code] | zh), (.capital[0] | en)),
          has_relation($capital; "type"; (if .unMember then "首都" else "城市" end) | entity), has_relation($capital; "locatedIn"; $iri) else empty end),
      (.area | select(. and . > 0) | has_relation($iri; "area"; ("\(.)平方公里" | zh), (grouped + " square kilometres" | en))),
      has_relation($iri; "continent"; $n.regions[continent] // ""),
      has_relation($iri; "locatedIn"; region(.subregion) | if . == "" then null else . end),
      # Hong Kong and Macao are no neighbours of what they are part of.
      (.borders[] | $two[.] // "" | select(([., $code] - ["CN", "HK", "MO"]) != []) | has_relation($iri; "neighbour"; $n.iri[.] // "")),
      (.currencies | if type == "object" then keys[] else empty end | has_relation($iri; "currency"; "<urn:shenhong:currency:\(.)>")),
      (.languages | if type == "object" then keys[] else empty end | has_relation($iri; "language"; "<urn:shenhong:language:\($n.languages[.] // .)>")),
      (.idd | select(.root != null and .root != "" and (.suffixes | length) > 0)
        | has_relation($iri; "callingCode"; .root + (if (.suffixes | length) == 1 then .suffixes[0] else "" end) | text)),
      (.tld[]? | select(test("^\\.[a-z]+$")) | has_relation($iri; "topLevelDomain"; text)))
