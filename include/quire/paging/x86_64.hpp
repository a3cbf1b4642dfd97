// SPDX-License-Identifier: MIT
// The 64-bit paging format of x86, with 4 or 5 levels of 512 entries; 4 KiB, 2 MiB and 1 GiB pages.
// Intel SDM vol. 3A, 4.5 "4-level paging and 5-level paging"; memory types: 4.9.2 and 12.12 (PAT).
// On 32-bit machines, whose addresses cannot hold what it maps, this header is empty.
#pragma once

#include <stdint.h>

#if UINTPTR_MAX > UINT32_MAX

#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/paging/attributes.hpp"
#include "quire/paging/format.hpp"
#include "quire/paging/x86/long_entries.hpp"

namespace quire {

// What the CPU offers (SDM vol. 3A 4.1.4), and what of it is turned on. 2 MiB pages and the PAT
// need no feature in this mode; load x86_page_attribute_table into MSR 0x277.
struct X86_64Features {           // NOLINT(readability-identifier-naming): the manual's name
    bool five_levels = false;     // CR4.LA57 is set; CPUID 07H:0 ECX bit 16
    bool no_execute = false;      // EFER.NXE is set; CPUID 80000001H EDX bit 20
    bool gigabyte_pages = false;  // CPUID 80000001H EDX bit 26
    bool global_pages = false;    // CR4.PGE is set; CPUID 01H EDX bit 13
    unsigned physical_bits = 36;  // MAXPHYADDR, at most 52; CPUID 80000008H EAX bits 7:0

    // Of level 2, entries can map 1 GiB.
    constexpr unsigned highest_leaf_level() const { return gigabyte_pages ? 2 : 1; }
};

// Addresses are canonical: the bits above those that indices name repeat the highest of these (SDM
// vol. 1, 3.3.7.1). So there are two runs of them, and a hole between. A page table of this format
// is used for one.
enum class AddressHalf : uint8_t {
    low,   // from 0; a root's first 256 entries
    high,  // up to the last address; a root's last 256 entries
};

// Level 0 maps pages. The number of levels is chosen at run time, by the features.
//
// A root has entries for both halves. Where a kernel wants both, two page tables stand for the same
// root, one for each half: the second adopts what the first created. Each counts the root and the
// tables of its own half. One of them destroys the root, which looks at its own half alone: of many
// roots that share a kernel's half, each can go while that stays.
//
// Table entries grant write, user and execute rights: the leaf entries alone decide (SDM vol. 3A
// 4.6: a right is granted when every level grants it). The CPU's supervisor needs CR0.WP set for
// read-only pages. Protection keys are not used: CR4.PKE and CR4.PKS stay clear.
class X86_64 : public x86::LongEntries<X86_64Features> {  // NOLINT(readability-identifier-naming)
  public:
    static constexpr unsigned levels = 5;
    static constexpr unsigned fixed_root_entries = 0;

    constexpr explicit X86_64(X86_64Features features = {}, AddressHalf half = AddressHalf::low)
        : LongEntries(features), half_(half) {}
    constexpr AddressHalf half() const { return half_; }

    constexpr unsigned root_level() const { return features_.five_levels ? 4 : 3; }
    constexpr PageRange pages() const {
        const uintptr_t half = sign();
        return PageRange(canonical(half_ == AddressHalf::high ? half : 0), PageCount(half));
    }
    constexpr Page canonical(uintptr_t number) const {
        const uintptr_t below = sign() - 1;
        const bool is_high = (number & sign()) != 0;
        return Page(is_high ? number | (Page::highest & ~below) : number & below);
    }
    constexpr Frame highest_root() const { return highest_frame(); }

    // An entry of a level above 0 that leads to a table.
    static constexpr Entry table(unsigned, Frame frame) {
        return frame_bits(frame) | bit_present | bit_write | bit_user;
    }
    // An entry of the root that leads to a table, or to the root itself, so that its entries can be
    // read and written as memory: a table entry and a leaf at once, for the supervisor alone, and
    // nothing to execute.
    constexpr Entry recursive_table(Frame frame) const {
        const Entry data = features_.no_execute ? bit_no_execute : 0;
        return frame_bits(frame) | bit_present | bit_write | data;
    }
    // Whether the entry is one that this class could have made: no bit that the CPU reserves (SDM
    // vol. 3A 4.5.4, tables 4-14 to 4-20), no kind that does not exist.
    constexpr bool is_well_formed(unsigned level, Entry entry) const {
        const EntryKind found = kind(level, entry);
        if (found == EntryKind::leaf) return (entry & reserved_leaf_bits(level)) == 0;
        if (found == EntryKind::table) return (entry & (reserved_bits() | bit_page_size)) == 0;
        return is_well_formed_absent(found, entry);
    }

  private:
    // The number of the high half's first page, in the bits that indices name.
    constexpr uintptr_t sign() const {
        return uintptr_t{1} << (index_bits * (root_level() + 1) - 1);
    }

    AddressHalf half_;
};

static_assert(PagingFormat<X86_64>);

}  // namespace quire

#endif
