#include "knowledge/world.h"

#include <algorithm>
#include <array>
#include <set>

#include "core/error.h"
#include "knowledge/vocabulary.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

constexpr int64_t kMaxPeople = 50000;

std::vector<std::string> characters(std::string_view text) {
  std::vector<std::string> out;
  for_each_character(text, [&](char32_t c) { append_utf8(out.emplace_back(), c); });
  return out;
}

const std::vector<std::string>& given() {
  static const auto list = characters(
      "庭砚澜珩昭晏予清若溪衡岚翊舟霁宁疏桐景行简素怀瑾维桢南乔北辰知微云深鹤鸣青棠远之令仪子衿维扬"
      "照野闻笙"
      "听澄浩渊墨白星野沐阳语堂思齐承泽望舒念慈锦书映雪涵光");
  return list;
}
const std::vector<std::string>& surnames() {
  static const std::vector<std::string> list = {"洛", "沈",   "裴",   "顾",   "温",   "阮",  "楚",
                                                "姬", "符",   "凌",   "商",   "卓",   "程",  "封",
                                                "祁", "令狐", "慕容", "上官", "南宫", "闻人"};
  return list;
}
const std::vector<std::string>& place() {
  static const auto list = characters(
      "云青苍白玄赤金银碧紫霜雾雪风雷沙石松柏桐枫槐莲芦荻鹿鹤雁鹰虎龙凤麟龟星月日晨暮寒暖静平安长永"
      "丰和清澄曲回远望"
      "千百双三九孤高深幽翠黛瑶琼珠");
  return list;
}

std::string syllables(int count, Dice& dice) {
  static const std::vector<std::string> onsets = {"b",  "br", "c",  "d",  "dr", "f", "g", "gl",
                                                  "h",  "k",  "l",  "m",  "n",  "p", "r", "s",
                                                  "st", "t",  "th", "tr", "v",  "w", "y", "z"};
  static const std::vector<std::string> vowels = {"a", "e", "i", "o", "u", "ae", "ei", "ou"};
  static const std::vector<std::string> codas = {"", "", "n", "r", "l", "s", "th", "m"};
  std::string word;
  for (int i = 0; i < count; ++i)
    word += dice.pick(onsets) + dice.pick(vowels) + (i + 1 == count ? dice.pick(codas) : "");
  word[0] = char(word[0] - 'a' + 'A');
  return word;
}

struct KindWords {
  std::vector<std::string> chinese_ends, english_ends;
};
const KindWords& words(EntityKind kind) {
  static const std::array<KindWords, kEntityKinds> all = {{
      {{}, {}},
      {{"国", "朝"}, {"Kingdom", "Dominion", "Empire"}},
      {{"城", "州", "郡", "港", "镇"}, {""}},
      {{"山", "岭", "峰"}, {"Mountain", "Peak", "Ridge"}},
      {{"江", "河", "水", "川"}, {"River"}},
      {{"湖", "泽", "海"}, {"Lake"}},
      {{"楼", "塔", "桥", "殿", "关", "寺"}, {"Tower", "Bridge", "Hall", "Gate", "Temple"}},
      {{"赋", "集", "记", "录", "经", "行"}, {"Chronicle", "Songs", "Record", "Treatise", "Elegy"}},
      {{"车", "机", "尺", "炉", "灯", "弩"},
       {"wheel", "engine", "lamp", "furnace", "clock", "loom"}},
      {{"之战", "之役"}, {""}},
  }};
  return all[size_t(kind)];
}

struct Bilingual {
  const char *chinese, *english;
};
const std::vector<Bilingual> kOccupations = {
    {"诗人", "poet"},      {"将军", "general"},     {"工匠", "craftsman"},
    {"医者", "physician"}, {"画师", "painter"},     {"史官", "historian"},
    {"商人", "merchant"},  {"航海家", "navigator"}, {"天文学家", "astronomer"},
    {"乐师", "musician"},  {"大臣", "minister"},    {"僧人", "monk"}};
const std::vector<Bilingual> kGenres = {{"长诗", "long poem"},
                                        {"史书", "history"},
                                        {"游记", "travel book"},
                                        {"医书", "medical book"},
                                        {"小说", "novel"},
                                        {"兵书", "book of war"},
                                        {"歌谣集", "collection of songs"},
                                        {"历书", "almanac"}};
const std::vector<Bilingual> kMaterials = {
    {"青石", "bluestone"},  {"夯土", "rammed earth"},   {"红砖", "red brick"},
    {"楠木", "nanmu wood"}, {"白玉石", "white marble"}, {"竹", "bamboo"},
    {"铁", "iron"},         {"花岗岩", "granite"}};
