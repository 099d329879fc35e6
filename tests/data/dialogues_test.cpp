#include "data/dialogues.h"

#include <gtest/gtest.h>

#include <set>

#include "core/error.h"
#include "data/held_out_topics.h"
#include "data/tunes.h"
#include "formats/toml.h"

namespace shenhong {
namespace {

const fs::path kTemplates = fs::path(SHENHONG_SOURCE_DIR) / "recipes/dialogues.toml";

const DialogueTemplates& templates() {
  static const DialogueTemplates read = DialogueTemplates::read(kTemplates);
  return read;
}

struct Piece {
  const char *title, *author, *dynasty, *kind, *text;
};
constexpr Piece kPieces[] = {
    {"登鹳雀楼", "王之涣", "唐", "诗", "白日依山尽，黄河入海流。\n欲穷千里目，更上一层楼。"},
    {"相思", "王维", "唐", "诗", "红豆生南国，秋来发故枝。\n愿君多采撷，此物最相思。"},
    {"早发白帝城", "李白", "唐", "诗",
     "朝辞白帝彩云间，千里江陵一日还。\n两岸猿声啼不尽，轻舟已过万重山。"},
    {"枫桥夜泊", "张继", "唐", "诗",
     "月落乌啼霜满天，江枫渔火对愁眠。\n姑苏城外寒山寺，夜半钟声到客船。"},
    {"山居秋暝", "王维", "唐", "诗",
     "空山新雨后，天气晚来秋。\n明月松间照，清泉石上流。\n竹喧归浣女，莲动下渔舟。\n随意春芳歇，王"
     "孙自可留。"},
    {"登高", "杜甫", "唐", "诗",
     "风急天高猿啸哀，渚清沙白鸟飞回。\n无边落木萧萧下，不尽长江滚滚来。\n万里悲秋常作客，百年多病"
     "独登台。\n"
     "艰难苦恨繁霜鬓，潦倒新停浊酒杯。"},
    {"秋蝉", "虞世南", "唐", "诗", "垂緌饮清露，流响出疏桐。\n居高声自远，非是藉秋风。"},
    {"浣溪沙", "晏殊", "宋", "词",
     "一曲新词酒一杯，去年天气旧亭台。\n夕阳西下几时回。\n无可奈何花落去，似曾相识燕归来。\n小园香"
     "径独徘徊。"},
    {"不成诗", "李白", "唐", "诗", "床前明月光，疑是地上霜。\n举头望明月，低头思故人。"},
};

// The pieces so often that none of their characters counts as rare.
const DialogueMaterial& material() {
  static const DialogueMaterial collected = [] {
    MaterialCollector collector(templates());
    for (int copy = 0; copy < 40; ++copy) {
      for (const Piece& piece : kPieces) {
        Document document;
        document.text =
            fmt::format("《{}》{}·{}\n{}", piece.title, piece.dynasty, piece.author, piece.text);
        document.meta = {{"title", piece.title},
                         {"author", piece.author},
                         {"dynasty", piece.dynasty},
                         {"kind", piece.kind}};
        if (std::string(piece.kind) == "词") document.meta["tune"] = piece.title;
        collector.add(document);
      }
    }
    for (const auto& [word, meaning] :
         {std::pair("画龙点睛", "1.比喻在关键处用几句话点明要旨，使内容生动有力。 \n2.别的意思。"),
          std::pair("一马不跨双鞍", "1.同\"一马不被两鞍\"。"),
          std::pair("围棋", "中国传统棋种，两人对局，用黑白棋子在盘上争地。")}) {
      Document document;
      document.text = word;
      document.meta = {{"word", word}, {"definition", meaning}};
      collector.add(document);
    }
    return collector.finish();
  }();
  return collected;
}

DialogueConfig small(uint64_t seed = 1) {
  DialogueConfig config;
  for (int64_t* count :
       {&config.poems, &config.lyrics, &config.continuations, &config.neighbours, &config.sources,
        &config.unknown_lines, &config.words, &config.talk, &config.turns}) {
    *count = 400;
  }
  config.seed = seed;
  return config;
}

std::vector<Dialogue> dialogues(const DialogueConfig& config = small()) {
  std::vector<Dialogue> all;
  make_dialogues(material(), templates(), config,
                 [&](Dialogue&& d) { all.push_back(std::move(d)); });
  return all;
}

std::string dump(const std::vector<Dialogue>& all) {
  std::string text;
  for (const Dialogue& dialogue : all) text += dump_json(dialogue_to_json(dialogue)) + "\n";
  return text;
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(Dialogues, depend_on_the_seed_alone) {
  EXPECT_EQ(dump(dialogues()), dump(dialogues()));
  EXPECT_NE(dump(dialogues()), dump(dialogues(small(2))));
}

TEST(Dialogues, every_kind_is_made_and_turns_alternate) {
  std::set<std::string> kinds;
  for (const Dialogue& dialogue : dialogues()) {
    kinds.insert(dialogue.kind);
    ASSERT_EQ(dialogue.messages.size() % 2, 0u);
    for (size_t i = 0; i < dialogue.messages.size(); ++i) {
      EXPECT_EQ(dialogue.messages[i].role, i % 2 ? "assistant" : "user");
      EXPECT_FALSE(dialogue.messages[i].content.empty());
    }
  }
  for (const std::string_view section : kExchangeSections) {
    if (section.starts_with("again_") || section == "whose_poem") continue;  // inside "turns"
    EXPECT_TRUE(kinds.contains(std::string(section))) << section;
  }
  EXPECT_TRUE(kinds.contains("talk") && kinds.contains("turns"));
}

TEST(Dialogues, no_slot_is_left_open_and_no_control_token_comes_in) {
  for (const Dialogue& dialogue : dialogues()) {
    for (const Message& message : dialogue.messages) {
      EXPECT_EQ(message.content.find_first_of("{}[]|"), std::string::npos) << message.content;
      EXPECT_FALSE(has(message.content, "<｜") || has(message.content, "<kg_")) << message.content;
    }
  }
}

TEST(Dialogues, a_poem_has_the_form_that_was_asked_for_and_rhymes) {
  int checked = 0;
  for (const Dialogue& dialogue : dialogues()) {
    if (!dialogue.kind.starts_with("poem_") || has(dialogue.kind, "tune")) continue;
    const std::string &request = dialogue.messages[0].content,
                      &answer = dialogue.messages[1].content;
    const Poem poem = parse_poem(answer);
    EXPECT_TRUE(rhymes(poem.lines)) << answer;
    EXPECT_FALSE(poem.title.empty()) << answer;
    const std::string heading = "《" + poem.title + "》" + rhyme_plan(poem.lines) + "\n";
    EXPECT_EQ(answer, heading + format_poem("", poem.lines));
    const std::string note = form_and_rhyme(poem.lines), rhyme = note.substr(note.rfind("·") + 2);
    const bool asks_for_rhyme = dialogue.kind == "poem_form_rhyme";
    EXPECT_TRUE(!asks_for_rhyme || has(request, rhyme)) << request;
    const PoemForm form = recognise_form(poem.lines);
    for (const FormShape& shape : kRegulatedForms) {
      for (const std::string& name : templates().form(shape.form).chinese) {
        if (!has(request, name)) continue;
        EXPECT_EQ(form, shape.form) << request << "\n" << answer;
        ++checked;
      }
    }
  }
  EXPECT_GT(checked, 200);
}

TEST(Dialogues, a_topic_that_was_asked_for_stands_in_the_poem) {
  int checked = 0;
  for (const Dialogue& dialogue : dialogues()) {
    if (!dialogue.kind.starts_with("poem_") || !has(dialogue.kind, "topic")) continue;
    const std::string &request = dialogue.messages[0].content,
                      &answer = dialogue.messages[1].content;
    bool about = false;
    for (const Topic& topic : material().topics) {
      bool named = !topic.english.empty() && has(request, topic.english);
      for (const std::string& name : topic.names) named |= has(request, name);
      for (const std::string& word : topic.words) about |= named && has(answer, word);
    }
    EXPECT_TRUE(about) << request << "\n" << answer;
    ++checked;
  }
  EXPECT_GT(checked, 100);
}

TEST(Dialogues, a_poet_that_was_asked_for_wrote_the_poem) {
  int checked = 0;
  for (const Dialogue& dialogue : dialogues()) {
    if (!dialogue.kind.starts_with("poem_") || !has(dialogue.kind, "poet")) continue;
    for (const Piece& piece : kPieces) {
      if (!has(dialogue.messages[1].content, piece.title)) continue;
      const auto poet = templates().poets().find(piece.author);
      ASSERT_NE(poet, templates().poets().end()) << piece.author;
      EXPECT_TRUE(has(dialogue.messages[0].content, poet->first) ||
                  has(dialogue.messages[0].content, poet->second))
          << dialogue.messages[0].content;
      ++checked;
    }
  }
  EXPECT_GT(checked, 30);
}

TEST(Dialogues, never_ask_for_a_topic_that_is_held_out) {
  for (const std::string_view held_out : kHeldOutTopics) {
    for (const Topic& topic : material().topics) {
      for (const std::string& name : topic.names) EXPECT_FALSE(has(name, held_out)) << name;
    }
    for (const Dialogue& dialogue : dialogues()) {
      if (!dialogue.kind.starts_with("poem_")) continue;
      EXPECT_FALSE(has(dialogue.messages[0].content, held_out)) << dialogue.messages[0].content;
    }
  }
}

TEST(DialogueMaterial, leaves_out_what_does_not_rhyme_and_what_only_refers) {
  for (const Verse& verse : material().verses) EXPECT_NE(verse.title, "不成诗");
  ASSERT_EQ(material().words.size(), 2u);
  EXPECT_EQ(material().words[0].definition, "比喻在关键处用几句话点明要旨，使内容生动有力。");
}

TEST(DialogueMaterial, titles_lose_their_counters_and_letters_among_friends_have_none) {
  EXPECT_EQ(clean_title("帝京篇十首 二"), "帝京篇");
  EXPECT_EQ(clean_title("秋兴八首"), "秋兴");
  EXPECT_EQ(clean_title("秋兴其三"), "秋兴");
  EXPECT_EQ(clean_title("梅雨五绝"), "梅雨");
  EXPECT_EQ(clean_title("绝句"), "绝句");
  EXPECT_EQ(clean_title("白首"), "白首");
  EXPECT_EQ(clean_title("次韵子由"), "");
  EXPECT_EQ(clean_title("句"), "");
  EXPECT_EQ(clean_title("其二"), "");
  EXPECT_EQ(clean_title(""), "");
}

TEST(DialogueMaterial, definitions_are_one_clean_sense) {
  EXPECT_EQ(clean_definition("一呼百应", "1.一声呼唤，人皆响应。形容接应的人很多。"),
            "一声呼唤，人皆响应。形容接应的人很多。");
  EXPECT_EQ(clean_definition("一呼百应", "1.一声呼唤，人皆响应。2.别的意思。"),
            "一声呼唤，人皆响应。");
  EXPECT_EQ(clean_definition("一坐皆惊", "1.见\"一坐尽惊\"。"), "");
  EXPECT_EQ(clean_definition("画龙点睛", "形容作画的神妙◇多比喻写文章。"), "") << "damaged";
  EXPECT_EQ(clean_definition("甲乙丙丁", "（括号没有闭合，意思是顺序。"), "");
  EXPECT_EQ(clean_definition("守志", "1.坚守自己的志向不变。"), "") << "a word of the old books";
}

TEST(Tunes, patterns_come_from_the_lyrics) {
  TunePatterns tunes;
  const std::vector<int> usual = {7, 7, 7, 7, 7, 7}, odd = {7, 7, 6, 7, 7, 7};
  for (int i = 0; i < 20; ++i) tunes.add("浣溪沙", usual);
  tunes.add("浣溪沙", odd);
  EXPECT_TRUE(tunes.keeps("浣溪沙", usual));
  EXPECT_FALSE(tunes.keeps("浣溪沙", odd));
  EXPECT_FALSE(tunes.keeps("不是词牌", usual));
  EXPECT_EQ(tune_name("水调歌头·中秋"), "水调歌头");
  EXPECT_EQ(tune_name("浣溪沙"), "浣溪沙");
}

TEST(DialogueTemplates, give_at_least_fifteen_requests_of_every_kind) {
  for (const std::string_view section : kExchangeSections) {
    EXPECT_GE(templates().exchange(section).ask.size(), 15u) << section;
  }
  size_t talk = 0;
  for (const Exchange& exchange : templates().talk()) talk += exchange.ask.size();
  EXPECT_GE(talk, 200u);
}

TEST(DialogueTemplates, a_planted_mistake_is_an_error_that_names_it) {
  const Json good = read_toml(kTemplates);
  const auto message_of = [](const Json& json) -> std::string {
    try {
      DialogueTemplates(json, "templates");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message_of(good), "");
  Json bad = good;
  bad["poem_form"]["ask"][0] = "写一首{from}";
  EXPECT_TRUE(has(message_of(bad), "[poem_form]: '写一首{from}'")) << message_of(bad);
  bad = good;
  bad["word"]["ask"][0] = "[解释|{word}";
  EXPECT_TRUE(has(message_of(bad), "'[' without ']'")) << message_of(bad);
  bad = good;
  bad.erase("source");
  EXPECT_TRUE(has(message_of(bad), "[source] is missing")) << message_of(bad);
  bad = good;
  bad["talk"][0].erase("answer");
  EXPECT_TRUE(has(message_of(bad), "has no answer")) << message_of(bad);
  for (const Json& nonsense : {Json::array(), Json("text"), Json({{"forms", 1}})}) {
    EXPECT_NE(message_of(nonsense), "");
  }
}

TEST(Phrase, picks_one_alternative_and_fills_the_slots) {
  const Phrase phrase("[请|]写[一首|[两|三]首]{form}[。|]", "test");
  std::set<std::string> said;
  for (uint64_t i = 0; i < 300; ++i) {
    Dice dice(1, i);
    said.insert(phrase.say({{"form", "七[绝]"}}, dice));
  }
  EXPECT_EQ(said.size(), 12u);
  EXPECT_TRUE(said.contains("请写三首七[绝]。"));
  EXPECT_THROW(Phrase("写{", "test"), Error);
  EXPECT_THROW(Phrase("写}", "test"), Error);
  EXPECT_THROW(Phrase("写{}", "test"), Error);
  EXPECT_THROW(Phrase("]写[", "test"), Error);
}

}  // namespace
}  // namespace shenhong
