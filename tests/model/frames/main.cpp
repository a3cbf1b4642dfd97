// SPDX-License-Identifier: MIT
// Random operations on the frame allocator, on machines of several shapes, against an oracle that
// knows each frame's owner.
#include <vector>

#include "model/frames/frame_model.hpp"
#include "model/program.hpp"

int main(int count, char** arguments) {
    std::vector<quire::model::Machine> machines;
    for (const quire::test::FrameWorld& world : quire::test::frame_worlds())
        machines.push_back({world.name, world.make});
    return quire::model::run_machines("frames", "--machine", count, arguments, machines);
}
