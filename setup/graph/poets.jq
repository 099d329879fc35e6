# All lines of texts.jq, simplified, in; {dynasty: {name: IRI}} out. A name of both dynasties gets a suffix in both.
include "nt";
reduce (inputs | [.[1], (if .[0] == "poet" then .[2] else .[3] end)]) as [$dynasty, $name]
  ({}; if .[$dynasty][$name] then . elif $name | unnamed then . else .[$dynasty][$name] = true end)
| . as $all
| with_entries(.key as $dynasty | (if $dynasty == "tang" then "song" else "tang" end) as $other
  | .value |= with_entries(.key as $name
    | .value = ($name + (if $all[$other][$name] and ($name | of_five_dynasties | not) then (if $dynasty == "tang" then "（唐）" else "（宋）" end) else "" end) | entity)))
