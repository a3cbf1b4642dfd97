// SPDX-License-Identifier: MIT
// A simulated i386 that a boot loader has just left and that Quire then takes over through its
// facade: what the reference kernel does on the real one.
#pragma once

#include <memory>

#include "quire/kernel_memory.hpp"
#include "quire/paging/single_cpu_invalidator.hpp"
#include "sim/mapped_machine.hpp"

namespace quire::sim {

// The CPU as the facade wants it.
class SimulatedCpu : public MappedMachine::LocalTlb {
  public:
    using Local = MappedMachine::LocalTlb;

    explicit SimulatedCpu(MappedMachine& machine)
        : MappedMachine::LocalTlb(machine), machine_(&machine) {}
    void load_root(Frame root) const { machine_->load_cr3(root); }

  private:
    MappedMachine* machine_;
};

// Panics become C++ exceptions, which tests catch; so they must not cross a page fault.
struct Panic {
    Report report;
};
class ThrowingPlatform final : public Platform {
  public:
    void panic(const Report& report) override { throw Panic{report}; }
};

struct BootedShape {
    TableReach reach = TableReach::direct;
    uint64_t memory_bytes = 16 << 20;
    // How much of RAM the direct map can show.
    uint64_t direct_map_bytes = 64 << 20;
    size_t heap_arena_bytes = 4 << 20;
    uint32_t heap_sample_interval = 0;
    bool large_pages = true;
    size_t tlb_capacity = 4096;
};

// A run of pages of the image, as offsets from where it starts.
struct ImageSection {
    uint64_t begin;
    uint64_t end;
    Protection protection;
    const char* name;
};

class BootedMachine {
  public:
    // Where the "kernel" lies. No code of it runs here: the process does. But its addresses are as
    // in a real one: a first page that only the boot mapping shows, sections, a guarded stack.
    static constexpr uint64_t image_physical = 0x100000;
    static constexpr uint64_t image_bytes = 0x40000;
    static constexpr uintptr_t image_virtual = 0xC0100000;
    static constexpr ImageSection text{0x1000, 0x2000, read_execute, "kernel text"};
    static constexpr ImageSection rodata{0x2000, 0x3000, read_only, "kernel rodata"};
    static constexpr ImageSection data{0x3000, 0x20000, read_write, "kernel data"};
    static constexpr ImageSection guard{0x20000, 0x21000, Protection::none, "stack guard"};
    static constexpr ImageSection stack{0x21000, 0x40000, read_write, "kernel stack"};

    // The pages at which the boot mapping can show any frame: those of one leaf table.
    static constexpr uintptr_t boot_window = 0xFF800000;

    explicit BootedMachine(const BootedShape& shape);
    ~BootedMachine();
    BootedMachine(const BootedMachine&) = delete;
    BootedMachine& operator=(const BootedMachine&) = delete;

    // Starts the facade, once: on the firmware's map, or on one that somebody else built, which
    // must outlive the machine.
    Status start();
    Status start(const MemoryMap& map, Platform& platform);

    KernelMemory& memory();
    // Where start will put things; may be changed before.
    KernelLayout& layout() { return layout_; }
    // The entries of the boot window's leaf table.
    uint32_t* boot_window_entries();
    // The firmware's map, with the image reserved.
    const MemoryMap& map() const { return *map_; }
    Ram& ram() { return ram_; }
    MappedMachine& machine() { return machine_; }
    const MappedMachine& machine() const { return machine_; }
    SimulatedCpu cpu() { return SimulatedCpu(machine_); }
    TlbInvalidator& tlb() { return invalidator_; }
    Platform& platform() { return platform_; }
    // The report of the last page fault that the space did not resolve.
    const FaultReport& last_fault() const { return fault_.report; }

  private:
    struct Reaches;

    void make_boot_mapping();

    BootedShape shape_;
    Ram ram_;
    MappedMachine machine_;
    SingleCpuInvalidator<SimulatedCpu> invalidator_;
    ThrowingPlatform platform_;
    std::unique_ptr<MemoryMap> map_;
    KernelLayout layout_;
    std::unique_ptr<Reaches> memory_;
    FaultOutcome fault_;
};

}  // namespace quire::sim
