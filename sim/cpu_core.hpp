// SPDX-License-Identifier: MIT
// One simulated CPU's way from virtual to physical addresses: control registers, TLB, walks,
// faults. Both engines are built around it. Not synchronised.
#pragma once

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "sim/mmu.hpp"
#include "sim/tlb.hpp"

namespace quire::sim {

// What the MMU is allowed to do that software tends not to expect.
struct Adversary {
    // A TLB entry that allows less than the tables do is used as it stands: the access faults,
    // although a walk would allow it (Intel SDM vol. 3A, 4.10.4.3, "spurious page faults").
    bool spurious_faults = true;
    // Every miss also caches the translations of the pages before and after, and sets their
    // accessed flags: speculation (4.10.2.3, 4.8).
    bool prefetches = false;
};

struct CpuShape {
    TlbShape tlb;
    Adversary adversary;
};

struct CpuCounters {
    uint64_t misses = 0;           // walks made because no cached translation served
    uint64_t faults = 0;           // page faults, spurious ones included
    uint64_t spurious_faults = 0;  // that a walk would not have raised
    uint64_t page_invalidations = 0;
    uint64_t full_invalidations = 0;
};

// A cached translation that a walk would no longer give.
struct StaleEntry {
    unsigned cpu = 0;
    Translation cached;
    std::optional<Translation> now;  // empty: a walk faults
    // It lets something through that the tables forbid or place elsewhere, or writes that leave
    // no mark; otherwise it only forbids more, or differs in type or lifetime.
    bool harmful = false;
};
// A cached structure entry that the tables no longer contain.
struct StaleStructure {
    unsigned cpu = 0;
    StructureEntry cached;
    std::optional<StructureEntry> now;
};
std::string to_string(const StaleEntry& stale);

class CpuCore {
  public:
    CpuCore(const Ram& ram, const Mmu& mmu, const CpuShape& shape, unsigned number = 0,
            std::function<void(const Translation&)> dropped = {});

    // Serves one access from the TLB, or by a walk that fills it; or says why not. What faults
    // raise is up to the engine; the entries that a fault drops are dropped already.
    std::variant<Translation, PageFault> translate(const Access& access);
    // What a walk gives now; touches neither TLB nor tables.
    Walk look(const Access& access) const;

    const Control& control() const { return control_; }
    // Writes the control registers, with the invalidations that come with it (Intel SDM vol. 3A,
    // 4.10.4.1): everything when PG or PGE changes; else, when `cr3_written` or CR3
    // changes, all that is not global.
    void set_control(const Control& control, bool cr3_written = false);
    // MOV to CR3; `keep` is its bit 63, which counts only with PCIDs: nothing is dropped then.
    void load_cr3(uint64_t cr3, bool keep = false);

    // INVLPG.
    void invalidate_page(uint64_t address);
    // Globals::keep is what a load of CR3 does, Globals::drop what toggling CR4.PGE does.
    void invalidate_all(Globals globals);

    // Of what can be used as the CPU is: what is cached under other PCIDs is not looked at.
    std::vector<StaleEntry> stale_entries() const;
    std::vector<StaleStructure> stale_structures() const;
    // Whether a cached entry still leads to any byte of a frame, as a page or as a table.
    bool sees(Frame frame) const;
    // Whether one does that the tables no longer bear out. A frame that is given back may well be
    // seen, through a direct map; through a stale entry it must not be.
    bool sees_stale(Frame frame) const;

    Tlb& tlb() { return tlb_; }
    const Tlb& tlb() const { return tlb_; }
    const CpuCounters& counters() const { return counters_; }
    const Mmu& mmu() const { return mmu_; }
    const Ram& ram() const { return ram_; }
    unsigned number() const { return number_; }

  private:
    void prefetch(uint64_t page);
    void insert_structures(const Walk& walk);
    std::optional<StructureEntry> structure_now(const StructureEntry& cached) const;
    uint16_t pcid() const { return control_.pcids ? control_.cr3 & 0xfff : 0; }

    const Ram& ram_;
    const Mmu& mmu_;
    const CpuShape shape_;
    const unsigned number_;
    Control control_;
    Tlb tlb_;
    CpuCounters counters_;
};

}  // namespace quire::sim
