// SPDX-License-Identifier: MIT
// The heap without its lock: everything that BasicHeap (heap.hpp) does, compiled once.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/function_ref.hpp"
#include "quire/base/intrusive_list.hpp"
#include "quire/base/report.hpp"
#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/heap/arena.hpp"
#include "quire/heap/cpu_blocks.hpp"
#include "quire/heap/guarded_blocks.hpp"
#include "quire/heap/heap_types.hpp"
#include "quire/heap/large_block.hpp"
#include "quire/heap/page_account.hpp"
#include "quire/heap/page_source.hpp"
#include "quire/heap/quarantine.hpp"
#include "quire/heap/size_class.hpp"
#include "quire/heap/span_record.hpp"

namespace quire::heap_internal {

enum class Fill : uint8_t { none, zero };
// Whether a request may get a larger cell than it deserves, when pages have run out.
enum class LargerCell : uint8_t { never, if_need_be };
// Whether a block that gets smaller stays where it is, whatever it wastes.
enum class Shrink : uint8_t { where_sensible, always };

// Free cells that lie with CPUs, or between them. `slack` is what the blocks that a CPU gave out
// leave of their cells, less that of those it took back.
struct AtHand {
    size_t blocks;
    size_t bytes;
    size_t slack;
};

// Not synchronised. The functions are those of BasicHeap, with the same errors.
class HeapCore {
  public:
    constexpr HeapCore() = default;
    HeapCore(const HeapCore&) = delete;
    HeapCore& operator=(const HeapCore&) = delete;

    Status start(PageSource& pages, Platform& platform, const HeapOptions& options);
    void stop();

    Result<void*> allocate(size_t bytes, Fill fill) {
        return allocate_aligned(bytes, natural_alignment(bytes), fill);
    }
    // `lane`: of the CPU that it is for; see span_record.hpp.
    Result<void*> allocate_aligned(size_t bytes, size_t alignment, Fill fill,
                                   unsigned lane = no_lane);
    // `block` must not be null.
    Result<void*> reallocate(void* block, size_t bytes);
    Status free(void* block);
    Status free_sized(void* block, size_t bytes, size_t alignment = 1);
    Result<size_t> usable_size(const void* block) const;
    size_t trim();
    size_t age();
    HeapCounters counters() const;
    Status validate() const;
    void for_each_block(FunctionRef<bool(const LiveBlock&)> visit) const;

    // For CPUs that keep blocks at hand; see per_cpu_heap.hpp. What lies with them counts as live
    // here.
    //
    // The shortest way for large blocks that come and go: one of those kept, with anything in it,
    // and the one given out last, back among them. Null, or false, when it takes a longer one.
    void* allocate_kept(size_t bytes) {
        if (bytes <= largest_medium || options_.sample_interval != 0) return nullptr;
        return take_kept(bytes);
    }
    bool free_to_kept(void* block) {
        LargeBlock* const large = large_.last();
        if (large == nullptr || large->base != block || !may_keep(*large)) return false;
        keep_large(*large);
        return true;
    }
    // A block whose class has run out at hand: refills its array.
    Result<void*> allocate_for(CpuBlocks& cpu, size_t bytes, size_t alignment, Fill fill);
    // A block that the fast path did not take: makes room in the array of its class.
    Status free_for(CpuBlocks& cpu, void* block);
    Status free_sized_for(CpuBlocks& cpu, void* block, size_t bytes, size_t alignment);
    // Gives back what lies with the CPU in arrays that it did not touch since the call before.
    void age(CpuBlocks& cpu);
    // Gives all back that lies with the CPU.
    void drain(CpuBlocks& cpu);
    // Gives back what lies in the depot, between CPUs: all of it, or what came before the last
    // tick.
    void drain_depot();
    void age_depot();
    // What lies with the CPU.
    AtHand at_hand(const CpuBlocks& cpu) const;
    // What lies in the depot.
    AtHand in_depot() const;
    // For those who may not wait (see per_cpu_heap.hpp). While pages are closed, nothing here calls
    // the page source: what needs it fails, and what it should get back is kept.
    void close_pages() { pages_.close(); }
    void open_pages() { pages_.open(); }
    // Null before the start.
    Platform* platform() const { return pages_.platform(); }
    // Whether whoever asks is called by the page source, and must not enter again. Needs no lock.
    bool calls_back() const { return pages_.calls_back(); }
    // As allocate_for, of what is at hand, between CPUs, or in spans with memory. A cell of the
    // class, or out_of_memory; never after a search. Pages should be closed. An alignment of zero
    // means the natural one; others must be powers of two.
    Result<void*> try_allocate_for(CpuBlocks& cpu, size_t bytes, size_t alignment, Fill fill);
    // The same of spans whose cells go to other CPUs, where that left nothing.
    Result<void*> try_allocate_of_others(size_t bytes, size_t alignment, Fill fill);
    // Whether something was put off while pages were closed; settle does it, as far as the page
    // source lets it.
    bool owes() const;
    void settle();
    // Counts an allocation of the CPU's: whether it should come to allocate_aligned, to be sampled.
    bool is_turn_of_sample(CpuBlocks& cpu);

