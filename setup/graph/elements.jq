# periodic-table in; $table: elements.tsv, symbol and Chinese name.
include "nt";
($table | rows | map({key: .[0], value: .[1]}) | from_entries) as $zh
| {"nonmetal": "非金属", "noble gas": "稀有气体", "alkali metal": "碱金属", "alkaline earth metal": "碱土金属", "metalloid": "类金属", "halogen": "卤素",
   "metal": "金属", "post-transition metal": "贫金属", "transition metal": "过渡金属", "lanthanoid": "镧系元素", "actinoid": "锕系元素"} as $groups
| {"gas": "气体", "liquid": "液体", "solid": "固体"} as $states
| fact("化学元素" | entity; named; ("化学元素" | zh), ("chemical element" | en)),
  ($groups | to_entries[] | (.value | entity) as $iri | fact($iri; named; (.value | zh), (.key | en))),
  (.[] | ($zh[.symbol] + "元素" | entity) as $iri
    | fact($iri; named; ($zh[.symbol] | zh), (.name | en)), fact($iri; also; $zh[.symbol] + "元素" | zh),
      has_relation($iri; "type"; "化学元素" | entity), has_relation($iri; "symbol"; .symbol | text), has_relation($iri; "atomicNumber"; .atomicNumber | integer),
      has_relation($iri; "atomicMass"; .atomicMass | tostring | gsub("\\([0-9]+\\)"; "") | gsub("[\\[\\]]"; "") | text),
      has_relation($iri; "elementGroup"; $groups[.groupBlock] | entity),
      (.standardState | select(. != "") | has_relation($iri; "state"; ($states[.] | zh), en)),
      (.meltingPoint | numbers | has_relation($iri; "meltingPoint"; ("\(.)开尔文" | zh), ("\(.) kelvins" | en))),
      (.boilingPoint | numbers | has_relation($iri; "boilingPoint"; ("\(.)开尔文" | zh), ("\(.) kelvins" | en))),
      (.yearDiscovered | numbers | has_relation($iri; "discovered"; integer)))
