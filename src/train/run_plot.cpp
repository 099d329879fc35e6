#include "train/run_plot.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "core/error.h"

namespace shenhong {
namespace {

// Of a panel, in SVG units.
constexpr double kWidth = 760, kHeight = 230, kLeft = 62, kRight = 14, kTop = 10, kBottom = 26;
constexpr size_t kMaxPoints = 500;  // per curve; more would be finer than the page
constexpr int kColors = 8;

using Points = std::vector<std::pair<double, double>>;
struct Curve {
  std::string name;
  Points points;
  bool dotted = false;  // few points, each worth seeing
};
struct Panel {
  std::string title;
  std::vector<Curve> curves;
  bool from_zero = true;
};

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ink: #1d1d1f; --faint: #8a8a8e; --grid: #e4e4e8; --page: #fff;
  --c0: #b3202c; --c1: #1f6fb2; --c2: #2c8a4b; --c3: #a06a00; --c4: #7a4fb5; --c5: #00838a;
  --c6: #c2407f; --c7: #6b6b70; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececee; --faint: #8e8e93; --grid: #333338;
  --page: #161618; --c0: #ff6b6b; --c1: #6cb6ff; --c2: #6fd08c; --c3: #f0b849; --c4: #b99bff;
  --c5: #5fd4da; --c6: #ff8fc4; --c7: #aeaeb2; } }
body { margin: 0 auto; max-width: 800px; padding: 20px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 15px; margin: 26px 0 2px; }
p { margin: 0; color: var(--faint); }
table { border-collapse: collapse; margin-top: 12px; }
td, th { padding: 2px 22px 2px 0; text-align: right; font-weight: normal;
  font-variant-numeric: tabular-nums; }
th { color: var(--faint); } td:first-child, th:first-child { text-align: left; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--faint); font-size: 11px; }
.grid { stroke: var(--grid); } .skip { stroke: var(--c0); stroke-dasharray: 2 4; opacity: .6; }
.curve { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
.legend span { margin-right: 16px; white-space: nowrap; }
)";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

std::optional<double> number(const Json& line, const char* key) {
  const auto found = line.find(key);
  if (found == line.end() || !found->is_number()) return std::nullopt;
  const double value = found->get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::string text(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_string() ? found->get<std::string>() : "";
}

Curve curve_of(const std::vector<Json>& lines, const char* key, const std::string& name) {
  Curve curve{name, {}, false};
  for (const Json& line : lines) {
    const auto step = number(line, "step"), value = number(line, key);
    if (text(line, "kind") == "train" && step && value) curve.points.push_back({*step, *value});
  }
  return curve;
}

// Means of equal runs of neighbours.
Points thinned(const Points& points) {
  const size_t run = (points.size() + kMaxPoints - 1) / kMaxPoints;
  if (run <= 1) return points;
  Points out;
  for (size_t i = 0; i < points.size(); i += run) {
    const size_t n = std::min(run, points.size() - i);
    double x = 0, y = 0;
    for (size_t j = i; j < i + n; ++j) x += points[j].first, y += points[j].second;
    out.push_back({x / double(n), y / double(n)});
  }
  return out;
}

// 1, 2 or 5 times a power of ten, so that about `count` of them fill the range.
double tick_distance(double range, int count) {
  const double rough = range / count, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (rough <= factor * power) return factor * power;
  return 10 * power;
}

std::string tick_label(double value, double distance) {
  const double size = std::abs(value);
  if (size < distance / 2) return "0";
  if (size >= 1e6) return fmt::format("{:.3g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:.3g}k", value / 1e3);
  if (size < 1e-2) return fmt::format("{:.1e}", value);
  return fmt::format("{:.{}f}", value, std::max(0, int(std::ceil(-std::log10(distance) - 1e-9))));
}

struct Axis {
  double low, high, begin, end;  // values, and where they lie
  double at(double value) const { return begin + (value - low) / (high - low) * (end - begin); }
};

// The first steps of a run tower over the rest: the 2 % of largest values may leave the panel.
Axis value_axis(const Panel& panel) {
  std::vector<double> values;
  for (const Curve& curve : panel.curves)
    for (const auto& [x, y] : curve.points) values.push_back(y);
  std::sort(values.begin(), values.end());
  double low = values.front(), high = values[(values.size() - 1) * 98 / 100];
  const double margin = std::max((high - low) * 0.06, std::abs(high) * 1e-3 + 1e-12);
  low = panel.from_zero ? std::min(low, 0.0) : low - margin;
  return {low, high + margin, kHeight - kBottom, kTop};
}

std::string draw(const Panel& panel, double last_step, const std::vector<double>& skips) {
  const Axis y = value_axis(panel), x{0, std::max(1.0, last_step), kLeft, kWidth - kRight};
  std::string out = fmt::format("<h2>{}</h2>\n<p class=\"legend\">", panel.title);
  for (size_t i = 0; panel.curves.size() > 1 && i < panel.curves.size(); ++i)
    out += fmt::format("<span style=\"color:var(--c{})\">{} {}</span>", i % kColors,
                       panel.curves[i].dotted ? "●" : "—", escaped(panel.curves[i].name));
  out += fmt::format("</p>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", kWidth,
                     kHeight, panel.title);
  const double dy = tick_distance(y.high - y.low, 5), dx = tick_distance(x.high - x.low, 8);
  for (double v = std::ceil(y.low / dy) * dy; v <= y.high; v += dy)
    out += fmt::format(
        "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
        x.begin, x.end, y.at(v), y.at(v), kLeft - 8, y.at(v) + 4, tick_label(v, dy));
  for (double v = 0; v <= x.high; v += dx)
    out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", x.at(v),
                       kHeight - 6, tick_label(v, dx));
  for (const double step : skips)
    out += fmt::format(
        "<line class=\"skip\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{}\" y2=\"{}\">"
        "<title>step {} was skipped</title></line>\n",
        x.at(step), x.at(step), y.begin, y.end, step);
  for (size_t i = 0; i < panel.curves.size(); ++i) {
    std::string points, dots;
    for (const auto& [step, value] : thinned(panel.curves[i].points)) {
      const double top = std::max(y.at(value), y.end);
      points += fmt::format("{:.1f},{:.1f} ", x.at(step), top);
      if (panel.curves[i].dotted)
        dots += fmt::format(
            "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.6\" fill=\"var(--c{})\">"
            "<title>{}: {:.4g} at step {}</title></circle>",
            x.at(step), top, i % kColors, escaped(panel.curves[i].name), value, step);
    }
    out += fmt::format("<polyline class=\"curve\" stroke=\"var(--c{})\" points=\"{}\"/>{}\n",
                       i % kColors, points, dots);
  }
  return out + "</svg>\n";
}

// The last validation of each source, as a table.
std::string validation_table(const std::map<std::string, const Json*>& last) {
  if (last.empty()) return "";
  std::string out =
      "<table><tr><th>held-out text</th><th>nats per token</th><th>bits per byte</th></tr>\n";
  const auto cell = [](std::optional<double> value) {
    return value ? fmt::format("{:.4f}", *value) : "–";
  };
  for (const auto& [source, line] : last)
    out += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n", escaped(source),
                       cell(number(*line, "nats_per_token")), cell(number(*line, "bits_per_byte")));
  return out + "</table>\n";
}