    // Cells that were given back with a state that they could not have: each was freed twice at the
    // same moment, or its state was overwritten.
    size_t late_refusals() const { return late_refusals_; }
    // What `allocate` promises beyond the granule.
    size_t natural_alignment(size_t bytes) const;
    bool watches_slack() const { return options_.overrun_check != OverrunCheck::none; }

    // What to say of a free of `block` (of `bytes`, when sized) that returned this failure.
    // Null stands for an allocation.
    Report explain(const void* block, size_t bytes, const Failure& failure) const;
    // The same of one that was refused for who called, whatever the block is. Needs no lock.
    static Report explain_refused(const void* block, const Failure& failure);
    Report explain_corrupted(const Failure& failure) const;
    // What to say of an access that faulted at `address`. Error: foreign, when that is no guard of
    // the heap's, nor a sampled block that was freed.
    Result<Report> explain_fault(uint64_t address) const;

  private:
    // A live block, found from its address.
    struct Block {
        unsigned char* start;
        SpanRecord* span;               // null for a large block
        LargeBlock* large;              // null for a cell
        GuardedBlocks::Block* guarded;  // null for one that was not sampled
        unsigned cell;
        size_t requested;
        size_t capacity;
    };
    enum class Resized : uint8_t { done, must_move, misused };
    // Blocks, what they were asked for and what they have.
    struct Use {
        size_t blocks = 0;
        size_t live_bytes = 0;
        size_t usable_bytes = 0;

        void add(size_t live, size_t usable, size_t count = 1) {
            blocks += count;
            live_bytes += count * live;
            usable_bytes += count * usable;
        }
        void remove(size_t live, size_t usable, size_t count = 1) { add(live, usable, 0 - count); }
    };
    // What validate adds up.
    struct Totals : Use {
        size_t committed_bytes = 0;
        size_t cached_bytes = 0;
        size_t empty_spans = 0;
        size_t listed_spans = 0;
    };

    static constexpr unsigned max_arenas = 16;
    static constexpr unsigned remembered_frees = 32;
    static constexpr unsigned no_class = class_count;
    static constexpr unsigned no_bin = span_bins;
    static constexpr size_t least_cached = size_t{1} << 20;
    static constexpr unsigned large_record_shift = log2_ceil(sizeof(LargeBlock));
    using Bin = IntrusiveList<SpanRecord, &SpanRecord::bin_link>;
    using EmptySpans = IntrusiveList<SpanRecord, &SpanRecord::empty_link>;

    bool started() const { return arena_count_ != 0; }
    Span<Arena> arenas() { return Span<Arena>(arenas_).first(arena_count_); }
    Span<const Arena> arenas() const {
        return Span<const Arena>(arenas_, max_arenas).first(arena_count_);
    }
    Arena& arena_of(const SpanRecord& span);
    // The class that serves the request; no_class when it must be a large block.
    unsigned class_of(size_t bytes, size_t alignment) const;

    // Arenas and spans.
    bool add_arena();
    void undo_add_arena();
    SpanRecord* create_span(unsigned size_class, unsigned lane);
    bool give_back(SpanRecord& span);
    bool give_back_empty_spans();
    void refile(SpanRecord& span, unsigned from_bin);

