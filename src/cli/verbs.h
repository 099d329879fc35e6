// One function per verb: registers a subcommand whose callback does the work. The callbacks throw;
// main.cpp turns what they throw into an exit code.
#pragma once

namespace CLI {
class App;
}

namespace shenhong {

void add_verbs(CLI::App& app);  // all of them, in the order of --help

void add_run(CLI::App& app);
void add_data(CLI::App& app);
void add_train(CLI::App& app);
void add_eval(CLI::App& app);
void add_quantize(CLI::App& app);
void add_average(CLI::App& app);
void add_convert(CLI::App& app);
void add_info(CLI::App& app);
void add_generate(CLI::App& app);
void add_chat(CLI::App& app);
void add_serve(CLI::App& app);
void add_kg(CLI::App& app);
void add_bench(CLI::App& app);

}  // namespace shenhong
