// SPDX-License-Identifier: MIT
// Who has the memory: a heap that knows a tag, the size asked for and the caller of each block.
//
//   constinit quire::HeapTag files("files");
//   quire::TaggedHeap tagged(kernel_heap);      // started with pages for its records
//   void* block = tagged.allocate(100, files).value();
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/function_ref.hpp"
#include "quire/base/intrusive_list.hpp"
#include "quire/base/lock.hpp"
#include "quire/heap/block_records.hpp"
#include "quire/heap/heap_ref.hpp"
#include "quire/heap/leak_report.hpp"
#include "quire/heap/page_source.hpp"

namespace quire {

// What a tag has at some moment.
struct TagUse {
    size_t blocks = 0;
    size_t bytes = 0;  // asked for
    friend constexpr bool operator==(const TagUse&, const TagUse&) = default;
};

// One purpose of memory. An object of the kernel's, usually static; it is one heap's from its first
// use on, and must outlive that.
class HeapTag {
  public:
    constexpr explicit HeapTag(const char* name) : name_(name) {}
    HeapTag(const HeapTag&) = delete;
    HeapTag& operator=(const HeapTag&) = delete;
    const char* name() const { return name_; }

  private:
    template <class H, Lockable L>
    friend class TaggedHeap;

    const char* name_;
    ListLink<HeapTag> link_;
    TagUse use_;
};

struct TaggedBlock {
    void* address;
    size_t bytes;
    const HeapTag* tag;
    const void* caller;  // the address behind the call that allocated it
};

// Keeps its records apart from the heap, 40 bytes a block and up (on 64-bit machines), and takes a
// lock of its own for some tens of instructions in each call: for finding out, or for the heap's
// slower users, beside which the rest calls the heap itself. Blocks that were allocated here are to
// be freed here; the heap's other blocks are freed here as well. In threads; with a lock that keeps
// interrupts away, try_allocate and the frees in any context that the heap's are legal in.
template <class H, Lockable L = SpinLock>
class TaggedHeap {
  public:
    constexpr explicit TaggedHeap(H& heap) : heap_(heap) {}
    TaggedHeap(const TaggedHeap&) = delete;
    TaggedHeap& operator=(const TaggedHeap&) = delete;

    // Room for the records of `most_blocks` live blocks, committed as they come. Errors as
    // PageSource::reserve and commit; bad_argument when started already, or for none.
    Status start(PageSource& pages, size_t most_blocks) {
        const LockGuard guard(lock_);
        return records_.start(pages, most_blocks);
    }
    // Forgets all blocks, which stay live in the heap, and gives the records' pages back. See
    // report_leaks.
    void stop() {
        const LockGuard guard(lock_);
        while (HeapTag* tag = tags_.pop_front())
            tag->use_ = TagUse{};
        use_ = TagUse{};
        for (FreedBlock& freed : freed_)
            freed = FreedBlock{};
        records_.stop();
    }

    // As the heap's, with the same errors; out_of_nodes when there is no room for a record, and
    // then nothing was allocated.
    [[gnu::noinline]] Result<void*> allocate(size_t bytes, HeapTag& tag) {
        return recorded(heap_.allocate(bytes), bytes, tag, __builtin_return_address(0));
    }
    [[gnu::noinline]] Result<void*> allocate_zeroed(size_t bytes, HeapTag& tag) {
        return recorded(heap_.allocate_zeroed(bytes), bytes, tag, __builtin_return_address(0));
    }
    [[gnu::noinline]] Result<void*> allocate_aligned(size_t bytes, size_t alignment, HeapTag& tag) {
        return recorded(heap_.allocate_aligned(bytes, alignment), bytes, tag,
                        __builtin_return_address(0));
    }
    // The block keeps its tag, and counts as allocated where it was; null means allocate.
    Result<void*> reallocate(void* block, size_t bytes, HeapTag& tag) {
        if (block == nullptr) return allocate(bytes, tag);
        heap_internal::BlockRecord* const record = taken_out(block);
        const Result<void*> moved = heap_.reallocate(block, bytes);
        if (record != nullptr) {
            put_in(*record, moved.ok() ? *moved : block, moved.ok() ? bytes : record->bytes);
        }
        return moved;
    }
    // As the heap's; a block whose free is refused keeps its record.
    [[gnu::noinline]] Status try_free(void* block) {
        return free_called_from(block, __builtin_return_address(0));
    }
    // What is refused is reported, with the block's tag and callers where they are known.
    [[gnu::noinline]] void free(void* block) {
        const Status freed = free_called_from(block, __builtin_return_address(0));
        if (!freed.ok()) report(block, freed.failure());
    }

