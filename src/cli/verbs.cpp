#include "cli/verbs.h"

#include <CLI/CLI.hpp>

namespace shenhong {

void add_verbs(CLI::App& app) {
  add_run(app);
  add_data(app);
  add_train(app);
  add_eval(app);
  add_quantize(app);
  add_average(app);
  add_convert(app);
  add_info(app);
  add_generate(app);
  add_chat(app);
  add_serve(app);
  add_kg(app);
  add_bench(app);
}

}  // namespace shenhong
