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
#include "quire/paging/x86/page_attributes.hpp"

namespace quire {

// What the CPU offers (SDM vol. 3A 4.1.4), and what of it is turned on. 2 MiB pages and the PAT
// need no feature in this mode; load x86_page_attribute_table into MSR 0x277.
struct X86_64Features {           // NOLINT(readability-identifier-naming): the manual's name
    bool five_levels = false;     // CR4.LA57 is set; CPUID 07H:0 ECX bit 16
    bool no_execute = false;      // EFER.NXE is set; CPUID 80000001H EDX bit 20
    bool gigabyte_pages = false;  // CPUID 80000001H EDX bit 26
    bool global_pages = false;    // CR4.PGE is set; CPUID 01H EDX bit 13
    unsigned physical_bits = 36;  // MAXPHYADDR, at most 52; CPUID 80000008H EAX bits 7:0
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
// tables of its own half; one of them destroys it, when both are empty.
//
// Entries that are not present: bit 0 clear, bits 2:1 the kind (0 and all bits zero: empty; 1 a
// payload; 2 parked frames; 3 a detached table), bits 63:3 the value. For such entries the CPU
// looks at bit 0 alone (SDM vol. 3A 4.5.4, figure 4-11).
//
// Table entries grant write, user and execute rights: the leaf entries alone decide (SDM vol. 3A
// 4.6: a right is granted when every level grants it). The CPU's supervisor needs CR0.WP set for
// read-only pages. Protection keys are not used: CR4.PKE and CR4.PKS stay clear.
class X86_64 {  // NOLINT(readability-identifier-naming): the manual's name, x86 with 64 bits
  public:
    using Entry = uint64_t;
    static constexpr unsigned levels = 5;
    static constexpr unsigned index_bits = 9;
    static constexpr unsigned entries = 1U << index_bits;
    static constexpr unsigned payload_bits = 61;
    static constexpr Entry empty = 0;

    constexpr explicit X86_64(X86_64Features features = {}, AddressHalf half = AddressHalf::low)
        : features_(features), half_(half) {}
    constexpr X86_64Features features() const { return features_; }
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
    constexpr Frame highest_frame() const {
        return Frame((uint64_t{1} << (features_.physical_bits - page_bits)) - 1);
    }

    // Whether an entry of that level can map a page by itself.
    constexpr bool can_map_at(unsigned level) const {
        return level <= 1 || (level == 2 && features_.gigabyte_pages);
    }

    // Error::unsupported when no entry can grant exactly that (see Protection).
    static constexpr Status check(const Attributes& attributes) {
        if (!has(attributes.protection, Protection::read)) return Failure{Error::unsupported};
        return {};
    }

    // An entry that maps a page from `frame` on, which must suit the level (2 MiB pages: a multiple
    // of 512; 1 GiB: of 512 * 512), with attributes that `check` accepts.
    constexpr Entry leaf(unsigned level, Frame frame, const Attributes& attributes) const {
        Entry entry = frame_bits(frame) | bit_present | rights(attributes.protection);
        const unsigned index = x86::page_attribute_index(attributes.type);
        if ((index & 1) != 0) entry |= bit_write_through;
        if ((index & 2) != 0) entry |= bit_cache_disable;
        if ((index & 4) != 0) entry |= attribute_bit(level);
        if (level > 0) entry |= bit_page_size;
        return entry;
    }
    // An entry of a level above 0 that leads to a table.
    static constexpr Entry table(Frame frame) {
        return frame_bits(frame) | bit_present | bit_write | bit_user;
    }
    // An entry of the root that leads to a table, or to the root itself, so that its entries can be
    // read and written as memory: a table entry and a leaf at once, for the supervisor alone, and
    // nothing to execute.
    constexpr Entry recursive_table(Frame frame) const {
        const Entry data = features_.no_execute ? bit_no_execute : 0;
        return frame_bits(frame) | bit_present | bit_write | data;
    }
    // An entry that is not present. `kind` is payload, parked or detached; `value` has
    // payload_bits.
    static constexpr Entry absent(EntryKind kind, uint64_t value) {
        return (value << 3) | (static_cast<Entry>(kind) << 1);
    }

