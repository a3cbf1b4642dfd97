// SPDX-License-Identifier: MIT
// A PageSource over the host's own virtual memory, for tests: what is not committed faults. It
// holds its caller to the contract, counts, and runs out when it is told to.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <map>
#include <vector>

#include "quire/base/bits.hpp"
#include "quire/heap/page_source.hpp"

namespace quire::test {

// Not synchronised: a heap calls its source under its own lock.
class HostPageSource final : public PageSource {
  public:
    HostPageSource() = default;
    HostPageSource(const HostPageSource&) = delete;
    HostPageSource& operator=(const HostPageSource&) = delete;
    ~HostPageSource() {
        for (const auto& [base, reservation] : reservations_)
            munmap(reinterpret_cast<void*>(base), reservation.pages.size() * page_size);
    }

    // The call, reserve or commit, that fails: 1 is the next one; 0 none.
    void fail_call(size_t number) { fail_in_ = number; }
    bool failed() const { return failed_; }
    // Every decommit, or release, is refused while set.
    void refuse_decommit(bool refuse) { refuse_decommit_ = refuse; }
    void refuse_release(bool refuse) { refuse_release_ = refuse; }
    void limit_pages(size_t pages) { page_limit_ = pages; }
    void limit_address_space(size_t bytes) { address_limit_ = bytes; }

    size_t committed_bytes() const { return committed_pages_ * page_size; }
    size_t reserved_bytes() const { return reserved_bytes_; }
    size_t reservations() const { return reservations_.size(); }
    template <class Visit>
    void for_each_reservation(Visit visit) const {
        for (const auto& [base, reservation] : reservations_)
            visit(reinterpret_cast<void*>(base));
    }
    size_t calls() const { return calls_; }
    // Calls that broke the contract of PageSource; a test expects none.
    size_t breaches() const { return breaches_; }
    bool is_committed(const void* address) const {
        const Part part = part_of(address, 0);
        return part.reservation != nullptr && part.reservation->pages[part.first];
    }

