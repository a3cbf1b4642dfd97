// SPDX-License-Identifier: MIT
// The options and the output that programs with a model have in common.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "driver.hpp"

namespace quire::model {

// One world of several that a program runs, one after another or side by side.
struct Part {
    std::string name;
    std::string options;  // those that choose this part, to be printed for a replay
    WorldMaker make;
    unsigned weight = 1;  // its share of the steps, beside the other parts'
};

struct ProgramOptions {
    Run run;
    unsigned shrink_seconds = 60;
    unsigned jobs = 1;  // parts at a time
    bool help = false;
};

// Reads the common options: --steps --seed --replay --trace --shrink-seconds --jobs --help. `other`
// is called for any other one, and may call `value` for what follows it. Throws
// std::invalid_argument.
using Value = std::function<std::string()>;
ProgramOptions parse(
    int count, char** arguments, uint64_t steps,
    const std::function<void(const std::string& option, const Value& value)>& other);
// What the help says of them.
extern const char* const common_usage;

// Shares the steps out among the parts and runs them. Failures are shrunk, and the line that
// replays them is printed: `command`, the part's options and the steps. The program's exit status.
int run_parts(const std::string& command, const ProgramOptions& options,
              const std::vector<Part>& parts);

// A whole program that runs a model on machines of several shapes: all that `main` does. The model
// is known to ./quire by its name, and `option` chooses one of the machines (--machine).
struct Machine {
    std::string name;
    WorldMaker make;
};
int run_machines(const std::string& model, const std::string& option, int count, char** arguments,
                 const std::vector<Machine>& machines);

}  // namespace quire::model
