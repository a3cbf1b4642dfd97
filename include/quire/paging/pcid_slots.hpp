// SPDX-License-Identifier: MIT
// Which address spaces' translations one CPU keeps apart from one another, and how current they
// are.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/paging/tlb.hpp"

namespace quire {

// One CPU's few PCIDs. Each belongs to the space that ran under it last, until another space needs
// it; a space's generation says up to which of its invalidations the cached translations are
// current. So a PCID that is not the current one is never invalidated: what it missed is found out
// when it is next used (docs/decisions/pcid.md). Not synchronised: its CPU's alone, interrupts off.
class PcidSlots {
  public:
    // Few: a TLB does not hold the translations of many working sets anyway. Numbers are 1 to
    // `slots`; whatever a kernel started under 0 is never taken for a space's.
    static constexpr unsigned slots = 8;
    static constexpr uintptr_t no_space = 0;

    struct Choice {
        Pcid pcid;
        Cached cached;
    };

    // The PCID under which the space's root has to be loaded now, and whether what is cached there
    // is current. With Pcids::none all spaces use number 0, of which nothing is ever kept.
    // O(slots).
    enum class Pcids : uint8_t { none, used };
    Choice choose(Pcids pcids, uintptr_t space, uintptr_t generation);

    // Of the PCID chosen last.
    Pcid pcid() const { return pcid_of(current_, kept_); }
    uintptr_t generation() const { return slots_[current_].generation; }
    void set_generation(uintptr_t generation) { slots_[current_].generation = generation; }

    // Whatever is cached under the other PCIDs must not be used again. O(slots).
    void forget_others();

  private:
    struct Slot {
        uintptr_t space = no_space;
        uintptr_t generation = 0;
    };
    static Pcid pcid_of(unsigned slot, Pcids pcids) {
        return pcids == Pcids::none ? Pcid{0} : static_cast<Pcid>(slot + 1);
    }

    Slot slots_[slots];
    unsigned current_ = 0;
    unsigned next_ = 0;  // the next one to give to another space
    Pcids kept_ = Pcids::none;
};

}  // namespace quire