std::string summary(const std::vector<Json>& lines, size_t skips) {
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    if (text(*line, "kind") != "train") continue;
    return fmt::format(
        "<p>step {:.0f} · {:.4g} M tokens · loss {:.4f} · {:.0f} tokens/s · {:.0f} % of the "
        "machine's matrix ceiling · {} skipped steps</p>\n",
        number(*line, "step").value_or(0), number(*line, "tokens").value_or(0) / 1e6,
        number(*line, "loss").value_or(0), number(*line, "tokens_per_s").value_or(0),
        100 * number(*line, "share").value_or(0), skips);
  }
  return "<p>nothing logged yet</p>\n";
}

}  // namespace

std::string run_plot_html(const std::vector<Json>& lines, const std::string& title) {
  double last_step = 0;
  std::vector<double> skips;
  std::map<std::string, Curve> validation;
  std::map<std::string, const Json*> last_validation;
  for (const Json& line : lines) {
    const auto step = number(line, "step");
    if (!step) continue;
    last_step = std::max(last_step, *step);
    const std::string kind = text(line, "kind");
    if (kind == "skip") skips.push_back(*step);
    if (kind != "validation") continue;
    const std::string source = text(line, "source");
    last_validation[source] = &line;
    Curve& curve = validation[source];
    curve.name = "held-out " + source;
    curve.dotted = true;
    if (const auto nats = number(line, "nats_per_token")) curve.points.push_back({*step, *nats});
  }

  std::vector<Panel> panels = {
      {"Loss, nats per token",
       {curve_of(lines, "loss", "training"), curve_of(lines, "mtp_loss", "multi-token prediction")},
       false},
      {"Learning rate", {curve_of(lines, "lr", "lr")}},
      {"Gradient norm", {curve_of(lines, "gradient_norm", "gradient norm")}},
      {"Expert load: largest over mean, less 1 (MaxVio)", {curve_of(lines, "max_vio", "MaxVio")}},
      {"Tokens per second", {curve_of(lines, "tokens_per_s", "tokens/s")}}};
  for (auto& [source, curve] : validation) panels[0].curves.push_back(std::move(curve));

  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n"
      "<style>{}</style></head><body>\n<h1>{}</h1>\n",
      escaped(title), kStyle, escaped(title));
  out += summary(lines, skips.size()) + validation_table(last_validation);
  for (Panel& panel : panels) {
    std::erase_if(panel.curves, [](const Curve& curve) {
      return std::all_of(curve.points.begin(), curve.points.end(),
                         [](const auto& p) { return p.second == 0; });
    });
    if (!panel.curves.empty()) out += draw(panel, last_step, skips);
  }
  return out + "</body></html>\n";
}

}  // namespace shenhong
