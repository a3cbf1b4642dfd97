// SPDX-License-Identifier: MIT
// What the modes with entries of 8 bytes have in common, PAE and 64-bit paging: 512 entries a
// table, 4 KiB, 2 MiB and perhaps larger pages, and a bit that denies execution. Intel SDM vol. 3A,
// 4.4.2 and 4.5.4.
#pragma once

#include <stdint.h>

#include "quire/base/result.hpp"
#include "quire/paging/x86/entry_bits.hpp"

namespace quire::x86 {

// The base of these formats. `Features` has no_execute, global_pages, physical_bits, and says which
// is the highest level whose entries can map a page by themselves: highest_leaf_level().
template <class Features>
class LongEntries : public EntryBits<uint64_t> {
  public:
    static constexpr unsigned index_bits = 9;
    static constexpr unsigned entries = 1U << index_bits;

    constexpr Features features() const { return features_; }
    constexpr Frame highest_frame() const {
        return Frame((uint64_t{1} << (features_.physical_bits - page_bits)) - 1);
    }

    // Whether an entry of that level can map a page by itself.
    constexpr bool can_map_at(unsigned level) const {
        return level <= features_.highest_leaf_level();
    }
    // Error::unsupported when no entry can grant exactly that (see Protection).
    static constexpr Status check(const Attributes& attributes) {
        if (!has(attributes.protection, Protection::read)) return Failure{Error::unsupported};
        return {};
    }

    // An entry that maps a page from `frame` on, which must suit the level (2 MiB pages: a multiple
    // of 512; 1 GiB: of 512 * 512), with attributes that `check` accepts.
    [[gnu::always_inline]] constexpr Entry leaf(unsigned level, Frame frame,
                                                const Attributes& attributes) const {
        const Entry size = level > 0 ? bit_page_size : 0;
        return frame_bits(frame) | bit_present | size | type_bits(level, attributes.type) |
               all_right_bits(attributes.protection);
    }
    constexpr EntryKind kind(unsigned level, Entry entry) const {
        if ((entry & bit_present) == 0) return absent_kind(entry);
        const bool is_leaf = level == 0 || (can_map_at(level) && (entry & bit_page_size) != 0);
        return is_leaf ? EntryKind::leaf : EntryKind::table;
    }
    // The first frame of a leaf, or the frame of a table.
    constexpr Frame frame_of(unsigned level, Entry entry) const {
        const unsigned leaf_level = kind(level, entry) == EntryKind::leaf ? level : 0;
        return Frame((entry & frame_mask(leaf_level)) >> page_bits);
    }
    // What a leaf really grants.
    constexpr Attributes attributes_of(unsigned level, Entry entry) const {
        Protection rights = rights_of(entry, features_.global_pages);
        if ((entry & bit_no_execute) == 0 || !features_.no_execute) {
            rights = rights | Protection::execute;
        }
        return {rights, type_of(level, entry, true)};
    }
    // What an entry that leads to a table, whoever made it, leaves of what the entries below grant.
    constexpr Protection table_rights(unsigned, Entry entry) const {
        const bool data = features_.no_execute && (entry & bit_no_execute) != 0;
        const Protection rights = table_rights_of(entry);
        return data ? without(rights, Protection::execute) : rights;
    }
    // Whether a leaf's translation survives a change of address space.
    constexpr bool is_global(Entry entry) const {
        return features_.global_pages && (entry & bit_global) != 0;
    }

    // The same leaf with other rights.
    constexpr Entry with_protection(Entry entry, Protection protection) const {
        return (entry & ~(bit_write | bit_user | bit_global | bit_no_execute)) |
               all_right_bits(protection);
    }
    // What an entry of a level above 0, leaf or payload, is for the index-th of its 512 parts.
    constexpr Entry part(unsigned level, Entry entry, unsigned index) const {
        if (kind(level, entry) != EntryKind::leaf) return entry;
        Entry part = entry;
        if (level == 1) {
            part &= ~(bit_page_size | bit_large_attribute);
            if ((entry & bit_large_attribute) != 0) part |= bit_page_attribute;
        }
        return part | (Entry{index} << (page_bits + index_bits * (level - 1)));
    }

  protected:
    static constexpr Entry bit_no_execute = Entry{1} << 63;
    static constexpr Entry address_mask = 0x000ffffffffff000;

    constexpr explicit LongEntries(Features features) : features_(features) {}

    // Where a leaf of that level has its address.
    static constexpr Entry frame_mask(unsigned level) {
        return address_mask & ~((Entry{1} << (page_bits + index_bits * level)) - 1);
    }
    // Bits that the CPU reserves in every present entry: addresses past MAXPHYADDR, and XD where
    // that is not enabled.
    constexpr Entry reserved_bits() const {
        const Entry high = address_mask & ~((Entry{1} << features_.physical_bits) - 1);
        return high | (features_.no_execute ? 0 : bit_no_execute);
    }
    // The same and those between a leaf's address and its PAT bit.
    constexpr Entry reserved_leaf_bits(unsigned level) const {
        const Entry below =
            level == 0 ? 0 : frame_mask(0) & ~frame_mask(level) & ~bit_large_attribute;
        return reserved_bits() | below;
    }
    [[gnu::always_inline]] constexpr Entry all_right_bits(Protection protection) const {
        const bool data = !has(protection, Protection::execute) && features_.no_execute;
        return right_bits(protection, features_.global_pages) | (data ? bit_no_execute : 0);
    }
    // What is_well_formed says of entries that are not present.
    constexpr bool is_well_formed_absent(EntryKind kind, Entry entry) const {
        if (kind == EntryKind::payload) return is_well_formed_payload(entry);
        return kind == EntryKind::empty || value_of(entry) <= highest_frame().value();
    }

    Features features_;
};

}  // namespace quire::x86
