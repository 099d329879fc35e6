#include "text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "text/utf8.h"
#include "text/vocabulary.h"

namespace shenhong {

struct Tokenizer::State {
  std::string json;
  Vocabulary vocabulary;
  int bos, eos, pad;
  bool adds_bos;
};

namespace {

// Whether the "post_processor" of tokenizer.json puts a special token before a text.
bool puts_token_first(const Json& processor) {
  if (!processor.is_object()) return false;
  const Json parts = processor.value("processors", Json::array());
  if (parts.is_array() && std::ranges::any_of(parts, puts_token_first)) return true;
  const Json single = processor.value("single", Json::array());
  return processor.value("type", Json()) == "TemplateProcessing" && single.is_array() &&
         !single.empty() && single[0].is_object() && single[0].contains("SpecialToken");
}

}  // namespace

Tokenizer Tokenizer::load(const fs::path& path, const ControlNames& names) {
  return parse(read_file(path), path.string(), names);
}

Tokenizer Tokenizer::parse(std::string json, const std::string& source, const ControlNames& names) {
  const Json document = parse_json(json, source);
  Vocabulary vocabulary = read_vocabulary(document, source);
  const auto named = [&](std::string_view name) {
    const auto found = vocabulary.special_ids.find(name);
    return found == vocabulary.special_ids.end() ? -1 : found->second;
  };
  const int bos = named(names.bos), eos = named(names.eos), pad = named(names.pad);
  SH_CHECK(names.bos.empty() || bos >= 0, kBadInput, "{}: added_tokens: '{}' is missing", source,
           names.bos);
  SH_CHECK(eos >= 0, kBadInput, "{}: added_tokens: '{}' is missing", source, names.eos);
  const bool adds_bos = bos >= 0 && names.adds_bos.value_or(
                                        puts_token_first(document.value("post_processor", Json())));
  return Tokenizer(std::make_shared<const State>(State{std::move(json), std::move(vocabulary),
                                                       bos >= 0 ? bos : eos, eos,
                                                       pad >= 0 ? pad : eos, adds_bos}));
}

void Tokenizer::save(const fs::path& path) const { write_file(path, state_->json); }

const std::string& Tokenizer::json() const { return state_->json; }

void Tokenizer::append_ordinary(std::string_view text, std::vector<int>& ids) const {
  const Vocabulary& vocabulary = state_->vocabulary;
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = sanitise_utf8(text);
  std::vector<std::string_view> words;
  vocabulary.pretokenizer.split(text, words);
  for (const std::string_view word : words) {
    if (vocabulary.ignore_merges) {
      const auto whole = vocabulary.ordinary_ids.find(word);
      if (whole != vocabulary.ordinary_ids.end()) {
        ids.push_back(whole->second);
        continue;
      }
    }
    vocabulary.merges.encode(word, ids);
  }
}

std::vector<int> Tokenizer::encode(std::string_view text) const {
  std::vector<int> ids;
  ids.reserve(text.size() / 3 + 8);
  append_ordinary(text, ids);
  return ids;
}

std::vector<int> Tokenizer::encode_with_special(std::string_view markup) const {
  const Vocabulary& vocabulary = state_->vocabulary;
  std::vector<int> ids;
  size_t ordinary = 0;  // where the text since the last special token starts
  for (size_t at = 0; (at = markup.find_first_of(vocabulary.special_first, at)) != markup.npos;) {
    const auto special = [&] {
      for (const size_t length : vocabulary.special_lengths) {
        const auto found = vocabulary.special_ids.find(markup.substr(at, length));
        if (found != vocabulary.special_ids.end()) return found;
      }
      return vocabulary.special_ids.end();
    }();
    if (special == vocabulary.special_ids.end()) {
      ++at;
      continue;
    }
    append_ordinary(markup.substr(ordinary, at - ordinary), ids);
    ids.push_back(special->second);
    ordinary = at += special->first.size();
  }
  append_ordinary(markup.substr(ordinary), ids);
  return ids;
}

std::string Tokenizer::decode(std::span<const int> ids, bool skip_special) const {
  std::string bytes;
  for (const int id : ids) {
    const std::string_view token = token_bytes(id);
    if (!skip_special || !is_special(id)) bytes += token;
  }
  return is_valid_utf8(bytes) ? bytes : sanitise_utf8(bytes);
}

int Tokenizer::vocab_size() const { return int(state_->vocabulary.tokens.size()); }
int Tokenizer::bos_id() const { return state_->bos; }
int Tokenizer::eos_id() const { return state_->eos; }
int Tokenizer::pad_id() const { return state_->pad; }
bool Tokenizer::adds_bos() const { return state_->adds_bos; }

bool Tokenizer::is_special(int id) const {
  return id >= 0 && id < vocab_size() && state_->vocabulary.special[size_t(id)];
}

std::optional<int> Tokenizer::token_id(std::string_view bytes) const {
  const Vocabulary& vocabulary = state_->vocabulary;
  for (const auto* ids : {&vocabulary.special_ids, &vocabulary.ordinary_ids}) {
    const auto found = ids->find(bytes);
    if (found != ids->end()) return found->second;
  }
  return std::nullopt;
}

std::string_view Tokenizer::token_bytes(int id) const {
  SH_CHECK(id >= 0 && id < vocab_size(), kUsage, "token id {}: want one from 0 to {}", id,
           vocab_size() - 1);
  return state_->vocabulary.tokens[size_t(id)];
}

std::string StreamDecoder::push(int id) {
  if (skip_special_ && tokenizer_.is_special(id)) return {};
  held_ += tokenizer_.token_bytes(id);
  // Where the last character starts, should it be incomplete.
  size_t complete = held_.size();
  for (size_t tail = 1; tail <= 3 && tail <= held_.size(); ++tail) {
    if (is_incomplete_character(std::string_view(held_).substr(held_.size() - tail)))
      complete = held_.size() - tail;
  }
  std::string out = sanitise_utf8(std::string_view(held_).substr(0, complete));
  held_.erase(0, complete);
  return out;
}

std::string StreamDecoder::finish() { return sanitise_utf8(std::exchange(held_, {})); }

}  // namespace shenhong
