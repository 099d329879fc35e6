#include "knowledge/ask.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "knowledge/vocabulary.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

// Two bearers of a name are told apart by weight only when one knows this many times more facts.
constexpr double kMargin = 0.7;  // of log(1 + facts): a factor of 2
constexpr int kDescribedFacts = 6;

size_t distance(const Mention& mention, const CueMatch& cue) {
  return cue.begin >= mention.end ? cue.begin - mention.end : mention.begin - cue.end;
}

bool overlap(size_t a_begin, size_t a_end, size_t b_begin, size_t b_end) {
  return a_begin < b_end && b_begin < a_end;
}

// Writes an answer's text and notes where its citations stand.
class Writer {
 public:
  Writer(Answer& answer, Language language) : answer_(answer), language_(language) {}

  void say(std::string_view text) { answer_.text += text; }
  void say(std::string_view chinese, std::string_view english) {
    say(language_ == Language::kChinese ? chinese : english);
  }
  void cite(std::vector<Fact> facts) {
    const size_t said = answer_.text.size();
    if (language_ == Language::kEnglish) say(" ");
    const size_t begin = count_characters(answer_.text);
    say(fmt::format("[{}]", answer_.citations.size() + 1));
    answer_.citations.push_back({begin, count_characters(answer_.text), said, std::move(facts)});
  }

 private:
  Answer& answer_;
  Language language_;
};

}  // namespace

// Walks the path and says what each step found; false when a step finds nothing.
bool Asker::say_path(TermId entity, const std::vector<Direction>& path, Language language,
                     const AskOptions& options, Answer& answer) {
  struct Step {
    TermId from;
    Direction direction;
    std::vector<Value> found;
  };
  std::vector<Step> steps;
  TermId at = entity;
  for (size_t hop = 0; hop < path.size(); ++hop) {
    const Direction direction = path[hop];
    ++answer.look_ups;
    steps.push_back({at, direction, look_up_.values(at, direction, language, options.as_of)});
    if (steps.back().found.empty()) return false;
    const Fact& first = steps.back().found[0].fact;
    at = direction.inverse ? first.subject : first.object;
    if (hop + 1 < path.size() && store_.term(at).is_literal()) return false;
  }

  Writer writer(answer, language);
  answer.decision = Decision::kRetrieved;
  answer.entities = {entity};
  for (size_t hop = 0; hop < steps.size(); ++hop) {
    const Step& step = steps[hop];
    const Relation* relation = relations_.find(step.direction.relation);
    const std::string_view label =
        relation ? relation->label(language, step.direction.inverse) : "";
    const std::string subject = look_up_.name_of(step.from, language);
    const bool last = hop + 1 == steps.size();
    const size_t shown = last ? std::min(step.found.size(), size_t(options.max_facts)) : 1;
    if (hop > 0) writer.say("，", "; ");
    if (language == Language::kChinese)
      writer.say(fmt::format("{}的{}是", subject, label));
    else
      writer.say(fmt::format("{} {} of {} {} ", hop > 0 ? "the" : "The", label, subject,
                             shown > 1 ? "are" : "is"));
    for (size_t i = 0; i < shown; ++i) {
      if (i > 0) writer.say("、", ", ");
      writer.say(step.found[i].text);
      // What follows from a first hop cites it, too.
      std::vector<Fact> facts;
      if (hop > 0) facts.push_back(steps[0].found[0].fact);
      facts.push_back(step.found[i].fact);
      writer.cite(std::move(facts));
    }
    if (shown < step.found.size() && last) {
      writer.say(fmt::format("等（共{}项）", step.found.size()),
                 fmt::format(" and others ({} in all)", step.found.size()));
    }
    if (last && look_up_.disagree(step.direction, step.found))
      writer.say("（来源不一致）", " (sources disagree)");
  }
  writer.say("。", ".");
  return true;
}

