// SPDX-License-Identifier: MIT
#include "smp.hpp"

#include "../../console.hpp"
#include "cpu.hpp"
#include "cpu_record.hpp"
#include "isa.hpp"
#include "local_apic.hpp"
#include "quire/base/atomic.hpp"
#include "quire/base/late.hpp"
#include "traps.hpp"

extern "C" {
extern const unsigned char trampoline_begin[];
extern const unsigned char trampoline_end[];
extern uint32_t ap_gate;
[[noreturn]] void ap_main();
}

namespace kernel {
namespace {

using namespace quire;

constinit CpuRecord records[most_cpus];

constinit ShootdownCpu mailboxes[most_cpus];
constinit Late<smp::KernelShootdown> shootdown;
constinit Late<ShootdownInvalidator<smp::KernelShootdown>> kernel_tlb;

// What a CPU has been asked to do: null while it has nothing to do.
struct Job {
    Atomic<machine::CpuFunction> function{nullptr};
    void* context = nullptr;
};
constinit Job jobs[most_cpus];

// Written by the first CPU before it starts the others.
constinit Frame root;
constinit PageRange stacks[most_cpus];
constinit unsigned prepared = 1;  // CPUs that there are stacks for
constinit unsigned arrived = 1;   // by whoever has closed the gate
constinit Atomic<uint32_t> running{1};

constexpr PageCount stack_pages{8};
constexpr const char* stack_names[most_cpus] = {
    "kernel stack",   "stack of CPU 1", "stack of CPU 2", "stack of CPU 3",
    "stack of CPU 4", "stack of CPU 5", "stack of CPU 6", "stack of CPU 7"};
// How long the others may take to come.
constexpr uint32_t patience_milliseconds = 10000;

// Sleeps until there is a job, does it, and so on.
[[noreturn]] void work(unsigned cpu) {
    Job& job = jobs[cpu];
    for (;;) {
        cpu::disable_interrupts();
        const machine::CpuFunction function = job.function.load(MemoryOrder::acquire);
        if (function == nullptr) {
            cpu::wait_for_interrupt();
            continue;
        }
        cpu::enable_interrupts();
        function(job.context);
        job.function.store(nullptr, MemoryOrder::release);
    }
}

// On the new CPU's own stack; the next one may come in.
[[noreturn]] void ap_run() {
    const unsigned cpu = machine::this_cpu();
    own_record().apic = local_apic::enable();
    shootdown->start_cpu();
    running.fetch_add(1, MemoryOrder::release);
    __atomic_store_n(&ap_gate, 0, __ATOMIC_RELEASE);
    work(cpu);
}

Status prepare_stacks(AddressSpace& space, unsigned wanted) {
    for (; prepared < wanted; ++prepared) {
        AllocateOptions options;
        options.placement.guard_before = PageCount(1);
        options.placement.guard_after = PageCount(1);
        options.name = stack_names[prepared];
        const auto pages = space.allocate(stack_pages, options);
        if (!pages.ok()) return pages.failure();
        stacks[prepared] = *pages;
    }
    return {};
}

Status copy_trampoline(AddressSpace& space, Frame frame) {
    const auto shown = space.map(FrameRange(frame, FrameCount(1)));
    if (!shown.ok()) return shown.failure();
    __builtin_memcpy(AddressView().pointer(address_of(shown->first())), trampoline_begin,
                     static_cast<size_t>(trampoline_end - trampoline_begin));
    return space.unmap(*shown);
}

bool all_run(unsigned wanted) {
    return running.load(MemoryOrder::acquire) >= wanted;
}

}  // namespace

CpuRecord& cpu_record(unsigned cpu) {
    return records[cpu];
}

namespace smp {

void start_first(Platform& platform) {
    shootdown.make(platform, Span<ShootdownCpu>(mailboxes));
    kernel_tlb.make(*shootdown);
    shootdown->start_cpu();
}

TlbInvalidator& invalidator() {
    return *kernel_tlb;
}
KernelShootdown& kernel_shootdown() {
    return *shootdown;
}

void serve_interrupt() {
    local_apic::end_of_interrupt();
    shootdown->serve();
}

}  // namespace smp

namespace machine {

unsigned this_cpu() {
    uintptr_t index;
    asm("mov %%gs:0, %0" : "=r"(index));
    return static_cast<unsigned>(index);
}

unsigned cpu_count() {
    return running.load(MemoryOrder::acquire);
}

Status start_cpus(KernelMemory& memory, unsigned wanted) {
    if (wanted <= 1) return {};
    if (wanted > most_cpus) return Failure{Error::too_many, wanted};
    if (!local_apic::is_there()) return Failure{Error::unsupported, 0};
    Status done = local_apic::map(memory.space());
    if (done.ok()) done = prepare_stacks(memory.space(), wanted);
    if (!done.ok()) return done;
    FrameConstraints low;
    low.highest = Frame(0x9F);
    const auto frame = memory.frames().allocate_run(FrameCount(1), low);
    if (!frame.ok()) return frame.failure();
    done = copy_trampoline(memory.space(), frame->first());
    if (done.ok()) {
        own_record().apic = local_apic::enable();
        root = memory.table().root();
        local_apic::start_all_others(frame->first());
        for (uint32_t i = 0; i < patience_milliseconds && !all_run(wanted); ++i)
            local_apic::wait_microseconds(1000);
    }
    const Status freed = memory.frames().free(*frame);
    return done.ok() ? freed : done;
}

void interrupt(const CpuMask& cpus) {
    for (const unsigned cpu : cpus)
        local_apic::interrupt(records[cpu].apic);
}

void run_on(unsigned cpu, CpuFunction function, void* context) {
    jobs[cpu].context = context;
    jobs[cpu].function.store(function, MemoryOrder::release);
    local_apic::interrupt(records[cpu].apic);
}

void wait_for(unsigned cpu) {
    while (jobs[cpu].function.load(MemoryOrder::acquire) != nullptr) {
        shootdown->serve();
        cpu::relax();
    }
}

void with_interrupts(CpuFunction function, void* context) {
    const uintptr_t flags = cpu::read_flags();
    cpu::enable_interrupts();
    function(context);
    cpu::write_flags(flags);
}

}  // namespace machine

}  // namespace kernel

// The gate is closed behind this CPU, which runs on the boot mapping and the one stack that all use
// to come in.
void ap_main() {
    using namespace kernel;
    isa::enable(isa::find_features());
    isa::follow_first_cpu();
    quire::X86Cpu().load_root(root);
    const unsigned cpu = arrived;
    if (cpu >= prepared) {
        // More CPUs than were asked for.
        __atomic_store_n(&ap_gate, 0, __ATOMIC_RELEASE);
        for (;;) {
            cpu::disable_interrupts();
            cpu::halt();
        }
    }
    ++arrived;
    const quire::VirtualRange stack = quire::bytes_of(stacks[cpu]);
    const uintptr_t end = stack.last().value() + 1;
    traps::initialize(cpu, stack.first().value(), end);
#if defined(__x86_64__)
    asm volatile("mov %0, %%rsp\n\txor %%ebp, %%ebp\n\tcall *%1" : : "r"(end), "r"(&ap_run));
#else
    asm volatile("mov %0, %%esp\n\txor %%ebp, %%ebp\n\tcall *%1" : : "r"(end), "r"(&ap_run));
#endif
    __builtin_unreachable();
}
