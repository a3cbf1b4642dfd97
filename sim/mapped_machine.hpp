// SPDX-License-Identifier: MIT
// The mapped engine: a machine with one CPU whose TLB entries are mappings of the host.
//
// Virtual address v of the machine is host address bias() + v. Ordinary code, the unmodified
// library included, reads and writes there; what no mapping serves raises a signal, whose handler
// does what the MMU does: use the cached translation, else walk the simulated tables and cache what
// they say, else raise a page fault. Invalidation unmaps. An entry that nobody invalidated stays a
// mapping to where the tables once pointed, and a read through it shows what lies there.
//
//     sim::Ram ram(128 << 20);
//     sim::MappedMachine machine(ram);
//     machine.on_page_fault([&](const sim::PageFault& fault) { return space.resolve(fault); });
//     ... build tables in RAM, through ram.physical_view() ...
//     machine.enable_paging(root_frame);
//     *machine.view().pointer<int>(address) = 1;     // a real access
//     machine.tlb().flush_page(address);             // INVLPG, as the library's LocalTlb
//
// While paging is off, virtual addresses are physical ones, as on the real machine.
//
// A process has no room for all the addresses of 64-bit paging: such a machine shows a run of them,
// and beyond it there are probes, which go through the same TLB and MMU.
//
// One thread at a time. Pages of the machine may not be given to system calls before they were
// touched (the kernel reports EFAULT where the CPU would fault). Several machines may exist.
#pragma once

#include <csetjmp>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>

#include "quire/base/frame_access.hpp"
#include "sim/cpu_core.hpp"
#include "sim/host_window.hpp"
#include "sim/probe.hpp"
#include "sim/x86_mmu32.hpp"

namespace quire::sim {

struct MappedShape {
    CpuShape cpu;
    X86Features features;
    // The paging mode, instead of 32-bit paging on a CPU with those features.
    std::shared_ptr<const Mmu> mmu;
    // Where virtual addresses that the process can use begin, and how many bytes of them there are;
    // whole pages, and 0 for all of 32 bits.
    uint64_t first_shown = 0;
    uint64_t bytes_shown = 0;
    // Host mappings made before all are taken back to be made again as they are touched: the TLB
    // keeps its entries, so nothing changes but time. Each costs the host up to two areas; Linux
    // allows 65530 a process.
    size_t host_mappings = 16384;
    // Host address of the first virtual address shown; 0 chooses one, for 32 bits of them.
    uintptr_t host_address = 0;
};

struct MappedCounters {
    CpuCounters cpu;
    uint64_t host_faults = 0;   // signals taken
    uint64_t device_pages = 0;  // mappings made of addresses where nothing is
    uint64_t remappings = 0;    // times that all host mappings were taken back for their number
};

class MappedMachine final : private HostWindow::Owner {
  public:
    explicit MappedMachine(const Ram& ram, const MappedShape& shape = {});
    ~MappedMachine();

    // The machine made last that still exists, for policies without state; null when there is
    // none.
    static MappedMachine* current();

    // Virtual addresses as the running code sees them.
    AddressView view() const { return AddressView(bias()); }
    uintptr_t bias() const { return window_.bias() - first_shown_; }
    template <class T = void>
    T* pointer(uint64_t address) const {
        return reinterpret_cast<T*>(bias() + address);
    }
    // Whether the process can use all bytes of a run.
    bool shows(uint64_t address, uint64_t bytes) const {
        const uint64_t offset = address - first_shown_;
        return offset < bytes_shown_ && bytes <= bytes_shown_ - offset;
    }

    // Who resolves page faults: true repeats the access. It runs on the stack of the access, may
    // access the machine's memory, and may fault itself.
    using FaultHandler = std::function<bool(const PageFault&)>;
    void on_page_fault(FaultHandler handler) { handler_ = std::move(handler); }

    const Control& control() const { return core_.control(); }
    void set_control(const Control& control, bool cr3_written = false);
    // Sets CR3, CR0.PG and CR0.WP, and CR4.PSE and CR4.PGE.
    void enable_paging(Frame root);
    // MOV to CR3: drops what is not global, even when the root stays the same.
    void load_cr3(Frame root);

    void invalidate_page(uint64_t address) { core_.invalidate_page(address); }
    void invalidate_all(Globals globals);

    // The CPU's TLB in the terms of the library: an object to copy and store.
    class LocalTlb {
      public:
        explicit LocalTlb(MappedMachine& machine) : machine_(&machine) {}
        void flush_page(VirtualAddress address) const {
            machine_->invalidate_page(address.value());
        }
        // Global entries too.
        void flush_all() const { machine_->invalidate_all(Globals::drop); }

      private:
        MappedMachine* machine_;
    };
    LocalTlb tlb() { return LocalTlb(*this); }

