#include "text/vocabulary.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "core/error.h"
#include "core/quoted.h"
#include "text/byte_alphabet.h"

namespace shenhong {
namespace {

constexpr size_t kMaxMerges = 4 << 20;
constexpr size_t kMaxTokenBytes = 64 << 10;

const Json& entry(const Json& object, const char* key) {
  static const Json null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

class Reader {
 public:
  Reader(const Json& document, const std::string& source) : document_(document), source_(source) {}

  Vocabulary read() {
    SH_CHECK(document_.is_object(), kBadInput, "{}: want an object, got {}", source_,
             document_.type_name());
    check_normalizer();
    Pretokenizer pretokenizer(entry(document_, "pre_tokenizer"), source_);
    const Json& model = entry(document_, "model");
    SH_CHECK(model.is_object(), kBadInput, "{}: model: missing", source_);
    check_model(model);
    const Json &vocab = entry(model, "vocab"), &added = entry(document_, "added_tokens");
    entries_ = vocab.size() + added.size();
    read_tokens(vocab);
    read_added(added);
    check_ids();
    Merges merges = read_merges(entry(model, "merges"));
    Vocabulary out{.tokens = std::move(tokens_),
                   .special = std::move(special_),
                   .ordinary_ids = {},
                   .special_ids = {},
                   .special_lengths = {},
                   .special_first = {},
                   .pretokenizer = std::move(pretokenizer),
                   .merges = std::move(merges),
                   .ignore_merges = flag(model, "ignore_merges")};
    index(out);
    return out;
  }

 private:
  bool flag(const Json& object, const char* key) const {
    const Json& value = entry(object, key);
    SH_CHECK(value.is_null() || value.is_boolean(), kBadInput, "{}: {} = {}: want true or false",
             source_, key, dump_json(value));
    return value.is_boolean() && value.get<bool>();
  }

  // Ids belong to the text as it is; a step that rewrites it would break decode(encode(x)) == x.
  void check_normalizer() const {
    const Json& normalizer = entry(document_, "normalizer");
    if (normalizer.is_null()) return;
    const bool nothing = normalizer.is_object() && entry(normalizer, "type") == "Sequence" &&
                         entry(normalizer, "normalizers") == Json::array();
    SH_CHECK(nothing, kBadInput, "{}: normalizer: only null or an empty \"Sequence\" is supported",
             source_);
  }

  void check_model(const Json& model) const {
    SH_CHECK(entry(model, "type") == "BPE" || entry(model, "type").is_null(), kBadInput,
             "{}: model.type = {}: only \"BPE\" is supported", source_,
             dump_json(entry(model, "type")));
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const Json& value = entry(model, key);
      SH_CHECK(value.is_null() || value == "", kBadInput, "{}: model.{} = {}: not supported",
               source_, key, dump_json(value));
    }
    const Json& dropout = entry(model, "dropout");
    SH_CHECK(dropout.is_null() || dropout == 0, kBadInput, "{}: model.dropout = {}: not supported",
             source_, dump_json(dropout));
    // unk_token, fuse_unk and byte_fallback say what to do with a byte that has no token; here it
    // is left out.
  }

  int checked_id(const Json& id, const std::string& name) const {
    SH_CHECK(id.is_number_integer() && id >= 0 && id < entries_, kBadInput,
             "{}: token {}: id {}: want an integer below {}, the number of entries", source_,
             in_quotes(name), dump_json(id), entries_);
    return id.get<int>();
  }

  void put(int id, std::string bytes, bool special, const std::string& name) {
    SH_CHECK(name.size() <= kMaxTokenBytes && !name.empty(), kBadInput,
             "{}: token {} (id {}): {} bytes, want 1 to {}", source_, in_quotes(name), id,
             name.size(), kMaxTokenBytes);
    if (size_t(id) >= tokens_.size())
      tokens_.resize(size_t(id) + 1), special_.resize(size_t(id) + 1);
    tokens_[size_t(id)] = std::move(bytes);
    special_[size_t(id)] = special;
  }

  void read_tokens(const Json& vocab) {
    SH_CHECK(vocab.is_object(), kBadInput, "{}: model.vocab: want an object, got {}", source_,
             vocab.type_name());
    vocab_.reserve(vocab.size());
    for (const auto& [name, value] : vocab.items()) {
      const int id = checked_id(value, name);
      SH_CHECK(size_t(id) >= tokens_.size() || tokens_[size_t(id)].empty(), kBadInput,
               "{}: token {}: id {} is taken by another token", source_, in_quotes(name), id);
      // A special token's name is written plainly, as is any token outside of the byte alphabet.
      put(id, from_byte_alphabet(name).value_or(name), false, name);
      vocab_.emplace(name, id);
    }
  }

  void read_added(const Json& added) {
    if (added.is_null()) return;
    SH_CHECK(added.is_array(), kBadInput, "{}: added_tokens: want a list, got {}", source_,
             added.type_name());
    std::set<std::string> names;
    for (size_t i = 0; i < added.size(); ++i) {
      const std::string where = fmt::format("{}: added_tokens[{}]", source_, i);
      SH_CHECK(added[i].is_object(), kBadInput, "{}: want an object, got {}", where,
               added[i].type_name());
      const Json& content = entry(added[i], "content");
      SH_CHECK(content.is_string() && content != "", kBadInput, "{}.content: want a text", where);
      const std::string name = content.get<std::string>();
      const int id = checked_id(entry(added[i], "id"), name);
      for (const char* key : {"lstrip", "rstrip", "single_word"})
        SH_CHECK(entry(added[i], key) != Json(true), kBadInput, "{}.{} = true is not supported",
                 where, key);
      SH_CHECK(names.insert(name).second, kBadInput, "{}: {} is listed twice", where,
               in_quotes(name));
      const auto known = vocab_.find(name);
      const bool free = size_t(id) >= tokens_.size() || tokens_[size_t(id)].empty();
      SH_CHECK(known == vocab_.end() ? free : known->second == id, kBadInput,
               "{}: {} has id {}, which model.vocab contradicts", where, in_quotes(name), id);
      put(id, name, true, name);
    }
  }

  void check_ids() {
    for (size_t id = 0; id < tokens_.size(); ++id)
      SH_CHECK(!tokens_[id].empty(), kBadInput, "{}: no token has id {}, though ids go up to {}",
               source_, id, tokens_.size() - 1);
  }

  // Both forms in use: "left right" and ["left", "right"].
  std::pair<std::string, std::string> halves(const Json& merge, const std::string& where) const {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
      return {merge[0].get<std::string>(), merge[1].get<std::string>()};
    SH_CHECK(merge.is_string(), kBadInput, "{} = {}: want \"left right\" or [\"left\", \"right\"]",
             where, dump_json(merge).substr(0, 60));
    const std::string text = merge.get<std::string>();
    const size_t space = text.find(' ');
    SH_CHECK(space != text.npos && text.find(' ', space + 1) == text.npos, kBadInput,
             "{} = {}: want two tokens and one space", where, in_quotes(text));
    return {text.substr(0, space), text.substr(space + 1)};
  }

  int merge_token(const std::string& name, const std::string& where) const {
    const auto found = vocab_.find(name);
    SH_CHECK(found != vocab_.end(), kBadInput, "{}: {} is not in model.vocab", where,
             in_quotes(name));
    SH_CHECK(!special_[size_t(found->second)], kBadInput, "{}: {} is a special token", where,
             in_quotes(name));
    return found->second;
  }

  Merges read_merges(const Json& list) const {
    SH_CHECK(list.is_array() && list.size() <= kMaxMerges, kBadInput,
             "{}: model.merges: want a list", source_);
    // Small models' vocabularies leave out bytes that their texts did not hold.
    std::array<int, 256> byte_ids;
    for (int b = 0; b < 256; ++b) {
      const std::string name = to_byte_alphabet(std::string(1, char(b)));
      const bool needed = b >= ' ' && b <= '~';
      byte_ids[size_t(b)] = needed || vocab_.contains(name)
                                ? merge_token(name, fmt::format("{}: byte 0x{:02X}", source_, b))
                                : Merges::kNoToken;
    }
    Merges merges(byte_ids, list.size());
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string where = fmt::format("{}: model.merges[{}]", source_, i);
      const auto [left, right] = halves(list[i], where);
      const int result = merge_token(left + right, where);
      SH_CHECK(merges.add(merge_token(left, where), merge_token(right, where), result), kBadInput,
               "{}: {} and {} are merged by an earlier entry", where, in_quotes(left),
               in_quotes(right));
    }
    return merges;
  }

