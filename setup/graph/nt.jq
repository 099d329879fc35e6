# N-Triples. jq's JSON strings escape what N-Triples escapes, but for DEL and the blank lines of Unicode,
# which both leave as they are.
def clean: if contains("\n") or contains("\t") or contains("　") or contains("  ") or startswith(" ") or endswith(" ") then gsub("[\\s\\x{feff}]+"; " ") | ltrimstr(" ") | rtrimstr(" ") else . end;
def iri: "<" + . + ">";
# A name inside an IRI: what an IRI may not hold goes.
def forbidden: "[\\x00-\\x20<>\"{}|^`\\\\\\x7f\\x{3000}]";
def local: if test(forbidden) then gsub(forbidden; "") else . end;
def entity: "<urn:shenhong:entity:" + local + ">";
def relation: "<urn:shenhong:relation:" + . + ">";
def zh: tojson + "@zh";
def en: tojson + "@en";
def text: tojson;
def integer: "\"\(.)\"^^<http://www.w3.org/2001/XMLSchema#integer>";
def named: "<http://www.w3.org/2000/01/rdf-schema#label>";
def also: "<http://www.w3.org/2004/02/skos/core#altLabel>";
# One line; nothing without an object.
def fact($s; $p; $o): if ($o // "") == "" then empty else "\($s) \($p) \($o) ." end;
def has_relation($s; $r; $o): fact($s; $r | relation; $o);
# 1234567.5: "1,234,567.5"
def grouped: tostring | split(".") as $parts
  | ($parts[0] | [while(length > 0; .[:-3]) | .[-3:]] | reverse | join(",")) + (if $parts[1] then "." + $parts[1] else "" end);
# The lines of a tab-separated table but comments, as arrays.
def rows: split("\n") | map(select(length > 0 and (startswith("#") | not)) | split("\t"));
# Those who are nobody: the anonymous, and names with holes.
def unnamed: . == "" or IN("佚名", "无名氏", "不详", "失名", "阙名", "缺名", "无名", "无考", "未知", "无") or contains("□") or contains("{") or contains("[") or contains("?") or contains("？");
# Poets of the Five Dynasties whom collections of Tang or of Song hold; each is one person wherever he stands.
def of_five_dynasties: IN("李煜", "后主煜", "李璟", "嗣主璟", "后主衍", "王衍", "孟昶", "欧阳炯", "冯延巳", "孙光宪", "李珣", "牛希济", "毛文锡", "顾敻", "鹿虔扆", "和凝", "花蕊夫人");
