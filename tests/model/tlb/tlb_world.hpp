// SPDX-License-Identifier: MIT
// Random map, unmap, protect, access and switch-space steps on four CPUs, against what was asked
// for. Checked at each access: the CPU finds what the page has now, or had before a change that is
// not done yet. Checked at each free: no TLB leads to the frame any more.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
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
    // A large page, cut into pieces of which each is changed as a whole: where they begin, in parts
    // of 512, and where the last one ends.
    static constexpr unsigned pieces = 8;
    static constexpr std::array<uintptr_t, pieces + 1> piece_ends{0,   1,   2,   128, 256,
                                                                  257, 500, 511, 512};
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
        // Of the large page.
        PageRange piece_range(unsigned first, unsigned count) const {
            constexpr uintptr_t scale = Mode::large_page / 512;
            return PageRange(Page(large_at + piece_ends[first] * scale),
                             PageCount((piece_ends[first + count] - piece_ends[first]) * scale));
        }

        uintptr_t base = 0;
        uintptr_t large_at = 0;  // 0: it has no large page
        bool common = false;
        Table table;
        FrameSource frames;
        BasicSpinLock<TlbLockWait> lock;
        Late<TlbSpace> space;
        Late<ShootdownInvalidator<TlbShootdown>> tlb;
        std::array<Expected, pages + pieces> expected;  // of pieces, their first pages
        std::optional<Frame> block;                     // behind the large page
    };

    [[noreturn]] void run();
    void access();
    void change();
    void map(Area& area, unsigned first, unsigned count);
    void unmap(Area& area, unsigned first, unsigned count);
    void protect(Area& area, unsigned first, unsigned count);
    void change_large(Area& area);
    void map_large(Area& area, unsigned first, unsigned count);
    void unmap_large(Area& area, unsigned first, unsigned count);
    void protect_large(Area& area, unsigned first, unsigned count);
    void merge_large(Area& area);
    static Protection protection_of(const Area& area, bool writable, bool global) {
        const Protection protection = writable ? read_write : read_only;
        return area.common && global ? protection | Protection::global : protection;
    }
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
        uint64_t accesses = 0, hits = 0, switches = 0, mapped = 0, unmapped = 0, protects = 0,
                 large = 0, merges = 0;
    } done_;
};

extern template class TlbWorld<TlbMode64>;
extern template class TlbWorld<TlbMode32>;

}  // namespace quire::model
