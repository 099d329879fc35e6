#include "knowledge/linker.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "knowledge/vocabulary.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

constexpr double kAliasWeight = 0.8;

void sort_by_weight(std::vector<Candidate>& candidates) {
  std::ranges::sort(candidates, [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.entity < b.entity;
  });
}

}  // namespace

Linker::Linker(Store& store) {
  std::unordered_map<TermId, int64_t> degrees;
  store.for_each_degree([&](TermId subject, int64_t facts) { degrees[subject] = facts; });
  // Relations have names, too, but nobody asks about them.
  std::unordered_set<TermId> relations;
  if (const TermId question = store.find(Term::iri(std::string(iri::kQuestion))))
    store.for_each_fact_of(question, [&](TermId s, TermId) { relations.insert(s); });
  for (const std::string_view iri : iri::kNames) {
    const TermId predicate = store.find(Term::iri(std::string(iri)));
    if (predicate == 0) continue;
    const double share = iri == iri::kLabel ? 1 : kAliasWeight;
    store.for_each_fact_of(predicate, [&](TermId bearer, TermId name) {
      const Term term = store.term(name);
      if (!term.is_literal() || relations.contains(bearer)) return;
      index_.add(term.value, int(named_.size()));
      named_.push_back({bearer, float(share * std::log(1.0 + double(degrees[bearer])))});
    });
  }
  index_.build();
}

// An entity that bears the name twice, as label and alias, counts once.
void Linker::add_candidate(std::vector<Candidate>& candidates, int name) const {
  const Named& named = named_[size_t(name)];
  const auto same = std::ranges::find(candidates, named.entity, &Candidate::entity);
  if (same == candidates.end())
    candidates.push_back({named.entity, named.weight});
  else
    same->weight = std::max(same->weight, double(named.weight));
}

std::vector<Mention> Linker::link_all(const FoldedText& folded, std::string_view text) const {
  std::vector<Mention> mentions;
  for (const NameMatch& match : index_.scan(folded)) {
    const bool whole = match.begin == 0 && match.end == folded.characters.size();
    const bool one_han = match.end - match.begin == 1 && is_han(folded.characters[match.begin]);
    if (one_han && !whole) continue;
    if (mentions.empty() || mentions.back().begin != match.begin ||
        mentions.back().end != match.end) {
      const size_t from = folded.begins[match.begin], to = folded.ends[match.end - 1];
      mentions.push_back({match.begin, match.end, std::string(text.substr(from, to - from)), {}});
    }
    add_candidate(mentions.back().candidates, match.name);
  }
  for (Mention& mention : mentions) sort_by_weight(mention.candidates);
  return mentions;
}

std::vector<Candidate> Linker::bearers(std::string_view name) const {
  std::vector<Candidate> candidates;
  for (const int id : index_.find(name)) add_candidate(candidates, id);
  sort_by_weight(candidates);
  return candidates;
}

std::vector<Mention> Linker::link(const FoldedText& folded, std::string_view text) const {
  std::vector<Mention> mentions = link_all(folded, text), chosen;
  std::ranges::stable_sort(mentions, [](const Mention& a, const Mention& b) {
    return a.end - a.begin > b.end - b.begin;
  });
  for (Mention& mention : mentions) {
    const bool free = std::ranges::none_of(chosen, [&](const Mention& other) {
      return mention.begin < other.end && other.begin < mention.end;
    });
    if (free) chosen.push_back(std::move(mention));
  }
  std::ranges::sort(chosen, {}, &Mention::begin);
  return chosen;
}

}  // namespace shenhong
