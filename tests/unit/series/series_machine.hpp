// SPDX-License-Identifier: MIT
// A kernel of the tutorial series on the simulated machine: the calls as methods, on a state of its
// own, with the simulated CPU behind them.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "sim/mapped_machine.hpp"
#include "src/series/face.hpp"

namespace quire::series {

inline constexpr size_t operator""_KiB(unsigned long long n) {
    return static_cast<size_t>(n) << 10;
}
inline constexpr size_t operator""_MiB(unsigned long long n) {
    return static_cast<size_t>(n) << 20;
}

// Addresses of the code and the stack that count as in use.
struct RunningAt {
    uint32_t code = 0x00100000;
    uint32_t stack = 0x00090000;
};

class SimulatedSeriesCpu {
  public:
    using Local = sim::MappedMachine::LocalTlb;

    SimulatedSeriesCpu(sim::MappedMachine& machine, const RunningAt& at)
        : machine_(&machine), at_(&at) {}

    Local local() const { return machine_->tlb(); }
    AddressView view() const { return machine_->view(); }
    bool is_paging() const { return machine_->control().paging; }
    void set_paging(bool on) const {
        sim::Control control = machine_->control();
        control.paging = on;
        machine_->set_control(control);
    }
    bool large_pages() const { return machine_->control().large_pages; }
    Frame root() const { return frame_of(PhysicalAddress(machine_->control().cr3)); }
    void load_root(Frame root) const { machine_->load_cr3(root); }
    void flush_page(VirtualAddress address) const { machine_->invalidate_page(address.value()); }
    void flush_all() const { machine_->invalidate_all(sim::Globals::drop); }
    uint32_t code() const { return at_->code; }
    uint32_t stack() const { return at_->stack; }

  private:
    sim::MappedMachine* machine_;
    const RunningAt* at_;
};

// As quire/series_config.h has it.
struct Tutorial : ChoicesOfConfig {
    using Cpu = SimulatedSeriesCpu;
};
// A higher half: the first 4 MiB of memory are at 3 GiB, and nothing is at identity.
struct HigherHalf : Tutorial {
    static constexpr uint32_t map_address = 0xC0000000;
    static constexpr uint32_t map_bytes = 4 << 20;
};
// A recursive slot at the end, as most have it, and one in the middle.
struct RecursiveLast : Tutorial {
    static constexpr Reach reach = Reach::recursive;
};
struct RecursiveMiddle : RecursiveLast {
    static constexpr RecursiveSlots slots = {500, 501, 502};
};
struct Windowed : Tutorial {
    static constexpr Reach reach = Reach::window;
};

template <class Choices>
class SeriesMachine {
  public:
    explicit SeriesMachine(uint64_t memory_bytes = 16_MiB)
        : ram_(sim::flat_segments(memory_bytes)),
          machine_(ram_),
          kernel_(SimulatedSeriesCpu(machine_, at_)) {
        sim::Control control;
        control.large_pages = control.global_pages = true;
        machine_.set_control(control);
    }

    Face<Choices>& kernel() { return kernel_; }
    sim::Ram& ram() { return ram_; }
    sim::MappedMachine& machine() { return machine_; }
    RunningAt& at() { return at_; }

    // pmmngr_init with all the room it wants.
    int init() { return init(ram_.bytes() / 1024); }
    int init(uint64_t memory_kib) { return init(memory_kib, Blocks::room_bytes(memory_kib)); }
    int init(uint64_t memory_kib, size_t room_bytes) {
        const size_t rounded = (room_bytes + 63) & ~size_t{63};
        room_.reset(static_cast<unsigned char*>(std::aligned_alloc(64, rounded + 64)));
        return kernel_.init(memory_kib, {room_.get(), room_bytes});
    }
    // What a tutorial's kernel does up to paging: all memory free, but the first 2 MiB.
    void start_like_the_tutorial() {
        init_blocks();
        kernel_.initialize();
    }
    void init_blocks() {
        init();
        kernel_.init_region(0, ram_.bytes());
        kernel_.deinit_region(0, 2_MiB);
    }
    // What a boot loader leaves: a directory and two tables in static memory at 1 MiB, of which the
    // first shows 4 MiB of memory at identity, the second at `high`. With `self` a recursive slot.
    static constexpr uint32_t boot_directory = 0x100000;
    void boot_with_paging(uint32_t high, unsigned self = table_entries, bool identity = true) {
        uint32_t* const directory = ram_.template as<uint32_t>(boot_directory);
        for (uint32_t table = 1; table <= 2; ++table) {
            const uint32_t at = boot_directory + table * 0x1000;
            uint32_t* const entries = ram_.template as<uint32_t>(at);
            for (uint32_t i = 0; i < table_entries; ++i)
                entries[i] = i << 12 | 3;
            const uint32_t index = table == 1 ? 0 : high >> 22;
            if (identity || table == 2) directory[index] = at | 3;
        }
        if (self < table_entries) directory[self] = boot_directory | 3;
        sim::Control control = machine_.control();
        control.paging = true;
        control.cr3 = boot_directory;
        machine_.set_control(control, true);
    }
    // Entries as they are in memory, by physical address of the table.
    uint32_t entry(uint32_t table, unsigned index) const {
        return *ram_.template as<uint32_t>(table + 4 * index);
    }

    // What the CPU reads and writes at a virtual address.
    uint32_t load(uint32_t address) {
        return *machine_.template pointer<volatile uint32_t>(address);
    }
    void store(uint32_t address, uint32_t value) {
        *machine_.template pointer<volatile uint32_t>(address) = value;
    }
    bool readable(uint32_t address) { return machine_.template probe_load<uint32_t>(address).ok(); }
    bool writable(uint32_t address) {
        const auto value = machine_.template probe_load<uint32_t>(address);
        return value.ok() && machine_.template probe_store<uint32_t>(address, *value.value).ok();
    }
    bool user_writable(uint32_t address) {
        const auto user = sim::Privilege::user;
        return machine_.template probe_store<uint32_t>(address, 1, user).ok();
    }
    // A pointer as the kernel would have it.
    template <class T>
    T* pointer(uint32_t address) {
        return machine_.template pointer<T>(address);
    }
    uint32_t address(const void* pointer) const {
        return static_cast<uint32_t>(machine_.view().address(pointer).value());
    }
    // Translations that nobody flushed and that let through what the tables forbid.
    size_t harmful_stale_entries() const {
        size_t count = 0;
        for (const auto& stale : machine_.stale_entries())
            count += stale.harmful ? 1 : 0;
        return count;
    }

  private:
    struct Free {
        void operator()(unsigned char* room) const { std::free(room); }
    };

    RunningAt at_;
    sim::Ram ram_;
    sim::MappedMachine machine_;
    std::unique_ptr<unsigned char, Free> room_;
    Face<Choices> kernel_;
};

}  // namespace quire::series
