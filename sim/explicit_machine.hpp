// SPDX-License-Identifier: MIT
// The explicit engine: a machine with several CPUs, each driven by a thread, whose accesses to
// virtual memory are calls. Each CPU has a TLB of its own that forgets nothing by itself.
//
//     sim::Ram ram(64 << 20);
//     sim::ExplicitMachine machine(ram, 4);
//     ... build tables in RAM, through ram.physical_view() ...
//     machine.enable_paging(root_frame);
//     machine.on_each_cpu([&](sim::ExplicitCpu& cpu) {          // a thread for each CPU
//         cpu.store<uint32_t>(address, cpu.number());
//         machine.run_on_others(cpu, [&](sim::ExplicitCpu& other) {
//             other.invalidate_page(address);                   // a shootdown
//         });
//     });
//     EXPECT_TRUE(machine.stale_entries().empty());
//
// The thread sanitizer is sound on it: no signals; RAM is seen through one alias, and everything
// that plays the hardware touches it by atomics. Accesses are ordered as on x86 at least: loads
// acquire, stores release.
//
// Requests between CPUs behave like interrupts. A CPU serves those sent to it at its next operation
// or when it calls `poll`, unless its interrupts are disabled; the CPU that waits for the answers
// serves its own meanwhile. A CPU that no thread drives is halted with interrupts enabled: whoever
// sends it a request has it served at once. A request that is not answered in half a minute is a
// deadlock: it is reported, and the process aborts.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <type_traits>
#include <vector>

#include "quire/base/frame_access.hpp"
#include "quire/base/lock.hpp"
#include "sim/cpu_core.hpp"
#include "sim/probe.hpp"
#include "sim/x86_mmu32.hpp"

namespace quire::sim {

class ExplicitMachine;

// How long a CPU waits for another before that counts as a deadlock; 30 seconds unless set.
void set_explicit_patience(std::chrono::milliseconds patience);

// One CPU. Its members may be called by the thread that drives it (see Driving); by others only
// while no thread does, and then they drive it for the length of the call.
class ExplicitCpu {
  public:
    using FaultHandler = std::function<bool(ExplicitCpu&, const PageFault&)>;

    ExplicitCpu(ExplicitMachine& machine, const Ram& ram, const Mmu& mmu, const CpuShape& shape,
                unsigned number);
    ExplicitCpu(const ExplicitCpu&) = delete;
    ExplicitCpu& operator=(const ExplicitCpu&) = delete;

    // The CPU that the calling thread drives, or null.
    static ExplicitCpu* current();
    unsigned number() const { return core_.number(); }
    ExplicitMachine& machine() const { return machine_; }

    // Makes the calling thread drive a CPU while it lives. Waits while another thread does.
    class Driving {
      public:
        explicit Driving(ExplicitCpu& cpu);
        ~Driving();
        Driving(const Driving&) = delete;
        Driving& operator=(const Driving&) = delete;

      private:
        ExplicitCpu* const cpu_;  // null when the thread drove it already
        ExplicitCpu* const before_;
    };

    // Accesses by virtual address, of 1, 2, 4 or 8 bytes; atomic where naturally aligned. A fault
    // that the handler does not resolve is reported, and the process aborts.
    template <class T>
    T load(uint64_t address, Privilege privilege = Privilege::supervisor) {
        const Probe<T> result = probe_load<T>(address, privilege);
        if (!result.ok()) stop(result.fault);
        return *result.value;
    }
    template <class T>
    void store(uint64_t address, std::type_identity_t<T> value,
               Privilege privilege = Privilege::supervisor) {
        const Probe<T> result = probe_store<T>(address, value, privilege);
        if (!result.ok()) stop(result.fault);
    }
    // The byte at an address, as an instruction.
    uint8_t fetch(uint64_t address, Privilege privilege = Privilege::supervisor);