  static void index(Vocabulary& out) {
    std::set<size_t, std::greater<>> lengths;
    std::set<char> first;
    for (size_t id = 0; id < out.tokens.size(); ++id) {
      const std::string& token = out.tokens[id];
      (out.special[id] ? out.special_ids : out.ordinary_ids).emplace(token, int(id));
      if (out.special[id]) lengths.insert(token.size()), first.insert(token[0]);
    }
    out.special_lengths.assign(lengths.begin(), lengths.end());
    out.special_first.assign(first.begin(), first.end());
  }

  const Json& document_;
  const std::string& source_;
  size_t entries_ = 0;  // of vocab and added_tokens; ids have no gaps, so none reaches it
  std::vector<std::string> tokens_;
  std::vector<bool> special_;
  std::unordered_map<std::string, int> vocab_;  // by the name in the file
};

}  // namespace

Vocabulary read_vocabulary(const Json& document, const std::string& source) {
  return Reader(document, source).read();
}

std::string write_vocabulary(const std::vector<std::string>& tokens, size_t special_tokens,
                             const std::vector<std::pair<int, int>>& merges) {
  // Entries are appended, not assigned by key: Json looks a key up by walking over all before it.
  Json::object_t vocab;
  Json added = Json::array(), rules = Json::array();
  for (size_t id = 0; id < tokens.size(); ++id) {
    const bool special = id < special_tokens;
    vocab.emplace_back(special ? tokens[id] : to_byte_alphabet(tokens[id]), id);
    if (!special) continue;
    added.push_back(added_token(id, tokens[id], true));
  }
  for (const auto& [left, right] : merges)
    rules.push_back(
        {to_byte_alphabet(tokens[size_t(left)]), to_byte_alphabet(tokens[size_t(right)])});
  return write_vocabulary(std::move(vocab), std::move(added), std::move(rules),
                          deepseek_pretokenizer(), /*ignore_merges=*/false);
}

Json added_token(size_t id, const std::string& name, bool special) {
  return {{"id", id},        {"content", name},     {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

std::string write_vocabulary(Json::object_t vocab, Json added, Json merges, Json pre_tokenizer,
                             bool ignore_merges) {
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", false}};
  return dump_json({{"version", "1.0"},
                    {"truncation", nullptr},
                    {"padding", nullptr},
                    {"added_tokens", std::move(added)},
                    {"normalizer", nullptr},
                    {"pre_tokenizer", std::move(pre_tokenizer)},
                    {"post_processor", nullptr},
                    {"decoder", byte_level},
                    {"model",
                     {{"type", "BPE"},
                      {"dropout", nullptr},
                      {"unk_token", nullptr},
                      {"continuing_subword_prefix", nullptr},
                      {"end_of_word_suffix", nullptr},
                      {"fuse_unk", false},
                      {"byte_fallback", false},
                      {"ignore_merges", ignore_merges},
                      {"vocab", std::move(vocab)},
                      {"merges", std::move(merges)}}}},
                   1);
}

}  // namespace shenhong
