#include "text/simplify.h"

#include <opencc/SimpleConverter.hpp>
#include <unordered_map>

#include "core/error.h"
#include "text/utf8.h"

namespace shenhong {
namespace {

// Pairs of one character each: how old editions write it, how simplified text writes it. Only
// variants whose reading and meaning are the same in every poem; 槃 (涅槃) or 祇 (神祇) stay.
constexpr std::u32string_view kVariants =
    U"爲为衆众羣群劒剑劎剑隠隐簷檐疎疏踈疏鴈雁遶绕鬰郁髪发浄净鶑莺徧遍谿溪粧妆頼赖慙惭磵涧鬭斗鬬斗"
    U"臯皋"
    U"僊仙蘂蕊鼇鳌髙高媿愧猨猿巵卮煖暖牋笺覩睹妬妒幷并罇樽嬾懒賸剩逈迥寛宽懽欢歛敛隣邻荅答餠饼椀碗"
    U"閙闹"
    U"隄堤潄漱峩峨毬球鉏锄袴裤筯箸虀齑鳯凤遯遁輙辄堦阶慇殷懃勤畧略鏁锁穉稚燄焰迺乃廼乃貍狸栢柏悮误"
    U"羮羹"
    U"鼈鳖犂犁槩概麤粗覊羁邉边毎每欵款暎映嚬颦飜翻揺摇纒缠怱匆緜绵餽馈秔粳廻回搆构竝并徴征繙翻讐仇"
    U"顇悴"
    U"頳赪烱炯壻婿碁棋呌叫幙幕擡抬瑯琅顦憔朶朵桮杯蠧蠹殽肴寜宁諠喧椶棕呪咒邨村効效螘蚁翺翱薫薰躭耽"
    U"濬浚"
    U"憇憩戯戏毘毗牕窗愬诉眀明濶阔塲场皷鼓醤酱渇渴閴阒粃秕柂舵瓌瑰蕚萼様样睠眷槖橐繖伞珮佩斾旆褭袅"
    U"檝楫"
    U"秖只秪只氷冰姪侄俛俯晩晚恠怪囬回煑煮覔觅蹔暂駞驼鷰燕龝秋髣仿髴佛彊强葅菹「“」”『‘』’";

const std::unordered_map<char32_t, char32_t>& variants() {
  static const auto table = [] {
    std::unordered_map<char32_t, char32_t> map;
    for (size_t i = 0; i + 1 < kVariants.size(); i += 2)
      map.emplace(kVariants[i], kVariants[i + 1]);
    return map;
  }();
  return table;
}

// 著 stays where it means to write or to be known (著作, 显著, 著《史记》); for all its other uses
// simplified text writes 着 (看着, 着花). OpenCC leaves both.
constexpr char32_t kWrite = U'著', kTouch = U'着';
constexpr std::u32string_view kBeforeWriting = U"显名原编论巨专土卓昭所合拙遗译撰";
constexpr std::u32string_view kAfterWriting = U"作名称述者书录有于文《";

bool is_writing(char32_t before, char32_t after) {
  return kBeforeWriting.find(before) != std::u32string_view::npos ||
         kAfterWriting.find(after) != std::u32string_view::npos;
}

const opencc::SimpleConverter& converter() {
  // OpenCC does not promise that one converter may be used by two threads at once.
  thread_local const opencc::SimpleConverter instance = [] {
    try {
      return opencc::SimpleConverter("t2s.json");
    } catch (const std::exception& e) {
      fail(Exit::kResources,
           "OpenCC's t2s dictionaries cannot be loaded ({}): install libopencc-data", e.what());
    }
  }();
  return instance;
}

}  // namespace

std::string simplified(std::string_view text) {
  const std::string converted = converter().Convert(text.data(), text.size());
  std::string out;
  out.reserve(converted.size());
  char32_t before = 0;
  for (size_t at = 0; at < converted.size();) {
    const CodePoint c = code_point_at(converted, at);
    at += size_t(c.bytes);
    const char32_t after = at < converted.size() ? code_point_at(converted, at).value : 0;
    const auto found = variants().find(c.value);
    char32_t written = found == variants().end() ? c.value : found->second;
    if (c.value == kWrite && !is_writing(before, after)) written = kTouch;
    append_utf8(out, written);
    before = c.value;
  }
  return out;
}

}  // namespace shenhong
