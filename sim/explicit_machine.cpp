// SPDX-License-Identifier: MIT
#include "sim/explicit_machine.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <thread>
#include <utility>

namespace quire::sim {

namespace {
thread_local ExplicitCpu* driven = nullptr;

std::atomic<std::chrono::milliseconds> patience{std::chrono::seconds(30)};
// A fault that its handler claims to have resolved so often in a row never will be.
constexpr unsigned fault_patience = 64;

// Waits for something that other threads do; aborts when it takes for ever.
template <class Done>
void wait_until(const Done& done, unsigned cpu, const char* what) {
    const auto deadline = std::chrono::steady_clock::now() + patience.load();
    while (!done()) {
        std::this_thread::yield();
        if (std::chrono::steady_clock::now() > deadline) {
            std::fprintf(stderr, "sim: deadlock: cpu %u %s\n", cpu, what);
            std::abort();
        }
    }
}
}  // namespace

void set_explicit_patience(std::chrono::milliseconds limit) {
    patience = limit;
}

ExplicitCpu::ExplicitCpu(ExplicitMachine& machine, const Ram& ram, const Mmu& mmu,
                         const CpuShape& shape, unsigned number)
    : machine_(machine), core_(ram, mmu, shape, number) {}

ExplicitCpu* ExplicitCpu::current() {
    return driven;
}

ExplicitCpu::Driving::Driving(ExplicitCpu& cpu)
    : cpu_(driven == &cpu ? nullptr : &cpu), before_(driven) {
    if (cpu_ == nullptr) return;
    cpu_->attach();
    driven = cpu_;
}

ExplicitCpu::Driving::~Driving() {
    if (cpu_ == nullptr) return;
    cpu_->detach();
    driven = before_;
}

void ExplicitCpu::attach() {
    wait_until(
        [this] {
            const std::lock_guard guard(mutex_);
            return !std::exchange(attached_, true);
        },
        number(), "is driven by another thread");
}

void ExplicitCpu::detach() {
    for (;;) {
        if (interrupts_) serve();
        const std::lock_guard guard(mutex_);
        if (interrupts_ && (!inbox_.empty() || interrupted_.load(std::memory_order_acquire))) {
            continue;
        }
        attached_ = false;
        return;
    }
}

void ExplicitCpu::serve() {
    std::vector<Request*> requests;
    {
        const std::lock_guard guard(mutex_);
        requests.swap(inbox_);
        pending_.store(false, std::memory_order_relaxed);
    }
    // The handler of an interrupt runs with interrupts disabled.
    const bool enabled = std::exchange(interrupts_, false);
    for (Request* request : requests) {
        (*request->function)(*this);
        request->done.store(true, std::memory_order_release);
    }
    if (interrupted_.exchange(false) && interrupt_handler_) interrupt_handler_(*this);
    interrupts_ = enabled;
}

void ExplicitCpu::poll() {
    const Driving driving(*this);
    // Served in a loop, since requests may arrive while others are served.
    while (interrupts_ && (pending_.load(std::memory_order_acquire) ||
                           interrupted_.load(std::memory_order_acquire)))
        serve();
}

bool ExplicitCpu::disable_interrupts() {
    const Driving driving(*this);
    return std::exchange(interrupts_, false);
}

void ExplicitCpu::restore_interrupts(bool enabled) {
    const Driving driving(*this);
    interrupts_ = enabled;
    poll();
}

void ExplicitCpu::send(Request& request) {
    bool halted = false;
    {
        const std::lock_guard guard(mutex_);
        inbox_.push_back(&request);
        pending_.store(true, std::memory_order_release);
        halted = !attached_;
        if (halted) attached_ = true;
    }
    if (halted) wake();
}

// Nobody drives it: this thread takes its place for as long as the interrupt lasts. If its
// interrupts are disabled the request stays where it is.
void ExplicitCpu::wake() {
    ExplicitCpu* const before = std::exchange(driven, this);
    detach();
    driven = before;
}

void ExplicitCpu::interrupt() {
    bool halted = false;
    {
        const std::lock_guard guard(mutex_);
        interrupted_.store(true, std::memory_order_release);
        halted = !std::exchange(attached_, true);
    }
    if (halted) wake();
}

void ExplicitCpu::await(const Request& request, ExplicitCpu* self) const {
    wait_until(
        [&] {
            if (request.done.load(std::memory_order_acquire)) return true;
            if (self != nullptr) self->poll();
            return false;
        },
        number(), "does not answer a request: it does not poll, or its interrupts stay disabled");
}

std::optional<uint64_t> ExplicitCpu::resolve(const Access& access, PageFault& fault) {
    for (unsigned tries = 0; tries < fault_patience; ++tries) {
        if (!core_.mmu().has_address(access.address)) {
            throw std::out_of_range("sim: the address lies outside the address space");
        }
        const auto outcome = core_.translate(access);
        if (const auto* translation = std::get_if<Translation>(&outcome)) {
            return translation->physical(access.address);
        }
        fault = std::get<PageFault>(outcome);
        if (!handler_ || !handler_(*this, fault)) return std::nullopt;
    }
    stop(fault);
}

void ExplicitCpu::stop(const PageFault& fault) {
    std::fprintf(stderr, "sim: cpu %u: %s, and nobody resolved it\nsim: %s\n", number(),
                 to_string(fault).c_str(),
                 core_.mmu().describe(core_.ram(), core_.control(), fault.address).c_str());
    for (const StaleEntry& stale : core_.stale_entries()) {
        if (stale.harmful) std::fprintf(stderr, "sim: %s\n", to_string(stale).c_str());
    }
    std::abort();
}

Probe<uint8_t> ExplicitCpu::probe_fetch(uint64_t address, Privilege privilege) {
    const Driving driving(*this);
    poll();
    PageFault fault;
    const auto physical = resolve({address, AccessKind::execute, privilege}, fault);
    if (!physical) return {std::nullopt, fault};
    return {core_.ram().load<uint8_t>(*physical), {}};
}

uint8_t ExplicitCpu::fetch(uint64_t address, Privilege privilege) {
    const Probe<uint8_t> result = probe_fetch(address, privilege);
    if (!result.ok()) stop(result.fault);
    return *result.value;
}

void ExplicitCpu::on_page_fault(FaultHandler handler) {
    const Driving driving(*this);
    handler_ = std::move(handler);
}

void ExplicitCpu::on_interrupt(std::function<void(ExplicitCpu&)> handler) {
    const Driving driving(*this);
    interrupt_handler_ = std::move(handler);
}

Control ExplicitCpu::control() {
    const Driving driving(*this);
    return core_.control();
}

void ExplicitCpu::set_control(const Control& control, bool cr3_written) {
    const Driving driving(*this);
    poll();
    core_.set_control(control, cr3_written);
}

void ExplicitCpu::load_cr3(Frame root) {
    const Driving driving(*this);
    poll();
    Control control = core_.control();
    control.cr3 = address_of(root).value();
    core_.set_control(control, true);
}

void ExplicitCpu::load_cr3(uint64_t cr3, bool keep) {
    const Driving driving(*this);
    poll();
    core_.load_cr3(cr3, keep);
}

void ExplicitCpu::invalidate_page(uint64_t address) {
    const Driving driving(*this);
    poll();
    core_.invalidate_page(address);
}

void ExplicitCpu::invalidate_all(Globals globals) {
    const Driving driving(*this);
    poll();
    core_.invalidate_all(globals);
}

std::vector<StaleEntry> ExplicitCpu::stale_entries() {
    const Driving driving(*this);
    return core_.stale_entries();
}

std::vector<StaleStructure> ExplicitCpu::stale_structures() {
    const Driving driving(*this);
    return core_.stale_structures();
}

bool ExplicitCpu::sees(Frame frame) {
    const Driving driving(*this);
    return core_.sees(frame);
}

bool ExplicitCpu::sees_stale(Frame frame) {
    const Driving driving(*this);
    return core_.sees_stale(frame);
}

CpuCounters ExplicitCpu::counters() {
    const Driving driving(*this);
    return core_.counters();
}

Walk ExplicitCpu::look(const Access& access) {
    const Driving driving(*this);
    return core_.look(access);
}

ExplicitMachine::ExplicitMachine(const Ram& ram, unsigned cpus, const CpuShape& shape,
                                 const X86Features& features)
    : ram_(ram), mmu_(features) {
    add_cpus(cpus, mmu_, shape);
}

ExplicitMachine::ExplicitMachine(const Ram& ram, unsigned cpus, const Mmu& mmu,
                                 const CpuShape& shape)
    : ram_(ram) {
    add_cpus(cpus, mmu, shape);
}

void ExplicitMachine::add_cpus(unsigned cpus, const Mmu& mmu, const CpuShape& shape) {
    if (cpus < 1 || cpus > 64) throw std::invalid_argument("sim: a machine has 1 to 64 CPUs");
    for (unsigned number = 0; number < cpus; ++number)
        cpus_.push_back(std::make_unique<ExplicitCpu>(*this, ram_, mmu, shape, number));
}

void ExplicitMachine::enable_paging(Frame root) {
    run_on(all_cpus(), [root](ExplicitCpu& cpu) {
        Control control = cpu.control();
        control.paging = control.write_protect = true;
        control.large_pages = control.global_pages = true;
        control.cr3 = address_of(root).value();
        cpu.set_control(control, true);
    });
}

void ExplicitMachine::set_control(const Control& control) {
    run_on(all_cpus(), [&](ExplicitCpu& cpu) { cpu.set_control(control, true); });
}

void ExplicitMachine::on_interrupt(const std::function<void(ExplicitCpu&)>& handler) {
    run_on(all_cpus(), [&](ExplicitCpu& cpu) { cpu.on_interrupt(handler); });
}

void ExplicitMachine::interrupt(uint64_t mask) {
    for (const auto& cpu : cpus_) {
        if ((mask >> cpu->number() & 1) != 0) cpu->interrupt();
    }
}

void ExplicitMachine::on_page_fault(const ExplicitCpu::FaultHandler& handler) {
    run_on(all_cpus(), [&](ExplicitCpu& cpu) { cpu.on_page_fault(handler); });
}

void ExplicitMachine::on_each_cpu(const std::function<void(ExplicitCpu&)>& function) {
    std::vector<std::thread> threads;
    threads.reserve(cpus_.size());
    std::vector<std::exception_ptr> thrown(cpus_.size());
    for (const auto& cpu : cpus_) {
        threads.emplace_back([&, cpu = cpu.get()] {
            const ExplicitCpu::Driving driving(*cpu);
            try {
                function(*cpu);
            } catch (...) {
                thrown[cpu->number()] = std::current_exception();
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    for (const std::exception_ptr& exception : thrown) {
        if (exception) std::rethrow_exception(exception);
    }
}

void ExplicitMachine::run_on(uint64_t mask, const std::function<void(ExplicitCpu&)>& function) {
    ExplicitCpu* const self = driven;
    // All are sent before the first is waited for.
    std::vector<std::pair<ExplicitCpu*, std::unique_ptr<ExplicitCpu::Request>>> sent;
    bool own = false;
    for (const auto& cpu : cpus_) {
        if ((mask >> cpu->number() & 1) == 0) continue;
        if (cpu.get() == self) {
            own = true;
            continue;
        }
        auto request = std::make_unique<ExplicitCpu::Request>();
        request->function = &function;
        cpu->send(*request);
        sent.emplace_back(cpu.get(), std::move(request));
    }
    if (own) function(*self);
    for (const auto& [cpu, request] : sent)
        cpu->await(*request, self);
}

void ExplicitMachine::run_on_others(const ExplicitCpu& self,
                                    const std::function<void(ExplicitCpu&)>& function) {
    run_on(all_cpus() & ~(uint64_t{1} << self.number()), function);
}

std::vector<StaleEntry> ExplicitMachine::stale_entries() {
    std::mutex mutex;
    std::vector<StaleEntry> all;
    run_on(all_cpus(), [&](ExplicitCpu& cpu) {
        const std::vector<StaleEntry> stale = cpu.stale_entries();
        const std::lock_guard guard(mutex);
        all.insert(all.end(), stale.begin(), stale.end());
    });
    return all;
}

std::vector<StaleStructure> ExplicitMachine::stale_structures() {
    std::mutex mutex;
    std::vector<StaleStructure> all;
    run_on(all_cpus(), [&](ExplicitCpu& cpu) {
        const std::vector<StaleStructure> stale = cpu.stale_structures();
        const std::lock_guard guard(mutex);
        all.insert(all.end(), stale.begin(), stale.end());
    });
    return all;
}

bool ExplicitMachine::sees(Frame frame) {
    std::atomic<bool> seen{false};
    run_on(all_cpus(), [&](ExplicitCpu& cpu) {
        if (cpu.sees(frame)) seen = true;
    });
    return seen;
}

bool ExplicitMachine::sees_stale(Frame frame) {
    std::atomic<bool> seen{false};
    run_on(all_cpus(), [&](ExplicitCpu& cpu) {
        if (cpu.sees_stale(frame)) seen = true;
    });
    return seen;
}

void PollingLock::lock() {
    wait_until(
        [this] {
            if (lock_.try_lock()) return true;
            if (driven != nullptr) driven->poll();
            return false;
        },
        driven != nullptr ? driven->number() : 0, "waits for a lock that nobody gives back");
}

}  // namespace quire::sim
