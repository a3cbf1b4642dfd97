// SPDX-License-Identifier: MIT
#include "tlb_machine.hpp"

namespace quire::model {

thread_local TlbMachine* TlbMachine::driven = nullptr;

namespace {
TlbMachine& machine() {
    return *TlbMachine::driven;
}
}  // namespace

unsigned TlbThisCpu::index() {
    return machine().current();
}

bool TlbInterrupts::disable() {
    machine().pause();
    return machine().exchange_interrupts(false);
}
void TlbInterrupts::restore(bool before) {
    machine().exchange_interrupts(before);
    machine().pause();
}

void TlbWait::relax() {
    machine().end_turn();
}
void TlbLockWait::relax() {
    machine().shootdown.serve();
    machine().end_turn();
}

void TlbCpu::flush_page(VirtualAddress address) const {
    machine().pause();
    machine().core().invalidate_page(address.value());
}
void TlbCpu::flush_all() const {
    machine().pause();
    machine().core().invalidate_all(sim::Globals::drop);
}
void TlbCpu::load_root(Frame root, Pcid pcid, Cached cached) const {
    machine().pause();
    machine().core().load_cr3(address_of(root).value() | pcid, cached == Cached::keep);
    machine().pause();
}
bool TlbCpu::uses_pcids() const {
    machine().pause();
    return machine().core().control().pcids;
}

TlbMachine::TlbMachine(const sim::Mmu& mmu, const sim::Control& control,
                       const sim::CpuShape& shape) {
    for (unsigned cpu = 0; cpu < tlb_cpus; ++cpu) {
        cores_[cpu] = std::make_unique<sim::CpuCore>(ram, mmu, shape, cpu);
        cores_[cpu]->set_control(control);
        interrupts_on_[cpu] = true;
    }
}

void TlbMachine::program(unsigned cpu, std::function<void()> body) {
    fibers_[cpu] = std::make_unique<Fiber>(std::move(body));
}

void TlbMachine::turn(unsigned cpu, uint64_t word) {
    driven = this;
    current_ = cpu;
    random_ = word | 1;
    in_turn_ = true;
    fibers_[cpu]->resume();
    in_turn_ = false;
}

void TlbMachine::end_turn() {
    if (!in_turn_) return;
    fibers_[current_]->pause();
    // Interrupts come late now and then.
    if (!interrupts_on_[current_] || !interrupted_[current_] || below(4) == 0) return;
    interrupts_on_[current_] = false;
    interrupted_[current_] = false;
    shootdown.serve();
    interrupts_on_[current_] = true;
}

void TlbMachine::interrupt(const CpuMask& cpus) {
    for (const unsigned cpu : cpus)
        interrupted_[cpu] = true;
    pause();
}

std::optional<Frame> TlbMachine::take_large_block() {
    for (unsigned i = 0; i < large_blocks; ++i) {
        if (!std::exchange(large_in_use_[i], true)) {
            return first_large_block + FrameCount(i * large_block_frames);
        }
    }
    return std::nullopt;
}

void TlbMachine::give_back_large_block(Frame block) {
    large_in_use_[(block - first_large_block).value() / large_block_frames] = false;
}

Status TlbMachine::free_frame(Frame frame) {
    check_gone(frame);
    return pool_.free_frame(frame);
}

void TlbMachine::check_gone(Frame frame) {
    for (const auto& core : cores_) {
        if (core->sees_stale(frame)) {
            fail("frame " + std::to_string(frame.value()) + " is freed while CPU " +
                 std::to_string(core->number()) + " still has a way to it");
        }
    }
}

}  // namespace quire::model
