#include "formats/gguf.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <set>
#include <type_traits>

#include "core/error.h"
#include "core/json.h"
#include "core/quoted.h"
#include "formats/new_file.h"

static_assert(std::endian::native == std::endian::little, "values are mapped as they lie on disk");

namespace shenhong {
namespace {

constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = 2 << 20;  // a large page; more is a mistake or an attack
constexpr uint64_t kMaxKeyBytes = 65535;     // the format's own limits
constexpr uint64_t kMaxTensorNameBytes = 64;
constexpr uint32_t kMaxDimensions = 4;
// An empty name, a type and one byte; an empty name, no dimensions, a type and an offset.
constexpr uint64_t kMinValueBytes = 8 + 4 + 1, kMinTensorBytes = 8 + 4 + 4 + 8;

struct Kind {
  std::string_view name;
  uint64_t width;  // bytes; 0 where it varies
};

constexpr Kind kKinds[] = {{"uint8", 1},  {"int8", 1},  {"uint16", 2},  {"int16", 2},
                           {"uint32", 4}, {"int32", 4}, {"float32", 4}, {"bool", 1},
                           {"string", 0}, {"array", 0}, {"uint64", 8},  {"int64", 8},
                           {"float64", 8}};

const Kind& kind_of(GgufKind kind) { return kKinds[size_t(kind)]; }

std::string type_text(const GgufValue& value) {
  return fmt::format("{}{}", value.is_array ? "array of " : "", kind_of(value.kind).name);
}

std::string shape_text(const std::vector<int64_t>& shape) { return dump_json(Json(shape)); }

uint64_t align_up(uint64_t at, uint64_t alignment) {
  return (at + alignment - 1) & ~(alignment - 1);
}

template <class T>
T load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

// Goes through the file from front to back and never past its end. `where` begins every message.
class Cursor {
 public:
  explicit Cursor(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  size_t at() const { return at_; }
  uint64_t left() const { return bytes_.size() - at_; }

  std::span<const uint8_t> take_bytes(uint64_t count, const std::string& where) {
    SH_CHECK(count <= left(), kBadInput, "{}: needs {} bytes at byte {}, {} are left; {}", where,
             count, at_, left(), kCut);
    const auto taken = bytes_.subspan(at_, size_t(count));
    at_ += size_t(count);
    return taken;
  }
  template <class T>
  T take(const std::string& where) {
    return load<T>(take_bytes(sizeof(T), where).data());
  }
  std::string_view take_string(const std::string& where) {
    const uint64_t length = take<uint64_t>(where);
    SH_CHECK(length <= left(), kBadInput, "{}: a string of {} bytes at byte {}, {} are left; {}",
             where, length, at_, left(), kCut);
    const auto text = take_bytes(length, where);
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }
  // Refuses more things than fit, where each takes at least `each` bytes.
  void check_count(uint64_t count, uint64_t each, const char* things,
                   const std::string& where) const {
    SH_CHECK(count <= left() / each, kBadInput, "{}: {} {} in the {} bytes that are left; {}",
             where, count, things, left(), kCut);
  }

  static constexpr const char* kCut = "the file is cut or broken";

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
};

GgufKind take_kind(Cursor& cursor, const std::string& where) {
  const uint32_t kind = cursor.take<uint32_t>(where);
  SH_CHECK(kind < std::size(kKinds), kBadInput, "{}: value type {} is unknown; the last one is {}",
           where, kind, std::size(kKinds) - 1);
  return GgufKind(kind);
}

GgufValue take_value(Cursor& cursor, const std::string& where) {
  GgufValue value = {take_kind(cursor, where), false, 1, {}};
  if (value.kind == GgufKind::kArray) {
    value.is_array = true;
    value.kind = take_kind(cursor, where);
    SH_CHECK(value.kind != GgufKind::kArray, kBadInput, "{}: an array of arrays; want a flat one",
             where);
    value.count = cursor.take<uint64_t>(where);
    const uint64_t each = value.kind == GgufKind::kString ? 8 : kind_of(value.kind).width;
    cursor.check_count(value.count, each, "elements", where);
  }
  if (value.kind == GgufKind::kString) {
    Cursor ahead = cursor;
    for (uint64_t i = 0; i < value.count; ++i) ahead.take_string(where);
    value.bytes = cursor.take_bytes(ahead.at() - cursor.at(), where);
  } else {
    value.bytes = cursor.take_bytes(value.count * kind_of(value.kind).width, where);
  }
  if (value.kind == GgufKind::kBool) {
    for (const uint8_t byte : value.bytes)
      SH_CHECK(byte <= 1, kBadInput, "{}: a bool of {}; want 0 or 1", where, byte);
  }
  return value;
}

// One entry of the tensor table, checked in itself; `where` is "path: tensor 'name'".
struct Entry {
  std::string_view name;  // in the mapped file
  std::string where;
  BlockType type;
  std::vector<int64_t> shape;
  uint64_t begin, bytes;
};

Entry take_entry(Cursor& cursor, const std::string& path, const std::string& which) {
  Entry entry;
  entry.name = cursor.take_string(which);
  entry.where = fmt::format("{}: tensor {}", path, in_quotes(entry.name));
  SH_CHECK(entry.name.size() <= kMaxTensorNameBytes, kBadInput,
           "{}: a name of {} bytes; the format allows {}", entry.where, entry.name.size(),
           kMaxTensorNameBytes);

  const uint32_t dimensions = cursor.take<uint32_t>(entry.where);
  SH_CHECK(dimensions <= kMaxDimensions, kBadInput, "{}: {} dimensions; the format allows {}",
           entry.where, dimensions, kMaxDimensions);
  std::vector<uint64_t> sizes;
  for (uint32_t i = 0; i < dimensions; ++i) sizes.push_back(cursor.take<uint64_t>(entry.where));
  std::reverse(sizes.begin(), sizes.end());
  // Empty or not, the other sizes must have a product: a reader multiplies some of them.
  int64_t elements = 1;
  bool empty = false;
  for (const uint64_t size : sizes) {
    SH_CHECK(size <= uint64_t(INT64_MAX) &&
                 !__builtin_mul_overflow(elements, std::max<int64_t>(int64_t(size), 1), &elements),
             kBadInput, "{}: shape {} is too large to count", entry.where, dump_json(Json(sizes)));
    empty |= size == 0;
    entry.shape.push_back(int64_t(size));
  }
  if (empty) elements = 0;

  const uint32_t type = cursor.take<uint32_t>(entry.where);
  const BlockLayout* layout = find_block_layout(type);
  SH_CHECK(layout != nullptr, kBadInput, "{}: element type {} is not read; want one of {}",
           entry.where, type, block_type_names());
  entry.type = layout->type;
  const int64_t row = entry.shape.empty() ? 1 : entry.shape.back();
  SH_CHECK(row % layout->elements == 0, kBadInput, "{}: rows of {} elements; {} has blocks of {}",
           entry.where, row, layout->name, layout->elements);
  SH_CHECK(!__builtin_mul_overflow(uint64_t(elements / layout->elements), uint64_t(layout->bytes),
                                   &entry.bytes),
           kBadInput, "{}: shape {} is too large to count", entry.where, shape_text(entry.shape));

  entry.begin = cursor.take<uint64_t>(entry.where);
  return entry;
}

// Every byte belongs to one tensor or to the padding before the next.
void check_extents(std::vector<Entry>& entries, uint64_t data_bytes, uint64_t alignment,
                   const std::string& path) {
  for (const Entry& entry : entries) {
    SH_CHECK(entry.begin % alignment == 0, kBadInput,
             "{}: offset {} is no multiple of the alignment {}", entry.where, entry.begin,
             alignment);
    SH_CHECK(entry.begin <= data_bytes && entry.bytes <= data_bytes - entry.begin, kBadInput,
             "{}: {} bytes at offset {} leave the {} bytes of data; {}", entry.where, entry.bytes,
             entry.begin, data_bytes, Cursor::kCut);
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.bytes) < std::pair(b.begin, b.bytes);
  });
  uint64_t end = 0;
  for (const Entry& entry : entries) {
    SH_CHECK(entry.begin >= end, kBadInput, "{}: begins at {}, inside another one", entry.where,
             entry.begin);
    SH_CHECK(entry.begin == align_up(end, alignment), kBadInput,
             "{}: {} bytes before it belong to no tensor", entry.where,
             entry.begin - align_up(end, alignment));
    end = entry.begin + entry.bytes;
  }
  SH_CHECK(data_bytes <= align_up(end, alignment), kBadInput,
           "{}: {} bytes at the end belong to no tensor", path,
           data_bytes - align_up(end, alignment));
}

bool is_float(GgufKind kind) { return kind == GgufKind::kFloat32 || kind == GgufKind::kFloat64; }
bool is_string(GgufKind kind) { return kind == GgufKind::kString; }
bool is_bool(GgufKind kind) { return kind == GgufKind::kBool; }
bool is_integer(GgufKind kind) { return !is_float(kind) && !is_string(kind) && !is_bool(kind); }

// The i-th of the elements; their kind is known to be an integer.
int64_t integer_at(const GgufValue& value, uint64_t i, const std::string& where) {
  const uint8_t* at = value.bytes.data() + i * kind_of(value.kind).width;
  switch (value.kind) {
    case GgufKind::kUint8:
      return *at;
    case GgufKind::kInt8:
      return load<int8_t>(at);
    case GgufKind::kUint16:
      return load<uint16_t>(at);
    case GgufKind::kInt16:
      return load<int16_t>(at);
    case GgufKind::kUint32:
      return load<uint32_t>(at);
    case GgufKind::kInt32:
      return load<int32_t>(at);
    case GgufKind::kInt64:
      return load<int64_t>(at);
    default:
      break;
  }
  const uint64_t number = load<uint64_t>(at);
  SH_CHECK(number <= uint64_t(INT64_MAX), kBadInput, "{}: {} is beyond {}", where, number,
           INT64_MAX);
  return int64_t(number);
}

double number_at(const GgufValue& value, uint64_t i) {
  const uint8_t* at = value.bytes.data() + i * kind_of(value.kind).width;
  return value.kind == GgufKind::kFloat32 ? double(load<float>(at)) : load<double>(at);
}

template <class T>
void put(std::vector<uint8_t>& out, T number) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&number);
  out.insert(out.end(), bytes, bytes + sizeof(T));
}

