// Topics that no generated request names, so that `eval poems` asks for something new. Poems about
// them are in the training texts; only the requests are held out.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace shenhong {

inline constexpr auto kHeldOutTopics = std::to_array<std::string_view>(
    {"蝉",   "石榴", "瀑布", "落叶", "炊烟", "蝴蝶", "萤火", "古琴", "孤灯", "燕子",
     "荔枝", "芭蕉", "乌鸦", "铜镜", "彩虹", "沙漠", "蜡烛", "白鹤", "浮萍", "樵夫"});

inline bool names_held_out_topic(std::string_view text) {
  return std::ranges::any_of(kHeldOutTopics,
                             [&](auto topic) { return text.find(topic) != text.npos; });
}

}  // namespace shenhong