    // Cells.
    void* allocate_cell(unsigned size_class, size_t bytes, size_t alignment, LargerCell larger,
                        unsigned lane = no_lane);
    void* take_cell(SpanRecord& span, size_t bytes);
    SpanRecord* find_span(unsigned size_class, unsigned lane);
    [[gnu::noinline]] SpanRecord* own_span(unsigned size_class, unsigned lane);
    [[gnu::noinline]] SpanRecord* choose_span(unsigned size_class, unsigned lane);
    void enter_lane(CpuBlocks& cpu);
    void leave_lane(CpuBlocks& cpu);
    static void give_to_lane(SpanRecord& span, unsigned lane) {
        span.lane = static_cast<uint8_t>(lane);
        span.open = lane != no_lane;
    }
    void open_span(SpanRecord& span, unsigned lane);
    void close_spans();
    SpanRecord* find_span_with_memory(unsigned size_class);
    SpanRecord* find_larger_cell(unsigned size_class, size_t alignment);
    bool commit_cell(SpanRecord& span, unsigned cell);
    void free_cell(const Block& block);
    void quarantine(const Block& block);
    bool drain_quarantine();
    bool keeps_at_hand() const {
        // Its fast paths neither fill cells nor choose among them.
        const bool fills = options_.poison_freed && !watches_slack();
        return options_.quarantine_bytes == 0 && !options_.random_placement && !fills;
    }
    unsigned cell_to_take(const SpanRecord& span);
    // Sampled blocks. Null where it is not this one's turn, or it cannot be had.
    void* sample(size_t bytes, size_t alignment) {
        if (options_.sample_interval == 0 || --until_sample_ != 0) return nullptr;
        return take_sample(bytes, alignment);
    }
    [[gnu::noinline]] void* take_sample(size_t bytes, size_t alignment);
    void free_sample(const Block& block);
    bool shrink_sample(const Block& block, size_t bytes);
    Result<Block> locate_sample(const void* address) const;
    // The first byte that is not what it was made when the block was given out.
    static const unsigned char* broken_byte(const Block& block);
    const void* block_around(const void* address) const;
    bool is_written_free_byte(const void* address) const;
    bool books_agree_at(const void* address) const;
    void put_back_cell(SpanRecord& span, unsigned cell, size_t bytes);
    void give_back_surplus();
    void give_back_for_growth();
    // Of an allocation that may have met a free block that was written to.
    Result<void*> judge(void* block, size_t bytes);
    void shred(const Block& block, size_t bytes);
    size_t kept_bytes(size_t requested, size_t capacity) const {
        return watches_slack() ? requested : capacity;
    }
    bool is_size_of(const Block& block, size_t bytes, size_t alignment) const;
    size_t asked_of(const Block& block) const;

    // For CPUs.
    [[gnu::noinline]] void welcome(CpuBlocks& cpu);
    void* take_at_hand(CpuBlocks& cpu, unsigned size_class, size_t bytes);
    bool may_lie_at_hand(unsigned size_class) const;
    Status keep_at_hand(CpuBlocks& cpu, const Block& block);
    void empty_medium(CpuBlocks& cpu, unsigned index);
    bool make_medium_room(CpuBlocks& cpu, CpuBlocks::Bin& bin);
    uintptr_t state_of(const Block& block) const;
    bool take_magazine(CpuBlocks::Bin& bin, unsigned size_class, unsigned lane);
    bool take_any_magazine(CpuBlocks::Bin& bin, unsigned size_class);
    bool refill(CpuBlocks& cpu, CpuBlocks::Bin& bin, unsigned size_class);
    [[gnu::noinline]] unsigned take_cells(SpanRecord& span, CellRef* cells, unsigned wanted);
    bool make_room(CpuBlocks& cpu, CpuBlocks::Bin& bin, unsigned size_class);
    size_t put_run(SpanRecord& span, const CellRef* cells, size_t count);
    void put_cells(const CellRef* cells, size_t count);
    CellRef* new_magazine(unsigned size_class);
    void drop_magazine(CellRef* cells, unsigned size_class);
    void drop_from_depot(Magazine* full, unsigned size_class);
    SpanRecord* span_of(const void* block) const;
    void retire(LargeBlock& large);
    bool give_back_retired();

