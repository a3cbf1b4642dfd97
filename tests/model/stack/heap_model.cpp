// SPDX-License-Identifier: MIT
#include "heap_model.hpp"

#include <algorithm>

namespace quire::model {

Heap& HeapModel::heap() {
    return machine_.memory().heap();
}

void HeapModel::fail(const std::string& what) const {
    throw Mismatch{"heap: " + what};
}

// Most blocks are small; a few take pages of their own.
size_t HeapModel::pick_size(Random& random) {
    const unsigned kind = random.below(100);
    if (kind < 2) return 0;
    if (kind < 70) return random.skewed(256);
    if (kind < 92) return random.skewed(4096);
    if (kind < 99) return random.skewed(40000);
    return random.skewed(300000);
}

StepOutcome HeapModel::step(Random& random, std::string& told) {
    const unsigned kind = random.below(100);
    const unsigned allocating = random.growing() ? 48 : 36;
    if (kind < allocating) return allocate(random, told);
    if (kind < allocating + 8) return reallocate(random, told);
    if (kind < 95) return free(random, told);
    if (kind < 99) return free_wrongly(random, told);
    told = "heap: trim";
    heap().trim();
    return StepOutcome::done;
}

// The first bytes and the last one: the whole block is checked by validate.
void HeapModel::check_block(const NaiveBlock& block, size_t count) {
    std::string wrong = block.check(std::min<size_t>(count, 16));
    if (wrong.empty() && count > 16 && block.at[count - 1] != block.tag) {
        wrong = "the last byte of a block of " + std::to_string(block.bytes) + " changed";
    }
    if (!wrong.empty()) fail(wrong);
}

StepOutcome HeapModel::allocate(Random& random, std::string& told) {
    const size_t bytes = pick_size(random);
    size_t alignment = 2 * sizeof(void*);
    Result<void*> got = Error::bad_argument;
    const unsigned form = random.below(10);
    if (form == 0) {
        alignment = size_t{1} << random.below(14);
        got = heap().allocate_aligned(bytes, alignment);
    } else if (form == 1) {
        got = heap().allocate_zeroed(bytes);
    } else {
        got = heap().allocate(bytes);
    }
    told = "heap: allocate " + std::to_string(bytes) + " (form " + std::to_string(form) + ")";
    if (!got.ok()) {
        told += std::string(" -> ") + to_string(got.error());
        if (got.error() != Error::out_of_memory) fail("allocation failed: " + told);
        const uint64_t free_frames = machine_.memory().frames().counters().free.value();
        // A span and its tables always fit when so many frames are free; the arena's addresses
        // and large ranges do not run out before frames do.
        if (bytes <= 4096 && free_frames > 64) fail("refused while frames are free: " + told);
        return StepOutcome::refused;
    }
    NaiveBlock block{static_cast<unsigned char*>(*got), bytes,
                     static_cast<uint8_t>(random.below(256))};
    if (block.at == nullptr) fail("null given out");
    if (reinterpret_cast<uintptr_t>(block.at) % alignment != 0) fail("misaligned: " + told);
    if (form == 1) {
        NaiveBlock zeroes = block;
        zeroes.tag = 0;
        if (!zeroes.check(bytes).empty()) fail("not zeroed: " + told);
    }
    const Result<size_t> usable = heap().usable_size(block.at);
    if (!usable.ok() || *usable < bytes) fail("usable size is wrong: " + told);
    block.fill();
    blocks_.push_back(block);
    live_bytes_ += bytes;
    const HeapCounters counters = heap().counters();
    if (counters.live_blocks != blocks_.size()) fail("live blocks miscounted");
    if (counters.live_bytes != live_bytes_) fail("live bytes miscounted");
    return StepOutcome::done;
}

StepOutcome HeapModel::reallocate(Random& random, std::string& told) {
    if (blocks_.empty()) return StepOutcome::refused;
    NaiveBlock& block = blocks_[random.below64(blocks_.size())];
    const size_t bytes = 1 + pick_size(random);
    told = "heap: reallocate " + std::to_string(block.bytes) + " to " + std::to_string(bytes);
    check_block(block, block.bytes);
    const Result<void*> got = heap().reallocate(block.at, bytes);
    if (!got.ok()) {
        told += std::string(" -> ") + to_string(got.error());
        if (got.error() != Error::out_of_memory) fail("reallocation failed: " + told);
        check_block(block, block.bytes);
        return StepOutcome::refused;
    }
    live_bytes_ += bytes - block.bytes;
    block.at = static_cast<unsigned char*>(*got);
    check_block(block, std::min(block.bytes, bytes));
    block.bytes = bytes;
    block.fill();
    if (heap().counters().live_bytes != live_bytes_) fail("live bytes miscounted: " + told);
    return StepOutcome::done;
}

StepOutcome HeapModel::free(Random& random, std::string& told) {
    if (blocks_.empty()) return StepOutcome::refused;
    NaiveBlock& block = blocks_[random.below64(blocks_.size())];
    told = "heap: free " + std::to_string(block.bytes);
    check_block(block, block.bytes);
    const Status done = random.chance(30) ? heap().try_free_sized(block.at, block.bytes)
                                          : heap().try_free(block.at);
    if (!done.ok()) fail("free refused: " + told + ": " + to_string(done.error()));
    live_bytes_ -= block.bytes;
    unsigned char* const freed = block.at;
    block = blocks_.back();
    blocks_.pop_back();
    if (random.chance(10) && heap().try_free(freed).ok()) fail("a second free was accepted");
    return StepOutcome::done;
}

StepOutcome HeapModel::free_wrongly(Random& random, std::string& told) {
    if (blocks_.empty()) return StepOutcome::refused;
    const NaiveBlock& block = blocks_[random.below64(blocks_.size())];
    const HeapCounters before = heap().counters();
    Status done;
    switch (random.below(3)) {
        case 0:
            told = "heap: free inside a block";
            done = heap().try_free(block.at + 1 +
                                   random.below64(std::max<size_t>(block.bytes, 2) - 1));
            break;
        case 1:
            told = "heap: free another size";
            done = heap().try_free_sized(block.at, block.bytes + 1);
            break;
        default:
            told = "heap: free a foreign pointer";
            done = heap().try_free(&told);
            break;
    }
    if (done.ok()) fail("a wrong free was accepted: " + told);
    if (heap().counters().live_blocks != before.live_blocks) fail("a wrong free changed something");
    check_block(block, block.bytes);
    return StepOutcome::refused;
}

void HeapModel::validate() {
    for (const NaiveBlock& block : blocks_) {
        const std::string wrong = block.check(block.bytes);
        if (!wrong.empty()) fail(wrong);
        const Result<size_t> usable = heap().usable_size(block.at);
        if (!usable.ok() || *usable < block.bytes) fail("usable size is wrong");
    }
    const HeapCounters counters = heap().counters();
    if (counters.live_blocks != blocks_.size() || counters.live_bytes != live_bytes_) {
        fail("counters are wrong");
    }
}

}  // namespace quire::model
