#include "train/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <set>

#include "core/error.h"
#include "formats/safetensors.h"

namespace shenhong {
namespace {

constexpr std::string_view kPrefix = "step-", kHalf = ".tmp", kOld = ".old", kBroken = ".broken";
constexpr const char* kManifest = "MANIFEST.json";
constexpr const char* kState = "state.json";

std::string directory_name(int64_t step) { return fmt::format("{}{:07}", kPrefix, step); }

// Step of a finished checkpoint's directory name.
std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const std::string_view digits = std::string_view(name).substr(kPrefix.size());
  int64_t step = 0;
  const auto [end, failed] = std::from_chars(digits.begin(), digits.end(), step);
  if (failed != std::errc() || end != digits.end() || step < 0) return std::nullopt;
  return name == directory_name(step) ? std::optional(step) : std::nullopt;
}

std::vector<std::string> entries(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator at(directory, failed), end; !failed && at != end;
       at.increment(failed))
    names.push_back(at->path().filename().string());
  SH_CHECK(!failed, kBadInput, "{}: cannot be listed: {}", directory.string(), failed.message());
  std::sort(names.begin(), names.end());
  return names;
}

// Steps of all finished checkpoints, newest first.
std::vector<int64_t> finished_steps(const fs::path& run) {
  std::vector<int64_t> steps;
  for (const std::string& name : entries(run))
    if (const auto step = step_of(name)) steps.push_back(*step);
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

bool is_present(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

void remove_tree(const fs::path& path) {
  std::error_code failed;
  fs::remove_all(path, failed);
  SH_CHECK(!failed, kResources, "{}: cannot be removed: {}", path.string(), failed.message());
}

void move(const fs::path& from, const fs::path& to) {
  std::error_code failed;
  fs::rename(from, to, failed);
  SH_CHECK(!failed, kResources, "{}: cannot be renamed: {}", from.string(), failed.message());
}

fs::path with_suffix(const fs::path& path, std::string_view suffix) {
  return path.string() + std::string(suffix);
}

// Half removed must not look like a broken checkpoint: the name goes first.
void remove_checkpoint(const fs::path& directory) {
  const fs::path half = with_suffix(directory, kHalf);
  remove_tree(half);
  move(directory, half);
  remove_tree(half);
}

std::string with_own_hash(Json manifest) {
  manifest["manifest_xxh3"] = hash_hex(dump_json(manifest));
  return dump_json(manifest, 1) + "\n";
}

Json describe_file(const fs::path& path) {
  const MappedFile file(path);
  return {{"bytes", file.bytes().size()}, {"xxh3", hash_hex(file.text())}};
}

Json describe_files(const fs::path& directory, int64_t step) {
  Json manifest = {{"format", 1}, {"step", step}, {"files", Json::object()}};
  for (const std::string& name : entries(directory))
    manifest["files"][name] = describe_file(directory / name);
  return manifest;
}

// A checkpoint of the same step steps aside while it is replaced. Puts it back if its successor
// never came.
void settle_namesake(const fs::path& directory) {
  const fs::path old = with_suffix(directory, kOld);
  if (!is_present(old)) return;
  is_present(directory) ? remove_tree(old) : move(old, directory);
}

// Error(kBadInput) says what is wrong with the checkpoint.
Json verified_state(const fs::path& directory, int64_t step) {
  const std::string text = read_file(directory / kManifest);
  Json manifest = parse_json(text, kManifest);
  SH_CHECK(manifest.is_object(), kBadInput, "{}: is no object", kManifest);
  manifest.erase("manifest_xxh3");
  SH_CHECK(text == with_own_hash(manifest), kBadInput, "{}: does not match its own hash",
           kManifest);
  SH_CHECK(manifest["step"] == step, kBadInput, "{}: is of another step", kManifest);
  SH_CHECK(manifest["files"].contains(kState), kBadInput, "{}: names no {}", kManifest, kState);
  for (const auto& [name, wanted] : manifest["files"].items()) {
    const Json found = describe_file(directory / name);
    SH_CHECK(found == wanted, kBadInput, "{}: is {}, was written as {}", name, dump_json(found),
             dump_json(wanted));
  }
  return parse_json(read_file(directory / kState), kState);
}

TensorToWrite to_write(const NamedTensor& tensor) {
  if (tensor.bf16.empty()) return float_tensor(tensor.name, {tensor.size()}, tensor.values, false);
  const std::span<const uint16_t> bits = tensor.bf16;
  return {tensor.name, "BF16", {tensor.size()}, [bits](std::span<uint8_t> out) {
            std::memcpy(out.data(), bits.data(), out.size());
          }};
}

void read_into(const NamedTensor& tensor, const TensorView& found, const std::string& where) {
  SH_CHECK(found.elements() == tensor.size(), kBadInput,
           "{}: tensor '{}' has {} numbers, the recipe wants {}; was it changed?", where,
           tensor.name, found.elements(), tensor.size());
  if (tensor.bf16.empty()) return read_floats(found, tensor.name, tensor.values);
  SH_CHECK(found.dtype == "BF16", kBadInput,
           "{}: tensor '{}' is {}, the recipe wants BF16; was it changed?", where, tensor.name,
           found.dtype);
  std::memcpy(tensor.bf16.data(), found.bytes.data(), found.bytes.size());
}

void write_files(const fs::path& directory, int64_t step, const TensorGroups& tensors,
                 const Json& state, const std::function<void(const std::string&)>& before) {
  before("create directory");
  std::error_code failed;
  fs::create_directory(directory, failed);
  SH_CHECK(!failed, kResources, "{}: cannot be created: {}", directory.string(), failed.message());
  for (const auto& [group, members] : tensors) {
    before("write " + group);
    std::vector<TensorToWrite> file;
    for (const NamedTensor& tensor : members) file.push_back(to_write(tensor));
    write_safetensors(directory / (group + ".safetensors"), file);
  }
  before("write state");
  write_file(directory / kState, dump_json(state, 1) + "\n");
  before("write manifest");
  write_file(directory / kManifest, with_own_hash(describe_files(directory, step)));
  before("sync directory");
  fsync_path(directory);
}

}  // namespace

void save_checkpoint(const fs::path& run, int64_t step, const TensorGroups& tensors,
                     const Json& state, const KeepPolicy& keep, const BeforeOperation& hook) {
  const auto before = [&](const std::string& operation) {
    if (hook) hook(operation);
  };
  const fs::path directory = run / directory_name(step), half = with_suffix(directory, kHalf);
  remove_tree(half);
  settle_namesake(directory);
  try {
    write_files(half, step, tensors, state, before);
    if (is_present(directory)) {
      before("move namesake");
      move(directory, with_suffix(directory, kOld));
    }
    before("rename directory");
    move(half, directory);
  } catch (const Error&) {
    std::error_code ignored;  // the first failure is the one to report
    fs::remove_all(half, ignored);
    settle_namesake(directory);
    throw;
  }
  before("sync run");
  fsync_path(run);
  settle_namesake(directory);

  int kept = 0;
  for (const int64_t old : finished_steps(run)) {
    if (old == step || ++kept < keep.last) continue;
    if (keep.every > 0 && old % keep.every == 0) continue;
    before("remove old");
    remove_checkpoint(run / directory_name(old));
  }
}

void LoadedCheckpoint::restore(const TensorGroups& tensors) const {
  for (const auto& [group, members] : tensors) {
    const Safetensors file(directory_ / (group + ".safetensors"));
    const std::string where = file.path().string();
    std::set<std::string> wanted;
    for (const NamedTensor& tensor : members) {
      wanted.insert(tensor.name);
      const TensorView* found = file.find(tensor.name);
      SH_CHECK(found, kBadInput, "{}: tensor '{}' is missing; was the recipe changed?", where,
               tensor.name);
      read_into(tensor, *found, where);
    }
    for (const auto& [name, ignored] : file.tensors())
      SH_CHECK(wanted.contains(name), kBadInput,
               "{}: tensor '{}' has no place in this recipe; was it changed?", where, name);
  }
}

std::optional<LoadedCheckpoint> load_latest(const fs::path& run, std::vector<std::string>& notes) {
  if (!is_present(run)) return std::nullopt;
  for (const std::string& name : entries(run)) {
    if (!name.starts_with(kPrefix)) continue;
    if (name.ends_with(kOld)) settle_namesake(run / name.substr(0, name.size() - kOld.size()));
    if (!name.ends_with(kHalf)) continue;
    remove_tree(run / name);
    notes.push_back(fmt::format("{}: an unfinished write, removed", name));
  }
  for (const int64_t step : finished_steps(run)) {
    const fs::path directory = run / directory_name(step);
    try {
      return LoadedCheckpoint(directory, step, verified_state(directory, step));
    } catch (const Error& e) {
      const fs::path aside = with_suffix(directory, kBroken);
      remove_tree(aside);
      move(directory, aside);
      notes.push_back(fmt::format("{}: {}; set aside as {}", directory_name(step), e.what(),
                                  aside.filename().string()));
    }
  }
  return std::nullopt;
}

}  // namespace shenhong
