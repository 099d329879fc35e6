#include "cli/model_option.h"

#include "core/error.h"

namespace shenhong {

void add_model_option(CLI::App& verb, std::string& directory) {
  verb.add_option("--model", directory,
                  "model directory or .gguf file; default: the newest directory in ./models")
      ->type_name("MODEL")
      ->envname("SHENHONG_MODEL");
}

fs::path find_model(const std::string& directory) {
  if (!directory.empty()) return directory;
  fs::path newest;
  fs::file_time_type newest_time;
  std::error_code no_directory;
  for (const auto& entry : fs::directory_iterator("models", no_directory)) {
    const fs::path config = entry.path() / "config.json";
    std::error_code missing;
    const auto time = fs::last_write_time(config, missing);
    if (missing || (!newest.empty() && time < newest_time)) continue;
    // A checkout gives all files one time; the name then decides, so that the choice is always the
    // same.
    if (!newest.empty() && time == newest_time && entry.path() < newest) continue;
    newest = entry.path();
    newest_time = time;
  }
  SH_CHECK(!newest.empty(), kUsage,
           "./models holds no model directory; name one with --model DIR, or train one with "
           "shenhong run RECIPE");
  return newest;
}

}  // namespace shenhong
