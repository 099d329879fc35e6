#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pretokenizer.h"

#include <pcre2.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/quoted.h"
#include "text/regex_dialect.h"

namespace shenhong {
namespace {

constexpr size_t kMaxPattern = 64 << 10;
constexpr const char* kGpt2Words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// Steps of one match, beyond a few for each byte: an expression whose time is not linear gives up.
constexpr size_t kMaxSteps = 10'000'000, kMaxStepsPerByte = 8;

struct FreeMatch {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

// What a match needs for itself; a compiled expression is shared, this is one per thread.
struct Scratch {
  std::unique_ptr<pcre2_match_data, FreeMatch> match{pcre2_match_data_create(1, nullptr)};
  std::unique_ptr<pcre2_match_context, FreeContext> context{pcre2_match_context_create(nullptr)};
  std::vector<std::string_view> words;
  Scratch() { SH_CHECK(match && context, kResources, "no memory to match a regular expression"); }
};

Scratch& scratch() {
  thread_local Scratch instance;
  return instance;
}

// The member `key`, or null: a missing entry and a null one mean the same in tokenizer.json.
const Json& member(const Json& object, const char* key) {
  static const Json null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

}  // namespace

class Pretokenizer::Expression {
 public:
  Expression(const std::string& pattern, const std::string& where) : where_(where) {
    SH_CHECK(pattern.size() <= kMaxPattern, kBadInput,
             "{}: {} bytes of regular expression, limit {}", where, pattern.size(), kMaxPattern);
    const std::string ours = to_pcre2(pattern);
    int error = 0;
    PCRE2_SIZE at = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(ours.data()), ours.size(),
                          PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &at, nullptr);
    if (!code_) {
      PCRE2_UCHAR message[256];
      pcre2_get_error_message(error, message, sizeof message);
      fail(Exit::kBadInput, "{}: regular expression {}: {}", where, in_quotes(pattern),
           reinterpret_cast<const char*>(message));
    }
    // Where the system forbids making code, the interpreter gives the same matches.
    pcre2_jit_compile(code_, PCRE2_JIT_COMPLETE);
  }
  ~Expression() { pcre2_code_free(code_); }
  Expression(const Expression&) = delete;
  Expression& operator=(const Expression&) = delete;

  // Matches and the stretches between them, in order.
  void split(std::string_view text, std::vector<std::string_view>& words) const {
    Scratch& mine = scratch();
    for (size_t from = 0; from < text.size();) {
      const int got =
          pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                      PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, mine.match.get(), mine.context.get());
      if (got == PCRE2_ERROR_NOMATCH) {
        words.push_back(text.substr(from));
        return;
      }
      SH_CHECK(got >= 0, kBadInput,
               "{}: the regular expression gave up on a text of {} bytes (PCRE2 {})", where_,
               text.size(), got);
      const PCRE2_SIZE* const range = pcre2_get_ovector_pointer(mine.match.get());
      // \K in a lookbehind could report a start before `from`.
      SH_CHECK(range[0] >= from && range[1] > range[0], kBadInput,
               "{}: the regular expression matches backwards", where_);
      if (range[0] > from) words.push_back(text.substr(from, range[0] - from));
      words.push_back(text.substr(range[0], range[1] - range[0]));
      from = range[1];
    }
  }

 private:
  pcre2_code* code_ = nullptr;
  std::string where_;
};

Json deepseek_pretokenizer() {
  const auto split = [](const char* pattern) {
    return Json{{"type", "Split"},
                {"pattern", {{"Regex", pattern}}},
                {"behavior", "Isolated"},
                {"invert", false}};
  };
  return Json{{"type", "Sequence"},
              {"pretokenizers",
               Json::array({split(R"(\p{N}{1,3})"), split("[一-龥\u3040-ゟ゠-ヿ]+"),
                            split("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
                                  "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
                                  "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"),
                            Json{{"type", "ByteLevel"},
                                 {"add_prefix_space", false},
                                 {"trim_offsets", true},
                                 {"use_regex", false}}})}};
}

Pretokenizer::Pretokenizer(const Json& description, const std::string& source) {
  add(description, source + ": pre_tokenizer", 0);
  SH_CHECK(byte_level_, kBadInput,
           "{}: pre_tokenizer: no 'ByteLevel' step; only byte-level vocabularies are supported",
           source);
}

Pretokenizer::~Pretokenizer() = default;
Pretokenizer::Pretokenizer(Pretokenizer&&) noexcept = default;
Pretokenizer& Pretokenizer::operator=(Pretokenizer&&) noexcept = default;

void Pretokenizer::add(const Json& description, const std::string& where, int depth) {
  SH_CHECK(description.is_object(), kBadInput, "{}: want an object, got {}", where,
           description.type_name());
  const Json& type = member(description, "type");
  SH_CHECK(!byte_level_, kBadInput, "{}: a step after 'ByteLevel' is not supported", where);
  if (type == "Sequence") {
    const Json& steps = member(description, "pretokenizers");
    SH_CHECK(steps.is_array() && depth == 0 && steps.size() <= 32, kBadInput,
             "{}.pretokenizers: want one list of at most 32 steps", where);
    for (size_t i = 0; i < steps.size(); ++i)
      add(steps[i], fmt::format("{}.pretokenizers[{}]", where, i), depth + 1);
  } else if (type == "Split") {
    const Json& pattern = member(description, "pattern");
    const Json& regex = pattern.is_object() ? member(pattern, "Regex") : pattern;
    SH_CHECK(pattern.is_object() && regex.is_string(), kBadInput,
             "{}.pattern: only {{\"Regex\": text}} is supported", where);
    SH_CHECK(member(description, "behavior") == "Isolated", kBadInput,
             "{}.behavior = {}: only \"Isolated\" is supported", where,
             dump_json(member(description, "behavior")));
    SH_CHECK(member(description, "invert") != Json(true), kBadInput,
             "{}.invert = true is not supported", where);
    expressions_.push_back(std::make_unique<Expression>(regex.get<std::string>(), where));
  } else if (type == "ByteLevel") {
    // Both are true where the file leaves them out.
    SH_CHECK(member(description, "add_prefix_space") == Json(false), kBadInput,
             "{}.add_prefix_space: only false is supported", where);
    if (member(description, "use_regex") != Json(false))
      expressions_.push_back(std::make_unique<Expression>(kGpt2Words, where));
    byte_level_ = true;
  } else if (type == "Digits") {
    const bool each = member(description, "individual_digits") == Json(true);
    expressions_.push_back(std::make_unique<Expression>(each ? "\\p{N}" : "\\p{N}+", where));
  } else {
    fail(Exit::kBadInput,
         "{}.type = {}: not supported; known: \"Sequence\", \"Split\", \"Digits\", \"ByteLevel\"",
         where, dump_json(type));
  }
}

void Pretokenizer::split(std::string_view text, std::vector<std::string_view>& words) const {
  std::vector<std::string_view>& before = scratch().words;
  const size_t steps = kMaxSteps + kMaxStepsPerByte * text.size();
  pcre2_set_match_limit(scratch().context.get(), uint32_t(std::min<size_t>(steps, UINT32_MAX)));
  words.assign(1, text);
  for (const auto& expression : expressions_) {
    before.swap(words);
    words.clear();
    for (const std::string_view word : before) expression->split(word, words);
  }
  if (words.size() == 1 && words[0].empty()) words.clear();
}

}  // namespace shenhong
