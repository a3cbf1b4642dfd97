// SPDX-License-Identifier: MIT
// Random operations on the frame allocator, on machines of several shapes, against an oracle that
// knows each frame's owner.
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/frames/frame_model.hpp"
#include "model/program.hpp"

int main(int count, char** arguments) {
    using namespace quire::model;
    using quire::test::frame_worlds;
    using quire::test::FrameWorld;

    std::string wanted;
    ProgramOptions options;
    try {
        options =
            parse(count, arguments, 10'000'000, [&](const std::string& option, const Value& value) {
                if (option != "--machine") throw std::invalid_argument(option);
                wanted = value();
            });
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "quire_frames_model: %s\n", problem.what());
        return 2;
    }
    if (options.help) {
        std::printf("usage: quire_frames_model [OPTION...]\n\n%s", common_usage);
        std::printf("  --machine NAME       one of these, in place of all:\n");
        for (const FrameWorld& world : frame_worlds())
            std::printf("                       %s\n", world.name.c_str());
        return 0;
    }
    std::vector<Part> parts;
    for (const FrameWorld& world : frame_worlds()) {
        if (wanted.empty() || wanted == world.name)
            parts.push_back({world.name, "--machine " + world.name, world.make});
    }
    if (parts.empty()) {
        std::fprintf(stderr, "quire_frames_model: --machine %s\n", wanted.c_str());
        return 2;
    }
    return run_parts("./quire model frames", options, parts);
}
