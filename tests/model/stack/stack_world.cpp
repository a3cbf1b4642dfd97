// SPDX-License-Identifier: MIT
#include "stack_world.hpp"

#include <array>
#include <cstring>
#include <sstream>

#include "frames_model.hpp"
#include "heap_model.hpp"
#include "sim/booted_machine.hpp"
#include "space_model.hpp"

namespace quire::model {

namespace {

class StackWorld final : public World {
  public:
    StackWorld(TableReach reach, unsigned mebibytes) : machine_(shape(reach, mebibytes)) {
        const Status started = machine_.start();
        if (!started.ok()) throw Mismatch{std::string("start: ") + to_string(started.error())};
        KernelMemory& memory = machine_.memory();
        total_frames_ = memory.frames().counters().total.value();
        check_frames();
    }

    void step(uint64_t, uint64_t word) override {
        // The mood changes slowly, so that memory fills up and empties again.
        Random random(word, steps_++ >> 12);
        last_.clear();
        const unsigned kind = random.below(100);
        try {
            if (kind < 22) {
                tally(0, frames_.step(random, last_));
            } else if (kind < 62) {
                tally(1, space_.step(random, last_));
            } else {
                tally(2, heap_.step(random, last_));
            }
        } catch (const sim::Panic& panic) {
            throw Mismatch{std::string("panic: ") + panic.report.what};
        }
        check_frames();
    }

    void validate() override {
        try {
            require(machine_.memory().frames().validate(), "frames().validate()");
            require(machine_.memory().table().validate(), "table().validate()");
            require(machine_.memory().space().validate(), "space().validate()");
            require(machine_.memory().heap().validate(), "heap().validate()");
            frames_.validate();
            space_.validate();
            heap_.validate();
            check_other_pages();
            check_tlb();
        } catch (const sim::Panic& panic) {
            throw Mismatch{std::string("panic while validating: ") + panic.report.what};
        }
        check_frames();
    }

    std::string last_step() const override { return last_; }

    std::string summary() const override {
        static constexpr const char* names[] = {"frames", "space", "heap"};
        std::ostringstream text;
        for (size_t i = 0; i < tallies_.size(); ++i) {
            text << "    " << names[i] << ": " << tallies_[i].done << " done, "
                 << tallies_[i].refused << " refused as they should be\n";
        }
        const sim::MappedCounters counters = machine_.machine().counters();
        text << "    cpu: " << counters.cpu.misses << " TLB misses, " << counters.cpu.faults
             << " page faults, " << counters.cpu.page_invalidations << " pages invalidated\n";
        return text.str();
    }

  private:
    struct Tally {
        uint64_t done = 0;
        uint64_t refused = 0;
    };

    static sim::BootedShape shape(TableReach reach, unsigned mebibytes) {
        sim::BootedShape shape;
        shape.reach = reach;
        shape.memory_bytes = uint64_t{mebibytes} << 20;
        return shape;
    }

    void tally(size_t part, StepOutcome outcome) {
        (outcome == StepOutcome::done ? tallies_[part].done : tallies_[part].refused)++;
    }

    // Frames in use that the model does not know one by one.
    uint64_t library_frames() {
        KernelMemory& memory = machine_.memory();
        const FrameCounters counters = memory.frames().counters();
        if (counters.total.value() != total_frames_ && total_frames_ != 0) {
            throw Mismatch{"the number of frames owned changed"};
        }
        const uint64_t used = counters.total.value() - counters.free.value();
        const uint64_t known =
            frames_.owned() + space_.owned_pages() + memory.table().table_frames().value() +
            memory.metadata_frames().value() + memory.heap().counters().committed_bytes / page_size;
        if (used < known) {
            throw Mismatch{"frames in use: " + std::to_string(used) + ", but " +
                           std::to_string(known) + " are accounted for"};
        }
        return used - known;
    }

    // Every frame is free, or somebody's: only the space's own nodes are not counted at each step,
    // and they never become fewer.
    void check_frames() {
        const uint64_t nodes = library_frames();
        if (nodes < node_frames_) {
            throw Mismatch{"frames got lost or were freed twice: " + std::to_string(nodes) +
                           " unaccounted, " + std::to_string(node_frames_) + " before"};
        }
        if (nodes > node_frames_ + 1) {
            throw Mismatch{"frames leaked: " + std::to_string(nodes - node_frames_) +
                           " in one step"};
        }
        node_frames_ = nodes;
    }

    // Regions that are not the model's: their pages are all accounted for by the library.
    void check_other_pages() {
        uint64_t node_pages = 0;
        machine_.memory().space().for_each_region([&](const RegionInfo& region) {
            if (std::strcmp(region.name, "region nodes") == 0) {
                node_pages += region.pages.count().value();
            }
            return true;
        });
        if (node_pages != node_frames_) {
            throw Mismatch{"region nodes take " + std::to_string(node_pages) + " pages, but " +
                           std::to_string(node_frames_) + " frames are unaccounted for"};
        }
    }

    // Where accesses show tables and frames, they flush before they look; everywhere else nothing
    // stale may be left.
    void check_tlb() {
        const KernelLayout& layout = machine_.memory().layout();
        for (const sim::StaleEntry& stale : machine_.machine().stale_entries()) {
            const Page page = page_of(VirtualAddress(stale.cached.page));
            if (!layout.kernel.contains(page) || layout.windows.contains(page)) continue;
            if (stale.harmful) throw Mismatch{"stale translation: " + sim::to_string(stale)};
        }
    }

    void require(const Status& status, const char* what) {
        if (!status.ok()) {
            std::ostringstream text;
            text << what << ": " << to_string(status.error()) << " (0x" << std::hex
                 << status.failure().where << ")";
            throw Mismatch{text.str()};
        }
    }

    sim::BootedMachine machine_;
    FramesModel frames_{machine_};
    SpaceModel space_{machine_, frames_};
    HeapModel heap_{machine_};
    uint64_t total_frames_ = 0;
    uint64_t node_frames_ = 0;
    uint64_t steps_ = 0;
    std::array<Tally, 3> tallies_;
    std::string last_;
};

}  // namespace

std::unique_ptr<World> make_stack_world(TableReach reach, unsigned mebibytes) {
    return std::make_unique<StackWorld>(reach, mebibytes);
}

}  // namespace quire::model
