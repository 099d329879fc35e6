#include "formats/safetensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/floats.h"
#include "core/json.h"
#include "core/quoted.h"
#include "formats/new_file.h"

static_assert(std::endian::native == std::endian::little, "tensors are mapped as they lie on disk");

namespace shenhong {
namespace {

// The format's own limit: a hostile length must not make us parse gigabytes of JSON.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;

// Bytes of one element; 0 for a dtype that is unknown.
int64_t element_width(std::string_view dtype) {
  // clang-format off
  static constexpr std::pair<std::string_view, int> kWidths[] = {
      {"F64", 8}, {"F32", 4}, {"BF16", 2}, {"F16", 2}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1},
      {"I64", 8}, {"I32", 4}, {"I16", 2}, {"I8", 1},
      {"U64", 8}, {"U32", 4}, {"U16", 2}, {"U8", 1}, {"BOOL", 1}};
  // clang-format on
  for (const auto& [name, width] : kWidths) {
    if (name == dtype) return width;
  }
  return 0;
}

std::string shape_text(const std::vector<int64_t>& shape) { return dump_json(Json(shape)); }

// One entry of the header, checked in itself; `where` is "path: tensor 'name'".
struct Entry {
  std::string dtype;
  std::vector<int64_t> shape;
  uint64_t begin, end;
};

const Json& member(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  SH_CHECK(found != json.end(), kBadInput, "{}: '{}' is missing", where, key);
  return *found;
}

Entry read_entry(const Json& json, const std::string& where, uint64_t data_bytes) {
  SH_CHECK(json.is_object(), kBadInput, "{}: want an object, got {}", where, json.type_name());
  Entry entry;
  const Json& dtype = member(json, "dtype", where);
  SH_CHECK(dtype.is_string(), kBadInput, "{}: dtype {} is not a string", where, dump_json(dtype));
  entry.dtype = dtype.get<std::string>();
  const uint64_t width = uint64_t(element_width(entry.dtype));
  SH_CHECK(width > 0, kBadInput, "{}: dtype {} is unknown", where, in_quotes(entry.dtype));

  const Json& shape = member(json, "shape", where);
  SH_CHECK(shape.is_array(), kBadInput, "{}: shape {} is not a list", where, dump_json(shape));
  uint64_t bytes = width;
  for (const Json& size : shape) {
    SH_CHECK(size.is_number_unsigned() && size.get<uint64_t>() <= uint64_t(INT64_MAX), kBadInput,
             "{}: shape {} holds something else than sizes", where, dump_json(shape));
    const uint64_t n = size.get<uint64_t>();
    SH_CHECK(!__builtin_mul_overflow(bytes, n, &bytes), kBadInput,
             "{}: shape {} is too large to count", where, dump_json(shape));
    entry.shape.push_back(int64_t(n));
  }

  const Json& offsets = member(json, "data_offsets", where);
  SH_CHECK(offsets.is_array() && offsets.size() == 2 && offsets[0].is_number_unsigned() &&
               offsets[1].is_number_unsigned(),
           kBadInput, "{}: data_offsets {}: want [begin, end]", where, dump_json(offsets));
  entry.begin = offsets[0].get<uint64_t>();
  entry.end = offsets[1].get<uint64_t>();
  SH_CHECK(entry.begin <= entry.end && entry.end <= data_bytes, kBadInput,
           "{}: data_offsets [{}, {}] leave the {} bytes of data; the file is cut or broken", where,
           entry.begin, entry.end, data_bytes);
  SH_CHECK(entry.end - entry.begin == bytes, kBadInput,
           "{}: {} of shape {} needs {} bytes, data_offsets give {}", where, entry.dtype,
           shape_text(entry.shape), bytes, entry.end - entry.begin);
  return entry;
}

std::map<std::string, std::string> read_metadata(const Json& json, const std::string& path) {
  SH_CHECK(json.is_object(), kBadInput, "{}: __metadata__ is not an object", path);
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : json.items()) {
    SH_CHECK(value.is_string(), kBadInput, "{}: __metadata__ {} is not a string", path,
             in_quotes(key));
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

template <class Bits>
Bits load(std::span<const uint8_t> bytes, size_t i) {
  Bits bits;
  std::memcpy(&bits, bytes.data() + i * sizeof(Bits), sizeof(Bits));
  return bits;
}

int64_t element_count(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

}  // namespace

int64_t TensorView::elements() const { return element_count(shape); }

Safetensors::Safetensors(const fs::path& path) : path_(path), file_(path) {
  const std::string name = path.string();
  const std::span<const uint8_t> bytes = file_.bytes();
  SH_CHECK(bytes.size() >= 8, kBadInput, "{}: {} bytes; a safetensors file has at least 8", name,
           bytes.size());
  const uint64_t header_bytes = load<uint64_t>(bytes, 0);
  SH_CHECK(header_bytes <= kMaxHeaderBytes, kBadInput,
           "{}: a header of {} bytes; the format allows {}", name, header_bytes, kMaxHeaderBytes);
  SH_CHECK(header_bytes <= bytes.size() - 8, kBadInput,
           "{}: a header of {} bytes in a file of {}; the file is cut or broken", name,
           header_bytes, bytes.size());
  const Json header = parse_json(file_.text().substr(8, header_bytes), name + " (header)");
  SH_CHECK(header.is_object(), kBadInput, "{}: the header is no object", name);

  const std::span<const uint8_t> data = bytes.subspan(8 + header_bytes);
  std::vector<std::pair<std::pair<uint64_t, uint64_t>, std::string>> extents;
  for (const auto& [key, value] : header.items()) {
    if (key == "__metadata__") {
      metadata_ = read_metadata(value, name);
      continue;
    }
    Entry entry =
        read_entry(value, fmt::format("{}: tensor {}", name, in_quotes(key)), data.size());
    extents.push_back({{entry.begin, entry.end}, key});
    tensors_[key] = {std::move(entry.dtype), std::move(entry.shape),
                     data.subspan(entry.begin, entry.end - entry.begin)};
  }

  std::sort(extents.begin(), extents.end());
  uint64_t at = 0;
  for (const auto& [extent, key] : extents) {
    SH_CHECK(extent.first >= at, kBadInput, "{}: tensor {} begins at {}, inside another one", name,
             in_quotes(key), extent.first);
    SH_CHECK(extent.first == at, kBadInput, "{}: {} bytes before tensor {} belong to none", name,
             extent.first - at, in_quotes(key));
    at = extent.second;
  }
  SH_CHECK(at == data.size(), kBadInput, "{}: {} bytes at the end belong to no tensor", name,
           data.size() - at);
}

const TensorView* Safetensors::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

void read_floats(const TensorView& tensor, const std::string& name, std::span<float> out) {
  SH_CHECK(tensor.elements() == int64_t(out.size()), kBadInput, "tensor '{}': {} is not {} numbers",
           name, shape_text(tensor.shape), out.size());
  if (tensor.dtype == "F32") {
    if (!out.empty()) std::memcpy(out.data(), tensor.bytes.data(), out.size_bytes());
  } else if (tensor.dtype == "BF16") {
    for (size_t i = 0; i < out.size(); ++i) out[i] = bf16_to_float(load<uint16_t>(tensor.bytes, i));
  } else if (tensor.dtype == "F16") {
    for (size_t i = 0; i < out.size(); ++i) out[i] = f16_to_float(load<uint16_t>(tensor.bytes, i));
  } else if (tensor.dtype == "F64") {
    for (size_t i = 0; i < out.size(); ++i) out[i] = float(load<double>(tensor.bytes, i));
  } else {
    fail(Exit::kBadInput, "tensor '{}': dtype {}; want F32, BF16, F16 or F64", name, tensor.dtype);
  }
  bool finite = true;
  for (const float x : out) finite &= std::abs(x) <= 3.4028235e38f;
  if (finite) return;
  for (size_t i = 0; i < out.size(); ++i)
    SH_CHECK(std::isfinite(out[i]), kBadInput, "tensor '{}': element {} is {}", name, i, out[i]);
}

void write_safetensors(const fs::path& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t at = 0;
  std::set<std::string> names;
  for (const TensorToWrite& tensor : tensors) {
    const int64_t width = element_width(tensor.dtype);
    SH_ASSERT(width > 0 && names.insert(tensor.name).second);
    const uint64_t end = at + uint64_t(element_count(tensor.shape) * width);
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = dump_json(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // tensors begin at a multiple of 8
  const uint64_t header_bytes = text.size();
  SH_ASSERT(header_bytes <= kMaxHeaderBytes);

  NewFile file(path);
  uint8_t length[8];
  std::memcpy(length, &header_bytes, 8);
  file.write(length);
  file.write({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  std::vector<uint8_t> bytes;
  for (const TensorToWrite& tensor : tensors) {
    bytes.resize(size_t(element_count(tensor.shape) * element_width(tensor.dtype)));
    tensor.fill(bytes);
    file.write(bytes);
  }
  file.finish();
}

TensorToWrite float_tensor(std::string name, std::vector<int64_t> shape,
                           std::span<const float> data, bool bf16) {
  SH_ASSERT(element_count(shape) == int64_t(data.size()));
  const auto fill = [data, bf16](std::span<uint8_t> out) {
    if (out.empty()) return;
    if (!bf16) {
      std::memcpy(out.data(), data.data(), out.size());
      return;
    }
    for (size_t i = 0; i < data.size(); ++i) {
      const uint16_t bits = float_to_bf16(data[i]);
      std::memcpy(out.data() + 2 * i, &bits, 2);
    }
  };
  return {std::move(name), bf16 ? "BF16" : "F32", std::move(shape), fill};
}

template <class T>
TensorToWrite plain_tensor(std::string name, std::vector<int64_t> shape, std::span<const T> data) {
  SH_ASSERT(element_count(shape) == int64_t(data.size()));
  constexpr const char* kDtype = std::is_same_v<T, int64_t>   ? "I64"
                                 : std::is_same_v<T, int32_t> ? "I32"
                                 : std::is_same_v<T, double>  ? "F64"
                                                              : "U8";
  const auto fill = [data](std::span<uint8_t> out) {
    if (!out.empty()) std::memcpy(out.data(), data.data(), out.size());
  };
  return {std::move(name), kDtype, std::move(shape), fill};
}

template TensorToWrite plain_tensor(std::string, std::vector<int64_t>, std::span<const int64_t>);
template TensorToWrite plain_tensor(std::string, std::vector<int64_t>, std::span<const int32_t>);
template TensorToWrite plain_tensor(std::string, std::vector<int64_t>, std::span<const double>);
template TensorToWrite plain_tensor(std::string, std::vector<int64_t>, std::span<const uint8_t>);

}  // namespace shenhong
