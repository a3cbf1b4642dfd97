// SPDX-License-Identifier: MIT
#include "arguments.hpp"

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

namespace kernel::sim_machine {

namespace {

uint64_t parse_size(const std::string& text) {
    size_t used = 0;
    uint64_t value = 0;
    try {
        value = std::stoull(text, &used);
    } catch (const std::exception&) {
        throw std::invalid_argument("--mem " + text + " is no size; say 128M or 1G");
    }
    const std::string unit = text.substr(used);
    if (unit == "G") {
        value <<= 30;
    } else if (unit == "M" || unit.empty()) {
        value <<= 20;
    } else {
        throw std::invalid_argument("--mem " + text + " is no size; say 128M or 1G");
    }
    if (value < (uint64_t{4} << 20) || value > (uint64_t{3584} << 20)) {
        throw std::invalid_argument("--mem takes 4M to 3584M");
    }
    return value;
}

}  // namespace

const char* usage() {
    return "usage: ./quire run --sim [--mem SIZE] [--access direct|recursive|window] [--tour]\n"
           "                         [--no-color]\n";
}

Arguments parse_arguments(int count, char** words) {
    Arguments arguments;
    const bool watched = isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
    arguments.tour = !watched;
    arguments.color = isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
    for (int i = 1; i < count; ++i) {
        std::string option = words[i];
        std::string value;
        const size_t equals = option.find('=');
        const bool joined = option.rfind("--", 0) == 0 && equals != std::string::npos;
        if (joined) {
            value = option.substr(equals + 1);
            option.resize(equals);
        }
        const auto next = [&] {
            if (joined) return value;
            if (++i >= count) throw std::invalid_argument(option + " needs a value");
            return std::string(words[i]);
        };
        if (option == "--mem") {
            arguments.memory_bytes = parse_size(next());
        } else if (option == "--access") {
            arguments.access = next();
            if (arguments.access != "direct" && arguments.access != "recursive" &&
                arguments.access != "window") {
                throw std::invalid_argument("--access takes direct, recursive or window");
            }
        } else if (option == "--tour") {
            arguments.tour = true;
        } else if (option == "--no-color") {
            arguments.color = false;
        } else {
            throw std::invalid_argument(option + " means nothing on the simulated machine");
        }
    }
    if (arguments.tour) arguments.timeout_seconds = 120;
    return arguments;
}

std::string Arguments::command_line() const {
    std::string line = "access=" + access;
    if (tour) line += " tour";
    if (!color) line += " color=off";
    return line;
}

}  // namespace kernel::sim_machine