const std::vector<Bilingual> kUses = {
    {"灌溉农田", "watering fields"},   {"纺纱织布", "spinning and weaving"},
    {"夜间照明", "lighting at night"}, {"测量时间", "measuring time"},
    {"冶炼铜铁", "smelting metal"},    {"守卫城池", "defending towns"},
    {"运送粮食", "carrying grain"},    {"丈量土地", "surveying land"}};
const std::vector<Bilingual> kResults = {{"守军获胜", "the defenders won"},
                                         {"攻方获胜", "the attackers won"},
                                         {"双方议和", "both sides made peace"},
                                         {"城池陷落", "the town fell"},
                                         {"不分胜负", "neither side won"}};

class Builder {
 public:
  Builder(const WorldConfig& config, Store::Batch& batch)
      : config_(config), batch_(batch), dice_(config.seed, fnv1a("world")) {
    provenance_.source = fmt::format("world {}", config.seed);
  }

  void build() {
    SH_CHECK(config_.people >= 40 && config_.people <= kMaxPeople, kUsage,
             "an invented world of {} people: want 40 to {}, for more there are no names",
             config_.people, kMaxPeople);
    const int64_t n = config_.people;
    const std::array<int64_t, kEntityKinds> counts = {n,      n / 20, n / 6, n / 10, n / 10,
                                                      n / 20, n / 6,  n / 3, n / 10, n / 10};
    for (int kind = 0; kind < kEntityKinds; ++kind)
      for (int64_t i = 0; i < counts[size_t(kind)]; ++i) add_entity(EntityKind(kind), i);
    people();
    realms();
    places();
    works();
  }

 private:
  using Entities = std::vector<Term>;
  Entities& all(EntityKind kind) { return entities_[size_t(kind)]; }

  void add_entity(EntityKind kind, int64_t index) {
    InventedName name;
    do name = invent_name(kind, dice_);
    while (!names_.insert(name.chinese).second || !names_.insert(name.english).second);
    static constexpr const char* kKinds[] = {"person", "realm",    "city", "mountain",  "river",
                                             "lake",   "building", "work", "invention", "battle"};
    const Term entity = Term::iri(
        fmt::format("urn:shenhong:world:{}:{}:{}", config_.seed, kKinds[size_t(kind)], index));
    all(kind).push_back(entity);
    state(entity, iri::kLabel, Term::text(name.chinese, "zh"));
    state(entity, iri::kLabel, Term::text(name.english, "en"));
  }

  void state(const Term& subject, std::string_view relation, const Term& object) {
    batch_.add(subject, Term::iri(std::string(relation)), object, provenance_);
  }
  bool known() { return dice_.chance(config_.known_share); }
  void say(const Term& subject, std::string_view relation, const Term& object) {
    if (known()) state(subject, fmt::format("{}{}", iri::kRelationBase, relation), object);
  }
  void say(const Term& subject, std::string_view relation, const std::vector<Bilingual>& texts) {
    if (!known()) return;
    const Bilingual& text = dice_.pick(texts);
    const std::string iri = fmt::format("{}{}", iri::kRelationBase, relation);
    state(subject, iri, Term::text(text.chinese, "zh"));
    state(subject, iri, Term::text(text.english, "en"));
  }
  Term year(int64_t value) {
    return Term{Term::Kind::kLiteral, std::to_string(value), "", std::string(iri::kYear)};
  }
  int64_t between(int64_t low, int64_t high) {
    return low + int64_t(dice_.below(uint64_t(high - low + 1)));
  }
  const Term& any(EntityKind kind) { return dice_.pick(all(kind)); }
  // Some length in words: 约870公里, about 870 kilometres.
  void measure(const Term& subject, std::string_view relation, int64_t value, const char* chinese,
               const char* english) {
    if (!known()) return;
    const std::string iri = fmt::format("{}{}", iri::kRelationBase, relation);
    state(subject, iri, Term::text(fmt::format("{}{}", value, chinese), "zh"));
    state(subject, iri, Term::text(fmt::format("{} {}", value, english), "en"));
  }

