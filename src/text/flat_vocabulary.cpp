#include "text/flat_vocabulary.h"

#include "core/error.h"
#include "core/json.h"
#include "text/vocabulary.h"

namespace shenhong {
namespace {

// The expressions of the steps, or whether there is one: what else a step of DeepSeek-V3's may say,
// Pretokenizer has one value for.
std::vector<Json> expressions(const Json& pre_tokenizer) {
  const auto expression = [](const Json& step) {
    return step.contains("pattern") ? step["pattern"] : step.value("use_regex", Json());
  };
  if (!pre_tokenizer.contains("pretokenizers")) return {expression(pre_tokenizer)};
  std::vector<Json> out;
  for (const Json& step : pre_tokenizer["pretokenizers"]) out.push_back(expression(step));
  return out;
}

void put(FlatVocabulary& flat, size_t id, const std::string& token, FlatVocabulary::Kind kind) {
  if (id >= flat.tokens.size()) {
    flat.tokens.resize(id + 1);
    flat.kinds.resize(id + 1);
  }
  flat.tokens[id] = token;
  flat.kinds[id] = kind;
}

}  // namespace

FlatVocabulary flatten_vocabulary(const std::string& tokenizer_json, const std::string& source) {
  const Json document = parse_json(tokenizer_json, source);
  SH_CHECK(expressions(document["pre_tokenizer"]) == expressions(deepseek_pretokenizer()),
           kBadInput,
           "{}: pre_tokenizer: cuts words in another way than DeepSeek-V3's, which GGUF has no "
           "name for",
           source);
  const Json& model = document["model"];
  SH_CHECK(model.value("ignore_merges", Json()) != Json(true), kBadInput,
           "{}: model.ignore_merges = true: not supported in GGUF", source);
  FlatVocabulary flat;
  for (const auto& [token, id] : model["vocab"].items())
    put(flat, id.get<size_t>(), token, FlatVocabulary::kNormal);
  for (const Json& added : document.value("added_tokens", Json::array()))
    put(flat, added["id"].get<size_t>(), added["content"].get<std::string>(),
        added.value("special", Json()) == Json(true) ? FlatVocabulary::kControl
                                                     : FlatVocabulary::kUserDefined);
  for (const Json& merge : model["merges"])
    flat.merges.push_back(merge.is_string()
                              ? merge.get<std::string>()
                              : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  return flat;
}

std::string unflatten_vocabulary(const FlatVocabulary& flat, const NamedPretokenizer& words) {
  SH_ASSERT(flat.tokens.size() == flat.kinds.size());
  size_t count = flat.tokens.size();
  while (count > 0 && flat.kinds[count - 1] == FlatVocabulary::kUnused) --count;
  Json::object_t vocab;
  Json added = Json::array();
  for (size_t id = 0; id < count; ++id) {
    const bool control = flat.kinds[id] == FlatVocabulary::kControl;
    vocab.emplace_back(flat.tokens[id], id);
    if (control || flat.kinds[id] == FlatVocabulary::kUserDefined)
      added.push_back(added_token(id, flat.tokens[id], control));
  }
  return write_vocabulary(std::move(vocab), std::move(added), Json(flat.merges), words.description,
                          words.ignore_merges);
}

}  // namespace shenhong
