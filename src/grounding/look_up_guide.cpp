#include "grounding/look_up_guide.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <mutex>
#include <utility>

#include "core/error.h"
#include "grounding/lookup_text.h"
#include "text/special_tokens.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

constexpr size_t kMaxBearers = 16;      // of a name, the heaviest
constexpr int kMaxLookUps = 8;          // of one answer
constexpr size_t kMaxValueTokens = 64;  // of one value
constexpr double kMargin = 0.7;  // between bearers of a name, of log(1 + facts): a factor of 2
constexpr double kAutoThreshold = 0.5;  // probability of a look-up from which there is one
constexpr double kAlwaysThreshold =
    0.02;  // where the question names something that the graph knows
// Of the whole query under the model, of which about that share is understood rightly: below it the
// mode does not answer. In auto mode that is where an answer would be wrong more often than right.
// Chosen on worlds of other seeds than those of the report.
constexpr double kAutoProbability = 0.4;
constexpr double kStrictProbability = 0.85;

// Adds the time of its life.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds) {}
  ~Stopwatch() { seconds_ += std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  double& seconds_;
  Clock::time_point start_ = Clock::now();
};

std::string trimmed(std::string text) {
  text.erase(0, std::min(text.find_first_not_of(' '), text.size()));
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

// Where the last clause of a text begins.
size_t clause_begin(std::string_view text) {
  constexpr std::array<std::string_view, 10> kEnds = {"。", "！", "？", "；", "，",
                                                      "\n", ". ", "; ", "! ", "? "};
  size_t begin = 0;
  for (const std::string_view end : kEnds)
    if (const size_t at = text.rfind(end); at != text.npos)
      begin = std::max(begin, at + end.size());
  return begin;
}

bool closes(std::string_view piece) {
  constexpr std::array<std::string_view, 13> kMarks = {"。", "！", "？", "；", "，", "”", "）",
                                                       "\n", ".",  ";",  "!",  "?",  ","};
  return std::ranges::any_of(kMarks,
                             [&](std::string_view mark) { return piece.starts_with(mark); });
}

constexpr std::array<std::string_view, 4> kModes = {"off", "auto", "always", "strict"};

}  // namespace

// What one bearer of the asked name has.
struct LookUpGuide::Found {
  TermId entity;
  double weight;
  Direction direction;
  std::string name, label;  // as the model asked
  Language language;
  std::vector<Value> values;
};

std::optional<GroundingMode> grounding_mode_of(std::string_view name) {
  const auto found = std::ranges::find(kModes, name);
  if (found == kModes.end()) return {};
  return GroundingMode(found - kModes.begin());
}
std::string_view grounding_mode_name(GroundingMode mode) { return kModes[size_t(mode)]; }

std::string_view grounding_decision_name(GroundingDecision decision) {
  constexpr std::array<std::string_view, 4> kNames = {"closed_book", "retrieved", "abstained",
                                                      "ambiguous"};
  return kNames[size_t(decision)];
}