    // `bytes` must be what was asked for; else bad_argument, and nothing changed.
    Status try_free_sized(void* block, size_t bytes) {
        const Result<TaggedBlock> known = find(block);
        if (known.ok() && known->bytes != bytes) {
            return Failure{Error::bad_argument, reinterpret_cast<uintptr_t>(block)};
        }
        return try_free(block);
    }

    // What is known of a block that was allocated here. Error: foreign.
    Result<TaggedBlock> find(const void* block) const {
        const LockGuard guard(lock_);
        const heap_internal::BlockRecord* const record =
            block == nullptr || !records_.started() ? nullptr : records_.find(block);
        if (record == nullptr) {
            return Failure{Error::foreign, reinterpret_cast<uintptr_t>(block)};
        }
        return shown(*record);
    }
    // The tag's, and all tags' together, which is at every moment the sum. O(1).
    TagUse use(const HeapTag& tag) const {
        const LockGuard guard(lock_);
        return tag.use_;
    }
    TagUse use() const {
        const LockGuard guard(lock_);
        return use_;
    }
    // Every tag that was ever used, with its use, the first used first, until `visit` says false.
    // `visit` must not call this object.
    void for_each_tag(FunctionRef<bool(const HeapTag&, const TagUse&)> visit) const {
        const LockGuard guard(lock_);
        for (const HeapTag& tag : tags_)
            if (!visit(tag, tag.use_)) return;
    }
    // Every live block, in no order, likewise. O(most blocks that there ever were).
    void for_each_block(FunctionRef<bool(const TaggedBlock&)> visit) const {
        const LockGuard guard(lock_);
        for (size_t number = 0; number < records_.high_water(); ++number) {
            const heap_internal::BlockRecord& record = records_.at(number);
            if (record.address != nullptr && !visit(shown(record))) return;
        }
    }
    // Logs a line for each live block with its size, tag and caller; see leak_report.hpp.
    size_t report_leaks(Platform& platform, size_t most_lines = 32) const {
        size_t lines = 0;
        for_each_block([&](const TaggedBlock& block) {
            if (lines++ == most_lines) return false;
            heap_internal::log_leak(platform, LiveBlock{block.address, block.bytes},
                                    block.tag->name(), block.caller);
            return true;
        });
        const TagUse all = use();
        if (all.blocks != 0) heap_internal::log_leaks(platform, all.blocks, all.bytes);
        return all.blocks;
    }
    // Checks that the records, each tag's use and the sum agree. Error: corrupted. O(blocks *
    // tags).
    Status validate() const {
        const LockGuard guard(lock_);
        if (!records_.consistent()) return Failure{Error::corrupted};
        TagUse sum;
        for (const HeapTag& tag : tags_) {
            const TagUse found = found_use(tag);
            if (found != tag.use_) {
                return Failure{Error::corrupted, reinterpret_cast<uintptr_t>(&tag)};
            }
            sum.blocks += found.blocks;
            sum.bytes += found.bytes;
        }
        const bool agree = sum == use_ && sum.blocks == records_.size();
        if (!agree) return Failure{Error::corrupted, sum.bytes};
        return {};
    }

  private:
    // What is remembered of the blocks that were freed last.
    struct FreedBlock {
        TaggedBlock block;
        const void* freed_at;
    };
    static constexpr unsigned remembered = 16;

