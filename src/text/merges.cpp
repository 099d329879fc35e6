#include "text/merges.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "core/error.h"

namespace shenhong {
namespace {

uint64_t pair_of(int left, int right) { return uint64_t(uint32_t(left)) << 32 | uint32_t(right); }

// A symbol of the word being merged, in a doubly linked list by position.
struct Symbol {
  int id;
  int previous, next;  // -1 at the ends
  uint32_t rank;       // of the rule for this symbol and the next
  int result;          // of that rule
};

struct Workspace {
  std::vector<Symbol> symbols;
  std::vector<uint64_t> heap;  // rank << 32 | position: the least is the next merge
};

}  // namespace

Merges::Merges(const std::array<int, 256>& byte_ids, size_t rules) : byte_ids_(byte_ids) {
  SH_ASSERT(rules < kNoRule / 4);
  table_.resize(std::bit_ceil(2 * rules + 2));
  shift_ = 64 - std::countr_zero(table_.size());
}

const Merges::Rule& Merges::find(int left, int right) const {
  const uint64_t pair = pair_of(left, right);
  size_t at = slot(pair);
  while (table_[at].rank != kNoRule && table_[at].pair != pair) at = (at + 1) & (table_.size() - 1);
  return table_[at];
}

bool Merges::add(int left, int right, int result) {
  Rule& rule = const_cast<Rule&>(find(left, right));
  if (rule.rank != kNoRule) return false;
  SH_ASSERT(2 * (rules_ + 1) <= table_.size());
  rule = {pair_of(left, right), rules_++, result};
  return true;
}

void Merges::encode(std::string_view word, std::vector<int>& ids) const {
  thread_local Workspace workspace;
  auto& [symbols, heap] = workspace;
  const int n = int(word.size());
  symbols.resize(word.size());
  heap.clear();

  // Sets the rule of the symbol at `at` with its neighbour and queues it.
  const auto look_up = [&](int at) {
    Symbol& symbol = symbols[size_t(at)];
    symbol.rank = kNoRule;
    if (symbol.next < 0) return;
    const Rule& rule = find(symbol.id, symbols[size_t(symbol.next)].id);
    if (rule.rank == kNoRule) return;
    symbol.rank = rule.rank;
    symbol.result = rule.result;
    heap.push_back(uint64_t(rule.rank) << 32 | uint32_t(at));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };

  for (int i = 0; i < n; ++i)
    symbols[size_t(i)] = {byte_ids_[uint8_t(word[size_t(i)])], i - 1, i + 1 < n ? i + 1 : -1,
                          kNoRule, 0};
  for (int i = 0; i < n; ++i) look_up(i);

  while (!heap.empty()) {
    const uint64_t least = heap.front();
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    heap.pop_back();
    const int at = int(uint32_t(least));
    Symbol& symbol = symbols[size_t(at)];
    // An entry outlives its pair when a neighbour merged first. A rank belongs to one pair only, so
    // an equal rank means that the pair, or an equal one, is there.
    if (symbol.rank != uint32_t(least >> 32)) continue;
    Symbol& eaten = symbols[size_t(symbol.next)];
    symbol.id = symbol.result;
    symbol.next = eaten.next;
    eaten.rank = kNoRule;
    if (symbol.next >= 0) symbols[size_t(symbol.next)].previous = at;
    look_up(at);
    if (symbol.previous >= 0) look_up(symbol.previous);
  }
  for (int at = n > 0 ? 0 : -1; at >= 0; at = symbols[size_t(at)].next)
    if (symbols[size_t(at)].id != kNoToken) ids.push_back(symbols[size_t(at)].id);
}

}  // namespace shenhong
