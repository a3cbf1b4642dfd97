// SPDX-License-Identifier: MIT
// A supply of frames that takes back only what no CPU can reach any more through a stale entry.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "quire/base/address.hpp"
#include "quire/base/result.hpp"

namespace quire::sim {

// Source is anything with `Result<Frame> allocate_frame()` and `Status free_frame(Frame)`; Machine
// a MappedMachine or an ExplicitMachine. Both must outlive this object. It passes every call on. A
// frame freed too early, before the flush that takes the last way to it out of the TLBs, is a
// violation: printed, and the process aborts, unless `on_violation` says otherwise.
template <class Source, class Machine>
class FlushedFrames {
  public:
    FlushedFrames(Source& source, Machine& machine) : source_(source), machine_(machine) {}

    Result<Frame> allocate_frame() { return source_.allocate_frame(); }
    Status free_frame(Frame frame) {
        if (machine_.sees_stale(frame)) violation_(frame);
        return source_.free_frame(frame);
    }

    void on_violation(std::function<void(Frame)> handler) { violation_ = std::move(handler); }

  private:
    Source& source_;
    Machine& machine_;
    std::function<void(Frame)> violation_ = [](Frame frame) {
        std::fprintf(stderr, "sim: frame %llu was freed while a TLB still leads to it\n",
                     static_cast<unsigned long long>(frame.value()));
        std::abort();
    };
};

}  // namespace quire::sim
