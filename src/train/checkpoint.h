// Training checkpoints that are either whole or not there (serving 3.3).
//
//   <run>/step-0000123/<group>.safetensors ...   float or bf16 tensors: weights, moments
//                      state.json                everything else, as the trainer composes it
//                      MANIFEST.json             size and XXH3 of each file, and its own hash
//
// A checkpoint is written into step-0000123.tmp, every file synced, the manifest last; then the
// directory gets its name and its parent is synced. After a crash at any moment the newest
// directory whose manifest verifies is a complete checkpoint.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "core/json.h"

namespace shenhong {

// Names one tensor of the trainer's memory, to be saved from or restored into.
struct NamedTensor {
  std::string name;
  std::span<float> values;
  std::span<uint16_t> bf16 = {};  // in place of `values`

  int64_t size() const { return int64_t(bf16.empty() ? values.size() : bf16.size()); }
};
// Group ("weights", "optimizer") -> its tensors; each group is a file.
using TensorGroups = std::map<std::string, std::vector<NamedTensor>>;

// The newest `last` checkpoints stay, and every one whose step is a multiple of `every` (0: none).
struct KeepPolicy {
  int last = 2;
  int64_t every = 0;
};

// Called with the name of each file operation before it is done; tests crash there.
using BeforeOperation = std::function<void(std::string_view operation)>;

// Error(kResources) when the disk is full or cannot be written; what was there before is intact
// then. The caller holds the RunLock.
void save_checkpoint(const fs::path& run, int64_t step, const TensorGroups& tensors,
                     const Json& state, const KeepPolicy& keep, const BeforeOperation& before = {});

class LoadedCheckpoint {
 public:
  LoadedCheckpoint(fs::path directory, int64_t step, Json state)
      : directory_(std::move(directory)), step_(step), state_(std::move(state)) {}
  int64_t step() const { return step_; }
  const Json& state() const { return state_; }
  const fs::path& directory() const { return directory_; }

  // Fills every tensor. Error(kBadInput) when names or sizes are not those that were saved: the
  // recipe changed under the run.
  void restore(const TensorGroups& tensors) const;

 private:
  fs::path directory_;
  int64_t step_;
  Json state_;
};

// The newest checkpoint that verifies, or nothing. Directories that do not verify are set aside as
// step-N.broken, half-written ones are removed; `notes` gets a line for each. The caller holds the
// RunLock.
std::optional<LoadedCheckpoint> load_latest(const fs::path& run, std::vector<std::string>& notes);

}  // namespace shenhong