    // The same, for accesses that may fail. The handler is asked first.
    template <class T>
    Probe<T> probe_load(uint64_t address, Privilege privilege = Privilege::supervisor);
    template <class T>
    Probe<T> probe_store(uint64_t address, std::type_identity_t<T> value,
                         Privilege privilege = Privilege::supervisor);
    Probe<uint8_t> probe_fetch(uint64_t address, Privilege privilege = Privilege::supervisor);

    // Who resolves page faults: true repeats the access. It may use the CPU, and fault itself.
    void on_page_fault(FaultHandler handler);

    Control control();
    void set_control(const Control& control, bool cr3_written = false);
    void load_cr3(Frame root);
    // With a PCID, and bit 63 (`keep`).
    void load_cr3(uint64_t cr3, bool keep);
    void invalidate_page(uint64_t address);
    void invalidate_all(Globals globals);

    // Serves the requests of other CPUs, unless interrupts are disabled. O(requests).
    void poll();
    // What the CPU does when ExplicitMachine::interrupt interrupts it, with its interrupts
    // disabled.
    void on_interrupt(std::function<void(ExplicitCpu&)> handler);

    // Keeps requests waiting; returns whether they were served until now, for `restore`.
    bool disable_interrupts();
    void restore_interrupts(bool enabled);

    std::vector<StaleEntry> stale_entries();
    std::vector<StaleStructure> stale_structures();
    bool sees(Frame frame);
    bool sees_stale(Frame frame);
    CpuCounters counters();
    Walk look(const Access& access);

  private:
    friend class ExplicitMachine;
    struct Request {
        const std::function<void(ExplicitCpu&)>* function;
        std::atomic<bool> done{false};
    };

    void attach();
    void detach();
    void send(Request& request);
    void await(const Request& request, ExplicitCpu* self) const;
    void serve();
    void interrupt();
    // Serves what came in, when nobody drives it.
    void wake();
    // The physical address for an access, or nothing and the fault.
    std::optional<uint64_t> resolve(const Access& access, PageFault& fault);
    [[noreturn]] void stop(const PageFault& fault);

    ExplicitMachine& machine_;
    CpuCore core_;  // the driving thread's
    FaultHandler handler_;
    std::function<void(ExplicitCpu&)> interrupt_handler_;
    bool interrupts_ = true;

    std::mutex mutex_;  // of what follows
    bool attached_ = false;
    std::vector<Request*> inbox_;
    std::atomic<bool> pending_{false};  // whether the inbox may hold something
    std::atomic<bool> interrupted_{false};
};

class ExplicitMachine {
  public:
    // Between 1 and 64 CPUs: throws std::invalid_argument otherwise.
    ExplicitMachine(const Ram& ram, unsigned cpus, const CpuShape& shape = {},
                    const X86Features& features = {});
    // Of any format; the MMU must outlive the machine.
    ExplicitMachine(const Ram& ram, unsigned cpus, const Mmu& mmu, const CpuShape& shape = {});

    unsigned cpus() const { return static_cast<unsigned>(cpus_.size()); }
    ExplicitCpu& cpu(unsigned number) { return *cpus_.at(number); }
    const Ram& ram() const { return ram_; }

    // Sets CR3, CR0.PG, CR0.WP, CR4.PSE and CR4.PGE of every CPU.
    void enable_paging(Frame root);
    // Sets the control registers of every CPU.
    void set_control(const Control& control);
    void on_page_fault(const ExplicitCpu::FaultHandler& handler);
    void on_interrupt(const std::function<void(ExplicitCpu&)>& handler);

    // Interrupts CPUs and does not wait: each calls its handler soon, once for several that came
    // before it did.
    void interrupt(uint64_t mask);

    // Runs a function on every CPU at once, each driven by a thread of its own, and waits for all.
    // An exception thrown by one is thrown on, after all have ended.
    void on_each_cpu(const std::function<void(ExplicitCpu&)>& function);