void put(std::vector<uint8_t>& out, const std::string& text) {
  put(out, uint64_t(text.size()));
  out.insert(out.end(), text.begin(), text.end());
}

template <class T>
constexpr GgufKind kKindOf = GgufKind::kArray;
// clang-format off
template <> constexpr GgufKind kKindOf<uint8_t> = GgufKind::kUint8;
template <> constexpr GgufKind kKindOf<int8_t> = GgufKind::kInt8;
template <> constexpr GgufKind kKindOf<uint16_t> = GgufKind::kUint16;
template <> constexpr GgufKind kKindOf<int16_t> = GgufKind::kInt16;
template <> constexpr GgufKind kKindOf<uint32_t> = GgufKind::kUint32;
template <> constexpr GgufKind kKindOf<int32_t> = GgufKind::kInt32;
template <> constexpr GgufKind kKindOf<uint64_t> = GgufKind::kUint64;
template <> constexpr GgufKind kKindOf<int64_t> = GgufKind::kInt64;
template <> constexpr GgufKind kKindOf<float> = GgufKind::kFloat32;
template <> constexpr GgufKind kKindOf<double> = GgufKind::kFloat64;
template <> constexpr GgufKind kKindOf<bool> = GgufKind::kBool;
template <> constexpr GgufKind kKindOf<std::string> = GgufKind::kString;
// clang-format on

