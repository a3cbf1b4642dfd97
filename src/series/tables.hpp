// SPDX-License-Identifier: MIT
// The page tables of a kernel that also writes them itself.
//
// PageTable assumes that it alone writes the entries, and keeps notes in those that are not
// present. A kernel of the series does as it likes: it leaves rights in empty entries, holds
// pointers into tables, has them built by a boot loader, and shares some between directories. So
// this reads what is there each time, believes the present bit alone, and frees no table that it
// did not make. It stands on the same accesses, through which alone it reaches tables.
//
// Directories are named by their frame. Not synchronised. Every function does all that it says or
// changes nothing. Failures name addresses.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "blocks.hpp"
#include "choices.hpp"
#include "directories.hpp"
#include "quire/base/atomic.hpp"
#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/series.h"

namespace quire::series {

using Entry = uint32_t;
inline constexpr Entry table_rights = I86_PDE_PRESENT | I86_PDE_WRITABLE | I86_PDE_USER;
// What the CPU notes in an entry.
inline constexpr Entry cpu_marks = I86_PTE_ACCESSED | I86_PTE_DIRTY;
inline constexpr unsigned table_entries = PAGES_PER_TABLE;
inline constexpr unsigned table_shift = 10;
// In a 4 MiB entry: its frame, and where the PAT bit of a page's entry goes.
inline constexpr Entry large_frame = 0xffc00000;
inline constexpr Entry large_attribute = 0x1000;

constexpr bool is_present(Entry entry) {
    return (entry & I86_PTE_PRESENT) != 0;
}
constexpr Frame frame_of_entry(Entry entry) {
    return Frame((entry & I86_PTE_FRAME) >> page_shift);
}
constexpr Entry entry_of_frame(Frame frame) {
    return static_cast<Entry>(frame.value() << page_shift);
}
constexpr unsigned directory_index(Page page) {
    return static_cast<unsigned>(page.value() >> table_shift) & (table_entries - 1);
}
constexpr unsigned table_index(Page page) {
    return static_cast<unsigned>(page.value()) & (table_entries - 1);
}
constexpr Page first_page(unsigned directory_index) {
    return Page(uintptr_t{directory_index} << table_shift);
}
// What of the start of a range one directory entry decides about.
constexpr PageRange part_of(const PageRange& pages) {
    const PageCount left(table_entries - table_index(pages.first()));
    return pages.prefix(pages.count() < left ? pages.count() : left);
}
constexpr bool is_whole(const PageRange& part) {
    return part.count().value() == table_entries;
}
constexpr uint64_t where(Page page) {
    return address_of(page).value();
}

// Where mapped pages get their frames from.
struct Backing {
    bool blocks = false;  // any blocks; else frames from `first` on
    Frame first;
};
// What is done to pages that are mapped.
enum class Deed : uint8_t { unmap, free, protect };
struct Change {
    Deed deed = Deed::unmap;
    Entry flags = 0;          // protect
    bool skip_holes = false;  // pages that are not mapped are passed over
};

template <class Choices>
class Tables {
  public:
    using Cpu = typename Choices::Cpu;
    using Access = typename AccessFor<Choices>::Type;
    using Known = Directories<Choices::directories>;
    using FlushOthers = void (*)(virtual_addr first, size_t pages);

    Tables(Access& access, const Cpu& cpu, Blocks& blocks, Known& known)
        : access_(access), cpu_(cpu), blocks_(blocks), known_(known) {}

    void tell_others_through(FlushOthers flush) { flush_others_ = flush; }

    // tables_map.hpp. `pages` is not empty; `flags` are an entry's without its frame. Errors:
    // out_of_range, already_mapped, out_of_frames, unreachable.
    [[gnu::noinline]] Status map(Frame root, const PageRange& pages, const Backing& backing,
                                 Entry flags);
    // A table for the page, if there is none, that grants at least these rights.
    Status make_table_for(Frame root, Page page, Entry flags);

    // tables_change.hpp. Errors: out_of_range, not_mapped, out_of_frames (a 4 MiB page must become
    // a table), unreachable; Deed::free: as Blocks::check_free.
    [[gnu::noinline]] Status change(Frame root, const PageRange& pages, const Change& change);
    // Errors: out_of_range, not_mapped.
    Status unmap_table(Frame root, Page page);

    // tables_look.hpp. Errors: not_mapped, unreachable.
    Result<series_page> query(Frame root, Page page);
    // The first mapped page from one page to another, both included; one of no bytes if there is
    // none.
    Result<series_page> next(Frame root, Page first, Page last);
    // The frame of the table that decides about a page.
    Result<Frame> table_of(Frame root, Page page);
    // Whether a frame can be a directory: each of its entries leads to memory that exists.
    Status check_directory(Frame root);
    // Whether an address means the same in it as it does now.
    bool agrees(Frame root, uint32_t address);
    // Whether a directory leads to a table in that frame.
    bool leads_to(Frame root, Frame table);

    // Whether blocks may be freed: given out, and no directory. Errors: as Blocks::check_free.
    Status check_free(const FrameRange& frames) const;