// What a question about nothing in particular gets: the first facts, in the order in which the
// graph describes its relations. False when it says nothing of the entity.
bool Asker::describe(TermId entity, Language language, const AskOptions& options, Answer& answer) {
  Writer writer(answer, language);
  const std::string name = look_up_.name_of(entity, language);
  ++answer.look_ups;
  std::vector<std::pair<TermId, std::vector<Fact>>> by_relation;
  for (const Fact& fact : store_.facts_about(entity)) {
    if (!relations_.find(fact.predicate) || !holds_at(fact, options.as_of)) continue;
    const auto same = std::ranges::find(by_relation, fact.predicate,
                                        [](const auto& entry) { return entry.first; });
    if (same == by_relation.end())
      by_relation.push_back({fact.predicate, {fact}});
    else
      same->second.push_back(fact);
  }
  std::ranges::stable_sort(by_relation, {}, [&](const auto& entry) {
    return relations_.find(entry.first) - relations_.all().data();
  });
  int said = 0;
  for (const auto& [predicate, facts] : by_relation) {
    if (said == kDescribedFacts) break;
    const std::vector<Value> found = look_up_.in_words(facts, false, language);
    if (found.empty()) continue;
    const std::string_view label = relations_.find(predicate)->label(language);
    if (said == 0)
      writer.say(name + "：", name + ": ");
    else
      writer.say("；", "; ");
    writer.say(fmt::format("{}{}", label, language == Language::kChinese ? "为" : " "));
    writer.say(found[0].text);
    writer.cite({found[0].fact});
    ++said;
  }
  if (said == 0) return false;
  writer.say("。", ".");
  answer.decision = Decision::kRetrieved;
  answer.entities = {entity};
  return true;
}

namespace {

// The cues outside a name, none across another: strong ones, or weak ones when there is no strong
// one; the nearest to the name first. Cues of the same words, for several relations, stay together.
std::vector<CueMatch> cues_around(const Mention& mention, std::vector<CueMatch> all) {
  std::ranges::stable_sort(all, [](const CueMatch& a, const CueMatch& b) {
    return a.weak != b.weak ? b.weak : a.end - a.begin > b.end - b.begin;
  });
  std::vector<CueMatch> cues;
  for (const CueMatch& cue : all) {
    if (overlap(cue.begin, cue.end, mention.begin, mention.end)) continue;
    if (cue.weak && !cues.empty() && !cues[0].weak) break;
    const bool clear = std::ranges::all_of(cues, [&](const CueMatch& other) {
      const bool same_words = cue.begin == other.begin && cue.end == other.end;
      return same_words || !overlap(cue.begin, cue.end, other.begin, other.end);
    });
    if (clear) cues.push_back(cue);
  }
  std::ranges::stable_sort(cues, {}, [&](const CueMatch& cue) { return distance(mention, cue); });
  return cues;
}

// Two hops when two relations are asked for: 静夜思的作者的朝代, the dynasty of the author of ...:
// the nearer one is walked first in either language. Then each relation alone.
std::vector<std::vector<Direction>> paths_of(const Mention& mention,
                                             const std::vector<CueMatch>& cues) {
  std::vector<std::vector<Direction>> paths;
  for (const CueMatch& first : cues) {
    for (const CueMatch& second : cues) {
      if (!first.weak && distance(mention, first) < distance(mention, second))
        paths.push_back({first.direction, second.direction});
    }
  }
  for (const CueMatch& cue : cues) paths.push_back({cue.direction});
  return paths;
}

}  // namespace

// The outermost names, then those inside and across them; without a name, whom the last turn was
// about.
std::vector<Mention> Asker::mentions_of(const FoldedText& folded, std::string_view question,
                                        const AskOptions& options) const {
  std::vector<Mention> mentions = linker_.link(folded, question);
  for (Mention& mention : linker_.link_all(folded, question)) {
    const auto same = [&](const Mention& m) {
      return m.begin == mention.begin && m.end == mention.end;
    };
    if (std::ranges::none_of(mentions, same)) mentions.push_back(std::move(mention));
  }
  if (mentions.empty() && options.carried != 0)
    mentions.push_back({0, 0, "", {{options.carried, 0}}});
  return mentions;
}

