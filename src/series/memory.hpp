// SPDX-License-Identifier: MIT
// All that the series' calls work on, as one object: blocks, page tables, directories, and the lock
// around them. Functions take what the calls take, and say why they failed; face.hpp makes the
// series' conventions of it. A test makes as many as it likes.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/late.hpp"
#include "quire/base/lock.hpp"
#include "tables.hpp"

namespace quire::series {

// A block's address as the series passes it.
inline uint32_t number_of(const void* block) {
    return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(block));
}

// Directories are pointers as the kernel sees them; null is bad_argument everywhere.
template <class Choices>
class Memory {
  public:
    using Cpu = typename Choices::Cpu;
    using TablesHere = Tables<Choices>;
    using Known = typename TablesHere::Known;
    using Access = typename TablesHere::Access;
    using Guard = LockGuard<typename Choices::Lock>;

    constexpr explicit Memory(Cpu cpu = Cpu()) : cpu_(cpu) {
        static_assert(choices_fit<Choices>());
    }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    // memory_start.hpp: how everything begins.
    Status start(uint64_t memory_kib, Span<unsigned char> room);
    Status set_window(void* pages, size_t count, pt_entry* entries);
    Status initialize();
    Status adopt(pdirectory* directory);
    Status enable_paging(bool enable);

    // Blocks; in memory_blocks.hpp.
    Status make_free(uint64_t base, uint64_t bytes);
    Status make_used(uint64_t base, uint64_t bytes);
    Status keep(uint64_t base, uint64_t bytes);
    Result<uint32_t> allocate(size_t count);
    Status free(uint32_t block, size_t count);
    uint64_t memory_kib() const {
        return locked([&] { return blocks_.memory_kib(); });
    }
    uint64_t block_count() const {
        return locked([&] { return blocks_.count().value(); });
    }
    uint64_t free_count() const {
        return locked([&] { return blocks_.free_count().value(); });
    }
    Status validate() const {
        return locked([&] { return blocks_.validate(); });
    }

    // Pages by address; in memory_pages.hpp.
    Status map(pdirectory* directory, uint32_t virt, const Backing& backing, size_t bytes,
               uint32_t flags);
    Status change(pdirectory* directory, uint32_t virt, size_t bytes, const Change& change);
    // For the heap, whose part was mapped once already: blocks at pages of the active directory,
    // and what is mapped there freed.
    [[gnu::noinline]] Status grow(const PageRange& pages);
    [[gnu::noinline]] Status shrink(const PageRange& pages);
    Status make_table(pdirectory* directory, uint32_t virt, uint32_t flags);
    Status unmap_table(pdirectory* directory, uint32_t virt);
    Result<series_page> query(pdirectory* directory, uint32_t virt);
    // A page of no bytes when nothing is mapped between the two.
    Result<series_page> next(pdirectory* directory, uint32_t first, uint32_t last);
    Result<pt_entry*> entry(pdirectory* directory, uint32_t virt);
    // Pages by entry.
    Status allocate_page(pt_entry* entry);
    Status free_page(pt_entry* entry);

    // Directories; in memory_directories.hpp.
    Result<pdirectory*> create_directory();
    Status destroy_directory(pdirectory* directory);
    Status switch_to(pdirectory* directory);
    Status load_root(uint32_t directory);
    Result<pdirectory*> active_directory();

    // The directory that calls without one mean: a name, which is no directory's address.
    pdirectory* active() const { return reinterpret_cast<pdirectory*>(const_cast<Memory*>(this)); }

    void set_flush(typename TablesHere::FlushOthers flush) {
        Guard guard(lock_);
        flush_ = flush;
        if (tables_.made()) tables_->tell_others_through(flush);
    }
    const Cpu& cpu() const { return cpu_; }
    AddressView view() const { return cpu_.view(); }

  private:
    template <class Get>
    auto locked(Get get) const {
        Guard guard(lock_);
        return get();
    }
    static constexpr bool is_direct = Choices::reach == Reach::direct;
    static constexpr bool is_identity = is_direct && Choices::map_address == 0;

    void make_access();
    [[gnu::noinline]] Status begin_locked();
    [[gnu::noinline]] Status adopt_locked(pdirectory* directory);
    [[gnu::noinline]] Status check_slots_locked();
    [[gnu::noinline]] void keep_what_is_in_use_locked(Span<unsigned char> room);
    [[gnu::noinline]] void keep_room_locked(Span<unsigned char> room);
    [[gnu::noinline]] Status build_first_locked(Frame root);
    [[gnu::noinline]] Status build_table_locked(Frame root, unsigned index, Frame first);
    [[gnu::noinline]] void undo_build_first_locked(Frame root);
    // A table's entries while paging is off.
    Entry* entries_at(Frame table) const {
        return view().template pointer<Entry>(VirtualAddress(entry_of_frame(table)));
    }
    [[gnu::noinline]] Status check_loadable_locked(Frame root);
    [[gnu::noinline]] Result<Frame> root_of_locked(pdirectory* directory);
    [[gnu::noinline]] Result<Frame> root_at_locked(uint32_t address);
    [[gnu::noinline]] Result<uint32_t> show_locked(size_t at, Frame root);
    void hide_locked(size_t at);
    pdirectory* pointer(uint32_t address) const {
        return view().template pointer<pdirectory>(VirtualAddress(address));
    }
    static constexpr uint32_t place_of(size_t at) {
        return Choices::directory_address + static_cast<uint32_t>(at * page_size);
    }
    Status free_owned_table_locked(Frame frame);
    Status forget_locked(const FrameRange& frames);

    mutable typename Choices::Lock lock_;
    Cpu cpu_;
    Blocks blocks_;
    Known known_;
    Late<Access> access_;
    Late<TablesHere> tables_;
    typename TablesHere::FlushOthers flush_ = nullptr;
    WindowPlace window_ = {};
    bool begun_ = false;  // a directory was made or adopted
};

// The pages of a range from outside.
inline Result<PageRange> pages_of(uint32_t virt, size_t bytes) {
    if (virt % page_size != 0) return Failure{Error::misaligned, virt};
    if (bytes % page_size != 0) return Failure{Error::misaligned, bytes};
    if (bytes == 0) return Failure{Error::zero_size, virt};
    if (bytes - 1 > UINT32_MAX - virt) return Failure{Error::overflow, virt};
    return PageRange(page_of(VirtualAddress(virt)), PageCount(bytes >> page_shift));
}

}  // namespace quire::series

#include "memory_blocks.hpp"
#include "memory_directories.hpp"
#include "memory_pages.hpp"
#include "memory_start.hpp"
