// SPDX-License-Identifier: MIT
// Random map, unmap, protect, access and switch-space steps on four CPUs, against what was asked
// for. Checked at each access: the CPU finds what the page has now, or had before a change that is
// not done yet. Checked at each free: no TLB leads to the frame any more.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "../driver.hpp"
#include "quire/base/late.hpp"
#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "tlb_machine.hpp"
#include "tlb_modes.hpp"

namespace quire::model {

struct TlbVariant {
    bool pcids = false;
    bool prefetches = false;
};

template <class Mode>
class TlbWorld final : public World {
  public:
    explicit TlbWorld(const TlbVariant& variant);
    ~TlbWorld() override = default;

    void step(uint64_t number, uint64_t word) override;
    void validate() override;
    std::string last_step() const override { return last_; }
    std::string summary() const override;

  private:
    using Table = FormatPageTable<typename Mode::Format, DirectMap>;
    static constexpr unsigned spaces = 3;
    static constexpr unsigned pages = 96;
    // A CPU that is at one operation for so many turns will never end it.
    static constexpr uint64_t patience = 200'000;

    // What a page shows, and what it showed before the change that is under way.
    struct Shown {
        uint64_t frame = 0;  // 0: nothing
        bool writable = false;
        friend bool operator==(const Shown&, const Shown&) = default;
    };
    struct Expected {
        Shown now;
        Shown before;
    };
    // A run of pages of one space, or of all.
    struct Area {
        Area(TlbMachine& machine, DirectMap& access, const typename Mode::Format& format)
            : table(access, format), frames(machine) {}

        PageRange range(unsigned first, unsigned count) const {
            return PageRange(Page(base + first), PageCount(count));
        }

        uintptr_t base = 0;
        bool common = false;
        Table table;
        FrameSource frames;
        BasicSpinLock<TlbLockWait> lock;
        Late<TlbSpace> space;
        Late<ShootdownInvalidator<TlbShootdown>> tlb;
        std::array<Expected, pages> expected;
    };

    [[noreturn]] void run();
    void access();
    void change();
    void map(Area& area, unsigned first, unsigned count);
    void unmap(Area& area, unsigned first, unsigned count);
    void protect(Area& area, unsigned first, unsigned count);
    void check(bool good, const char* what) {
        if (!good) machine_.fail(what);
    }
    Area& any_area() { return *areas_[machine_.below(spaces + 1)]; }
    // That the CPU runs; null while it runs none but what all share.
    Area* loaded();
    void note(const char* what, const Area& area, unsigned first, unsigned count);
    void finish_all();

    Mode mode_;
    TlbMachine machine_;
    DirectMap access_{FrameRange(Frame(0), FrameCount(TlbMachine::frames)), VirtualAddress(0),
                      machine_.ram.physical_view()};
    std::array<std::unique_ptr<Area>, spaces + 1> areas_;  // the last one is common
    std::array<uint64_t, tlb_cpus> turns_{};               // of the operation under way
    std::array<bool, tlb_cpus> idle_{};
    bool finishing_ = false;
    bool tracing_ = true;
    std::string last_;
    struct {
        uint64_t accesses = 0, hits = 0, switches = 0, mapped = 0, unmapped = 0, protects = 0;
    } done_;
};

extern template class TlbWorld<TlbMode64>;
extern template class TlbWorld<TlbMode32>;

}  // namespace quire::model
