// SPDX-License-Identifier: MIT
// The 32-bit paging format of x86: two levels of 1024 entries, 4 KiB and 4 MiB pages.
// Intel SDM vol. 3A, 4.3 "32-bit paging"; memory types: 4.9 and 12.12 (PAT).
#pragma once

#include <stdint.h>

#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/paging/attributes.hpp"
#include "quire/paging/format.hpp"
#include "quire/paging/x86/page_attributes.hpp"

namespace quire {

// What the CPU offers beyond the i386's, by CPUID leaf 1 EDX; enable in CR4 what is set here.
struct X86Features {
    bool large_pages = false;      // PSE, bit 3; CR4.PSE
    bool global_pages = false;     // PGE, bit 13; CR4.PGE
    bool page_attributes = false;  // PAT, bit 16; then load x86_page_attribute_table into MSR 0x277
};

// A format is data and pure functions, keyed by level. Level 0 maps pages, level 1 is the root.
//
// Entries that are not present: bit 0 clear, bits 2:1 the kind (0 and all bits zero: empty; 1 a
// payload; 2 parked frames; 3 a detached table), bits 31:3 the value. For such entries the CPU
// looks at bit 0 alone (SDM table 4-4).
//
// Table entries grant write and user rights: the leaf entries alone decide (SDM 4.6: a right is
// granted when every level grants it). The CPU's supervisor needs CR0.WP set for read-only pages.
class X86_32 {  // NOLINT(readability-identifier-naming): the manual's name, x86 with 32 bits
  public:
    using Entry = uint32_t;
    static constexpr unsigned levels = 2;
    static constexpr unsigned index_bits = 10;
    static constexpr unsigned entries = 1U << index_bits;
    static constexpr unsigned payload_bits = 29;
    static constexpr Entry empty = 0;

    constexpr explicit X86_32(X86Features features = {}) : features_(features) {}
    constexpr X86Features features() const { return features_; }

    static constexpr unsigned root_level() { return 1; }
    static constexpr PageRange pages() { return PageRange(Page(0), PageCount(0x100000)); }
    static constexpr Page canonical(uintptr_t number) { return Page(number); }
    static constexpr Frame highest_frame() { return Frame(0xfffff); }

    // Whether an entry of that level can map a page by itself.
    constexpr bool can_map_at(unsigned level) const {
        return level == 0 || (level == 1 && features_.large_pages);
    }

    // Error::unsupported when no entry can grant exactly that (see Protection).
    constexpr Status check(const Attributes& attributes) const {
        if (!has(attributes.protection, Protection::read)) return Failure{Error::unsupported};
        if (attributes.type == MemoryType::write_combining && !features_.page_attributes) {
            return Failure{Error::unsupported};
        }
        return {};
    }

    // An entry that maps a page from `frame` on, which must suit the level (4 MiB pages: a multiple
    // of 1024), with attributes that `check` accepts.
    constexpr Entry leaf(unsigned level, Frame frame, const Attributes& attributes) const {
        Entry entry = frame_bits(frame) | bit_present | rights(attributes.protection);
        const unsigned index = x86::page_attribute_index(attributes.type);
        if ((index & 1) != 0) entry |= bit_write_through;
        if ((index & 2) != 0) entry |= bit_cache_disable;
        if ((index & 4) != 0) entry |= attribute_bit(level);
        if (level == 1) entry |= bit_page_size;
        return entry;
    }
    // An entry of level 1 that leads to a table.
    constexpr Entry table(Frame frame) const {
        return frame_bits(frame) | bit_present | bit_write | bit_user;
    }
    // An entry of the root that leads to a table, or to the root itself, so that its entries can be
    // read and written as memory: a table entry and a leaf at once, for the supervisor alone.
    constexpr Entry recursive_table(Frame frame) const {
        return frame_bits(frame) | bit_present | bit_write;
    }
    // An entry that is not present. `kind` is payload, parked or detached; `value` has
    // payload_bits.
    static constexpr Entry absent(EntryKind kind, uint64_t value) {
        return static_cast<Entry>(value << 3) | (static_cast<Entry>(kind) << 1);
    }

