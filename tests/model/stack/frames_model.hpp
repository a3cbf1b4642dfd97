// SPDX-License-Identifier: MIT
// Frames that the model asks for directly, and everything about them that can be said naively.
#pragma once

#include <string>
#include <vector>

#include "random.hpp"
#include "sim/booted_machine.hpp"

namespace quire::model {

class FramesModel {
  public:
    explicit FramesModel(sim::BootedMachine& machine);

    StepOutcome step(Random& random, std::string& told);
    void validate();
    uint64_t owned() const { return owned_frames_; }

    // A run that somebody else (a mapping) may use as long as it is held; empty when there is none.
    // Held runs are not freed.
    FrameRange hold(Random& random, uint64_t at_most);
    // Once more, for another holder of frames that are held.
    void hold_again(const FrameRange& frames);
    void let_go(const FrameRange& frames);

  private:
    struct Run {
        FrameRange frames;
        unsigned holders = 0;
    };

    FrameAllocator& frames();
    StepOutcome take(const FrameRange& run, bool expected_free);
    StepOutcome allocate(Random& random, std::string& told);
    StepOutcome allocate_at(Random& random, std::string& told);
    StepOutcome free(Random& random, std::string& told);
    StepOutcome free_wrongly(Random& random, std::string& told);
    [[noreturn]] void fail(const std::string& what) const;

    sim::BootedMachine& machine_;
    uint64_t end_;
    std::vector<bool> owned_;  // by frame number
    std::vector<Run> runs_;
    uint64_t owned_frames_ = 0;
};

}  // namespace quire::model