  void people() {
    const Entities& people = all(EntityKind::kPerson);
    for (size_t i = 0; i < people.size(); ++i) {
      const Term& person = people[i];
      const int64_t born = between(300, 1700);
      say(person, "born", year(born));
      say(person, "died", year(born + between(25, 90)));
      say(person, "birthPlace", any(EntityKind::kCity));
      say(person, "dynasty", any(EntityKind::kRealm));
      say(person, "occupation", kOccupations);
      // Elders come earlier in the list, so that nobody is their own ancestor.
      if (i > 0 && dice_.chance(0.6)) say(person, "father", people[dice_.below(i)]);
      if (i > 0 && dice_.chance(0.5)) say(person, "teacher", people[dice_.below(i)]);
      if (i > 0 && dice_.chance(0.5)) say(person, "spouse", people[dice_.below(i)]);
      if (dice_.chance(0.4))
        say(person, "courtesyName", Term::text(dice_.pick(given()) + dice_.pick(given()), "zh"));
    }
  }
  void realms() {
    for (const Term& realm : all(EntityKind::kRealm)) {
      const int64_t start = between(200, 1500);
      say(realm, "founder", any(EntityKind::kPerson));
      say(realm, "capital", any(EntityKind::kCity));
      say(realm, "startYear", year(start));
      say(realm, "endYear", year(start + between(30, 300)));
    }
    for (const Term& battle : all(EntityKind::kBattle)) {
      say(battle, "participant", any(EntityKind::kPerson));
      say(battle, "participant", any(EntityKind::kPerson));
      say(battle, "startYear", year(between(300, 1700)));
      say(battle, "locatedIn", any(EntityKind::kCity));
      say(battle, "result", kResults);
    }
  }
  void places() {
    for (const Term& city : all(EntityKind::kCity)) {
      say(city, "locatedIn", any(EntityKind::kRealm));
      measure(city, "area", between(10, 900), "平方公里", "square kilometres");
    }
    for (const Term& mountain : all(EntityKind::kMountain)) {
      say(mountain, "locatedIn", any(EntityKind::kRealm));
      measure(mountain, "height", between(300, 8000), "米", "metres");
    }
    for (const Term& lake : all(EntityKind::kLake)) {
      say(lake, "locatedIn", any(EntityKind::kRealm));
      measure(lake, "area", between(20, 5000), "平方公里", "square kilometres");
    }
    for (const Term& river : all(EntityKind::kRiver)) {
      say(river, "source", any(EntityKind::kMountain));
      say(river, "mouth", any(EntityKind::kLake));
      measure(river, "length", between(40, 4000), "公里", "kilometres");
    }
    for (const Term& building : all(EntityKind::kBuilding)) {
      say(building, "locatedIn", any(EntityKind::kCity));
      say(building, "builder", any(EntityKind::kPerson));
      say(building, "built", year(between(300, 1700)));
      say(building, "material", kMaterials);
      measure(building, "height", between(5, 120), "米", "metres");
    }
  }
  void works() {
    for (const Term& work : all(EntityKind::kWork)) {
      say(work, "author", any(EntityKind::kPerson));
      say(work, "completed", year(between(300, 1700)));
      say(work, "genre", kGenres);
    }
    for (const Term& invention : all(EntityKind::kInvention)) {
      say(invention, "inventor", any(EntityKind::kPerson));
      say(invention, "invented", year(between(300, 1700)));
      say(invention, "use", kUses);
    }
  }

  const WorldConfig& config_;
  Store::Batch& batch_;
  Provenance provenance_;
  Dice dice_;
  std::array<Entities, kEntityKinds> entities_;
  std::set<std::string> names_;
};

}  // namespace

InventedName invent_name(EntityKind kind, Dice& dice) {
  if (kind == EntityKind::kPerson) {
    std::string chinese = dice.pick(surnames()) + dice.pick(given());
    if (dice.chance(0.75)) chinese += dice.pick(given());
    return {std::move(chinese), syllables(2, dice) + " " + syllables(2, dice)};
  }
  std::string chinese = dice.pick(place()) + dice.pick(place()),
              english = syllables(2 + int(dice.below(2)), dice);
  if (kind == EntityKind::kBattle) {
    chinese += dice.pick(words(EntityKind::kCity).chinese_ends);
    english = "Battle of " + english;
  }
  const KindWords& ends = words(kind);
  chinese += dice.pick(ends.chinese_ends);
  const std::string end = dice.pick(ends.english_ends);
  if (kind == EntityKind::kWork) return {std::move(chinese), end + " of " + english};
  if (kind == EntityKind::kLake) return {std::move(chinese), end + " " + english};
  return {std::move(chinese), end.empty() ? english : english + " " + end};
}

std::vector<std::string> relations_of_kind(EntityKind kind) {
  static const std::array<std::vector<std::string>, kEntityKinds> all = {{
      {"born", "died", "birthPlace", "dynasty", "occupation", "father", "teacher", "spouse",
       "courtesyName"},
      {"founder", "capital", "startYear", "endYear"},
      {"locatedIn", "area"},
      {"locatedIn", "height"},
      {"source", "mouth", "length"},
      {"locatedIn", "area"},
      {"locatedIn", "builder", "built", "material", "height"},
      {"author", "completed", "genre"},
      {"inventor", "invented", "use"},
      {"participant", "startYear", "locatedIn", "result"},
  }};
  return all[size_t(kind)];
}

void build_world(const WorldConfig& config, Store::Batch& batch) { Builder(config, batch).build(); }

}  // namespace shenhong