void put_setting(std::vector<uint8_t>& out, const GgufSetting& setting) {
  std::visit(
      [&](const auto& value) {
        using Value = std::decay_t<decltype(value)>;
        put(out, uint32_t(kKindOf<Value>));
        if constexpr (kKindOf<Value> == GgufKind::kArray) {
          put(out, uint32_t(kKindOf<typename Value::value_type>));
          put(out, uint64_t(value.size()));
          for (const auto& element : value) put(out, element);
        } else {
          put(out, value);
        }
      },
      setting);
}

int64_t element_count(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

size_t block_bytes(const GgufTensorToWrite& tensor) {
  const BlockLayout& layout = block_layout(tensor.type);
  SH_ASSERT((tensor.shape.empty() ? 1 : tensor.shape.back()) % layout.elements == 0);
  return size_t(element_count(tensor.shape) / layout.elements * layout.bytes);
}

}  // namespace

double shortest_decimal(double number) {
  const float narrow = float(number);
  return double(narrow) == number ? std::strtod(fmt::format("{}", narrow).c_str(), nullptr)
                                  : number;
}

int64_t GgufTensor::elements() const { return element_count(shape); }

Gguf::Gguf(const fs::path& path) : path_(path), file_(path) {
  const std::string name = path.string();
  const std::span<const uint8_t> bytes = file_.bytes();
  Cursor cursor(bytes);
  SH_CHECK(bytes.size() >= 24, kBadInput, "{}: {} bytes; a GGUF file has at least 24", name,
           bytes.size());
  SH_CHECK(file_.text().substr(0, 4) == "GGUF", kBadInput, "{}: begins with {}; want 'GGUF'", name,
           in_quotes(file_.text().substr(0, 4)));
  cursor.take_bytes(4, name);
  const uint32_t version = cursor.take<uint32_t>(name);
  SH_CHECK(version == 2 || version == 3, kBadInput, "{}: GGUF version {}; want 2 or 3{}", name,
           version, version % 65536 == 0 ? ", little endian" : "");
  const uint64_t tensor_count = cursor.take<uint64_t>(name);
  const uint64_t value_count = cursor.take<uint64_t>(name);
  cursor.check_count(value_count, kMinValueBytes, "metadata values", name);
  cursor.check_count(tensor_count, kMinTensorBytes, "tensors", name);

  for (uint64_t i = 0; i < value_count; ++i) {
    const std::string_view key =
        cursor.take_string(fmt::format("{}: key {} of {}", name, i + 1, value_count));
    const std::string where = fmt::format("{}: {}", name, in_quotes(key));
    SH_CHECK(key.size() <= kMaxKeyBytes, kBadInput, "{}: a key of {} bytes; the format allows {}",
             where, key.size(), kMaxKeyBytes);
    const GgufValue value = take_value(cursor, where);
    SH_CHECK(metadata_.emplace(key, value).second, kBadInput, "{}: given twice", where);
  }
  uint64_t alignment = kDefaultAlignment;
  if (has("general.alignment")) {
    const int64_t wanted = integer("general.alignment");
    SH_CHECK(
        wanted > 0 && uint64_t(wanted) <= kMaxAlignment && std::has_single_bit(uint64_t(wanted)),
        kBadInput, "{}: 'general.alignment' is {}; want a power of two up to {}", name, wanted,
        kMaxAlignment);
    alignment = uint64_t(wanted);
  }

  std::vector<Entry> entries;
  std::set<std::string_view> names;
  for (uint64_t i = 0; i < tensor_count; ++i) {
    entries.push_back(
        take_entry(cursor, name, fmt::format("{}: tensor {} of {}", name, i + 1, tensor_count)));
    SH_CHECK(names.insert(entries.back().name).second, kBadInput, "{}: given twice",
             entries.back().where);
  }
  // A file of metadata alone may end without the padding.
  const uint64_t data_begin = align_up(cursor.at(), alignment);
  SH_CHECK(entries.empty() || data_begin <= bytes.size(), kBadInput,
           "{}: tensors begin at byte {} of {}; {}", name, data_begin, bytes.size(), Cursor::kCut);
  const auto data = bytes.subspan(std::min(size_t(data_begin), bytes.size()));
  check_extents(entries, data.size(), alignment, name);
  for (Entry& entry : entries) {
    const auto extent = data.subspan(size_t(entry.begin), size_t(entry.bytes));
    tensors_[std::string(entry.name)] = {entry.type, std::move(entry.shape), extent};
  }
}

