// SPDX-License-Identifier: MIT
// What an address space ought to do, page by page and without thought for speed.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "quire/space/address_space.hpp"

namespace quire::test {

class SpaceOracle {
  public:
    struct PageState {
        uint64_t maker = 0;  // which creation the page belongs to
        bool is_guard = false;
        bool is_mapped = false;
        Backing backing = Backing::anonymous;
        Protection protection = Protection::none;
        uint64_t frame = 0;  // Backing::frames only
    };

    explicit SpaceOracle(const PageRange& bounds) : bounds_(bounds) {}

    bool is_free(const PageRange& extent) const {
        if (!bounds_.contains(extent)) return false;
        const auto at = pages_.lower_bound(extent.first().value());
        return at == pages_.end() || at->first > extent.last().value();
    }
    // Whether a body of so many pages, aligned, fits anywhere with its guards.
    bool has_room(PageCount pages, const Placement& placement) const {
        for (uintptr_t body = bounds_.first().value() + placement.guard_before.value();
             body <= bounds_.last().value(); ++body) {
            if (body % placement.alignment.value() != 0) continue;
            const auto extent =
                PageRange::from(Page(body) - placement.guard_before,
                                placement.guard_before + pages + placement.guard_after);
            if (extent.ok() && is_free(*extent)) return true;
        }
        return false;
    }
    void make(const PageRange& body, const Placement& placement, const PageState& state) {
        ++makers_;
        const PageRange extent(body.first() - placement.guard_before,
                               placement.guard_before + body.count() + placement.guard_after);
        for (const Page page : extent) {
            PageState each = state;
            each.maker = makers_;
            each.is_guard = !body.contains(page);
            each.is_mapped = each.is_mapped && !each.is_guard;
            if (state.backing == Backing::frames && !each.is_guard) {
                each.frame = state.frame + (page - body.first()).value();
            }
            pages_[page.value()] = each;
        }
    }
    bool covers(const PageRange& range) const {
        for (const Page page : range)
            if (!pages_.contains(page.value())) return false;
        return true;
    }
    // All of the range inside one reservation: the pages between two others of the same maker.
    bool is_inside_one_reservation(const PageRange& range) const {
        const auto first = pages_.find(range.first().value());
        if (first == pages_.end()) return false;
        for (const Page page : range) {
            const auto at = pages_.find(page.value());
            if (at == pages_.end() || at->second.is_guard ||
                at->second.backing != Backing::reserved ||
                at->second.maker != first->second.maker ||
                at->second.protection != first->second.protection) {
                return false;
            }
        }
        return true;
    }
    bool any_mapped(const PageRange& range) const {
        for (const Page page : range)
            if (is_mapped(page)) return true;
        return false;
    }
    bool is_mapped(Page page) const {
        const auto at = pages_.find(page.value());
        return at != pages_.end() && at->second.is_mapped;
    }
    void set_mapped(const PageRange& range, bool mapped) {
        for (const Page page : range)
            pages_.at(page.value()).is_mapped = mapped;
    }
    void unmap(const PageRange& range) {
        for (const Page page : range)
            pages_.erase(page.value());
        // Guards next to nothing of their own maker's body go, too.
        for (bool again = true; again;) {
            again = false;
            for (auto at = pages_.begin(); at != pages_.end(); ++at) {
                if (!at->second.is_guard || has_body(at->first, at->second.maker)) continue;
                pages_.erase(at);
                again = true;
                break;
            }
        }
    }
    void protect(const PageRange& range, Protection protection) {
        for (const Page page : range) {
            PageState& state = pages_.at(page.value());
            if (!state.is_guard) state.protection = protection;
        }
    }
    const PageState* at(Page page) const {
        const auto found = pages_.find(page.value());
        return found == pages_.end() ? nullptr : &found->second;
    }
    // How many regions there have to be: runs of pages alike, each with the guards that touch it.
    size_t regions() const {
        size_t count = 0;
        const PageState* before = nullptr;
        uintptr_t last = 0;
        for (const auto& [page, state] : pages_) {
            if (!state.is_guard) {
                const bool goes_on = before != nullptr && !before->is_guard && page == last + 1 &&
                                     before->maker == state.maker &&
                                     before->protection == state.protection;
                if (!goes_on) ++count;
            }
            before = &state;
            last = page;
        }
        return count;
    }
    size_t mapped_of_its_own() const {
        size_t count = 0;
        for (const auto& [page, state] : pages_)
            if (state.is_mapped && state.backing != Backing::frames) ++count;
        return count;
    }
    const std::map<uintptr_t, PageState>& pages() const { return pages_; }

  private:
    // Whether guards of the same maker lead from a page to a body page, on either side.
    bool has_body(uintptr_t page, uint64_t maker) const {
        for (const int step : {-1, 1}) {
            for (auto at = pages_.find(page); at != pages_.end() && at->second.maker == maker;
                 at = pages_.find(at->first + static_cast<uintptr_t>(step))) {
                if (!at->second.is_guard) return true;
            }
        }
        return false;
    }

    PageRange bounds_;
    uint64_t makers_ = 0;
    std::map<uintptr_t, PageState> pages_;
};

}  // namespace quire::test