    // Accesses that may fail. As with any access the page-fault handler is asked first. Supervisor
    // loads and stores of what is shown are real ones; others, user accesses and fetches, which the
    // process cannot make, go through the same TLB and MMU.
    template <class T>
    Probe<T> probe_load(uint64_t address, Privilege privilege = Privilege::supervisor);
    template <class T>
    Probe<T> probe_store(uint64_t address, T value, Privilege privilege = Privilege::supervisor);
    Probe<uint8_t> probe_fetch(uint64_t address, Privilege privilege = Privilege::supervisor);

    // What an access would give now; changes nothing.
    Walk look(const Access& access) const { return core_.look(access); }
    std::vector<StaleEntry> stale_entries() const { return core_.stale_entries(); }
    std::vector<StaleStructure> stale_structures() const { return core_.stale_structures(); }
    bool sees(Frame frame) const { return core_.sees(frame); }
    bool sees_stale(Frame frame) const { return core_.sees_stale(frame); }
    const CpuCore& core() const { return core_; }
    const Ram& ram() const { return ram_; }
    MappedCounters counters() const;

  private:
    struct ProbeFrame;

    bool host_fault(uint64_t offset, bool write) override;
    // Serves or delivers until it can be served; false when nobody resolves the fault.
    std::optional<Translation> resolve(const Access& access);
    void realise(const Translation& translation, uint64_t address);
    // Takes back what is shown of a translation.
    void hide(const Translation& gone);
    [[noreturn]] void stop(const PageFault& fault, const char* why) const;
    // Runs a real access; false when it faulted, with the fault in `unresolved_`.
    bool attempt(void (*access)(void*), void* argument);
    // The byte of RAM for an access of the model; null where nothing is.
    std::byte* modelled(const Access& access, bool& ok);

    const Ram& ram_;
    const MappedShape shape_;
    const std::shared_ptr<const Mmu> mmu_;
    const uint64_t first_shown_;
    const uint64_t bytes_shown_;
    HostWindow window_;
    CpuCore core_;
    FaultHandler handler_;
    ProbeFrame* probe_ = nullptr;
    unsigned depth_ = 0;  // page-fault handlers running
    PageFault unresolved_;
    PageFault repeated_;  // the fault delivered last, and how often without success
    unsigned repetitions_ = 0;
    uint64_t host_faults_ = 0;
    uint64_t device_pages_ = 0;
    uint64_t remappings_ = 0;
    MappedMachine* previous_;
};

template <class T>
Probe<T> MappedMachine::probe_load(uint64_t address, Privilege privilege) {
    static_assert(std::is_trivially_copyable_v<T>);
    struct Work {
        const volatile T* from;
        T value;
    } work{pointer<const volatile T>(address), T{}};
    if (privilege == Privilege::supervisor && shows(address, sizeof(T))) {
        if (!attempt(
                [](void* argument) {
                    auto* w = static_cast<Work*>(argument);
                    w->value = *w->from;
                },
                &work)) {
            return {std::nullopt, unresolved_};
        }
        return {work.value, {}};
    }
    auto* bytes = reinterpret_cast<std::byte*>(&work.value);
    for (size_t i = 0; i < sizeof(T); ++i) {
        bool ok = false;
        const std::byte* from = modelled({address + i, AccessKind::read, privilege}, ok);
        if (!ok) return {std::nullopt, unresolved_};
        bytes[i] = from != nullptr ? *from : std::byte{0xff};
    }
    return {work.value, {}};
}

template <class T>
Probe<T> MappedMachine::probe_store(uint64_t address, T value, Privilege privilege) {
    static_assert(std::is_trivially_copyable_v<T>);
    struct Work {
        volatile T* to;
        T value;
    } work{pointer<volatile T>(address), value};
    if (privilege == Privilege::supervisor && shows(address, sizeof(T))) {
        if (!attempt(
                [](void* argument) {
                    auto* w = static_cast<Work*>(argument);
                    *w->to = w->value;
                },
                &work)) {
            return {std::nullopt, unresolved_};
        }
        return {value, {}};
    }
    // All of it is translated before any of it is written, as the hardware does.
    bool ok = false;
    for (size_t i = 0; i < sizeof(T); ++i) {
        modelled({address + i, AccessKind::write, privilege}, ok);
        if (!ok) return {std::nullopt, unresolved_};
    }
    const auto* bytes = reinterpret_cast<const std::byte*>(&work.value);
    for (size_t i = 0; i < sizeof(T); ++i) {
        std::byte* to = modelled({address + i, AccessKind::write, privilege}, ok);
        if (to != nullptr) *to = bytes[i];
    }
    return {value, {}};
}

}  // namespace quire::sim
