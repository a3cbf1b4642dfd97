// SPDX-License-Identifier: MIT
// A PageSource with a tally of the memory taken from it.
#pragma once

#include <stddef.h>

#include "quire/base/atomic.hpp"
#include "quire/base/result.hpp"
#include "quire/heap/page_source.hpp"
#include "quire/platform.hpp"

namespace quire::heap_internal {

// Not synchronised. Each call passes straight through; the tally changes only when it succeeds. Why
// the last one failed is kept here rather than handed up, since a call of the page source has a
// long way to go below, and the stack of a kernel is short.
class PageAccount {
  public:
    constexpr PageAccount() = default;
    void start(PageSource& pages, Platform& platform) {
        pages_ = &pages;
        platform_ = &platform;
        committed_ = peak_ = reserved_ = 0;
        closed_ = false;
    }

    // Null when it failed.
    unsigned char* reserve(size_t bytes, size_t alignment);
    // False when it failed.
    bool commit(unsigned char* address, size_t bytes);
    // `committed`: how many of the bytes have memory behind them. False when it failed.
    bool decommit(unsigned char* address, size_t bytes, size_t committed);
    bool release(unsigned char* address, size_t bytes, size_t committed);
    // Where the reservation is now; null when it failed.
    unsigned char* move(unsigned char* address, const PageSource::Extent& from,
                        const PageSource::Extent& to);
    // Of the call that failed last.
    Failure failure() const { return failure_; }
    // While it is closed every call fails with busy, and the source hears of none: for those who
    // may not wait.
    void close() { closed_ = true; }
    void open() { closed_ = false; }
    bool closed() const { return closed_; }
    // Null before the start.
    Platform* platform() const { return platform_; }
    // Whether the source is being called by whoever asks, as far as the platform can tell. Needs no
    // lock.
    bool calls_back() const {
        const uintptr_t caller = caller_.load(MemoryOrder::relaxed);
        return caller != 0 && caller == platform_->caller();
    }

    size_t reserved_bytes() const { return reserved_; }
    size_t committed_bytes() const { return committed_; }
    size_t peak_committed_bytes() const { return peak_; }

  private:
    bool note(const Status& status);
    void add_committed(size_t bytes);
    // Before each call of the source, and after it. False: not to be called.
    [[gnu::noinline]] bool begin();
    void end() { caller_.store(0, MemoryOrder::relaxed); }

    PageSource* pages_ = nullptr;
    Platform* platform_ = nullptr;
    Atomic<uintptr_t> caller_{0};  // of the source, meanwhile
    bool closed_ = false;
    Failure failure_{};
    size_t reserved_ = 0;
    size_t committed_ = 0;
    size_t peak_ = 0;
};

// `bytes` must lie at least a page below the top.
constexpr size_t round_up_to_pages(size_t bytes) {
    return (bytes + page_size - 1) & ~(page_size - 1);
}

}  // namespace quire::heap_internal
