// SPDX-License-Identifier: MIT
#include "quire/heap/region_page_source.hpp"

#include "quire/base/bits.hpp"
#include "quire/base/traits.hpp"
#include "quire/heap/size_class.hpp"

namespace quire {

namespace {

constexpr bool is_page_multiple(uintptr_t value) {
    return (value & (page_size - 1)) == 0;
}

uintptr_t number_of(const void* address) {
    return reinterpret_cast<uintptr_t>(address);
}

}  // namespace

Status RegionPageSource::start(void* address, size_t bytes) {
    const uintptr_t at = number_of(address);
    if (bytes == 0) return Failure{Error::zero_size, at};
    if (!is_page_multiple(at) || !is_page_multiple(bytes)) return Failure{Error::misaligned, at};
    if (bytes - 1 > UINTPTR_MAX - at) return Failure{Error::overflow, at};
    const size_t all = bytes >> page_shift;
    const size_t bookkeeping = (all + page_size - 1) >> page_shift;
    if (bookkeeping >= all) return Failure{Error::bad_argument, bytes};
    states_ = static_cast<uint8_t*>(address);
    base_ = states_ + bookkeeping * page_size;
    pages_ = all - bookkeeping;
    reserved_pages_ = committed_pages_ = 0;
    __builtin_memset(states_, page_free, pages_);
    return {};
}

size_t RegionPageSource::free_pages_from(size_t page, size_t wanted) const {
    size_t count = 0;
    while (count < wanted && !is(page + count, page_reserved))
        ++count;
    return count;
}

Result<void*> RegionPageSource::reserve(size_t bytes, size_t alignment) {
    if (bytes == 0) return Failure{Error::zero_size};
    if (!is_page_multiple(bytes)) return Failure{Error::misaligned, bytes};
    if (!is_power_of_two(alignment) || alignment < page_size) {
        return Failure{Error::misaligned, alignment};
    }
    const size_t wanted = bytes >> page_shift;
    const size_t step = alignment >> page_shift;
    // Pages to the first one that is aligned.
    size_t page = ((~number_of(base_) + 1) & (alignment - 1)) >> page_shift;
    while (page < pages_ && wanted <= pages_ - page) {
        const size_t found = free_pages_from(page, wanted);
        if (found == wanted) {
            __builtin_memset(states_ + page, page_reserved, wanted);
            states_[page] |= page_first;
            reserved_pages_ += wanted;
            return static_cast<void*>(base_ + page * page_size);
        }
        // No run that starts before the taken page can be long enough.
        page += (found / step + 1) * step;
    }
    return Failure{Error::out_of_address_space, bytes};
}

Result<RegionPageSource::Run> RegionPageSource::run_of(const void* address, size_t bytes) const {
    const uintptr_t at = number_of(address);
    if (!is_page_multiple(at) || !is_page_multiple(bytes)) return Failure{Error::misaligned, at};
    const Run run{(at - number_of(base_)) >> page_shift, bytes >> page_shift};
    if (run.first >= pages_ || run.count > pages_ - run.first) {
        return Failure{Error::no_region, at};
    }
    for (size_t i = 0; i < run.count; ++i) {
        const size_t page = run.first + i;
        const bool same = is(page, page_reserved) && (i == 0 || !is(page, page_first));
        if (!same) return Failure{Error::no_region, number_of(base_ + page * page_size)};
    }
    return run;
}

Status RegionPageSource::commit(void* address, size_t bytes) {
    const Result<Run> run = run_of(address, bytes);
    if (!run.ok()) return run.failure();
    for (size_t page = run->first; page < run->first + run->count; ++page) {
        if (is(page, page_committed)) {
            return Failure{Error::already_mapped, number_of(base_ + page * page_size)};
        }
    }
    for (size_t page = run->first; page < run->first + run->count; ++page)
        states_[page] |= page_committed;
    committed_pages_ += run->count;
    __builtin_memset(address, 0, bytes);
    return {};
}

Status RegionPageSource::decommit(void* address, size_t bytes) {
    const Result<Run> run = run_of(address, bytes);
    if (!run.ok()) return run.failure();
    for (size_t page = run->first; page < run->first + run->count; ++page) {
        committed_pages_ -= is(page, page_committed) ? 1 : 0;
        states_[page] = static_cast<uint8_t>(states_[page] & ~unsigned{page_committed});
    }
    return {};
}

Status RegionPageSource::release(void* address, size_t bytes) {
    const Result<Run> run = run_of(address, bytes);
    if (!run.ok()) return run.failure();
    const size_t end = run->first + run->count;
    const bool whole = run->count != 0 && is(run->first, page_first) &&
                       (end == pages_ || !is(end, page_reserved) || is(end, page_first));
    if (!whole) return Failure{Error::no_region, number_of(address)};
    const Status decommitted = decommit(address, bytes);
    if (!decommitted.ok()) return decommitted;
    __builtin_memset(states_ + run->first, page_free, run->count);
    reserved_pages_ -= run->count;
    return {};
}

HeapOptions RegionPageSource::heap_options() const {
    HeapOptions options;
    options.arena_bytes = max(total_bytes() / 8, heap_internal::largest_span);
    options.cached_bytes = total_bytes() / 16;
    return options;
}

}  // namespace quire
