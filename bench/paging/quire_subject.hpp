// SPDX-License-Identifier: MIT
// Quire's page table, in each format, as the benchmark uses it: through a direct map, with the work
// on TLBs left out.
#pragma once

#include <cstdint>
#include <utility>

#include "arena.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/page_cursor.hpp"
#include "quire/paging/x86_32.hpp"
#include "quire/paging/x86_64.hpp"
#include "quire/paging/x86_pae.hpp"

namespace quire::bench {

struct FourLevels {
    using Format = X86_64;
    static constexpr const char* name = "x86-64";
    static Format make() { return Format(X86_64Features{.physical_bits = 46}); }
};
struct FiveLevels {
    using Format = X86_64;
    static constexpr const char* name = "x86-64/5";
    static Format make() {
        return Format(X86_64Features{.five_levels = true, .physical_bits = 46});
    }
};
struct ThreeLevels {
    using Format = X86Pae;
    static constexpr const char* name = "PAE";
    static Format make() { return Format(X86PaeFeatures{}); }
};
struct TwoLevels {
    using Format = X86_32;
    static constexpr const char* name = "x86-32";
    static Format make() { return Format(X86Features{.large_pages = true}); }
};

template <class Mode>
class Quire {
  public:
    using Format = typename Mode::Format;
    static constexpr const char* name = Mode::name;
    static constexpr bool has_singles = true;
    static constexpr bool has_cursor = true;
    static constexpr unsigned large_pages = 1U << Format::index_bits;

    explicit Quire(Arena& arena) : access_(arena.access()), table_(access_, Mode::make()) {
        if (!table_.create(arena).ok()) trap();
        table_.set_use(TableUse::inactive);
    }
    // Page tables that had something mapped in them go with their arena.
    ~Quire() { static_cast<void>(table_.destroy()); }
    Quire(const Quire&) = delete;
    Quire& operator=(const Quire&) = delete;

    [[gnu::always_inline]] void map(uint64_t page, uint64_t frame) { map_range(page, 1, frame); }
    void map_large(uint64_t page, uint64_t frame) { map_range(page, large_pages, frame); }
    [[gnu::always_inline]] void unmap(uint64_t page) { unmap_range(page, 1); }
    void unmap_large(uint64_t page) { unmap_range(page, large_pages); }
    [[gnu::always_inline]] void protect(uint64_t page, bool writable) {
        protect_range(page, 1, writable);
    }
    [[gnu::always_inline]] uint64_t translate(uint64_t page) {
        const auto found = table_.translate(address_of(Page(page)));
        return found.ok() ? frame_of(*found).value() : 0;
    }

    // Whole passes from a page on, each in the order of pages.
    class Cursor {
      public:
        explicit Cursor(Quire& subject) : cursor_(subject.table_, Page(0)) {}
        ~Cursor() { cursor_.finish().spend_unused(); }
        Cursor(const Cursor&) = delete;
        void seek(uint64_t page) {
            cursor_.finish().spend_unused();
            cursor_.seek(Page(page));
        }
        void map(uint64_t, uint64_t frame) {
            if (!cursor_.map(Frame(frame), Attributes{}).ok()) trap();
        }
        void unmap(uint64_t) {
            if (!cursor_.unmap().ok()) trap();
        }
        void protect(uint64_t, bool writable) {
            if (!cursor_.protect(writable ? read_write : read_only).ok()) trap();
        }
        uint64_t translate(uint64_t) {
            const auto found = cursor_.translate();
            return found.ok() ? frame_of(*found).value() : 0;
        }

      private:
        PageCursor<Format, DirectMap> cursor_;
    };
    Cursor cursor() { return Cursor(*this); }

    [[gnu::always_inline]] void map_range(uint64_t page, uint64_t count, uint64_t frame) {
        auto mapped = table_.map(pages(page, count), Frame(frame), Attributes{});
        if (!mapped.ok()) trap();
        mapped->spend_unused();
    }
    void map_large_range(uint64_t page, uint64_t count, uint64_t frame) {
        map_range(page, count, frame);
    }
    [[gnu::always_inline]] void unmap_range(uint64_t page, uint64_t count) {
        auto unmapped = table_.unmap(pages(page, count));
        if (!unmapped.ok()) trap();
        unmapped->spend_unused();
    }
    void unmap_large_range(uint64_t page, uint64_t count) { unmap_range(page, count); }
    [[gnu::always_inline]] void protect_range(uint64_t page, uint64_t count, bool writable) {
        auto changed = table_.protect(pages(page, count), writable ? read_write : read_only);
        if (!changed.ok()) trap();
        changed->spend_unused();
    }
    void protect_large_range(uint64_t page, uint64_t count, bool writable) {
        protect_range(page, count, writable);
    }

  private:
    static PageRange pages(uint64_t page, uint64_t count) {
        return PageRange(Page(page), PageCount(count));
    }

    DirectMap access_;
    FormatPageTable<Format, DirectMap> table_;
};

}  // namespace quire::bench