// Which bearers of the name have what the path asks for: none, the one that is meant, or several.
bool Asker::try_path(const Mention& mention, const std::vector<Direction>& path, Language language,
                     const AskOptions& options, Answer& answer) {
  std::vector<std::pair<double, Answer>> able;
  for (const Candidate& candidate : mention.candidates) {
    Answer attempt;
    const bool said = say_path(candidate.entity, path, language, options, attempt);
    answer.look_ups += attempt.look_ups;
    if (said) able.emplace_back(candidate.weight, std::move(attempt));
  }
  if (able.empty()) return false;
  const int64_t look_ups = answer.look_ups;
  if (able.size() == 1 || able[0].first - able[1].first >= kMargin) {
    answer = std::move(able[0].second);
  } else {
    answer.decision = Decision::kAmbiguous;
    Writer writer(answer, language);
    writer.say(fmt::format("“{}”不止一个：", mention.name),
               fmt::format("There is more than one '{}': ", mention.name));
    for (size_t i = 0; i < able.size() && i < size_t(options.max_facts); ++i) {
      const Answer& one = able[i].second;
      if (i > 0) writer.say("；", "; ");
      writer.say(std::string_view(one.text).substr(0, one.citations[0].said));
      writer.cite(one.citations[0].facts);
      answer.entities.push_back(one.entities[0]);
    }
    writer.say("。您问的是哪一个？", ". Which one do you mean?");
  }
  answer.look_ups = look_ups;
  return true;
}

void Asker::abstain(TermId entity, Direction missing, Language language, Answer& answer) {
  Writer writer(answer, language);
  answer.decision = Decision::kAbstained;
  if (entity == 0)
    return writer.say("问题里没有图谱认识的名称。",
                      "The question names nothing that the graph knows.");
  answer.entities = {entity};
  const std::string name = look_up_.name_of(entity, language);
  const Relation* relation = relations_.find(missing.relation);
  if (!relation)
    return writer.say(fmt::format("图谱知道“{}”，但没有问题所问的内容。", name),
                      fmt::format("The graph knows {}, but not what the question asks.", name));
  const std::string_view label = relation->label(language, missing.inverse);
  writer.say(fmt::format("图谱中没有“{}”的“{}”。", name, label),
             fmt::format("The graph has no {} of {}.", label, name));
}

Answer Asker::ask(std::string_view question, const AskOptions& options) {
  const Language language = language_of(question);
  const FoldedText folded = fold_text(question);
  const std::vector<CueMatch> all_cues = relations_.cues(folded);
  Answer answer;
  TermId entity = 0;  // the first that the question names, and what it asks of it
  Direction asked;
  for (const Mention& mention : mentions_of(folded, question, options)) {
    const std::vector<CueMatch> cues = cues_around(mention, all_cues);
    for (const auto& path : paths_of(mention, cues))
      if (try_path(mention, path, language, options, answer)) return answer;
    if (entity != 0) continue;
    entity = mention.candidates[0].entity;
    if (!cues.empty() && !cues[0].weak) asked = cues[0].direction;
  }
  if (entity != 0 && asked.relation == 0 && describe(entity, language, options, answer))
    return answer;
  abstain(entity, asked, language, answer);
  return answer;
}

Json Asker::to_json(const Answer& answer, Language language) {
  constexpr std::string_view kNames[] = {"retrieved", "abstained", "ambiguous"};
  Json out = {{"decision", kNames[size_t(answer.decision)]}, {"answer", answer.text}};
  out["look_ups"] = answer.look_ups;
  out["kg_version"] = store_.version();
  Json& citations = out["citations"] = Json::array();
  for (const Citation& citation : answer.citations) {
    Json facts = Json::array();
    for (const Fact& fact : citation.facts) {
      facts.push_back(fact_to_json(store_, fact));
      facts.back()["subject"] = look_up_.name_of(fact.subject, language);
      facts.back()["object"] = look_up_.object_text(fact, language);
    }
    citations.push_back({{"index", citations.size() + 1},
                         {"start_index", citation.begin},
                         {"end_index", citation.end},
                         {"facts", std::move(facts)}});
  }
  return out;
}

}  // namespace shenhong
