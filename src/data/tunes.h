// 词牌: a tune fixes the lengths of the lines of the lyrics written to it. The patterns are learnt
// from the lyrics themselves.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace shenhong {

// The tune of a heading: 水调歌头 of "水调歌头·中秋" and of "水调歌头 其二".
std::string tune_name(std::string_view heading);

class TunePatterns {
 public:
  void add(const std::string& tune, const std::vector<int>& line_lengths);

  // Whether lines of these lengths keep the tune: at least 5 lyrics, and a tenth of the tune's, do
  // so as well. A tune often has two or three accepted forms.
  bool keeps(const std::string& tune, const std::vector<int>& line_lengths) const;

 private:
  struct Tune {
    int lyrics = 0;
    std::map<std::vector<int>, int> patterns;
  };
  std::map<std::string, Tune> tunes_;
};

}  // namespace shenhong