const GgufTensor* Gguf::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::string Gguf::where(const std::string& key) const {
  return fmt::format("{}: {}", path_.string(), in_quotes(key));
}

const GgufValue& Gguf::want(const std::string& key, bool (*fits)(GgufKind), bool is_array,
                            const char* wanted) const {
  const auto found = metadata_.find(key);
  SH_CHECK(found != metadata_.end(), kBadInput, "{} is missing; want {}", where(key), wanted);
  const GgufValue& value = found->second;
  SH_CHECK(fits(value.kind) && value.is_array == is_array, kBadInput, "{} is {}; want {}",
           where(key), type_text(value), wanted);
  return value;
}

std::string_view Gguf::string(const std::string& key) const {
  return Cursor(want(key, is_string, false, "string").bytes).take_string(key);
}

int64_t Gguf::integer(const std::string& key) const {
  return integer_at(want(key, is_integer, false, "an integer"), 0, where(key));
}

double Gguf::number(const std::string& key) const {
  return number_at(want(key, is_float, false, "float32 or float64"), 0);
}

bool Gguf::boolean(const std::string& key) const {
  return want(key, is_bool, false, "bool").bytes[0] != 0;
}

std::vector<std::string_view> Gguf::strings(const std::string& key) const {
  const GgufValue& found = want(key, is_string, true, "array of string");
  Cursor cursor(found.bytes);
  std::vector<std::string_view> out(found.count);
  for (std::string_view& text : out) text = cursor.take_string(key);
  return out;
}