    // Sends a function to CPUs as an interrupt and waits until each has run it, several perhaps at
    // once. `mask` has a bit for each CPU; the sender's own runs it directly. The function must not
    // wait for other CPUs.
    void run_on(uint64_t mask, const std::function<void(ExplicitCpu&)>& function);
    // To all CPUs but the given one.
    void run_on_others(const ExplicitCpu& self, const std::function<void(ExplicitCpu&)>& function);
    uint64_t all_cpus() const { return cpus() == 64 ? ~uint64_t{0} : (uint64_t{1} << cpus()) - 1; }

    // Over all CPUs; each answers at its next operation.
    std::vector<StaleEntry> stale_entries();
    std::vector<StaleStructure> stale_structures();
    // Whether any CPU can reach a frame, and whether one can through an entry that the tables no
    // longer bear out; see CpuCore.
    bool sees(Frame frame);
    bool sees_stale(Frame frame);

  private:
    void add_cpus(unsigned cpus, const Mmu& mmu, const CpuShape& shape);

    const Ram& ram_;
    const X86Mmu32 mmu_;  // unless another is given
    std::vector<std::unique_ptr<ExplicitCpu>> cpus_;
};

// The library's policies, for the CPU that the calling thread drives.
struct ExplicitCpuPolicy {  // CpuPolicy
    struct Pin {};
    static unsigned index() { return ExplicitCpu::current()->number(); }
};
struct ExplicitInterrupts {  // InterruptPolicy
    static bool disable() { return ExplicitCpu::current()->disable_interrupts(); }
    static void restore(bool enabled) { ExplicitCpu::current()->restore_interrupts(enabled); }
};
struct ExplicitTlb {  // LocalTlb, and flush_all
    void flush_page(VirtualAddress address) const {
        ExplicitCpu::current()->invalidate_page(address.value());
    }
    void flush_all() const { ExplicitCpu::current()->invalidate_all(Globals::drop); }
};
// A lock whose waiters go on serving requests, as a CPU that spins with interrupts enabled does.
// With the library's own SpinLock a waiter does not, which is a CPU that spins with them disabled.
class PollingLock {
  public:
    void lock();
    void unlock() { lock_.unlock(); }

  private:
    SpinLock lock_;
};

template <class T>
Probe<T> ExplicitCpu::probe_load(uint64_t address, Privilege privilege) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
    const Driving driving(*this);
    poll();
    PageFault fault;
    if (address % sizeof(T) == 0) {
        const auto physical = resolve({address, AccessKind::read, privilege}, fault);
        if (!physical) return {std::nullopt, fault};
        return {core_.ram().load<T>(*physical), {}};
    }
    T value{};
    auto* bytes = reinterpret_cast<uint8_t*>(&value);
    for (size_t i = 0; i < sizeof(T); ++i) {
        const auto physical = resolve({address + i, AccessKind::read, privilege}, fault);
        if (!physical) return {std::nullopt, fault};
        bytes[i] = core_.ram().load<uint8_t>(*physical);
    }
    return {value, {}};
}

template <class T>
Probe<T> ExplicitCpu::probe_store(uint64_t address, std::type_identity_t<T> value,
                                  Privilege privilege) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
    const Driving driving(*this);
    poll();
    PageFault fault;
    if (address % sizeof(T) == 0) {
        const auto physical = resolve({address, AccessKind::write, privilege}, fault);
        if (!physical) return {std::nullopt, fault};
        core_.ram().store<T>(*physical, value);
        return {value, {}};
    }
    // All of it is translated before any of it is written, as the hardware does.
    uint64_t where[sizeof(T)];
    for (size_t i = 0; i < sizeof(T); ++i) {
        const auto physical = resolve({address + i, AccessKind::write, privilege}, fault);
        if (!physical) return {std::nullopt, fault};
        where[i] = *physical;
    }
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    for (size_t i = 0; i < sizeof(T); ++i)
        core_.ram().store<uint8_t>(where[i], bytes[i]);
    return {value, {}};
}

}  // namespace quire::sim
