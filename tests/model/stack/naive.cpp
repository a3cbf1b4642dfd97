// SPDX-License-Identifier: MIT
#include "naive.hpp"

#include <algorithm>
#include <cstring>

namespace quire::model {

uint64_t NaiveRegion::present_pages() const {
    if (!owns_frames()) return 0;
    return static_cast<uint64_t>(std::count_if(pages.begin(), pages.end(),
                                               [](const NaivePage& page) { return page.present; }));
}

NaiveRegion* NaiveSpace::find(uintptr_t page) {
    auto after = regions_.upper_bound(page);
    if (after != regions_.end() && after->second.outer_first() <= page) return &after->second;
    if (after == regions_.begin()) return nullptr;
    NaiveRegion& region = std::prev(after)->second;
    return page < region.outer_end() ? &region : nullptr;
}

bool NaiveSpace::overlaps(uintptr_t first, uintptr_t end) const {
    return std::any_of(regions_.begin(), regions_.end(), [&](const auto& entry) {
        return entry.second.outer_first() < end && first < entry.second.outer_end();
    });
}

bool NaiveSpace::shows_with_other_type(uint64_t first_frame, uint64_t count,
                                       MemoryType type) const {
    for (const auto& [first, region] : regions_) {
        const bool shown = region.backing == Backing::frames &&
                           region.first_frame < first_frame + count &&
                           first_frame < region.first_frame + region.pages.size();
        if (shown && region.attributes.type != type) return true;
    }
    return false;
}

void NaiveSpace::insert(NaiveRegion region) {
    owned_pages_ += region.present_pages();
    const uintptr_t first = region.first;
    regions_[first] = std::move(region);
}

void NaiveSpace::remove(uintptr_t first, uintptr_t end) {
    const NaiveRegion old = *find(first);
    owned_pages_ -= old.present_pages();
    regions_.erase(old.first);
    const auto part = [&](uintptr_t from, uintptr_t to) {
        NaiveRegion piece = old;
        piece.first = from;
        piece.first_frame += from - old.first;
        piece.pages.assign(old.pages.begin() + static_cast<std::ptrdiff_t>(from - old.first),
                           old.pages.begin() + static_cast<std::ptrdiff_t>(to - old.first));
        return piece;
    };
    if (first > old.first) {
        NaiveRegion left = part(old.first, first);
        left.guard_after = 0;
        insert(std::move(left));
    }
    if (end < old.end()) {
        NaiveRegion right = part(end, old.end());
        right.guard_before = 0;
        insert(std::move(right));
    }
}

void NaiveSpace::protect(uintptr_t first, uintptr_t end, Protection protection) {
    const NaiveRegion old = *find(first);
    owned_pages_ -= old.present_pages();
    regions_.erase(old.first);
    const uintptr_t edges[] = {old.first, first, end, old.end()};
    for (int i = 0; i < 3; ++i) {
        if (edges[i] == edges[i + 1]) continue;
        NaiveRegion piece = old;
        piece.first = edges[i];
        piece.first_frame += edges[i] - old.first;
        piece.pages.assign(
            old.pages.begin() + static_cast<std::ptrdiff_t>(edges[i] - old.first),
            old.pages.begin() + static_cast<std::ptrdiff_t>(edges[i + 1] - old.first));
        if (edges[i] != old.first) piece.guard_before = 0;
        if (edges[i + 1] != old.end()) piece.guard_after = 0;
        if (i == 1) piece.attributes.protection = protection;
        insert(std::move(piece));
    }
}

void NaiveBlock::fill() const {
    std::memset(at, tag, bytes);
}

std::string NaiveBlock::check(size_t count) const {
    for (size_t i = 0; i < count; ++i) {
        if (at[i] != tag) {
            return "a block of " + std::to_string(bytes) + " bytes holds " + std::to_string(at[i]) +
                   " at offset " + std::to_string(i) + ", not " + std::to_string(tag);
        }
    }
    return {};
}

}  // namespace quire::model
