// SPDX-License-Identifier: MIT
// The RAM that page tables stand in: sparse, and touched before anything is timed, so that the
// host's page faults are in no figure.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/paging/direct_map.hpp"
#include "quire/paging/frame_source.hpp"

namespace quire::bench {

// A stack of frames for tables. What was given back last is given out first.
class Arena {
  public:
    static constexpr uint64_t first_frame = 0x1000;

    // Room for so many tables.
    explicit Arena(uint64_t frames) : frames_(frames), words_(frames) {
        const size_t huge = size_t{2} << 20;
        const size_t bytes = frames * page_size;
        void* const memory = mmap(nullptr, bytes + huge, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
            std::perror("mmap");
            std::exit(1);
        }
        base_ = (reinterpret_cast<uintptr_t>(memory) + huge - 1) & ~(huge - 1);
        // As a kernel's direct map is; where the host refuses, small pages do.
        madvise(reinterpret_cast<void*>(base_), bytes, MADV_HUGEPAGE);
        free_.reserve(frames);
        for (uint64_t frame = frames; frame-- > 0;) {
            *static_cast<volatile char*>(bytes_of(first_frame + frame)) = 1;
            free_.push_back(Frame(first_frame + frame));
        }
    }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    Result<Frame> allocate_frame() {
        if (free_.empty()) return Failure{Error::out_of_frames};
        const Frame frame = free_.back();
        free_.pop_back();
        return frame;
    }
    Status free_frame(Frame frame) {
        free_.push_back(frame);
        return {};
    }
    TableWords table_words() {
        return {FrameRange(Frame(first_frame), FrameCount(frames_)), words_.data()};
    }
    size_t used() const { return frames_ - free_.size(); }

    // How the mappers without bounds checks see it.
    uintptr_t bias() const { return base_ - first_frame * page_size; }
    DirectMap access() const {
        return DirectMap(FrameRange(Frame(first_frame), FrameCount(frames_)),
                         VirtualAddress(base_));
    }

  private:
    void* bytes_of(uint64_t frame) const {
        return reinterpret_cast<void*>(bias() + frame * page_size);
    }

    uint64_t frames_;
    uintptr_t base_ = 0;
    std::vector<uint16_t> words_;
    std::vector<Frame> free_;
};

}  // namespace quire::bench