std::vector<int64_t> Gguf::integers(const std::string& key) const {
  const GgufValue& found = want(key, is_integer, true, "array of integers");
  const std::string place = where(key);
  std::vector<int64_t> out(found.count);
  for (size_t i = 0; i < out.size(); ++i) out[i] = integer_at(found, i, place);
  return out;
}

std::vector<double> Gguf::numbers(const std::string& key) const {
  const GgufValue& found = want(key, is_float, true, "array of float32 or float64");
  std::vector<double> out(found.count);
  for (size_t i = 0; i < out.size(); ++i) out[i] = number_at(found, i);
  return out;
}

void read_floats(const GgufTensor& tensor, const std::string& name, std::span<float> out) {
  SH_CHECK(tensor.elements() == int64_t(out.size()), kBadInput, "tensor '{}': {} is not {} numbers",
           name, shape_text(tensor.shape), out.size());
  dequantise(tensor.type, tensor.bytes, out);
  for (size_t i = 0; i < out.size(); ++i)
    SH_CHECK(std::isfinite(out[i]), kBadInput, "tensor '{}': element {} is {}", name, i, out[i]);
}

void write_gguf(const fs::path& path,
                const std::vector<std::pair<std::string, GgufSetting>>& metadata,
                const std::vector<GgufTensorToWrite>& tensors) {
  std::vector<uint8_t> bytes = {'G', 'G', 'U', 'F'};
  put(bytes, uint32_t(3));
  put(bytes, uint64_t(tensors.size()));
  put(bytes, uint64_t(metadata.size()));
  std::set<std::string_view> keys, names;
  for (const auto& [key, setting] : metadata) {
    SH_ASSERT(keys.insert(key).second && key.size() <= kMaxKeyBytes && key != "general.alignment");
    put(bytes, key);
    put_setting(bytes, setting);
  }
  uint64_t offset = 0;
  for (const GgufTensorToWrite& tensor : tensors) {
    SH_ASSERT(names.insert(tensor.name).second && tensor.name.size() < kMaxTensorNameBytes);
    SH_ASSERT(tensor.shape.size() <= kMaxDimensions);
    put(bytes, tensor.name);
    put(bytes, uint32_t(tensor.shape.size()));
    for (size_t i = tensor.shape.size(); i-- > 0;) put(bytes, uint64_t(tensor.shape[i]));
    put(bytes, uint32_t(tensor.type));
    put(bytes, offset);
    offset += align_up(block_bytes(tensor), kDefaultAlignment);
  }
  bytes.resize(align_up(bytes.size(), kDefaultAlignment));

  NewFile file(path);
  file.write(bytes);
  for (const GgufTensorToWrite& tensor : tensors) {
    const size_t size = block_bytes(tensor);
    bytes.assign(align_up(size, kDefaultAlignment), 0);
    tensor.fill(std::span(bytes).first(size));
    file.write(bytes);
  }
  file.finish();
}

GgufTensorToWrite gguf_float_tensor(std::string name, std::vector<int64_t> shape,
                                    std::span<const float> data, BlockType type) {
  SH_ASSERT(element_count(shape) == int64_t(data.size()) && can_quantise(type));
  const auto fill = [data, type](std::span<uint8_t> out) { quantise(type, data, out); };
  return {std::move(name), type, std::move(shape), fill};
}

}  // namespace shenhong
