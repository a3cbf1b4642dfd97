// SPDX-License-Identifier: MIT
// Question 2, continued: a machine on which no two free frames are neighbours.
#include <stddef.h>
#include <stdint.h>

#include "console.hpp"
#include "heap.hpp"
#include "show.hpp"
#include "tour.hpp"

namespace kernel {
namespace {

using namespace quire;

constexpr size_t block_bytes = 3000;
constexpr unsigned block_count = 128;

// The frames that the scene took, one bit each, in a block of the heap.
class TakenFrames {
  public:
    explicit TakenFrames(quire::KernelMemory& memory)
        : memory_(memory), hull_(memory.map().usable_hull()) {}

    Status prepare() {
        const size_t bytes = static_cast<size_t>(hull_.count().value() / 8 + 1);
        const auto block = memory_.heap().allocate_zeroed(bytes);
        if (!block.ok()) return block.failure();
        bits_ = static_cast<unsigned char*>(*block);
        return {};
    }

    // Takes every free frame with an odd number.
    void take_every_other() {
        for (uint64_t index = hull_.first().value() & 1 ? 0 : 1; index < hull_.count().value();
             index += 2) {
            const Frame frame = hull_.first() + FrameCount(index);
            if (!memory_.frames().is_free(frame)) continue;
            if (memory_.frames().allocate_at(FrameRange(frame, FrameCount(1))).ok()) {
                bits_[index / 8] |= static_cast<unsigned char>(1u << (index % 8));
                ++taken_;
            }
        }
    }

    bool give_back() {
        bool well = true;
        for (uint64_t index = 0; index < hull_.count().value(); ++index) {
            if ((bits_[index / 8] & (1u << (index % 8))) == 0) continue;
            well = memory_.frames().free(hull_.first() + FrameCount(index)).ok() && well;
        }
        return memory_.heap().try_free(bits_).ok() && well;
    }

    unsigned long long taken() const { return taken_; }

  private:
    quire::KernelMemory& memory_;
    FrameRange hull_;
    unsigned char* bits_ = nullptr;
    unsigned long long taken_ = 0;
};

// What the machine's frames are used for, in frames: constant while nothing is lost.
uint64_t accounted(quire::KernelMemory& memory) {
    return memory.frames().counters().free.value() + memory.table().table_frames().value() +
           heap().counters().committed_bytes / page_size;
}

bool show_contiguous_way_fails(quire::KernelMemory& memory) {
    tour_call("frames.allocate_run(2)");
    const auto run = memory.frames().allocate_run(FrameCount(2));
    if (run.ok()) {
        tour_check(false, "two contiguous frames, where there should be none");
        return memory.frames().free(*run).ok() && false;
    }
    return tour_check(run.error() == Error::out_of_frames, "the contiguous way ends here: '%s'",
                      to_string(run.error()));
}

// The frames behind two pages of the heap that follow one another.
bool show_scattered_pages(quire::KernelMemory& memory, void* block) {
    const Page page = page_of(memory.layout().view.address(block));
    const auto first = memory.space().query(address_of(page));
    const auto second = memory.space().query(address_of(page + PageCount(1)));
    if (!first.ok() || !second.ok()) return false;
    tour_show(first->translation, address_of(page));
    tour_show(second->translation, address_of(page + PageCount(1)));
    return second->translation.frames.first() != first->translation.frames.first() + FrameCount(1);
}

bool show_heap_grows(quire::KernelMemory& memory) {
    const size_t before = heap().counters().committed_bytes;
    tour_call("heap.allocate(%zu), %u times", block_bytes, block_count);
    void* blocks[block_count];
    unsigned made = 0;
    for (; made < block_count; ++made) {
        const auto block = heap().allocate(block_bytes);
        if (!block.ok()) {
            show_failure("allocate", block.failure());
            break;
        }
        blocks[made] = *block;
        __builtin_memset(blocks[made], static_cast<int>(made), block_bytes);
    }
    const size_t after = heap().counters().committed_bytes;
    bool well = tour_check(made == block_count && after > before, "the heap grows: %s to %s",
                           size_text(before).text, size_text(after).text);
    // One block larger than a page: its pages follow one another, their frames cannot.
    const auto large = heap().allocate(8 * page_size);
    if (large.ok()) {
        well = tour_check(show_scattered_pages(memory, *large),
                          "contiguous for its user, scattered underneath") &&
               well;
        well = heap().try_free(*large).ok() && well;
    } else {
        well = tour_check(false, "a block of eight pages");
    }
    bool intact = true;
    for (unsigned i = 0; i < made; ++i) {
        const auto* bytes = static_cast<const unsigned char*>(blocks[i]);
        intact = intact && bytes[0] == static_cast<unsigned char>(i) &&
                 bytes[block_bytes - 1] == static_cast<unsigned char>(i);
        well = heap().try_free(blocks[i]).ok() && well;
    }
    return tour_check(intact, "every block kept its contents") && well;
}

}  // namespace

bool tour_isolated_frames(quire::KernelMemory& memory) {
    print("\n  Now the worst machine: every other frame is taken.\n");
    heap().trim();
    const uint64_t before = accounted(memory);
    TakenFrames taken(memory);
    const Status prepared = taken.prepare();
    if (!prepared.ok()) {
        show_failure("the scene's notes", prepared.failure());
        return false;
    }
    taken.take_every_other();
    bool well =
        tour_check(memory.frames().largest_free_run() == FrameCount(1),
                   "%llu frames taken; of %llu free ones no two are neighbours", taken.taken(),
                   static_cast<unsigned long long>(memory.frames().counters().free.value()));
    well = show_contiguous_way_fails(memory) && well;
    well = show_heap_grows(memory) && well;
    const bool restored = taken.give_back();
    heap().trim();
    const uint64_t after = accounted(memory);
    return tour_check(restored && after == before, "all frames are back: %llu before, %llu now",
                      static_cast<unsigned long long>(before),
                      static_cast<unsigned long long>(after)) &&
           well;
}

}  // namespace kernel
