// SPDX-License-Identifier: MIT
// Allocations that were chosen to get a page of their own.
#include "quire/base/traits.hpp"
#include "quire/heap/heap_core.hpp"

namespace quire::heap_internal {

bool HeapCore::is_turn_of_sample(CpuBlocks& cpu) {
    if (cpu.sample_next_) until_sample_ = 1;
    cpu.sample_next_ = false;
    if (options_.sample_interval == 0 || until_sample_ == 1) return options_.sample_interval != 0;
    --until_sample_;
    return false;
}

void* HeapCore::take_sample(size_t bytes, size_t alignment) {
    const uint32_t twice =
        options_.sample_interval <= UINT32_MAX / 2 ? options_.sample_interval * 2 : UINT32_MAX;
    until_sample_ = 1 + random_.below(twice - 1);
    const auto place =
        random_.below(4) == 0 ? GuardedBlocks::Place::at_start : GuardedBlocks::Place::at_end;
    void* const block = samples_.allocate(pages_, bytes, alignment, place);
    if (block == nullptr) return nullptr;
    ++allocations_;
    use_.add(bytes, bytes);
    return block;
}

void HeapCore::free_sample(const Block& block) {
    samples_.free(pages_, *block.guarded);
    ++frees_;
    use_.remove(block.requested, block.requested);
}

// False when it would get larger.
bool HeapCore::shrink_sample(const Block& block, size_t bytes) {
    if (bytes > block.requested) return false;
    GuardedBlocks::shrink(*block.guarded, bytes);
    use_.live_bytes -= block.requested - bytes;
    use_.usable_bytes -= block.requested - bytes;
    return true;
}

Result<Report> HeapCore::explain_fault(uint64_t address) const {
    const auto* const at = reinterpret_cast<const unsigned char*>(static_cast<uintptr_t>(address));
    Report report{.what = "heap: memory behind a block was used",
                  .error = Error::corrupted,
                  .address = address,
                  .likely_cause = "its owner takes it for larger than it had asked for"};
    if (!samples_.contains(at)) {
        // The guard of a large block, or of a cell of whole pages.
        const Result<Block> block = locate(block_around(at));
        if (!block.ok()) return Failure{Error::foreign, address};
        if (at < block->start + block->capacity) return Failure{Error::foreign, address};
        report.block = reinterpret_cast<uintptr_t>(block->start);
        report.block_bytes = block->requested;
        return report;
    }
    const GuardedBlocks::Block& block = samples_.nearest(at);
    if (block.start == nullptr) return Failure{Error::foreign, address};
    if (block.live && GuardedBlocks::on_page_of(block, at)) return Failure{Error::foreign, address};
    report.block = reinterpret_cast<uintptr_t>(block.start);
    report.block_bytes = block.bytes;
    if (!block.live) {
        report.what = "heap: a block was used after it was freed";
        report.likely_cause = "somebody keeps a pointer after freeing it";
    } else if (at < block.start) {
        report.what = "heap: memory before a block was used";
        report.likely_cause = "an index is negative, or a pointer was moved back too far";
    }
    return report;
}

Status HeapCore::validate_samples(Totals& totals) const {
    for (unsigned slot = 0; slot < GuardedBlocks::slots; ++slot) {
        const GuardedBlocks::Block& block = samples_.at(slot);
        totals.committed_bytes += block.committed ? page_size : 0;
        if (!block.live) continue;
        const unsigned char* const broken = GuardedBlocks::broken(block);
        if (broken != nullptr) {
            return Failure{Error::corrupted, reinterpret_cast<uintptr_t>(broken)};
        }
        totals.add(block.bytes, block.bytes);
    }
    return {};
}

}  // namespace quire::heap_internal
