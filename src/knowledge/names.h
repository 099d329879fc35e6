// Names as people write them, found in running text: one spelling for all, and an index that scans.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shenhong {

// Text under one spelling: compatibility forms and case folded (NFKC, A = ａ = a), traditional
// characters simplified one by one, quotation marks and 《》 gone, middle dots made one, a blank
// kept only between letters and digits. For matching only; nothing is shown in this spelling.
struct FoldedText {
  std::u32string characters;
  std::vector<size_t> begins, ends;  // bytes of the original that each character came from
};
FoldedText fold_text(std::string_view text);
std::string folded(std::string_view text);

struct NameMatch {
  size_t begin, end;  // characters of the folded text
  int name;           // as added
};

// Hashes of all prefixes of all names: a scan walks on while what it read begins a name. Letters
// and digits match whole words only; a Chinese name may begin and end anywhere.
class NameIndex {
 public:
  // The same name may be added again; both come out. An empty one is left out.
  void add(std::string_view name, int id);
  void build();

  // Every name that begins at any place, the longest of a place first.
  std::vector<NameMatch> scan(const FoldedText& text) const;
  // The ids of exactly this name.
  std::vector<int> find(std::string_view name) const;
  size_t size() const { return names_.size(); }

 private:
  struct Name {
    uint64_t hash;
    int id;
    std::u32string text;
  };
  struct Slot {
    uint64_t hash = 0;   // 0: free
    int32_t first = -1;  // of the names that end here, in names_; -1: only a beginning of one
  };
  const Slot* slot(uint64_t hash) const;
  void put(uint64_t hash, int32_t first);

  std::vector<Name> names_;  // sorted by hash after build()
  std::vector<Slot> slots_;  // open addressing, a power of two of them
};

}  // namespace shenhong