LookUpGuide::LookUpGuide(Graph& graph, const Engine& engine,
                         const std::vector<Message>& conversation, GroundingOptions options)
    : graph_(graph),
      engine_(engine),
      options_(std::move(options)),
      decoder_(engine.tokenizer(), /*skip_special=*/true),
      draft_decoder_(engine.tokenizer(), /*skip_special=*/true) {
  const Tokenizer& tokenizer = engine_.tokenizer();
  const auto id = [&](std::string_view name) {
    const auto found = tokenizer.token_id(name);
    SH_CHECK(found && tokenizer.is_special(*found), kUsage,
             "{}: the vocabulary has no token {}, so this model cannot look anything up; answer "
             "without a graph (--grounding off)",
             engine_.name(), name);
    return *found;
  };
  tokens_ = {id(kKgEntity), id(kKgRelation), id(kKgValue), id(kKgEnd), id(kKgNull)};
  special_.resize(size_t(tokenizer.vocab_size()));
  for (int i = 0; i < tokenizer.vocab_size(); ++i) special_[size_t(i)] = tokenizer.is_special(i);

  const Stopwatch stopwatch(trace_.seconds);
  const std::lock_guard lock(graph_.mutex);
  // Whom the conversation names, the last turn first.
  for (auto message = conversation.rbegin(); message != conversation.rend(); ++message) {
    if (message->role == "system") continue;
    for (const Mention& mention :
         graph_.linker.link_all(fold_text(message->content), message->content))
      add_name(mention.name);
  }
  for (const Relation& relation : graph_.relations.all()) {
    for (const Language language : {Language::kChinese, Language::kEnglish}) {
      for (const bool inverse : {false, true}) {
        if (inverse && relation.inverse_label_zh.empty() && relation.inverse_label_en.empty())
          continue;
        const std::string text(relation.label(language, inverse));
        auto known = std::ranges::find(labels_, text, &Label::text);
        if (known == labels_.end()) {
          label_tokens_.push_back(tokenizer.encode(std::string(blank(language_of(text))) + text));
          known = labels_.insert(labels_.end(), {text, {}});
        }
        const Direction direction{relation.id, inverse};
        if (std::ranges::find(known->directions, direction) == known->directions.end())
          known->directions.push_back(direction);
      }
    }
  }
  if (conversation.empty()) return;
  const std::string& question = conversation.back().content;
  question_ = fold_text(question);
  for (const Mention& mention : graph_.linker.link(question_, question))
    question_names_.push_back(mention.name);
}

void LookUpGuide::add_name(const std::string& spelling) {
  auto tokens = engine_.tokenizer().encode(std::string(blank(language_of(spelling))) + spelling);
  if (std::ranges::find(names_, tokens) == names_.end()) names_.push_back(std::move(tokens));
}

// By label: nobody asks for a river's father.
std::vector<bool> LookUpGuide::possible_labels() {
  const std::vector<Candidate> bearers = bearers_of(query_.entity);
  const CharacteristicSets* sets = graph_.characteristic_sets();
  std::vector<bool> possible;
  for (const Label& label : labels_) {
    bool fits = bearers.empty() || !sets;
    for (const Direction& direction : label.directions)
      for (const Candidate& bearer : bearers)
        fits = fits || sets->may_have(bearer.entity, direction);
    possible.push_back(fits);
  }
  return possible;
}

// A name that nobody bears and that does not stand in the question was copied badly: when the
// question names one thing that the graph knows, that is meant.
std::string LookUpGuide::mended(std::string entity) const {
  if (question_names_.size() != 1 || !bearers_of(entity).empty()) return entity;
  const std::u32string name = fold_text(entity).characters;
  const std::u32string& text = question_.characters;
  const auto is_word = [](char32_t c) { return c < 0x250 && (std::isalnum(int(c)) || c > 0x7f); };
  for (size_t at = 0; (at = text.find(name, at)) != text.npos && !name.empty(); ++at) {
    const size_t end = at + name.size();
    const bool begins = at == 0 || !is_word(name.front()) || !is_word(text[at - 1]);
    const bool ends = end == text.size() || !is_word(name.back()) || !is_word(text[end]);
    if (begins && ends) return entity;
  }
  return question_names_[0];
}

std::vector<Candidate> LookUpGuide::bearers_of(std::string_view entity) const {
  // A value of this answer is the one that was said, whoever else bears its name.
  if (const auto said = said_.find(std::string(entity)); said != said_.end())
    return {{said->second, 0}};
  return graph_.linker.bearers(entity);
}

std::string LookUpGuide::text_of(const std::vector<int>& tokens) const {
  return trimmed(engine_.tokenizer().decode(tokens));
}