    // tables_roots.hpp. A new directory with the kernel's part; errors: out_of_frames, unreachable.
    Result<Frame> create();
    // Frees the tables that Quire made outside the kernel's part, and the directory's frame.
    void destroy(Frame root);
    // Gives a directory what it lacks of the kernel's part. Error: unreachable.
    Status share_all(Frame root);
    // Keeps a directory and its tables from being handed out. Error: unreachable.
    Status keep_tables(Frame root);
    // The entry of a directory. Error: unreachable.
    Result<Entry> entry(Frame root, unsigned index);

    bool is_shared(unsigned index) const {
        constexpr unsigned kernel = Choices::kernel_address >> 22;
        constexpr unsigned map = Choices::map_address >> 22;
        constexpr unsigned map_entries = Choices::map_bytes >> 22;
        if (access_.keeps(index)) return false;
        return index >= kernel ||
               (Choices::reach == Reach::direct && index >= map && index - map < map_entries);
    }

  private:
    using Session = decltype(example<Access&>().begin());
    using Opened = remove_const_reference<decltype(example<Access&>()
                                                       .open(example<const Session&>(),
                                                             example<const TableLocation&>())
                                                       .value())>;
    // What becomes of one directory entry's pages.
    struct Plan;

    Result<Opened> open_directory(const Session& session, Frame root) {
        return access_.open(session, TableLocation{root, root, 1, VirtualAddress(), true});
    }
    Result<Opened> open_table(const Session& session, Frame root, Entry entry, unsigned index) {
        return access_.open(session, TableLocation{root, frame_of_entry(entry), 0,
                                                   address_of(first_page(index)), true});
    }
    // A table or directory that nothing leads to yet.
    Result<Opened> open_new(const Session& session, Frame frame) {
        return access_.open(session, TableLocation{frame, frame, 0, VirtualAddress(), false});
    }
    bool is_large(Entry entry) const { return (entry & I86_PDE_4MB) != 0 && cpu_.large_pages(); }
    // Leads back to the directory, or is used for reaching tables.
    bool is_withheld(Frame root, unsigned index, Entry entry) const {
        return access_.keeps(index) ||
               (is_present(entry) && !is_large(entry) && frame_of_entry(entry) == root);
    }
    bool is_active(Frame root) const { return cpu_.is_paging() && cpu_.root() == root; }

    // Out of line: what a step takes of the stack is not added to what the next one takes.
    [[gnu::noinline]] Result<Entry> load(const Session& session, Frame root, unsigned index);
    [[gnu::noinline]] Status store_one(const Session& session, Frame root, unsigned index,
                                       Entry entry);
    [[gnu::noinline]] Status store(const Session& session, Frame root, unsigned index, Entry entry);
    [[gnu::noinline]] Status share(const Session& session, Frame root, unsigned index);
    [[gnu::noinline]] Result<Frame> new_table(const Session& session);
    void undo_new_table(Frame frame) { blocks_.free_table(frame); }

    [[gnu::noinline]] Status check_vacant(const Session& session, Frame root,
                                          const PageRange& pages);
    [[gnu::noinline]] Status check_vacant_part(const Session& session, Frame root,
                                               const PageRange& part);
    [[gnu::noinline]] Status make_tables(const Session& session, Frame root,
                                         const PageRange& pages);
    [[gnu::noinline]] void undo_make_tables(const Session& session, Frame root);
    [[gnu::noinline]] Status grant(const Session& session, Frame root, unsigned index, Entry flags);
    [[gnu::noinline]] Status fill(const Session& session, Frame root, const PageRange& pages,
                                  const Backing& backing, Entry flags);

    [[gnu::noinline]] Status plan_change(const Session& session, Frame root, const PageRange& pages,
                                         const Change& change, Plan& plan);
    [[gnu::noinline]] Status plan_pages(const Session& session, Frame root, const PageRange& part,
                                        Entry entry, const Change& change);
    [[gnu::noinline]] Status apply_part(const Session& session, Frame root, const PageRange& part,
                                        const Change& change, Plan& plan);
    [[gnu::noinline]] Status apply_large(const Session& session, Frame root, const PageRange& part,
                                         Entry entry, const Change& change);
    [[gnu::noinline]] Status apply_pages(const Session& session, Frame root, const PageRange& part,
                                         Entry entry, const Change& change);
    [[gnu::noinline]] Status split(const Session& session, Frame root, unsigned index, Frame table);

    [[gnu::noinline]] void flush_pages(const PageRange& pages);
    [[gnu::noinline]] void flush_everything(const PageRange& pages);

    // A bit for each entry of a table or directory, for one operation.
    class Marks {
      public:
        void clear() { __builtin_memset(words_, 0, sizeof words_); }
        void set(unsigned index) { words_[index / 32] |= uint32_t{1} << (index % 32); }
        bool test(unsigned index) const { return (words_[index / 32] >> (index % 32) & 1U) != 0; }

      private:
        uint32_t words_[table_entries / 32] = {};
    };

    Access& access_;
    Cpu cpu_;
    Blocks& blocks_;
    Known& known_;
    FlushOthers flush_others_ = nullptr;
    Marks marks_;
};

}  // namespace quire::series

#include "tables_change.hpp"
#include "tables_look.hpp"
#include "tables_map.hpp"
#include "tables_roots.hpp"
