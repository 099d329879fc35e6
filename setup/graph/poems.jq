# The lines of texts.jq, simplified, in; facts out. $poets[0] is the answer of poets.jq.
include "nt";

def dynasties: {"tang": "唐朝", "song": "宋朝"};
# Poets whom the complete Tang poems hold and who lived under the Five Dynasties.
def five_dynasties($about):
  $about[0:60] | test("五代|南唐|前蜀|后蜀|后梁|后唐|后晋|后汉|后周|孟昶|王衍|王建|吴越|钱镠|马殷");
# 一○三七: 1037; null when it is no bare year.
def year: gsub("[○〇Ｏ零]"; "0") | gsub("一"; "1") | gsub("二"; "2") | gsub("三"; "3") | gsub("四"; "4") | gsub("五"; "5") | gsub("六"; "6")
  | gsub("七"; "7") | gsub("八"; "8") | gsub("九"; "9") | if test("^[0-9]{3,4}$") then tonumber else null end;
def found($pattern): [match($pattern).captures[0].string][0];
# The sentences that fit into so many characters, one at the least.
def sentences($room): split("。") | map(select(. != "")) | reduce .[] as $s (""; if . == "" or ((. + $s) | length) < $room and (endswith("\n") | not) then . + $s + "。" else . + "\n" end) | gsub("\n"; "");
def about: split("　")[0] // "" | split("  ") | map(select(. != ""))[0] // "" | clean;

def poet($dynasty; $name; $iri; $text):
  ($text | about) as $about
  | fact($iri; named; $name | zh),
    has_relation($iri; "type"; "诗人" | entity),
    has_relation($iri; "dynasty"; (if ($name | of_five_dynasties) or ($dynasty == "tang" and five_dynasties($about)) then "五代十国" else dynasties[$dynasty] end) | entity),
    if $about == "" then empty else
      has_relation($iri; "description"; $about | sentences(160) | zh),
      ([$about | match("^[^，。（]{1,8}（([^～—―－（）]{3,4})[～—―－]+([^～—―－（）]{1,4})）").captures[].string]
        | has_relation($iri; "born"; .[0] // "" | year | values | integer), has_relation($iri; "died"; .[1] // "" | year | values | integer)),
      ($about[0:70]
        | (found("[，）]字([^，。；（）、一]{1,2})[，。；（、]") | values | has_relation($iri; "courtesyName"; zh)),
          (found("[，晚自]号([^，。；（）、曰为]{2,6})[，。；（、]") | values
            | has_relation($iri; "artName"; zh), (if length > 2 then fact($iri; also; zh) else empty end)),
          ((found("，([^，。；（）]{2,7}（[今一][^）]{2,12}）)人[，。]") //
              (found("，([^，。；（）其与为间时之代后曰]{2,5})人[，。]") | values | select(test("[诗夫妇道士僧宋唐文工女隐里]$|年|进士|宗室") | not)))
            | values | has_relation($iri; "birthPlace"; zh)))
    end;

def poem($kind; $dynasty; $id; $author; $title; $first; $full; $tags):
  "<urn:shenhong:poem:\($id)>" as $iri
  | ($title | clean | sub("^在岳咏蝉$"; "在狱咏蝉")) as $name
  | (if $kind == "ci" then "\($name)·\($first)" else $name end) as $name_shown
  | fact($iri; named; $name_shown | zh),
    has_relation($iri; "type"; if $kind == "ci" then "<urn:shenhong:entity:词>" else "<urn:shenhong:entity:诗>" end),
    has_relation($iri; "author"; $poets[0][$dynasty][$author] // (if $author == "" then null else "佚名" | zh end)),
    (if $first | (length > 1 and (unnamed | not)) then has_relation($iri; "firstLine"; $first | clean | zh) else empty end),
    (if $kind == "ci" then has_relation($iri; "tune"; "<urn:shenhong:tune:\($name | local)>") else empty end),
    if $full == "" then empty else
      # What people ask for: also by the first line, and told in full.
      fact($iri; also; $first | zh),
      # The complete Tang poems print the older reading of what everybody knows by another.
      (if $first == "床前看月光" then fact($iri; also; "床前明月光" | zh) else empty end),
      (if $kind == "ci" then fact($iri; also; $name | zh) else empty end),
      has_relation($iri; "genre"; (if $kind == "ci" then "宋词" else "唐诗" end) | zh),
      has_relation($iri; "fullText"; $full | clean | zh),
      has_relation($iri; "partOf"; (if $kind == "ci" then "宋词三百首" else "唐诗三百首" end) | entity),
      ($tags[] | select(test("言绝句|言律诗|言古诗|^乐府$")) | has_relation($iri; "genre"; zh)),
      ($tags | map(select(test("三百首|言绝句|言律诗|言古诗|乐府|曲辞|古诗|唐|带有")  | not))[] | has_relation($iri; "subject"; zh))
    end;

# The bare minimum of what the facts point to.
([["诗", "poem"], ["词", "ci poem"], ["诗人", "poet"], ["词牌", "ci tune pattern"], ["唐朝", "Tang dynasty"], ["宋朝", "Song dynasty"],
  ["五代十国", "Five Dynasties and Ten Kingdoms"], ["唐诗三百首", "Three Hundred Tang Poems"], ["宋词三百首", "Three Hundred Song Ci Poems"]][]
  | (.[0] | entity) as $iri | fact($iri; named; .[0] | zh), fact($iri; named; .[1] | en)),
fact("唐朝" | entity; also; ("唐代", "大唐") | zh), fact("宋朝" | entity; also; ("宋代", "大宋") | zh), fact("五代十国" | entity; also; "五代" | zh),
foreach (inputs, null) as $line
  ({"seen": {}, "about": {}};
   .out = null
   | if $line == null then .out = "poets"
     elif $line[0] == "poet" then
       # The first account of the name: the complete Song poems before the ci.
       if ($line[2] | unnamed) then . elif (.about[$line[1]][$line[2]] // "") == "" then .about[$line[1]][$line[2]] = $line[3] else . end
     else ($line | if .[0] == "ci" then "\(.[3]) \(.[4]) \(.[5][0:4])" else .[2] end) as $key
       | if .seen[$key] then . else .out = $line | (if $line[6] != "" then .seen[$key] = true else . end) | (if $line[0] == "ci" then .new_tune = ((.tunes[$line[4]] // false) | not) | .tunes[$line[4]] = true else . end) end
     end;
   if .out == null then empty
   elif .out == "poets" then
     .about as $about | $poets[0] | to_entries[] | .key as $dynasty | .value | to_entries[]
     | poet($dynasty; .key; .value; $about[$dynasty][.key] // "")
   else
     (if $line[0] == "ci" and .new_tune then "<urn:shenhong:tune:\($line[4] | clean | local)>" as $tune
        | fact($tune; named; $line[4] | clean | zh), has_relation($tune; "type"; "词牌" | entity) else empty end),
     (.out | select((.[4] | clean | length) > 0 and (.[2] // "") != "") | poem(.[0]; .[1]; .[2]; .[3]; .[4]; .[5]; .[6]; .[7]))
   end)