bool LookUpGuide::wants_look_up(std::span<const float> logits) const {
  if (options_.mode == GroundingMode::kOff || int(trace_.queries.size()) >= kMaxLookUps)
    return false;
  const bool eager = options_.mode != GroundingMode::kAuto && !names_.empty() &&
                     state_ == State::kBefore && trace_.queries.empty();
  return Softmax(logits)[tokens_.entity] > (eager ? kAlwaysThreshold : kAutoThreshold);
}

std::optional<Writing> LookUpGuide::write(std::span<const float> logits, size_t shown,
                                          size_t room) {
  switch (state_) {
    case State::kBefore:
      if (auto checked = check_draft(logits, shown, room)) return checked;
      if (!wants_look_up(logits)) return {};
      return begin_look_up();
    case State::kEntity: {
      const int id = span_->next(logits);
      if (id == tokens_.relation) {
        const std::lock_guard lock(graph_.mutex);
        query_ = {};
        query_.entity = mended(text_of(span_->tokens()));
        query_.probability = span_->probability();
        span_.emplace(label_tokens_, std::vector<int>{tokens_.end}, special_, possible_labels());
        state_ = State::kRelation;
      }
      return Writing{{id}, ""};
    }
    case State::kRelation: {
      const int id = span_->next(logits);
      if (id != tokens_.end) return Writing{{id}, ""};
      query_.label = text_of(span_->tokens());
      query_.probability *= span_->probability();
      return answer(shown, room);
    }
    case State::kAfter:
      if (auto checked = check_draft(logits, shown, room)) return checked;
      return wants_look_up(logits) ? begin_look_up() : go_on(logits);
  }
  return {};
}

void LookUpGuide::drew(int id) { draft_ += draft_decoder_.push(id); }

// A clause of the form in which look-ups speak (lookup_text's lead_in), said from memory, costs one
// look-up and no token: it is cited where the graph says the same. Where the graph says otherwise
// the look-up follows as if the model had asked. Checked when the model is about to close it.
std::optional<Writing> LookUpGuide::check_draft(std::span<const float> logits, size_t shown,
                                                size_t room) {
  const std::string clause = draft_.substr(clause_begin(draft_));
  if (clause.empty() || options_.mode == GroundingMode::kOff) return {};
  const int next = int(std::ranges::max_element(logits) - logits.begin());
  const bool ends = std::ranges::find(engine_.end_tokens(), next) != engine_.end_tokens().end();
  if (!ends && !closes(engine_.tokenizer().decode(std::span(&next, 1)))) return {};
  const Stopwatch stopwatch(trace_.seconds);
  const std::lock_guard lock(graph_.mutex);
  for (const Label& label : labels_) {
    for (const bool begins : {true, false}) {
      const Language language = language_of(label.text);
      const std::string form = lead_in("\n", label.text, language, begins);
      const size_t slot = form.find('\n');
      const std::string_view head = std::string_view(form).substr(0, slot);
      const std::string_view tail = std::string_view(form).substr(slot + 1);
      const size_t at = clause.find(tail, head.size());
      if (!clause.starts_with(head) || at == clause.npos) continue;
      draft_.clear();
      try {
        return judge(label, clause.substr(head.size(), at - head.size()),
                     trimmed(clause.substr(at + tail.size())), shown, room);
      } catch (const Error& error) {
        trace_.backend = "unreadable";
        fmt::print(stderr, "shenhong: {}\n", error.what());
        return {};
      }
    }
  }
  return {};
}

