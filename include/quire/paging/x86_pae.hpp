// SPDX-License-Identifier: MIT
// The paging format of 32-bit x86 with physical address extension: 4 GiB of addresses over up to
// 2^52 bytes of memory; three levels, of which the highest has 4 entries; 4 KiB and 2 MiB pages.
// Intel SDM vol. 3A, 4.4 "PAE paging"; memory types: 4.9.2 and 12.12 (PAT).
#pragma once

#include <stdint.h>

#include "quire/base/range.hpp"
#include "quire/paging/attributes.hpp"
#include "quire/paging/format.hpp"
#include "quire/paging/x86/long_entries.hpp"

namespace quire {

// What the CPU offers (SDM vol. 3A 4.1.4), and what of it is turned on. 2 MiB pages need no feature
// in this mode; load x86_page_attribute_table into MSR 0x277 where there is a PAT.
struct X86PaeFeatures {
    bool no_execute = false;       // EFER.NXE is set; CPUID 80000001H EDX bit 20
    bool global_pages = false;     // CR4.PGE is set; CPUID 01H EDX bit 13
    bool page_attributes = false;  // PAT; CPUID 01H EDX bit 16
    unsigned physical_bits = 36;   // MAXPHYADDR, 32 to 52; CPUID 80000008H EAX bits 7:0

    static constexpr unsigned highest_leaf_level() { return 1; }
};

// Level 0 maps pages, level 2 is the root: the page-directory-pointer table, 32 bytes at the start
// of a frame below 4 GiB, which is all that CR3 can name (SDM table 4-7).
//
// The CPU reads the root's four entries when CR3 is loaded and not again (SDM vol. 3A 4.4.1), so
// they never change: each leads to a page directory from the start. They have no bits for rights or
// accessed, and no table shows up through them as a page; there is no recursive slot.
//
// Table entries of level 1 grant write, user and execute rights: the leaf entries alone decide (SDM
// vol. 3A 4.6). The CPU's supervisor needs CR0.WP set for read-only pages.
class X86Pae : public x86::LongEntries<X86PaeFeatures> {
  public:
    static constexpr unsigned levels = 3;
    static constexpr unsigned fixed_root_entries = 4;

    constexpr explicit X86Pae(X86PaeFeatures features = {}) : LongEntries(features) {}

    static constexpr unsigned root_level() { return 2; }
    static constexpr PageRange pages() { return PageRange(Page(0), PageCount(0x100000)); }
    static constexpr Page canonical(uintptr_t number) { return Page(number & 0xfffff); }
    static constexpr Frame highest_root() { return Frame(0xfffff); }

    // Error::unsupported when no entry can grant exactly that (see Protection).
    constexpr Status check(const Attributes& attributes) const {
        if (attributes.type == MemoryType::write_combining && !features_.page_attributes) {
            return Failure{Error::unsupported};
        }
        return LongEntries::check(attributes);
    }
    // What a leaf really grants.
    constexpr Attributes attributes_of(unsigned level, Entry entry) const {
        Attributes attributes = LongEntries::attributes_of(level, entry);
        attributes.type = type_of(level, entry, features_.page_attributes);
        return attributes;
    }
    constexpr EntryKind kind(unsigned level, Entry entry) const {
        const bool is_root_entry = level == root_level() && (entry & bit_present) != 0;
        return is_root_entry ? EntryKind::table : LongEntries::kind(level, entry);
    }
    // An entry of a level above 0 that leads to a table.
    static constexpr Entry table(unsigned level, Frame frame) {
        const Entry rights = level == root_level() ? 0 : bit_write | bit_user;
        return frame_bits(frame) | bit_present | rights;
    }
    constexpr Protection table_rights(unsigned level, Entry entry) const {
        return level == root_level() ? every_right : LongEntries::table_rights(level, entry);
    }
    // Whether the entry is one that this class could have made: no bit that the CPU reserves (SDM
    // vol. 3A 4.4.1, 4.4.2, tables 4-8 to 4-11), no kind that does not exist. An entry of the root
    // must lead to a table.
    constexpr bool is_well_formed(unsigned level, Entry entry) const {
        const EntryKind found = kind(level, entry);
        if (level == root_level()) {
            return found == EntryKind::table && (entry & reserved_root_bits()) == 0;
        }
        if ((entry & bit_present) == 0) return is_well_formed_absent(found, entry);
        if ((entry & bits_past_address) != 0) return false;
        if (found == EntryKind::table) return (entry & (reserved_bits() | bit_page_size)) == 0;
        const Entry unknown = features_.page_attributes ? 0 : attribute_bit(level);
        return (entry & (reserved_leaf_bits(level) | unknown)) == 0;
    }

  private:
    // Reserved in every present entry here, ignored in 64-bit mode.
    static constexpr Entry bits_past_address = 0x7ff0000000000000;

    // Bits 2:1 and 8:5, and all above the address; PWT and PCD are not (SDM table 4-8). Bit 5 is
    // let pass: no CPU sets it, but QEMU's TCG does, as if it were an accessed flag.
    constexpr Entry reserved_root_bits() const {
        return reserved_bits() | bits_past_address | bit_no_execute | 0x1c6;
    }
};

static_assert(PagingFormat<X86Pae>);

}  // namespace quire
