// SPDX-License-Identifier: MIT
// An address space as TLBs know it: its root, the CPUs that run it, and how often something of it
// was invalidated.
#pragma once

#include <stdint.h>

#include "quire/base/address.hpp"
#include "quire/base/atomic.hpp"
#include "quire/base/cpu_mask.hpp"

namespace quire {

class ShootdownCore;

// One for each page table that CPUs load. Two words, and a bit for each CPU.
//
// A change of the tables and a CPU that starts to run them meet here, without a lock:
//
//   who changes                                 who starts to run
//   1. writes the entries                       1. adds itself to the CPUs that run the space
//   2. raises the generation                    2. reads the generation
//   3. reads the CPUs, and interrupts them      3. loads the root; what it has cached of an older
//                                                  generation is dropped with that
//
// Steps 2 and 3 of one and 1 and 2 of the other are sequentially consistent, so at least one sees
// what the other did: the CPU is interrupted, or it reads the new generation, and then it also
// walks what was written before. A CPU takes itself out only after it has loaded another root, so
// one that can walk or use these tables is always among them.
class TlbSpace {
  public:
    // Known to `shootdown`'s CPUs from now on; nothing is cached of it. Before it is destroyed, and
    // before its root's frame is freed, every CPU must have switched to another space; it traps
    // otherwise.
    TlbSpace(ShootdownCore& shootdown, Frame root);
    ~TlbSpace();
    TlbSpace(const TlbSpace&) = delete;
    TlbSpace& operator=(const TlbSpace&) = delete;

    Frame root() const { return root_; }
    // Which CPUs run it, as of some moment during the call.
    CpuMask running() const { return running_.load(MemoryOrder::relaxed); }

  private:
    friend class ShootdownCore;

    const Frame root_;
    const uintptr_t number_;  // never given to another space
    AtomicCpuMask running_;
    Atomic<uintptr_t> generation_{1};
};

}  // namespace quire
