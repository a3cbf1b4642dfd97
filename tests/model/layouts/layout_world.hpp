// SPDX-License-Identifier: MIT
// Page tables full of random entries, read by the library and by the simulator's MMU: what is
// mapped where and how, what is not, and what no CPU accepts. Each layout is a CPU, an address, and
// an entry of each of two tables a level, in which entries above choose one.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "model/driver.hpp"
#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/x86/page_attributes.hpp"
#include "quire/paging/x86_32.hpp"
#include "quire/paging/x86_64.hpp"
#include "quire/paging/x86_pae.hpp"
#include "sim/frame_pool.hpp"
#include "sim/x86_mmu32.hpp"
#include "sim/x86_mmu64.hpp"
#include "sim/x86_mmu_pae.hpp"
#include "support/x86_bits.hpp"

namespace quire::model {

// What a model of layouts knows of a paging mode: kinds of CPUs, as the library and the simulator
// call them, and where the manual has bits.
struct Layouts32 {
    using Format = X86_32;
    static constexpr const char* name = "x86-32";
    static constexpr unsigned cpus = 8, level_bits = 10;
    static constexpr uint64_t xd = 0;
    static Format format(unsigned cpu, bool) {
        return X86_32({(cpu & 1) != 0, (cpu & 2) != 0, (cpu & 4) != 0});
    }
    // Without PSE-36: the library leaves those bits of an address zero.
    static std::unique_ptr<sim::Mmu> mmu(unsigned cpu) {
        return std::make_unique<sim::X86Mmu32>(sim::X86Features{false, (cpu & 4) != 0, 32});
    }
    static void set(sim::Control& control, unsigned cpu) {
        control.large_pages = (cpu & 1) != 0;
        control.global_pages = (cpu & 2) != 0;
    }
    static unsigned physical_bits(unsigned) { return 32; }
    static bool has_leaves(unsigned cpu, unsigned level) { return level == 0 || (cpu & 1) != 0; }
};
struct LayoutsPae {
    using Format = X86Pae;
    static constexpr const char* name = "PAE";
    static constexpr unsigned cpus = 8, level_bits = 9;
    static constexpr uint64_t xd = uint64_t{1} << 63;
    static Format format(unsigned cpu, bool) {
        return X86Pae({(cpu & 1) != 0, (cpu & 2) != 0, (cpu & 4) != 0, physical_bits(cpu)});
    }
    static std::unique_ptr<sim::Mmu> mmu(unsigned cpu) {
        return std::make_unique<sim::X86MmuPae>(sim::X86PaeCpu{(cpu & 4) != 0, physical_bits(cpu)});
    }
    static void set(sim::Control& control, unsigned cpu) {
        control.no_execute = (cpu & 1) != 0;
        control.global_pages = (cpu & 2) != 0;
    }
    static unsigned physical_bits(unsigned cpu) { return 36 + 2 * cpu; }
    static bool has_leaves(unsigned, unsigned level) { return level <= 1; }
};
template <bool five_levels>
struct Layouts64 {
    using Format = X86_64;
    static constexpr const char* name = five_levels ? "x86-64, 5 levels" : "x86-64, 4 levels";
    static constexpr unsigned cpus = 8, level_bits = 9;
    static constexpr uint64_t xd = uint64_t{1} << 63;
    static Format format(unsigned cpu, bool high) {
        return X86_64(
            {five_levels, (cpu & 1) != 0, (cpu & 4) != 0, (cpu & 2) != 0, physical_bits(cpu)},
            high ? AddressHalf::high : AddressHalf::low);
    }
    static std::unique_ptr<sim::Mmu> mmu(unsigned cpu) {
        return std::make_unique<sim::X86Mmu64>(sim::X86_64Cpu{(cpu & 4) != 0, physical_bits(cpu)});
    }
    static void set(sim::Control& control, unsigned cpu) {
        control.no_execute = (cpu & 1) != 0;
        control.global_pages = (cpu & 2) != 0;
        control.five_levels = five_levels;
    }
    static unsigned physical_bits(unsigned cpu) { return 36 + 2 * cpu; }
    static bool has_leaves(unsigned cpu, unsigned level) {
        return level <= 1 || (level == 2 && (cpu & 4) != 0);
    }
};

template <class Layouts>
class LayoutWorld final : public World {
  public:
    LayoutWorld() {
        for (unsigned cpu = 0; cpu < Layouts::cpus; ++cpu) {
            mmus_.push_back(Layouts::mmu(cpu));
            for (const bool high : {false, true}) {
                Table& table = *tables_.emplace_back(
                    std::make_unique<Table>(host_, Layouts::format(cpu, high)));
                const bool first = tables_.size() == 1;
                const Status made = first ? table.create(pool_) : table.adopt(root(), pool_);
                if (!made.ok()) throw Mismatch{"a fresh table cannot be taken over"};
            }
        }
    }

