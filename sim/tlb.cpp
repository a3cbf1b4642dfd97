// SPDX-License-Identifier: MIT
#include "sim/tlb.hpp"

#include <stdexcept>

namespace quire::sim {

Tlb::Tlb(unsigned small_shift, unsigned large_shift, const TlbShape& shape,
         std::function<void(const Translation&)> dropped)
    : small_shift_(small_shift),
      large_shift_(large_shift),
      shape_(shape),
      dropped_(std::move(dropped)),
      sizes_{{{small_shift}, {large_shift}, {large_shift + 9}}},
      levels_{{{large_shift}, {large_shift + 9}, {large_shift + 18}, {large_shift + 27}}},
      random_(shape.seed) {
    if (shape.capacity < 8) throw std::invalid_argument("sim: a TLB needs at least 8 entries");
}

Tlb::Size& Tlb::size_for(unsigned shift) {
    for (Size& size : sizes_) {
        if (size.shift == shift) return size;
    }
    throw std::invalid_argument("sim: a TLB does not know pages of that size");
}

const Translation* Tlb::find(uint64_t address) const {
    for (const auto& [shift, map] : sizes_) {
        if (map.empty()) continue;
        for (const uint64_t context : {context_, global_context}) {
            const auto slot = map.find(key(context, address, shift));
            if (slot != map.end()) return &slot->second.translation;
        }
    }
    return nullptr;
}

const StructureEntry* Tlb::find_structure(uint64_t address) const {
    for (const auto& [shift, map] : levels_) {
        if (map.empty()) continue;
        const auto entry = map.find(key(context_, address, shift));
        if (entry != map.end()) return &entry->second;
    }
    return nullptr;
}

const Translation& Tlb::insert(const Translation& translation) {
    Size& size = size_for(translation.shift);
    const uint64_t number =
        key(translation.global ? global_context : context_, translation.page, translation.shift);
    if (const auto old = size.map.find(number); old != size.map.end()) {
        if (old->second.translation.frame == translation.frame) {
            old->second.translation = translation;
            return old->second.translation;
        }
        erase(size, old);
    }
    const bool is_bounded = shape_.capacity != std::numeric_limits<size_t>::max();
    while (is_bounded && this->size() >= shape_.capacity)
        evict_one();
    const uint64_t sequence = next_sequence_++;
    if (is_bounded) by_age_.emplace(sequence, std::pair(number, translation.shift));
    if (translation.shift == small_shift_) ++small_per_large_[translation.page >> large_shift_];
    return size.map.emplace(number, Slot{translation, sequence}).first->second.translation;
}

void Tlb::insert(const StructureEntry& structure) {
    if (!shape_.keep_structures) return;
    for (auto& [shift, map] : levels_) {
        if (shift == structure.shift) map[key(context_, structure.region, shift)] = structure;
    }
}

void Tlb::erase(Size& size, Map::iterator slot) {
    const Translation gone = slot->second.translation;
    if (!by_age_.empty()) by_age_.erase(slot->second.sequence);
    size.map.erase(slot);
    if (gone.shift == small_shift_) {
        const auto count = small_per_large_.find(gone.page >> large_shift_);
        if (--count->second == 0) small_per_large_.erase(count);
    }
    if (dropped_) dropped_(gone);
}

void Tlb::erase_covering(uint64_t address) {
    for (Size& size : sizes_) {
        if (size.map.empty()) continue;
        for (const uint64_t context : {context_, global_context}) {
            const auto slot = size.map.find(key(context, address, size.shift));
            if (slot != size.map.end()) erase(size, slot);
        }
    }
}

void Tlb::evict_one() {
    auto victim = by_age_.begin();
    if (shape_.eviction == Eviction::random) {
        victim = by_age_.lower_bound(std::uniform_int_distribution<uint64_t>(
            victim->first, by_age_.rbegin()->first)(random_));
    }
    const auto [number, shift] = victim->second;
    Size& size = size_for(shift);
    erase(size, size.map.find(number));
    ++evictions_;
}

void Tlb::invalidate_page(uint64_t address) {
    erase_covering(address);
    for (Level& level : levels_)
        std::erase_if(level.map, [this](const auto& entry) { return is_usable(entry.first); });
}

void Tlb::forget(uint64_t address) {
    erase_covering(address);
    for (Level& level : levels_) {
        if (!level.map.empty()) level.map.erase(key(context_, address, level.shift));
    }
}

void Tlb::invalidate_all(Globals globals) {
    const bool all = globals == Globals::drop;
    for (Size& size : sizes_) {
        for (auto slot = size.map.begin(); slot != size.map.end();) {
            const auto next = std::next(slot);
            if (all || slot->first >> 48 == context_) erase(size, slot);
            slot = next;
        }
    }
    for (Level& level : levels_) {
        std::erase_if(level.map,
                      [&](const auto& entry) { return all || entry.first >> 48 == context_; });
    }
}

size_t Tlb::size() const {
    size_t sum = 0;
    for (const Size& size : sizes_)
        sum += size.map.size();
    return sum;
}

size_t Tlb::small_entries_in(uint64_t address) const {
    const auto count = small_per_large_.find(address >> large_shift_);
    return count == small_per_large_.end() ? 0 : count->second;
}

std::vector<Translation> Tlb::entries(Contexts contexts) const {
    std::vector<Translation> all;
    all.reserve(size());
    for (const Size& size : sizes_) {
        for (const auto& [number, slot] : size.map) {
            if (contexts == Contexts::all || is_usable(number)) all.push_back(slot.translation);
        }
    }
    return all;
}

std::vector<StructureEntry> Tlb::structures(Contexts contexts) const {
    std::vector<StructureEntry> all;
    for (const Level& level : levels_) {
        for (const auto& [number, entry] : level.map) {
            if (contexts == Contexts::all || is_usable(number)) all.push_back(entry);
        }
    }
    return all;
}

}  // namespace quire::sim