std::optional<Writing> LookUpGuide::judge(const Label& label, const std::string& name,
                                          const std::string& value, size_t shown, size_t room) {
  const std::vector<Candidate> bearers = bearers_of(name);
  const Language language = language_of(label.text);
  if (bearers.size() != 1 || value.empty()) return {};
  for (const Direction& direction : label.directions) {
    ++trace_.look_ups;
    // What is at hand: a sentence that nobody asked for is not worth a question to an endpoint.
    std::vector<Value> values = LookUp(graph_.store, graph_.relations)
                                    .values(bearers[0].entity, direction, language, options_.as_of);
    if (values.empty()) continue;
    const std::vector<Candidate> said = bearers_of(value);
    const auto is_said = [&](const Value& known) {
      const TermId id = direction.inverse ? known.fact.subject : known.fact.object;
      return folded(known.text) == folded(value) ||
             std::ranges::find(said, id, &Candidate::entity) != said.end();
    };
    Found found{bearers[0].entity, 0, direction, name, label.text, language, values};
    if (const auto same = std::ranges::find_if(values, is_said); same != values.end()) {
      remember(*same, direction);
      trace_.decision = GroundingDecision::kRetrieved;
      const std::string cited = cite({*same}, found, 0);
      // The value was said; only what it is cited by is to come.
      CitedFact& citation = trace_.citations.back();
      const size_t mark = citation.end - citation.begin;
      (direction.inverse ? citation.subject : citation.object) = value;
      const std::string between(blank(language));
      citation.begin = shown + between.size();
      citation.end = citation.begin + mark;
      return Writing{{}, between + cited.substr(cited.size() - mark)};
    }
    // Only what has one value can be contradicted, and only by another thing of the same graph.
    if (graph_.relations.find(direction.relation)->functional && !direction.inverse &&
        values.size() == 1 && !said.empty())
      return correct(found, shown, room);
  }
  return {};
}

Writing LookUpGuide::correct(Found found, size_t shown, size_t room) {
  for (Value& value : found.values) value.text = shown_and_short(value.text);
  const Tokenizer& tokenizer = engine_.tokenizer();
  const std::string word =
      found.language == Language::kChinese ? "。图谱中并非如此：" : ". The graph says otherwise: ";
  std::vector<int> key = tokenizer.encode(word);
  const auto add = [&](const std::string& name) {
    const std::vector<int> ids = tokenizer.encode(std::string(blank(found.language)) + name);
    key.insert(key.end(), ids.begin(), ids.end());
  };
  key.push_back(tokens_.entity);
  add(found.name);
  key.push_back(tokens_.relation);
  add(found.label);
  state_ = State::kAfter;
  Writing writing = say_found(found, shown + word.size(), room - std::min(room, key.size()),
                              /*begins=*/false);
  writing.tokens.insert(writing.tokens.begin(), key.begin(), key.end());
  writing.shown = word + writing.shown;
  return writing;
}

void LookUpGuide::remember(const Value& value, Direction direction) {
  const TermId said = direction.inverse ? value.fact.subject : value.fact.object;
  if (graph_.store.term(said).is_literal()) return;
  said_[value.text] = said;
  add_name(value.text);
}

Writing LookUpGuide::begin_look_up() {
  state_ = State::kEntity;
  draft_.clear();
  span_.emplace(names_, std::vector<int>{tokens_.relation}, special_);
  return {{tokens_.entity}, decoder_.finish()};
}

Writing LookUpGuide::go_on(std::span<const float> logits) {
  const auto is_end = [&](int id) {
    return std::ranges::find(engine_.end_tokens(), id) != engine_.end_tokens().end();
  };
  int best = value_said_ ? after_value(logits) : -1;
  const bool chosen = best >= 0;
  for (int id = 0; id < int(logits.size()) && !chosen; ++id) {
    if (special_[size_t(id)] && !is_end(id)) continue;
    if (best < 0 || logits[size_t(id)] > logits[size_t(best)]) best = id;
  }
  if (is_end(best)) return {{}, decoder_.finish(), true};
  Writing writing{{best}, decoder_.push(best)};
  draft_ += writing.shown;
  return writing;
}

// What follows a value is what a look-up was taught to be followed by, whatever the value looks
// like.
int LookUpGuide::after_value(std::span<const float> logits) {
  const Language language = *std::exchange(value_said_, {});
  const int stop = engine_.tokenizer().encode(full_stop(language))[0];
  const int next = engine_.tokenizer().encode(between(language))[0];
  return logits[size_t(stop)] >= logits[size_t(next)] ? stop : next;
}

