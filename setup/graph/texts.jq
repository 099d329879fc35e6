# The files of chinese-poetry to one line a poem or poet: what opencc is to read, no more.
#   [kind, dynasty, id, author, title, first clause, full text of the well-known, tags]
def first_clause:
  (.[0] // "") | split("，")[0] // "" | split("。")[0] // "" | split("？")[0] // "" | split("！")[0] // "" | split("；")[0] // "" | split("、")[0] // "";
def poem($dynasty; $known):
  ["poem", $dynasty, .id, .author // "", .title // "", (.paragraphs | first_clause), (if $known then .paragraphs | join("") else "" end), (if $known then .tags // [] else [] end)];
def ci($id; $known):
  ["ci", "song", $id, .author // "", .rhythmic // "", (.paragraphs | first_clause), (if $known then .paragraphs | join("") else "" end), (if $known then .tags // [] else [] end)];

input_filename as $path | ($path | split("/") | .[-1]) as $file
| if $file == "authors.tang.json" then .[] | ["poet", "tang", .name, .desc // ""]
  elif $file == "authors.song.json" then .[] | ["poet", "song", .name, .desc // ""]
  elif $file == "author.song.json" then .[] | ["poet", "song", .name, .description // ""]
  elif $file == "唐诗三百首.json" then .[] | poem("tang"; true)
  elif $file == "宋词三百首.json" then to_entries[] | .key as $i | .value | ci("ci300.\($i)"; true)
  elif $file | startswith("poet.tang") then .[] | poem("tang"; false)
  elif $file | startswith("poet.song") then .[] | poem("song"; false)
  elif $file | startswith("ci.song") then ($file | rtrimstr(".json")) as $base | to_entries[] | .key as $i | .value | ci("\($base).\($i)"; false)
  else empty end
