#include "eval/poems.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/random.h"
#include "data/held_out_topics.h"
#include "data/rhyme.h"

namespace shenhong {
namespace {

constexpr std::string_view kRequests[] = {
    "写一首{}。",
    "请以{topic}为题写一首{}。",
    "写一首关于{topic}的{}",
    "{topic}，{}",
    "帮我作一首{}，题目是《{topic}》。",
    "来一首{}",
    "我想读一首写{topic}的{}。",
    "用{}写{topic}",
    "能写一首{topic}的{}吗？",
    "请写{}一首，主题：{topic}",
};

std::string filled(std::string text, std::string_view slot, std::string_view value) {
  const size_t at = text.find(slot);
  return at == std::string::npos ? text : text.replace(at, slot.size(), value);
}

}  // namespace

std::vector<std::string> poem_requests(const FormShape& form) {
  std::vector<std::string> requests;
  for (const std::string_view topic : kHeldOutTopics) {
    for (const std::string_view request : kRequests) {
      requests.push_back(filled(filled(std::string(request), "{topic}", topic), "{}", form.name));
    }
  }
  return requests;
}

PoemVerdict judge_poem(const std::string& answer, const FormShape& form,
                       const LineIndex* training_lines) {
  const Poem poem = parse_poem(answer);
  PoemVerdict verdict;
  verdict.form_ok = recognise_form(poem.lines) == form.form;
  verdict.rhyme_ok = verdict.form_ok && rhymes(poem.lines);
  const std::vector<int> lengths = line_lengths(poem.lines);
  for (size_t i = 0; training_lines && i < poem.lines.size(); ++i) {
    verdict.copied |= lengths[i] >= kShortestCopiedLine && training_lines->contains(poem.lines[i]);
  }
  return verdict;
}

Json eval_poems(const Poet& answer, const PoemEvalOptions& options) {
  SH_CHECK(options.samples >= 1, kUsage, "eval poems: samples = {}: want at least 1",
           options.samples);
  Json result = {{"rhyme_table", kRhymeTable}, {"training_lines", nullptr}};
  if (options.training_lines) result["training_lines"] = options.training_lines->size();
  int done = 0;
  for (const FormShape& form : kRegulatedForms) {
    const std::vector<std::string> requests = poem_requests(form);
    int form_ok = 0, rhyme_ok = 0, copied = 0;
    std::set<std::string> distinct;
    Json examples = Json::array();
    for (int i = 0; i < options.samples; ++i) {
      const Philox draw = philox(options.seed, uint64_t(form.form), uint64_t(i));
      const uint64_t seed = uint64_t(draw[0]) << 32 | draw[1];
      const std::string& request = requests[size_t(i) % requests.size()];
      const std::string poem = answer(request, seed);
      const PoemVerdict verdict = judge_poem(poem, form, options.training_lines);
      form_ok += verdict.form_ok;
      rhyme_ok += verdict.rhyme_ok;
      copied += verdict.copied;
      distinct.insert(poem);
      if (i < options.examples) examples.push_back({{"request", request}, {"answer", poem}});
      options.progress(++done, options.samples * int(kRegulatedForms.size()));
    }
    const auto share = [&](int count) { return double(count) / options.samples; };
    Json& out = result["forms"][std::string(form.name)];
    out = {
        {"samples", options.samples}, {"form_ok", share(form_ok)}, {"rhyme_ok", share(rhyme_ok)}};
    out["copied"] = options.training_lines ? Json(share(copied)) : Json(nullptr);
    out["distinct"] = share(int(distinct.size()));
    out["examples"] = std::move(examples);
  }
  return result;
}

}  // namespace shenhong
