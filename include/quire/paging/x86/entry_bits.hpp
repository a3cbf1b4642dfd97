// SPDX-License-Identifier: MIT
// What entries of every paging mode of x86 have in common. Intel SDM vol. 3A, 4.3 (tables 4-4 to
// 4-6), 4.4 (tables 4-8 to 4-11), 4.5 (tables 4-14 to 4-20).
#pragma once

#include "quire/base/address.hpp"
#include "quire/paging/attributes.hpp"
#include "quire/paging/format.hpp"
#include "quire/paging/x86/page_attributes.hpp"

namespace quire::x86 {

// The base of the formats. Entries that are not present: bit 0 clear, bits 2:1 the kind (0 and all
// bits zero: empty; 1 a payload; 2 parked frames; 3 a detached table), the bits above the value.
// For such entries the CPU looks at bit 0 alone.
template <class EntryType>
class EntryBits {
  public:
    using Entry = EntryType;
    static constexpr unsigned payload_bits = 8 * sizeof(Entry) - 3;
    static constexpr Entry empty = 0;

    // An entry that is not present. `kind` is payload, parked or detached; `value` has
    // payload_bits.
    static constexpr Entry absent(EntryKind kind, uint64_t value) {
        return static_cast<Entry>(static_cast<Entry>(value) << 3) |
               static_cast<Entry>(static_cast<Entry>(kind) << 1);
    }
    // The value of an entry made by `absent`.
    static constexpr uint64_t value_of(Entry entry) { return entry >> 3; }
    // Where a frame stands in a leaf or in an entry that leads to a table.
    static constexpr Entry frame_bits(Frame frame) {
        return static_cast<Entry>(frame.value() << page_bits);
    }
    // Whether a well-formed entry of a level above 0 leads to a table.
    static constexpr bool leads_to_table(Entry entry) {
        return (entry & (bit_present | bit_page_size)) == bit_present;
    }
    // What the CPU has noted in a leaf (SDM vol. 3A 4.8).
    static constexpr bool accessed(Entry entry) { return (entry & bit_accessed) != 0; }
    static constexpr bool dirty(Entry entry) { return (entry & bit_dirty) != 0; }
    // The leaf as the CPU has not used it; and with what it has noted in another one as well.
    static constexpr Entry without_marks(Entry entry) {
        return entry & ~static_cast<Entry>(bit_accessed | bit_dirty);
    }
    static constexpr Entry with_marks_of(Entry entry, Entry other) {
        return entry | (other & (bit_accessed | bit_dirty));
    }

  protected:
    static constexpr unsigned page_bits = 12;
    static constexpr Entry bit_present = 1U << 0;
    static constexpr Entry bit_write = 1U << 1;
    static constexpr Entry bit_user = 1U << 2;
    static constexpr Entry bit_write_through = 1U << 3;
    static constexpr Entry bit_cache_disable = 1U << 4;
    static constexpr Entry bit_accessed = 1U << 5;
    static constexpr Entry bit_dirty = 1U << 6;
    static constexpr Entry bit_page_attribute = 1U << 7;  // in an entry of level 0
    static constexpr Entry bit_page_size = 1U << 7;       // in an entry above
    static constexpr Entry bit_global = 1U << 8;
    static constexpr Entry bit_large_attribute = 1U << 12;  // in a leaf above level 0

    static constexpr Entry attribute_bit(unsigned level) {
        return level == 0 ? bit_page_attribute : bit_large_attribute;
    }
    // The kind that an entry says it is which is not present.
    static constexpr EntryKind absent_kind(Entry entry) {
        if (entry == empty) return EntryKind::empty;
        const Entry number = (entry >> 1) & 3;
        // Kind 0 with other bits set is none of ours; calling it a payload keeps it from being
        // taken for empty. is_well_formed tells it apart.
        return number == 0 ? EntryKind::payload : static_cast<EntryKind>(number);
    }
    static constexpr bool is_well_formed_payload(Entry entry) {
        return ((entry >> 1) & 3) == static_cast<Entry>(EntryKind::payload);
    }
    // A leaf's bits for a memory type, and back. Without the PAT, its bit is ignored.
    static constexpr Entry type_bits(unsigned level, MemoryType type) {
        const unsigned index = page_attribute_index(type);
        Entry bits = 0;
        if ((index & 1) != 0) bits |= bit_write_through;
        if ((index & 2) != 0) bits |= bit_cache_disable;
        if ((index & 4) != 0) bits |= attribute_bit(level);
        return bits;
    }
    static constexpr MemoryType type_of(unsigned level, Entry entry, bool has_attribute_table) {
        unsigned index = 0;
        if ((entry & bit_write_through) != 0) index |= 1;
        if ((entry & bit_cache_disable) != 0) index |= 2;
        if ((entry & attribute_bit(level)) != 0 && has_attribute_table) index |= 4;
        return type_of_page_attribute(index);
    }
    // The rights that every mode has a bit for, and back.
    static constexpr Entry right_bits(Protection protection, bool has_global) {
        Entry bits = 0;
        if (has(protection, Protection::write)) bits |= bit_write;
        if (has(protection, Protection::user)) bits |= bit_user;
        if (has(protection, Protection::global) && has_global) bits |= bit_global;
        return bits;
    }
    // What an entry that leads to a table leaves of the rights below it (SDM vol. 3A 4.6).
    static constexpr Protection table_rights_of(Entry entry) {
        Protection rights = every_right;
        if ((entry & bit_write) == 0) rights = without(rights, Protection::write);
        if ((entry & bit_user) == 0) rights = without(rights, Protection::user);
        return rights;
    }
    static constexpr Protection rights_of(Entry entry, bool has_global) {
        Protection rights = Protection::read;
        if ((entry & bit_write) != 0) rights = rights | Protection::write;
        if ((entry & bit_user) != 0) rights = rights | Protection::user;
        if ((entry & bit_global) != 0 && has_global) rights = rights | Protection::global;
        return rights;
    }
};

}  // namespace quire::x86
