// SPDX-License-Identifier: MIT
// A supply of frames that runs out when told to, and counts what is outstanding.
//
//     sim::FailingFrames frames(pool);
//     for (uint64_t n = 1;; ++n) {
//         frames.fail_at(n);
//         const Status done = scenario(frames);
//         ... compare the state with the one before, unless done ...
//         if (done.ok()) break;
//     }
#pragma once

#include <cstdint>
#include <limits>
#include <set>

#include "quire/base/address.hpp"
#include "quire/base/result.hpp"

namespace quire::sim {

// Source is anything with `Result<Frame> allocate_frame()` and `Status free_frame(Frame)`; it must
// outlive this object. Not synchronised.
template <class Source>
class FailingFrames {
  public:
    explicit FailingFrames(Source& source) : source_(source) {}

    // From now on requests are counted from 1 again, and the n-th fails with Error::out_of_frames:
    // that one alone, or it and all that follow.
    void fail_at(uint64_t n) { arm(n, n); }
    void fail_from(uint64_t n) { arm(n, std::numeric_limits<uint64_t>::max()); }
    void never_fail() { arm(1, 0); }

    Result<Frame> allocate_frame() {
        ++requests_;
        if (requests_ >= first_ && requests_ <= last_) {
            ++failures_;
            return Failure{Error::out_of_frames};
        }
        const Result<Frame> frame = source_.allocate_frame();
        if (frame.ok()) outstanding_.insert(frame->value());
        return frame;
    }

    // Frames that did not come through here are counted and passed on all the same: a table may
    // have changed its source.
    Status free_frame(Frame frame) {
        const Status freed = source_.free_frame(frame);
        if (freed.ok() && outstanding_.erase(frame.value()) == 0) ++strangers_;
        return freed;
    }

    // As the source's.
    auto table_words()
        requires requires(Source& source) { source.table_words(); }
    {
        return source_.table_words();
    }

    // Requests since the last call that armed, and how many of them were made to fail.
    uint64_t requests() const { return requests_; }
    uint64_t failures() const { return failures_; }
    // Frames given out through here and not given back; and frames given back that were not.
    uint64_t outstanding() const { return outstanding_.size(); }
    const std::set<uint64_t>& outstanding_frames() const { return outstanding_; }
    uint64_t strangers() const { return strangers_; }

  private:
    void arm(uint64_t first, uint64_t last) {
        first_ = first;
        last_ = last;
        requests_ = failures_ = 0;
    }

    Source& source_;
    uint64_t first_ = 1;
    uint64_t last_ = 0;
    uint64_t requests_ = 0;
    uint64_t failures_ = 0;
    uint64_t strangers_ = 0;
    std::set<uint64_t> outstanding_;
};

}  // namespace quire::sim