std::vector<LookUpGuide::Found> LookUpGuide::find(std::string_view entity, std::string_view label) {
  const Language language = language_of(label);
  const auto known = std::ranges::find(labels_, label, &Label::text);
  if (known == labels_.end()) return {};
  std::vector<Candidate> bearers = bearers_of(entity);
  if (graph_.remote) graph_.remote->begin_answer();
  if (bearers.empty() && graph_.remote)
    for (const TermId id : graph_.remote->bearers(entity)) bearers.push_back({id, 0});
  if (bearers.size() > kMaxBearers) bearers.resize(kMaxBearers);
  std::vector<Found> found;
  for (const Candidate& bearer : bearers) {
    for (const Direction& direction : known->directions) {
      ++trace_.look_ups;
      auto values = graph_.look_up.values(bearer.entity, direction, language, options_.as_of);
      if (values.empty()) continue;
      for (Value& value : values) value.text = shown_and_short(value.text);
      found.push_back({bearer.entity, bearer.weight, direction, std::string(entity),
                       std::string(label), language, std::move(values)});
      break;
    }
  }
  return found;
}

Writing LookUpGuide::answer(size_t shown, size_t room) {
  const Stopwatch stopwatch(trace_.seconds);
  const std::lock_guard lock(graph_.mutex);
  state_ = State::kAfter;
  query_.doubtful =
      query_.probability <
      (options_.mode == GroundingMode::kStrict ? kStrictProbability : kAutoProbability);
  std::vector<Found> found;
  bool broken = false;
  try {
    if (!query_.doubtful) found = find(query_.entity, query_.label);
    if (graph_.remote) trace_.backend = remote_status_name(graph_.remote->status());
  } catch (const Error& error) {
    // A graph that cannot be read is no reason to lose the answer; it says so.
    broken = true;
    trace_.backend = "unreadable";
    fmt::print(stderr, "shenhong: {}\n", error.what());
  }
  query_.found = !found.empty();
  if (query_.found) query_.inverse = found[0].direction.inverse;
  trace_.queries.push_back(query_);
  const bool ambiguous = found.size() > 1 && found[0].weight - found[1].weight < kMargin;
  Writing writing = found.empty() ? say_nothing(broken)
                    : ambiguous   ? say_ambiguous(found, shown)
                                  : say_found(found[0], shown, room);
  return writing;
}

// 叶莉[1]、…; `at`: where it will stand in the answer.
std::string LookUpGuide::cite(const std::vector<Value>& values, const Found& found, size_t at) {
  const Language language = found.language;
  std::string text;
  for (size_t i = 0; i < values.size(); ++i) {
    text += i > 0 ? value_separator(language) : blank(language);
    text += values[i].text;
    text += blank(language);
    CitedFact citation;
    citation.begin = at + text.size();
    text += fmt::format("[{}]", trace_.citations.size() + 1);
    citation.end = at + text.size();
    citation.fact = values[i].fact;
    citation.subject = found.direction.inverse ? values[i].text : found.name;
    citation.object = found.direction.inverse ? found.name : values[i].text;
    citation.relation = graph_.relations.find(found.direction.relation)->label(language);
    trace_.citations.push_back(std::move(citation));
  }
  return text;
}

// One line of at most kMaxValueTokens.
std::string LookUpGuide::shown_and_short(std::string_view value) const {
  const Tokenizer& tokenizer = engine_.tokenizer();
  std::string text = shown_value(value);
  std::vector<int> ids = tokenizer.encode(text);
  if (ids.size() <= kMaxValueTokens) return text;
  ids.resize(kMaxValueTokens);
  text = tokenizer.decode(ids);
  constexpr std::string_view kBroken = "\uFFFD";  // of a character that was cut
  while (text.ends_with(kBroken)) text.resize(text.size() - kBroken.size());
  return text + "…";
}