    void step(uint64_t, uint64_t word) override {
        random_.seed(word);
        cpu_ = static_cast<unsigned>(random_() % Layouts::cpus);
        const Table& low = *tables_[2 * cpu_];
        format_ = &low.format();
        const unsigned number_bits = Layouts::level_bits * (format_->root_level() + 1);
        const Page page = format_->canonical(random_() & ((uintptr_t{1} << number_bits) - 1));
        address_ = address_of(page).value() + random_() % page_size;
        const bool is_high = !low.reach().contains(page_of(VirtualAddress(address_)));
        table_ = tables_[2 * cpu_ + is_high].get();
        write_entries();
        control_.cr3 = address_of(root()).value();
        Layouts::set(control_, cpu_);
        compare();
    }
    void validate() override {
        uint64_t steps = unmapped_ + refused_ + unloadable_;
        for (const uint64_t count : mapped_)
            steps += count;
        if (steps < 4096) return;
        // A model that never meets an outcome says nothing of it.
        const bool met = mapped_[0] > steps / 50 && mapped_[1] > steps / 50 &&
                         unmapped_ > steps / 50 && refused_ > steps / 50 && withheld_ > steps / 50;
        if (!met) throw Mismatch{"some outcomes are never met: " + summary()};
    }
    std::string last_step() const override {
        std::ostringstream text;
        text << "CPU " << cpu_ << ", address " << std::hex << address_ << ": "
             << mmus_[cpu_]->describe(ram_, control_, address_);
        return text.str();
    }
    std::string summary() const override {
        std::ostringstream text;
        text << "  mapped by level";
        for (const uint64_t count : mapped_)
            text << ' ' << count;
        text << "; rights withheld above " << withheld_ << "; not mapped " << unmapped_
             << "; reserved bits " << refused_ << "; roots refused " << unloadable_ << '\n';
        return text.str();
    }

  private:
    using Format = typename Layouts::Format;
    using Table = FormatPageTable<Format, DirectMap>;
    using Entry = typename Format::Entry;
    static constexpr bool is_pae = Format::fixed_root_entries != 0;
    static constexpr uint64_t ram_frames = 32;

    Frame root() const { return tables_[0]->root(); }
    Entry* entries(Frame frame) { return ram_.as<Entry>(quire::address_of(frame).value()); }
    // The two tables of a level below the root.
    static Frame table_of(unsigned level, unsigned which) { return Frame(16 + 2 * level + which); }
    unsigned index(unsigned level) const {
        const uint64_t number = address_ >> (page_shift + Layouts::level_bits * level);
        return static_cast<unsigned>(number & ((1U << Layouts::level_bits) - 1));
    }
    bool is_root(unsigned level) const { return level == format_->root_level(); }

    void write_entries() {
        for (unsigned level = 0; level < format_->root_level(); ++level) {
            for (unsigned which = 0; which < 2; ++which)
                entries(table_of(level, which))[index(level)] = entry(level);
        }
        if (is_pae) {
            for (unsigned i = 0; i < 4; ++i)
                entries(root())[i] = static_cast<Entry>(table_of(1, i % 2).value() << 12 | 1);
        }
        entries(root())[index(format_->root_level())] = entry(format_->root_level());
    }
    Entry entry(unsigned level) {
        const uint64_t noise = random_();
        const unsigned choice = static_cast<unsigned>(random_() % 32);
        if (choice < (level == 0 ? 1U : 2U)) return static_cast<Entry>(noise & ~uint64_t{1});
        const bool leaf = level == 0 || (!is_root_of_pae(level) && choice < 8 &&
                                         Layouts::has_leaves(cpu_, level));
        return static_cast<Entry>(leaf ? page(level, noise, choice) : table(level, noise, choice));
    }
    bool is_root_of_pae(unsigned level) const { return is_pae && is_root(level); }
    // Of random rights and type, now and then with a bit that is reserved somewhere.
    uint64_t page(unsigned level, uint64_t noise, unsigned choice) {
        // XD is reserved where the CPU does not have it on: likewise.
        const bool may_deny = (cpu_ & 1) != 0 || choice % 4 == 1;
        uint64_t page = (noise & ((may_deny ? Layouts::xd : 0) | 0x3fffff1ff)) | 1;
        if (level == 0) {
            // Where there is no PAT, its bit is reserved: not in all of them.
            if (choice % 2 == 0) page &= ~uint64_t{0x80};
        } else {
            const uint64_t size = uint64_t{1} << (12 + Layouts::level_bits * level);
            page = (page & ~((size - 1) & ~uint64_t{choice % 2 == 0 ? 0xfffU : 0x1fffU})) | 0x80;
        }
        if (choice % 4 == 1) page ^= uint64_t{1} << random_() % (8 * sizeof(Entry));
        return page | 1 | (level > 0 ? 0x80 : 0);
    }
    // With rights or without, and with what the CPU ignores or sets.
    uint64_t table(unsigned level, uint64_t noise, unsigned choice) {
        const uint64_t next = table_of(level - 1, choice % 2).value() << 12;
        if (is_root_of_pae(level)) {
            uint64_t entry = next | 1 | (noise & 0xe18);
            // Not bit 5, which the library lets pass for an emulator's sake.
            const unsigned low = Layouts::physical_bits(cpu_);
            if (choice == 9) entry ^= uint64_t{1} << (low + random_() % (64 - low));
            if (choice == 10) entry ^= 0x40;
            return entry;
        }
        const uint64_t rights = choice < 20 ? 6 : noise & 6;
        uint64_t entry = next | 1 | rights | (noise & 0xf60);
        if (sizeof(Entry) == 4) return entry;
        // Past the address: ignored in 64-bit mode, reserved with PAE.
        if (!is_pae || choice == 10) entry |= noise & 0x7ff0000000000000;
        if (choice >= 24 && (cpu_ & 1) != 0) entry |= noise & Layouts::xd;
        if (choice == 8 && is_root(level)) entry ^= 0x80;
        if (choice == 9) {
            const unsigned low = Layouts::physical_bits(cpu_);
            entry ^= uint64_t{1} << (low + random_() % (64 - low));
        }
        return entry;
    }