    constexpr EntryKind kind(unsigned level, Entry entry) const {
        if ((entry & bit_present) != 0) {
            const bool is_leaf = level == 0 || (can_map_at(level) && (entry & bit_page_size) != 0);
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
        const unsigned leaf_level = kind(level, entry) == EntryKind::leaf ? level : 0;
        return Frame((entry & frame_mask(leaf_level)) >> page_bits);
    }
    // What a leaf really grants.
    constexpr Attributes attributes_of(unsigned level, Entry entry) const {
        Attributes attributes;
        attributes.protection = Protection::read;
        if ((entry & bit_write) != 0) {
            attributes.protection = attributes.protection | Protection::write;
        }
        if ((entry & bit_no_execute) == 0 || !features_.no_execute) {
            attributes.protection = attributes.protection | Protection::execute;
        }
        if ((entry & bit_user) != 0) {
            attributes.protection = attributes.protection | Protection::user;
        }
        if (is_global(entry)) attributes.protection = attributes.protection | Protection::global;
        unsigned index = 0;
        if ((entry & bit_write_through) != 0) index |= 1;
        if ((entry & bit_cache_disable) != 0) index |= 2;
        if ((entry & attribute_bit(level)) != 0) index |= 4;
        attributes.type = x86::type_of_page_attribute(index);
        return attributes;
    }
    // What the CPU has noted in a leaf (SDM vol. 3A 4.8).
    static constexpr bool accessed(Entry entry) { return (entry & bit_accessed) != 0; }
    static constexpr bool dirty(Entry entry) { return (entry & bit_dirty) != 0; }
    // Whether a leaf's translation survives a change of address space.
    constexpr bool is_global(Entry entry) const {
        return features_.global_pages && (entry & bit_global) != 0;
    }

    // The same leaf with other rights.
    constexpr Entry with_protection(Entry entry, Protection protection) const {
        return (entry & ~(bit_write | bit_user | bit_global | bit_no_execute)) | rights(protection);
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
    // Whether the entry is one that this class could have made: no bit that the CPU reserves (SDM
    // vol. 3A 4.5.4, tables 4-14 to 4-20), no kind that does not exist.
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
                return (entry & (reserved_bits() | bit_page_size)) == 0;
            case EntryKind::leaf: {
                Entry reserved = reserved_bits();
                // Between the page's address and the PAT bit.
                if (level > 0)
                    reserved |= frame_mask(0) & ~frame_mask(level) & ~bit_large_attribute;
                return (entry & reserved) == 0;
            }
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
    static constexpr Entry bit_page_size = 1U << 7;       // in an entry above
    static constexpr Entry bit_global = 1U << 8;
    static constexpr Entry bit_large_attribute = 1U << 12;  // in a leaf above level 0
    static constexpr Entry bit_no_execute = Entry{1} << 63;
    static constexpr Entry address_mask = 0x000ffffffffff000;

    // The number of the high half's first page, in the bits that indices name.
    constexpr uintptr_t sign() const {
        return uintptr_t{1} << (index_bits * (root_level() + 1) - 1);
    }
    static constexpr Entry frame_bits(Frame frame) { return frame.value() << page_bits; }
    // Where a leaf of that level has its address.
    static constexpr Entry frame_mask(unsigned level) {
        return address_mask & ~((Entry{1} << (page_bits + index_bits * level)) - 1);
    }
    static constexpr Entry attribute_bit(unsigned level) {
        return level == 0 ? bit_page_attribute : bit_large_attribute;
    }
    // At every level: addresses past MAXPHYADDR, and XD where that is not enabled.
    constexpr Entry reserved_bits() const {
        const Entry high = address_mask & ~((Entry{1} << features_.physical_bits) - 1);
        return high | (features_.no_execute ? 0 : bit_no_execute);
    }
    constexpr Entry rights(Protection protection) const {
        Entry bits = 0;
        if (has(protection, Protection::write)) bits |= bit_write;
        if (has(protection, Protection::user)) bits |= bit_user;
        if (has(protection, Protection::global) && features_.global_pages) bits |= bit_global;
        if (!has(protection, Protection::execute) && features_.no_execute) bits |= bit_no_execute;
        return bits;
    }

    X86_64Features features_;
    AddressHalf half_;
};

static_assert(PagingFormat<X86_64>);

}  // namespace quire

#endif