    Status free_called_from(void* block, const void* caller) {
        if (block == nullptr) return {};
        heap_internal::BlockRecord* const record = taken_out(block);
        const Status freed = heap_.try_free(block);
        if (record == nullptr) return freed;
        if (!freed.ok()) {
            put_in(*record, block, record->bytes);
            return freed;
        }
        const LockGuard guard(lock_);
        freed_[next_freed_] = {{block, record->bytes, record->tag, record->caller}, caller};
        next_freed_ = (next_freed_ + 1) % remembered;
        records_.give_back(*record);
        return freed;
    }
    [[noreturn, gnu::noinline]] void report(const void* block, const Failure& failure) {
        Report report = heap_.explain(block, failure);
        name(report, block);
        heap_.panic(report);
    }
    // Adds what is known of the block that the report is about, or that lay last at `block`.
    void name(Report& report, const void* block) const {
        const auto* const around =
            reinterpret_cast<const void*>(static_cast<uintptr_t>(report.block));
        const Result<TaggedBlock> live = find(around);
        if (live.ok()) return name(report, *live, nullptr);
        const LockGuard guard(lock_);
        for (unsigned back = 1; back <= remembered; ++back) {
            const FreedBlock& freed = freed_[(next_freed_ + remembered - back) % remembered];
            if (freed.block.address == block) return name(report, freed.block, freed.freed_at);
        }
    }
    static void name(Report& report, const TaggedBlock& block, const void* freed_at) {
        report.block = reinterpret_cast<uintptr_t>(block.address);
        report.block_bytes = block.bytes;
        report.tag = block.tag->name();
        report.allocated_at = block.caller;
        report.freed_at = freed_at;
    }
    static TaggedBlock shown(const heap_internal::BlockRecord& record) {
        return TaggedBlock{record.address, record.bytes, record.tag, record.caller};
    }
    TagUse found_use(const HeapTag& tag) const {
        TagUse found;
        for (size_t number = 0; number < records_.high_water(); ++number) {
            const heap_internal::BlockRecord& record = records_.at(number);
            if (record.address == nullptr || record.tag != &tag) continue;
            ++found.blocks;
            found.bytes += record.bytes;
        }
        return found;
    }
    void count_in(const heap_internal::BlockRecord& record) {
        TagUse* const both[] = {&record.tag->use_, &use_};
        for (TagUse* const use : both) {
            ++use->blocks;
            use->bytes += record.bytes;
        }
    }
    void count_out(const heap_internal::BlockRecord& record) {
        TagUse* const both[] = {&record.tag->use_, &use_};
        for (TagUse* const use : both) {
            --use->blocks;
            use->bytes -= record.bytes;
        }
    }

    Result<void*> recorded(const Result<void*>& block, size_t bytes, HeapTag& tag,
                           const void* caller) {
        if (!block.ok()) return block;
        {
            const LockGuard guard(lock_);
            heap_internal::BlockRecord* const record =
                records_.started() ? records_.take() : nullptr;
            if (record != nullptr) {
                if (!tag.link_.linked()) tags_.push_back(tag);
                *record = {nullptr, *block, bytes, &tag, caller};
                records_.insert(*record);
                count_in(*record);
                return block;
            }
        }
        undo_allocate(*block);
        return Failure{Error::out_of_nodes, bytes};
    }
    void undo_allocate(void* block) { heap_.free(block); }
    // The block's record, which is in no table then; null when it has none.
    heap_internal::BlockRecord* taken_out(const void* block) {
        const LockGuard guard(lock_);
        heap_internal::BlockRecord* const record =
            records_.started() ? records_.remove(block) : nullptr;
        if (record == nullptr) return nullptr;
        count_out(*record);
        record->address = nullptr;
        return record;
    }
    void put_in(heap_internal::BlockRecord& record, void* block, size_t bytes) {
        const LockGuard guard(lock_);
        record.address = block;
        record.bytes = bytes;
        records_.insert(record);
        count_in(record);
    }

    template <class Tagged>
    friend class HeapOfTag;

    H& heap_;
    mutable L lock_;
    heap_internal::BlockRecords records_;
    IntrusiveList<HeapTag, &HeapTag::link_> tags_;
    TagUse use_;
    FreedBlock freed_[remembered] = {};
    unsigned next_freed_ = 0;
};

// A TaggedHeap with a tag chosen: for a HeapRef, and so for object caches, containers and operator
// new.
template <class Tagged>
class HeapOfTag {
  public:
    constexpr HeapOfTag(Tagged& heap, HeapTag& tag) : heap_(heap), tag_(tag) {}

    Result<void*> allocate(size_t bytes) { return heap_.allocate(bytes, tag_); }
    Result<void*> allocate_aligned(size_t bytes, size_t alignment) {
        return heap_.allocate_aligned(bytes, alignment, tag_);
    }
    void free(void* block) { heap_.free(block); }
    void free_sized(void* block, size_t bytes, size_t alignment = 1) {
        const Status freed = try_free_sized(block, bytes, alignment);
        if (freed.ok()) return;
        panic(Report{.what = "tagged heap: a sized free was refused",
                     .error = freed.error(),
                     .address = freed.failure().where,
                     .has_values = true,
                     .expected = heap_.find(block).value_or(TaggedBlock{}).bytes,
                     .found = bytes,
                     .likely_cause = "it is deleted as another type, or was freed before"});
    }
    Status try_free_sized(void* block, size_t bytes, size_t) {
        return heap_.try_free_sized(block, bytes);
    }
    [[noreturn]] void panic(const Report& report) const { heap_.heap_.panic(report); }

  private:
    Tagged& heap_;
    HeapTag& tag_;
};

}  // namespace quire
