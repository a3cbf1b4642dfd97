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
      random_(shape.seed) {
    if (shape.capacity < 8) throw std::invalid_argument("sim: a TLB needs at least 8 entries");
}

const Translation* Tlb::find(uint64_t address) const {
    if (const auto slot = small_.find(address >> small_shift_); slot != small_.end()) {
        return &slot->second.translation;
    }
    if (const auto slot = large_.find(address >> large_shift_); slot != large_.end()) {
        return &slot->second.translation;
    }
    return nullptr;
}

const StructureEntry* Tlb::find_structure(uint64_t address) const {
    const auto entry = structures_.find(address >> large_shift_);
    return entry == structures_.end() ? nullptr : &entry->second;
}

const Translation& Tlb::insert(const Translation& translation) {
    Map& map = map_for(translation.shift);
    const uint64_t number = translation.page >> translation.shift;
    if (const auto old = map.find(number); old != map.end()) {
        if (old->second.translation.frame == translation.frame) {
            old->second.translation = translation;
            return old->second.translation;
        }
        erase(map, old);
    }
    while (size() >= shape_.capacity)
        evict_one();
    const uint64_t sequence = next_sequence_++;
    if (shape_.capacity != std::numeric_limits<size_t>::max()) {
        by_age_.emplace(sequence, std::pair(number, translation.shift));
    }
    if (translation.shift == small_shift_) ++small_per_large_[translation.page >> large_shift_];
    return map.emplace(number, Slot{translation, sequence}).first->second.translation;
}

void Tlb::insert(const StructureEntry& structure) {
    if (shape_.keep_structures) structures_[structure.region >> large_shift_] = structure;
}

void Tlb::erase(Map& map, Map::iterator slot) {
    const Translation gone = slot->second.translation;
    by_age_.erase(slot->second.sequence);
    map.erase(slot);
    if (gone.shift == small_shift_) {
        const auto count = small_per_large_.find(gone.page >> large_shift_);
        if (--count->second == 0) small_per_large_.erase(count);
    }
    if (dropped_) dropped_(gone);
}

void Tlb::erase_covering(uint64_t address) {
    if (const auto slot = small_.find(address >> small_shift_); slot != small_.end()) {
        erase(small_, slot);
    }
    if (const auto slot = large_.find(address >> large_shift_); slot != large_.end()) {
        erase(large_, slot);
    }
}

void Tlb::evict_one() {
    auto victim = by_age_.begin();
    if (shape_.eviction == Eviction::random) {
        victim = by_age_.lower_bound(std::uniform_int_distribution<uint64_t>(
            victim->first, by_age_.rbegin()->first)(random_));
    }
    const auto [number, shift] = victim->second;
    Map& map = map_for(shift);
    erase(map, map.find(number));
    ++evictions_;
}

void Tlb::invalidate_page(uint64_t address) {
    erase_covering(address);
    structures_.clear();
}

void Tlb::forget(uint64_t address) {
    erase_covering(address);
    structures_.erase(address >> large_shift_);
}

void Tlb::invalidate_all(Globals globals) {
    for (Map* map : {&small_, &large_}) {
        for (auto slot = map->begin(); slot != map->end();) {
            const auto next = std::next(slot);
            if (globals == Globals::drop || !slot->second.translation.global) erase(*map, slot);
            slot = next;
        }
    }
    structures_.clear();
}

size_t Tlb::small_entries_in(uint64_t address) const {
    const auto count = small_per_large_.find(address >> large_shift_);
    return count == small_per_large_.end() ? 0 : count->second;
}

std::vector<Translation> Tlb::entries() const {
    std::vector<Translation> all;
    all.reserve(size());
    for (const Map* map : {&small_, &large_}) {
        for (const auto& [number, slot] : *map)
            all.push_back(slot.translation);
    }
    return all;
}

std::vector<StructureEntry> Tlb::structures() const {
    std::vector<StructureEntry> all;
    all.reserve(structures_.size());
    for (const auto& [region, entry] : structures_)
        all.push_back(entry);
    return all;
}

}  // namespace quire::sim
