// SPDX-License-Identifier: MIT
// Regions of the kernel's space, and what real accesses to them do.
#pragma once

#include <string>
#include <vector>

#include "frames_model.hpp"
#include "naive.hpp"
#include "random.hpp"
#include "sim/booted_machine.hpp"

namespace quire::model {

class SpaceModel {
  public:
    SpaceModel(sim::BootedMachine& machine, FramesModel& frames)
        : machine_(machine), frames_(frames) {}

    StepOutcome step(Random& random, std::string& told);
    void validate();
    // Frames behind pages of regions that own their frames.
    uint64_t owned_pages() const { return naive_.owned_pages(); }

  private:
    AddressSpace& space();
    uint64_t free_frames();
    // A refusal for want of frames is right only when `wanted` and the tables for them are not
    // free.
    void allow_refusal(Error error, uint64_t wanted, const std::string& told);
    NaiveRegion* pick_region(Random& random);
    Placement pick_placement(Random& random);
    StepOutcome insert(const Result<PageRange>& pages, NaiveRegion region,
                       const Placement& placement);

    StepOutcome allocate(Random& random, std::string& told);
    StepOutcome map_frames(Random& random, std::string& told);
    StepOutcome commit(Random& random, std::string& told);
    StepOutcome decommit(Random& random, std::string& told);
    StepOutcome unmap(Random& random, std::string& told);
    StepOutcome protect(Random& random, std::string& told);
    StepOutcome touch(Random& random, std::string& told);
    StepOutcome touch_elsewhere(Random& random, std::string& told);
    StepOutcome misuse(Random& random, std::string& told);
    void check_page(const NaiveRegion& region, uintptr_t page);
    void release_held(const NaiveRegion& before, uintptr_t first, uintptr_t end);
    [[noreturn]] void fail(const std::string& what) const;

    sim::BootedMachine& machine_;
    FramesModel& frames_;
    NaiveSpace naive_;
};

}  // namespace quire::model