    void compare() {
        const sim::Mmu& mmu = *mmus_[cpu_];
        // Down to what decides, as the library sees it.
        unsigned level = format_->root_level();
        Entry decides = entries(root())[index(level)];
        bool good = is_good(level, decides);
        if constexpr (is_pae) {
            const bool loads = static_cast<const sim::X86MmuPae&>(mmu).can_load(ram_, control_);
            check(loads == ((decides & 1) == 0 || good), "whether the CPU takes the root");
            unloadable_ += !loads;
            if (!loads) return;
        }
        while (good && format_->kind(level, decides) == EntryKind::table) {
            const Frame below = format_->frame_of(level, decides);
            decides = entries(below)[index(--level)];
            good = is_good(level, decides);
        }
        const sim::Walk walk = mmu.walk(ram_, control_, {address_}, sim::Effect::looks, nullptr);
        if (!good) {
            check(!walk.translation && walk.fault.reserved(), "what the CPU reserves");
            ++refused_;
            return;
        }
        const bool present = (decides & 1) != 0;
        const auto found = table_->query(VirtualAddress(address_));
        check(found.ok() && (found->state == EntryState::present) == present, "what is mapped");
        check(walk.translation.has_value() == present, "what the CPU finds");
        if (!present) {
            check(!walk.fault.present(), "why the CPU finds nothing");
            ++unmapped_;
            return;
        }
        ++mapped_[level];
        compare(*found, *walk.translation);
        const Attributes alone = format_->attributes_of(level, decides);
        withheld_ += !(alone == found->attributes);
        compare_walk(*found);
    }
    // Absent entries of no known kind are none of the CPU's business.
    bool is_good(unsigned level, Entry entry) const {
        return (entry & 1) == 0 || format_->is_well_formed(level, entry);
    }
    void compare(const Translation& found, const sim::Translation& seen) const {
        const Protection rights = found.attributes.protection;
        check(found.physical(VirtualAddress(address_)).value() == seen.physical(address_),
              "the physical address");
        check(bytes_of(found.pages.count()).value() == seen.bytes(), "the page's size");
        check(has(rights, Protection::read), "that it can be read");
        check(has(rights, Protection::write) == seen.writable, "whether it can be written");
        check(has(rights, Protection::user) == seen.user, "whether users may");
        check(has(rights, Protection::execute) == seen.executable, "whether it can be executed");
        check(has(rights, Protection::global) == seen.global, "whether it is global");
        check(test::encoded(found.attributes.type) == seen.type, "the memory type");
        check(found.dirty == seen.dirty, "whether it is dirty");
    }
    // The other way to ask.
    void compare_walk(const Translation& found) const {
        unsigned visits = 0;
        const Page page = page_of(VirtualAddress(address_));
        const Status walked =
            table_->walk(PageRange(page, PageCount(1)), [&](const Translation& entry) {
                ++visits;
                check(entry.pages == found.pages && entry.frames == found.frames &&
                          entry.attributes == found.attributes,
                      "a walk");
                return true;
            });
        check(walked.ok() && visits == 1, "a walk");
    }
    static void check(bool agree, const char* about) {
        if (!agree) throw Mismatch{std::string("library and MMU disagree about ") + about};
    }
    static sim::Control all_on() {
        sim::Control control;
        control.paging = control.write_protect = true;
        control.pat = x86_page_attribute_table;
        return control;
    }

    sim::Ram ram_{{sim::Segment{0, ram_frames* page_size}}};
    sim::FramePool pool_{ram_, FrameRange(Frame(1), FrameCount(8))};
    DirectMap host_{FrameRange(Frame(0), FrameCount(ram_frames)), VirtualAddress(0),
                    ram_.physical_view()};
    std::vector<std::unique_ptr<sim::Mmu>> mmus_;
    std::vector<std::unique_ptr<Table>> tables_;  // of each CPU: the low half's, and the high one's
    sim::Control control_ = all_on();
    std::mt19937_64 random_;
    // The layout.
    unsigned cpu_ = 0;
    const Format* format_ = nullptr;
    const Table* table_ = nullptr;
    uint64_t address_ = 0;
    // What became of the layouts.
    std::array<uint64_t, 3> mapped_{};
    uint64_t withheld_ = 0, unmapped_ = 0, refused_ = 0, unloadable_ = 0;
};

}  // namespace quire::model