    // Large blocks. `headroom`: address space to grow into.
    void* allocate_large(size_t bytes, size_t alignment, size_t headroom);
    LargeBlock* find_large(size_t bytes, size_t alignment, size_t headroom);
    LargeBlock* create_large(size_t bytes, size_t alignment, size_t headroom);
    MetadataStore* store_with_room();
    void undo_reserve_large(unsigned char* base, size_t reserved, size_t committed);
    void free_large_record(LargeBlock& large);
    void* give_out(LargeBlock& large, size_t bytes);
    void* take_kept(size_t bytes);
    void take_back(LargeBlock& large);
    void keep_large(LargeBlock& large);
    // A heap that watches for mistakes lets the range go, so that whoever still uses it faults.
    bool may_keep(const LargeBlock& large) const {
        return !watches_slack() && kept_.has_room() && large.committed <= options_.cached_bytes / 2;
    }
    bool give_back_kept();
    Status free_large(const Block& block);
    bool resize_large(const Block& block, size_t bytes);
    void* move_large(const void* block, size_t bytes, size_t headroom);
    void note_resized(LargeBlock& large, size_t had_committed, size_t bytes);
    void remember_freed(const void* base);

    // From an address to a block.
    Result<Block> locate(const void* address) const;
    Result<Block> locate_in_span(const SpanRecord& span, const void* address) const;
    // As locate; corrupted when the bytes behind the block were overwritten.
    Result<Block> locate_intact(const void* address) const;
    Status free_block(const Block& block);
    [[gnu::noinline]] void undo_allocation(void* block);
    bool fits_in_place(const Block& block, size_t bytes) const;
    size_t room_for(const Block& block, size_t bytes) const;
    Resized resize_in_place(void* address, size_t bytes, Shrink shrink);
    [[gnu::noinline]] Result<void*> replace(void* block, void* moved, size_t kept_bytes);
    size_t requested_of(const void* block) const;
    size_t room_of(const void* block, size_t bytes) const;
    [[gnu::noinline]] void mark_resized(const void* block, size_t bytes);
    Failure misuse_of(const void* block) const;
    void resize_cell(const Block& block, size_t bytes);
    bool resize_medium(const Block& block, size_t bytes);

    Status validate_arena(const Arena& arena, Totals& totals) const;
    Status validate_span(const SpanRecord& span, Totals& totals) const;
    Status validate_large(Totals& totals) const;
    Status validate_samples(Totals& totals) const;
    Status validate_lists(const Totals& totals) const;

    PageAccount pages_;
    HeapOptions options_;
    size_t largest_in_span_ = largest_cell;
    Arena arenas_[max_arenas];
    unsigned arena_count_ = 0;
    size_t next_arena_bytes_ = 0;
    Bin bins_[class_count][span_bins];
    uint16_t cpus_of_lane_[lanes + 1] = {};
    EmptySpans empty_spans_;  // oldest first
    size_t cached_bytes_ = 0;
    LargeIndex large_;
    LargeCache kept_;
    // Freed while pages were closed, linked by `left`.
    LargeBlock* retired_ = nullptr;
    size_t retired_bytes_ = 0;
    unsigned wanted_piece_ = 0;  // shift of a magazine that could not be had meanwhile; or none
    // Full magazines on their way between CPUs, by the lane that filled them.
    Magazine* depot_[class_count][lanes + 1] = {};
    uint16_t depot_count_[class_count] = {};
    Quarantine quarantine_;
    GuardedBlocks samples_;
    Random random_;
    uint32_t until_sample_ = 1;
    uint32_t tick_ = 0;  // calls of `age`
    size_t late_refusals_ = 0;
    const unsigned char* broken_ = nullptr;  // where a free block was found written to
    bool fresh_ = false;                     // the last block given out is zero: it is new memory
    bool shared_ = false;                    // CPUs have had cells, and know their slack
    bool sizes_vary_ = false;  // some blocks have larger cells than their sizes deserve
    // Large blocks freed last, to know a double free from a foreign pointer.
    const void* freed_large_[remembered_frees] = {};
    unsigned next_remembered_ = 0;
    Use use_;  // what lies with CPUs and between them counts, and what waits
    uint64_t allocations_ = 0;
    uint64_t frees_ = 0;
};

}  // namespace quire::heap_internal
