// SPDX-License-Identifier: MIT
// The 32-bit paging format of x86: two levels of 1024 entries, 4 KiB and 4 MiB pages.
// Intel SDM vol. 3A, 4.3 "32-bit paging"; memory types: 4.9 and 12.12 (PAT).
#pragma once

#include <stdint.h>

#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/paging/attributes.hpp"
#include "quire/paging/format.hpp"
#include "quire/paging/x86/entry_bits.hpp"

namespace quire {

// What the CPU offers beyond the i386's, by CPUID leaf 1 EDX; enable in CR4 what is set here.
struct X86Features {
    bool large_pages = false;      // PSE, bit 3; CR4.PSE
    bool global_pages = false;     // PGE, bit 13; CR4.PGE
    bool page_attributes = false;  // PAT, bit 16; then load x86_page_attribute_table into MSR 0x277
};

// A format is data and pure functions, keyed by level. Level 0 maps pages, level 1 is the root.
//
// Table entries grant write and user rights: the leaf entries alone decide (SDM 4.6: a right is
// granted when every level grants it). The CPU's supervisor needs CR0.WP set for read-only pages.
class X86_32 : public x86::EntryBits<uint32_t> {  // NOLINT(readability-identifier-naming)
  public:
    static constexpr unsigned levels = 2;
    static constexpr unsigned index_bits = 10;
    static constexpr unsigned entries = 1U << index_bits;
    static constexpr unsigned fixed_root_entries = 0;

    constexpr explicit X86_32(X86Features features = {}) : features_(features) {}
    constexpr X86Features features() const { return features_; }

    static constexpr unsigned root_level() { return 1; }
    static constexpr PageRange pages() { return PageRange(Page(0), PageCount(0x100000)); }
    static constexpr Page canonical(uintptr_t number) { return Page(number); }
    static constexpr Frame highest_frame() { return Frame(0xfffff); }
    static constexpr Frame highest_root() { return highest_frame(); }

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
    [[gnu::always_inline]] constexpr Entry leaf(unsigned level, Frame frame,
                                                const Attributes& attributes) const {
        const Entry size = level == 1 ? bit_page_size : 0;
        return frame_bits(frame) | bit_present | size | type_bits(level, attributes.type) |
               right_bits(attributes.protection, features_.global_pages);
    }
    // An entry of level 1 that leads to a table.
    constexpr Entry table(unsigned, Frame frame) const {
        return frame_bits(frame) | bit_present | bit_write | bit_user;
    }
    // What such an entry, whoever made it, leaves of what the entries below grant.
    constexpr Protection table_rights(unsigned, Entry entry) const {
        return table_rights_of(entry);
    }
    // An entry of the root that leads to a table, or to the root itself, so that its entries can be
    // read and written as memory: a table entry and a leaf at once, for the supervisor alone.
    constexpr Entry recursive_table(Frame frame) const {
        return frame_bits(frame) | bit_present | bit_write;
    }
    constexpr EntryKind kind(unsigned level, Entry entry) const {
        if ((entry & bit_present) == 0) return absent_kind(entry);
        const bool is_leaf = level == 0 || (features_.large_pages && (entry & bit_page_size) != 0);
        return is_leaf ? EntryKind::leaf : EntryKind::table;
    }
    // The first frame of a leaf, or the frame of a table.
    constexpr Frame frame_of(unsigned level, Entry entry) const {
        const Entry mask =
            kind(level, entry) == EntryKind::leaf && level == 1 ? 0xffc00000 : 0xfffff000;
        return Frame((entry & mask) >> page_bits);
    }
    // What a leaf really grants.
    constexpr Attributes attributes_of(unsigned level, Entry entry) const {
        return {rights_of(entry, features_.global_pages) | Protection::execute,
                type_of(level, entry, features_.page_attributes)};
    }
    // Whether a leaf's translation survives a change of address space.
    constexpr bool is_global(Entry entry) const {
        return features_.global_pages && (entry & bit_global) != 0;
    }

    // The same leaf with other rights.
    constexpr Entry with_protection(Entry entry, Protection protection) const {
        return (entry & ~(bit_write | bit_user | bit_global)) |
               right_bits(protection, features_.global_pages);
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
                return is_well_formed_payload(entry);
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
    static constexpr Entry frame_mask_large = 0xffc00000;

    X86Features features_;
};

static_assert(PagingFormat<X86_32>);

}  // namespace quire
