#include "data/corpus.h"

#include <zstd.h>

#include <fstream>

#include "data/clean.h"
#include "data/scratch.h"

namespace shenhong {
namespace {

std::vector<Document> read_all(const SourceConfig& source, const fs::path& root) {
  std::vector<Document> all;
  ChunkReader reader(source, corpus_files(source, root));
  for (Chunk chunk; reader.next(chunk);)
    for (Document& document : parse_chunk(source, chunk)) {
      clean_document(document, source);
      all.push_back(std::move(document));
    }
  return all;
}

std::vector<Document> read_fixture(SourceConfig source, const std::string& name) {
  source.name = "test";
  source.path = name;
  return read_all(source, fixture(""));
}

SourceConfig poetry(bool simplify = false) {
  SourceConfig source;
  source.format = "poetry";
  source.kind = "诗";
  source.dynasty = "唐";
  source.simplify = simplify;
  return source;
}

void write_zst(const fs::path& path, const std::string& text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
  write_file(path, packed);
}

TEST(Corpus, a_poem_becomes_its_heading_and_its_lines_in_simplified_script) {
  const auto documents = read_fixture(poetry(true), "poems.json");
  ASSERT_EQ(documents.size(), 5u);
  EXPECT_EQ(documents[0].text,
            "《静夜思》唐·李白·五绝·阳韵\n床前看月光，疑是地上霜。\n举头望山月，低头思故乡。");
  EXPECT_EQ(documents[0].id, "poem-1");
  EXPECT_EQ(documents[0].source, "test");
  EXPECT_EQ(documents[0].meta["title"], "静夜思");
  EXPECT_EQ(documents[0].meta["author"], "李白");
  EXPECT_EQ(documents[0].meta["dynasty"], "唐");
  EXPECT_EQ(documents[0].meta["kind"], "诗");
  EXPECT_EQ(documents[2].text,
            "《剑客》唐·贾岛·五绝·第三部仄声\n十年磨一剑，霜刃未曾试。\n今日把示君，谁为不平事。");
}

TEST(Corpus, notes_of_editors_are_no_part_of_a_poem) {
  EXPECT_EQ(read_fixture(poetry(true), "poems.json")[4].text,
            "《望江南》唐·易静\n离营百步正相当，远去更宜长。\n停杯试北望，还欲泪沾襟。");
}

TEST(Corpus, without_simplify_a_poem_stays_as_the_corpus_spells_it) {
  EXPECT_EQ(read_fixture(poetry(), "poems.json")[1].text,
            "《登鸛雀樓》唐·王之渙·五绝·尤韵\n白日依山盡，黃河入海流。\n欲窮千里目，更上一層樓。");
}

TEST(Corpus, a_ci_is_named_by_its_tune_and_keeps_repeated_lines) {
  const auto documents = read_fixture(poetry(), "ci.json");
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_TRUE(documents[0].text.starts_with("《如梦令》唐·李清照\n常记溪亭日暮。\n"));
  EXPECT_TRUE(documents[0].text.ends_with("争渡。\n争渡。\n惊起一滩鸥鹭。"));
  EXPECT_EQ(documents[0].meta["tune"], "如梦令");
  EXPECT_TRUE(documents[1].text.starts_with("《菩萨蛮 其一》唐·温庭筠\n"));
}

TEST(Corpus, chapters_carry_their_book_and_the_dynasty_beside_their_author) {
  const auto documents = read_fixture(poetry(true), "primer.json");
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_TRUE(
      documents[0].text.starts_with("《千家诗·春眠》唐·孟浩然·五绝·第八部仄声\n春眠不觉晓"));
  EXPECT_TRUE(documents[1].text.starts_with("《千家诗·郑伯克段于鄢》先秦·左丘明\n"));
  EXPECT_EQ(documents[1].meta["book"], "千家诗");
}

TEST(Corpus, lives_and_sayings_are_read_too) {
  const auto lives = read_fixture(poetry(true), "authors.json");
  ASSERT_EQ(lives.size(), 2u);
  EXPECT_EQ(lives[0].text, "宋太祖\n宋太祖赵匡胤，涿州人。生于洛阳。");
  EXPECT_EQ(lives[0].meta["kind"], "人物");
  EXPECT_EQ(lives[1].text, "");
  SourceConfig source;
  source.format = "poetry";
  source.book = "幽梦影";
  EXPECT_EQ(read_fixture(source, "sayings.json")[0].text,
            "《幽梦影》\n读经宜冬，其神专也。\n曹秋岳曰：可想见其南面百城时。");
}

TEST(Corpus, pairs_yield_the_forms_asked_for_with_one_split_key) {
  SourceConfig source;
  source.format = "pairs";
  source.emit = {"modern", "classical", "paired"};
  const auto documents = read_fixture(source, "pairs.jsonl");
  ASSERT_EQ(documents.size(), 3u);
  EXPECT_EQ(documents[0].text,
            "《三十六计·上屋抽梯》译文\n故意露出破绽，引诱敌人前来。切断后援，使其陷入绝境。");
  EXPECT_EQ(documents[1].text, "《三十六计·上屋抽梯》\n假之以便，唆之使前。断其援应，陷之死地。");
  EXPECT_EQ(documents[2].text.find("原文：假之以便，唆之使前。\n译文：故意露出破绽"), 33u);
  EXPECT_EQ(documents[0].split_key, documents[2].split_key);
  EXPECT_FALSE(documents[0].split_key.empty());
}

TEST(Corpus, a_dictionary_entry_is_word_and_definition_in_one_line) {
  SourceConfig source;
  source.format = "dictionary";
  const auto documents = read_fixture(source, "words.json");
  ASSERT_EQ(documents.size(), 5u);
  EXPECT_EQ(documents[0].text, "山环：犹山坳。");
  EXPECT_EQ(documents[1].text, "山花：1.山间野花。2.植物名。");
  EXPECT_EQ(documents[2].text, "山户：山中的人家、猎户。亦称山民。");
  EXPECT_EQ(documents[3].text, "一帆顺风：一遭；同一帆风顺，又名“风顺”。");
  EXPECT_EQ(documents[4].text, "");
  EXPECT_EQ(documents[0].meta["definition"], "犹山坳。");
}

TEST(Corpus, text_is_one_document_or_one_per_paragraph) {
  SourceConfig source;
  source.format = "text";
  EXPECT_EQ(read_fixture(source, "paragraphs.txt").size(), 1u);
  source.format = "paragraphs";
  const auto documents = read_fixture(source, "paragraphs.txt");
  ASSERT_EQ(documents.size(), 3u);
  EXPECT_EQ(documents[0].text, "第一段，\n仍是第一段。");
  EXPECT_EQ(documents[2].id, "paragraphs.txt:7");
}

TEST(Corpus, json_records_fill_the_text_pattern) {
  const Scratch scratch;
  write_file(scratch / "a.json", R"([{"t": "题", "n": 7, "body": ["一", "二"]}])");
  SourceConfig source;
  source.name = "test";
  source.path = "a.json";
  source.format = "json";
  source.text = "《{t}》第{n}\n{body}";
  EXPECT_EQ(read_all(source, scratch.path())[0].text, "《题》第7\n一\n二");
  source.text = "{missing}";
  EXPECT_EQ(
      error_of([&] { read_all(source, scratch.path()); }),
      (scratch / "a.json").string() + ", record 0: no field 'missing'; the record has: t, n, body");
}

TEST(Corpus, lines_of_zst_are_the_lines_of_the_plain_file_whatever_the_chunks) {
  const Scratch scratch;
  std::string lines;
  for (int i = 0; i < 30'000; ++i)
    lines += fmt::format(R"({{"id": "d{}", "title": "题{}", "text": "第{}篇：{}"}})", i, i, i,
                         std::string(size_t(i % 97), 'x')) +
             (i % 5 == 0 ? "\r\n" : "\n");
  write_file(scratch / "plain.jsonl", lines);
  write_zst(scratch / "packed.jsonl.zst", lines);
  SourceConfig source;
  source.name = "test";
  source.path = "plain.jsonl";
  const auto plain = read_all(source, scratch.path());
  source.path = "packed.jsonl.zst";
  const auto packed = read_all(source, scratch.path());
  ASSERT_EQ(plain.size(), 30'000u);
  ASSERT_EQ(packed.size(), 30'000u);
  for (size_t i = 0; i < plain.size(); ++i) {
    ASSERT_EQ(plain[i].text, packed[i].text);
    ASSERT_EQ(plain[i].id, fmt::format("d{}", i));
  }
}

TEST(Corpus, a_zst_cut_short_or_broken_is_named) {
  const Scratch scratch;
  write_zst(scratch / "good.jsonl.zst", "{\"text\": \"" + std::string(5000, 'a') + "bcd\"}\n");
  std::string bytes = read_file(scratch / "good.jsonl.zst");
  SourceConfig source;
  source.name = "test";
  for (const size_t keep : {size_t{3}, bytes.size() / 2, bytes.size() - 1}) {
    write_file(scratch / "cut.jsonl.zst", bytes.substr(0, keep));
    source.path = "cut.jsonl.zst";
    const std::string error = error_of([&] { read_all(source, scratch.path()); });
    EXPECT_NE(error.find("cut.jsonl.zst"), std::string::npos) << keep << error;
  }
  bytes[0] = 'x';
  write_file(scratch / "broken.jsonl.zst", bytes);
  source.path = "broken.jsonl.zst";
  EXPECT_NE(error_of([&] { read_all(source, scratch.path()); }).find("broken zstd data"),
            std::string::npos);
}

TEST(Corpus, broken_input_names_file_and_line) {
  const Scratch scratch;
  write_file(scratch / "a.jsonl", "{\"text\": \"好\"}\n\n{\"text\": \n");
  SourceConfig source;
  source.name = "test";
  source.path = "a.jsonl";
  EXPECT_NE(error_of([&] { read_all(source, scratch.path()); }).find("a.jsonl:3"),
            std::string::npos);
  source.path = "none*.jsonl";
  EXPECT_NE(error_of([&] { read_all(source, scratch.path()); }).find("no such file"),
            std::string::npos);
  for (const char* layout : {"poetry", "dictionary", "json"}) {
    write_file(scratch / "odd.json", "[3]");
    source.path = "odd.json";
    source.format = layout;
    EXPECT_NE(error_of([&] { read_all(source, scratch.path()); }).find("odd.json"),
              std::string::npos)
        << layout;
  }
  write_file(scratch / "odd.jsonl", R"({"pairs": [["only one"]]})");
  source.path = "odd.jsonl";
  source.format = "pairs";
  EXPECT_NE(error_of([&] { read_all(source, scratch.path()); }).find("is no pair"),
            std::string::npos);
}

TEST(Corpus, files_come_in_the_order_of_their_names) {
  const Scratch scratch;
  for (const char* name : {"b.2.json", "b.10.json", "a.json", "c.txt"})
    write_file(scratch / name, "[]");
  SourceConfig source;
  source.path = "{b.*,a}.json";
  const auto files = corpus_files(source, scratch.path());
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0].filename(), "a.json");
  EXPECT_EQ(files[1].filename(), "b.10.json");
}

}  // namespace
}  // namespace shenhong
