#include "core/json.h"

#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/error.h"

namespace shenhong {
namespace {

constexpr size_t kMaxDepth = 64;

// Builds the tree from the parser's events. nlohmann's own builder would nest without limit, keep
// the last of two equal keys in silence, and search all earlier keys of an object for each new one,
// which takes 12 s for the 128,000 keys of a large vocabulary.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(std::string_view source) : source_(source) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    SH_CHECK(open_.back().keys.insert(name).second, kBadInput, "{}: key {} is given twice", source_,
             dump_json(name));
    key_ = std::move(name);
    return true;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    position_ = position;
    reason_ = e.what();
    return false;
  }
  size_t position() const { return position_; }
  const std::string& reason() const { return reason_; }
  Json take() { return std::move(root_); }

 private:
  struct Open {
    Json* value;
    std::unordered_set<std::string> keys;
  };
  // An open container does not grow before the containers inside it are closed, so pointers hold.
  Json* append(Json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    Json& parent = *open_.back().value;
    if (parent.is_array()) return &parent.emplace_back(std::move(value));
    return &parent.get_ref<Json::object_t&>()
                .emplace_back(std::move(key_), std::move(value))
                .second;
  }
  bool add(Json value) {
    append(std::move(value));
    return true;
  }
  bool open(Json container) {
    SH_CHECK(open_.size() < kMaxDepth, kBadInput, "{}: nested deeper than {} levels", source_,
             kMaxDepth);
    open_.push_back({append(std::move(container)), {}});
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view source_;
  Json root_;
  std::vector<Open> open_;
  std::string key_;
  size_t position_ = 0;
  std::string reason_;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view source) {
  Builder builder(source);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    const size_t at = builder.position() > 0 ? builder.position() - 1 : 0;
    const std::string_view before = text.substr(0, at);
    const size_t line = 1 + size_t(std::count(before.begin(), before.end(), '\n'));
    const size_t column = at - (before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1) + 1;
    std::string reason = builder.reason();
    if (const size_t colon = reason.rfind(": "); colon != reason.npos)
      reason = reason.substr(colon + 2);
    fail(Exit::kBadInput, "{}:{}:{}: not valid JSON: {}", source, line, column, reason);
  }
  return builder.take();
}

std::string dump_json(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace shenhong