Writing LookUpGuide::say_found(const Found& found, size_t shown, size_t room, bool begins) {
  const Tokenizer& tokenizer = engine_.tokenizer();
  const Language language = found.language;
  const bool chinese = language == Language::kChinese;
  const std::string lead =
      lead_in(found.name, found.label, language, begins && trace_.citations.empty());
  std::vector<Value> values = found.values;
  if (values.size() > size_t(options_.max_facts)) values.resize(size_t(options_.max_facts));

  // As many values as fit.
  Writing writing;
  std::string rest;
  size_t value_tokens = 0;
  for (;; values.pop_back()) {
    std::string plain;
    for (size_t i = 0; i < values.size(); ++i)
      plain +=
          fmt::format("{}{}", i > 0 ? value_separator(language) : blank(language), values[i].text);
    rest.clear();
    if (found.values.size() > values.size())
      rest = chinese ? fmt::format("等（共{}项）", found.values.size())
                     : fmt::format(" and others ({} in all)", found.values.size());
    if (graph_.look_up.disagree(found.direction, found.values))
      rest += chinese ? "（来源不一致）" : " (sources disagree)";
    const std::vector<int> before = tokenizer.encode(lead), value = tokenizer.encode(plain + rest);
    writing.tokens = {tokens_.end};
    writing.tokens.insert(writing.tokens.end(), before.begin(), before.end());
    writing.tokens.push_back(tokens_.value);
    writing.tokens.insert(writing.tokens.end(), value.begin(), value.end());
    writing.tokens.push_back(tokens_.end);
    value_tokens = value.size();
    if (writing.tokens.size() <= room) break;
    if (values.size() == 1) return writing;  // the engine ends the answer without it
  }
  for (const Value& value : values) remember(value, found.direction);
  value_said_ = language;
  trace_.fact_tokens += int64_t(value_tokens);
  trace_.decision = GroundingDecision::kRetrieved;
  writing.shown = lead + cite(values, found, shown + lead.size()) + rest;
  return writing;
}

Writing LookUpGuide::say_ambiguous(const std::vector<Found>& found, size_t shown) {
  const bool chinese = found[0].language == Language::kChinese;
  Writing writing;
  writing.shown = chinese ? fmt::format("“{}”不止一个：", found[0].name)
                          : fmt::format("There is more than one {}:", found[0].name);
  for (size_t i = 0; i < found.size() && i < size_t(options_.max_facts); ++i) {
    if (i > 0) writing.shown += chinese ? "；" : ";";
    if (chinese) writing.shown += fmt::format("{}是", found[i].label);
    writing.shown += cite({found[i].values[0]}, found[i], shown + writing.shown.size());
  }
  writing.shown += chinese ? "。您问的是哪一个？" : ". Which one do you mean?";
  writing.end = true;
  trace_.decision = GroundingDecision::kAmbiguous;
  return writing;
}

Writing LookUpGuide::say_nothing(bool broken) {
  const Language language = language_of(query_.entity + query_.label);
  std::string text = query_.doubtful ? not_understood(query_.entity, query_.label, language)
                                     : no_such_fact(query_.entity, query_.label, language,
                                                    trace_.citations.empty());
  if (broken)
    text = language == Language::kChinese ? "图谱读不出来，无法查证，所以不作回答。"
                                          : "The graph cannot be read, so I do not answer.";
  const bool unheard =
      !broken && graph_.remote && !query_.doubtful && graph_.remote->status() != RemoteStatus::kOk;
  if (unheard)
    text += language == Language::kChinese
                ? "外部图谱没有可用的回答，只查了本地。"
                : " The attached endpoint gave no usable answer; only local facts were searched.";
  trace_.decision = GroundingDecision::kAbstained;
  Writing writing{{tokens_.end, tokens_.null}, text, true};
  const auto ids = engine_.tokenizer().encode(text);
  writing.tokens.insert(writing.tokens.end(), ids.begin(), ids.end());
  return writing;
}

}  // namespace shenhong