    Result<void*> reserve(size_t bytes, size_t alignment) override {
        if (bytes == 0) return breach(Error::zero_size);
        if (bytes % page_size != 0 || !is_power_of_two(alignment) || alignment < page_size)
            return breach(Error::misaligned);
        if (fails()) return Failure{Error::out_of_address_space, bytes};
        if (bytes > address_limit_ || reserved_bytes_ > address_limit_ - bytes ||
            alignment > SIZE_MAX - bytes)
            return Failure{Error::out_of_address_space, bytes};
        void* raw = mmap(nullptr, bytes + alignment, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (raw == MAP_FAILED) return Failure{Error::out_of_address_space, bytes};
        const auto start = reinterpret_cast<uintptr_t>(raw);
        const uintptr_t base = (start + alignment - 1) & ~(uintptr_t{alignment} - 1);
        if (base != start) munmap(raw, base - start);
        munmap(reinterpret_cast<void*>(base + bytes), start + alignment - base);
        reservations_[base].pages.resize(bytes / page_size);
        reserved_bytes_ += bytes;
        return reinterpret_cast<void*>(base);
    }

    Status commit(void* address, size_t bytes) override {
        const Part part = part_of(address, bytes);
        if (part.reservation == nullptr) return breach(Error::no_region);
        for (size_t i = 0; i < part.count; ++i)
            if (part.reservation->pages[part.first + i]) return breach(Error::already_mapped);
        if (fails()) return Failure{Error::out_of_frames, bytes};
        if (part.count > page_limit_ || committed_pages_ > page_limit_ - part.count)
            return Failure{Error::out_of_frames, bytes};
        if (bytes != 0 && mprotect(address, bytes, PROT_READ | PROT_WRITE) != 0) abort();
        set(part, true);
        return {};
    }

    Status decommit(void* address, size_t bytes) override {
        const Part part = part_of(address, bytes);
        if (part.reservation == nullptr) return breach(Error::no_region);
        if (refuse_decommit_) return Failure{Error::out_of_frames, bytes};
        // A fresh mapping in place of the old one: zero when it is committed again.
        if (bytes != 0 &&
            mmap(address, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
                 -1, 0) != address)
            abort();
        set(part, false);
        return {};
    }

    Status release(void* address, size_t bytes) override {
        const auto found = reservations_.find(reinterpret_cast<uintptr_t>(address));
        if (found == reservations_.end() || found->second.pages.size() * page_size != bytes)
            return breach(Error::no_region);
        if (refuse_release_) return Failure{Error::out_of_nodes, bytes};
        set(Part{&found->second, 0, found->second.pages.size()}, false);
        munmap(address, bytes);
        reservations_.erase(found);
        reserved_bytes_ -= bytes;
        return {};
    }

    // Refused as a source without it would, unless allowed.
    void allow_moves(bool allow) { allow_moves_ = allow; }
    size_t moves() const { return moves_; }
    Result<void*> move(void* address, const Extent& from, const Extent& to) override {
        if (!allow_moves_) return PageSource::move(address, from, to);
        const Part part = part_of(address, from.committed_bytes);
        const bool whole = part.reservation != nullptr && part.first == 0 &&
                           part.reservation->pages.size() * page_size == from.reserved_bytes;
        if (!whole || to.committed_bytes < from.committed_bytes) return breach(Error::no_region);
        for (size_t i = 0; i < part.reservation->pages.size(); ++i)
            if (part.reservation->pages[i] != (i < part.count)) return breach(Error::no_region);
        if (fails()) return Failure{Error::out_of_frames, to.committed_bytes};
        const size_t more = (to.committed_bytes - from.committed_bytes) / page_size;
        if (more > page_limit_ || committed_pages_ > page_limit_ - more)
            return Failure{Error::out_of_frames, to.committed_bytes};
        const Result<void*> moved = reserve(to.reserved_bytes, page_size);
        if (!moved.ok()) return moved;
        if (mremap(address, from.committed_bytes, from.committed_bytes,
                   MREMAP_MAYMOVE | MREMAP_FIXED, *moved) != *moved)
            abort();
        // What was committed with it is zero.
        if (mprotect(*moved, to.committed_bytes, PROT_READ | PROT_WRITE) != 0) abort();
        set(part, false);
        munmap(address, from.reserved_bytes);
        reservations_.erase(reinterpret_cast<uintptr_t>(address));
        reserved_bytes_ -= from.reserved_bytes;
        set(part_of(*moved, to.committed_bytes), true);
        ++moves_;
        return moved;
    }

  private:
    struct Reservation {
        std::vector<bool> pages;  // committed
    };
    struct Part {
        const Reservation* reservation;
        size_t first;
        size_t count;
    };

    Failure breach(Error error) {
        ++breaches_;
        return Failure{error};
    }
    bool fails() {
        ++calls_;
        if (fail_in_ == 0 || --fail_in_ != 0) return false;
        failed_ = true;
        return true;
    }
    Part part_of(const void* address, size_t bytes) const {
        const auto at = reinterpret_cast<uintptr_t>(address);
        const auto next = reservations_.upper_bound(at);
        if (next == reservations_.begin()) return {};
        const auto& [base, reservation] = *std::prev(next);
        const size_t first = (at - base) / page_size;
        const size_t count = bytes / page_size;
        if (first >= reservation.pages.size() || count > reservation.pages.size() - first)
            return {};
        if (bytes % page_size != 0 || (bytes != 0 && at % page_size != 0)) return {};
        return {&reservation, first, count};
    }
    void set(const Part& part, bool committed) {
        auto& pages = const_cast<Reservation*>(part.reservation)->pages;
        for (size_t i = part.first; i < part.first + part.count; ++i) {
            if (pages[i] == committed) continue;
            pages[i] = committed;
            committed ? ++committed_pages_ : --committed_pages_;
        }
    }

    std::map<uintptr_t, Reservation> reservations_;
    size_t reserved_bytes_ = 0;
    size_t committed_pages_ = 0;
    size_t page_limit_ = SIZE_MAX;
    size_t address_limit_ = SIZE_MAX;
    size_t fail_in_ = 0;
    size_t calls_ = 0;
    size_t breaches_ = 0;
    size_t moves_ = 0;
    bool allow_moves_ = false;
    bool failed_ = false;
    bool refuse_decommit_ = false;
    bool refuse_release_ = false;
};

}  // namespace quire::test
