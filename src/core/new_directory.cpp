#include "core/new_directory.h"

#include "core/error.h"

namespace shenhong {

void write_new_directory(const fs::path& out, const std::function<void(const fs::path&)>& fill) {
  SH_CHECK(!fs::exists(out), kUsage, "{}: is there already; give the name of a new directory",
           out.string());
  const fs::path partial = out.string() + ".partial";
  fs::remove_all(partial);
  fs::create_directories(partial);
  try {
    fill(partial);
    fs::rename(partial, out);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(partial, ignored);
    throw;
  }
}

}  // namespace shenhong