    constexpr EntryKind kind(unsigned level, Entry entry) const {
        if ((entry & bit_present) != 0) {
            const bool is_leaf =
                level == 0 || (features_.large_pages && (entry & bit_page_size) != 0);
            return is_leaf ? EntryKind::leaf : EntryKind::table;
        }
        if (entry == empty) return EntryKind::empty;
        const Entry number = (entry >> 1) & 3;
        // Kind 0 with other bits set is none of ours; calling it a payload keeps it from being
        // taken for empty. is_well_formed tells it apart.
        return number == 0 ? EntryKind::payload : static_cast<EntryKind>(number);
    }
    // The value of an entry made by `absent`.
    static constexpr uint64_t value_of(Entry entry) { return entry >> 3; }
    // The first frame of a leaf, or the frame of a table.
    constexpr Frame frame_of(unsigned level, Entry entry) const {
        const Entry mask =
            kind(level, entry) == EntryKind::leaf && level == 1 ? 0xffc00000 : 0xfffff000;
        return Frame((entry & mask) >> page_bits);
    }
    // What a leaf really grants.
    constexpr Attributes attributes_of(unsigned level, Entry entry) const {
        Attributes attributes;
        attributes.protection = Protection::read | Protection::execute;
        if ((entry & bit_write) != 0) {
            attributes.protection = attributes.protection | Protection::write;
        }
        if ((entry & bit_user) != 0) {
            attributes.protection = attributes.protection | Protection::user;
        }
        if ((entry & bit_global) != 0 && features_.global_pages) {
            attributes.protection = attributes.protection | Protection::global;
        }
        unsigned index = 0;
        if ((entry & bit_write_through) != 0) index |= 1;
        if ((entry & bit_cache_disable) != 0) index |= 2;
        if ((entry & attribute_bit(level)) != 0 && features_.page_attributes) index |= 4;
        attributes.type = x86::type_of_page_attribute(index);
        return attributes;
    }
    // What the CPU has noted in a leaf (SDM 4.8).
    static constexpr bool accessed(Entry entry) { return (entry & bit_accessed) != 0; }
    static constexpr bool dirty(Entry entry) { return (entry & bit_dirty) != 0; }
    // Whether a leaf's translation survives a change of address space.
    constexpr bool is_global(Entry entry) const {
        return features_.global_pages && (entry & bit_global) != 0;
    }

    // The same leaf with other rights.
    constexpr Entry with_protection(Entry entry, Protection protection) const {
        return (entry & ~(bit_write | bit_user | bit_global)) | rights(protection);
    }
    // What an entry of level 1, leaf or payload, is for the index-th of its 1024 pages.
    constexpr Entry part(unsigned level, Entry entry, unsigned index) const {
        if (kind(level, entry) != EntryKind::leaf) return entry;
        Entry page = entry & ~(bit_page_size | bit_large_attribute | frame_mask_large);
        if ((entry & bit_large_attribute) != 0) page |= bit_page_attribute;
        return page | (entry & frame_mask_large) | (static_cast<Entry>(index) << page_bits);
    }
    // Whether the entry is one that this class could have made: no bit that the CPU reserves (SDM
    // table 4-4, figure 4-4), no kind that does not exist.
    constexpr bool is_well_formed(unsigned level, Entry entry) const {
        switch (kind(level, entry)) {
            case EntryKind::empty:
                return true;
            case EntryKind::payload:
                return ((entry >> 1) & 3) == static_cast<Entry>(EntryKind::payload);
            case EntryKind::parked:
            case EntryKind::detached:
                return value_of(entry) <= highest_frame().value();
            case EntryKind::table:
                return (entry & bit_page_size) == 0;
            case EntryKind::leaf:
                // Bits 20:13 of a 4 MiB entry are physical address bits 39:32 (PSE-36), which
                // this format leaves zero; bit 21 is reserved.
                if (level == 1 && (entry & 0x003fe000) != 0) return false;
                return features_.page_attributes || (entry & attribute_bit(level)) == 0;
        }
        return false;
    }

  private:
    static constexpr unsigned page_bits = 12;
    static constexpr Entry bit_present = 1U << 0;
    static constexpr Entry bit_write = 1U << 1;
    static constexpr Entry bit_user = 1U << 2;
    static constexpr Entry bit_write_through = 1U << 3;
    static constexpr Entry bit_cache_disable = 1U << 4;
    static constexpr Entry bit_accessed = 1U << 5;
    static constexpr Entry bit_dirty = 1U << 6;
    static constexpr Entry bit_page_attribute = 1U << 7;  // in an entry of level 0
    static constexpr Entry bit_page_size = 1U << 7;       // in an entry of level 1
    static constexpr Entry bit_global = 1U << 8;
    static constexpr Entry bit_large_attribute = 1U << 12;  // in a 4 MiB entry
    static constexpr Entry frame_mask_large = 0xffc00000;

    static constexpr Entry frame_bits(Frame frame) {
        return static_cast<Entry>(frame.value() << page_bits);
    }
    static constexpr Entry attribute_bit(unsigned level) {
        return level == 0 ? bit_page_attribute : bit_large_attribute;
    }
    constexpr Entry rights(Protection protection) const {
        Entry bits = 0;
        if (has(protection, Protection::write)) bits |= bit_write;
        if (has(protection, Protection::user)) bits |= bit_user;
        if (has(protection, Protection::global) && features_.global_pages) bits |= bit_global;
        return bits;
    }

    X86Features features_;
};

static_assert(PagingFormat<X86_32>);

}  // namespace quire
