// SPDX-License-Identifier: MIT
// Invalidation on a machine of several CPUs: each that may have cached what was changed drops it
// before the change counts as done.
//
//   using Shootdown = quire::Shootdown<Cpu, ThisCpu, Interrupts>;
//   ShootdownCpu records[4];
//   Shootdown shootdown(platform, records);
//   shootdown.start_cpu();                        // on each CPU, once its root is loaded
//
//   ShootdownInvalidator kernel_tlb(shootdown);   // the kernel's half, which all spaces share
//   TlbSpace process(shootdown, table.root());    // a space of its own
//   ShootdownInvalidator process_tlb(shootdown, process);
//   shootdown.switch_to(process);                 // the scheduler
//
//   in the interrupt that Platform::interrupt sends:     shootdown.serve();
//
// Legal contexts. `invalidate` waits for other CPUs: from threads, and from interrupt handlers, as
// long as the locks that are held at the time are waited for only by CPUs that serve meanwhile. One
// that waits with interrupts on is interrupted and serves; one that waits with interrupts off has
// to call `serve` in each turn of its loop: take a BasicSpinLock whose WaitPolicy does. Two CPUs
// that shoot at each other answer while they wait. A handler that invalidates while its own CPU
// waits for answers first waits for these. Never from a non-maskable interrupt, and never from a
// handler that runs while its CPU is inside `switch_to` or `serve`, which interrupts cannot be
// (they are off).
#pragma once

#include "quire/base/cpu_local.hpp"
#include "quire/base/lock.hpp"
#include "quire/paging/shootdown_core.hpp"
#include "quire/paging/single_cpu_invalidator.hpp"
#include "quire/platform.hpp"

namespace quire {

// What Shootdown does to the CPU that it runs on. `load_root` makes a page table the active one,
// its translations tagged with a PCID (0 where there are none), and drops those already tagged so
// unless they are to be kept; global translations stay. `uses_pcids` says whether PCIDs are turned
// on.
template <class C>
concept SwitchingCpu = LocalFlusher<C> && requires(const C& cpu, Frame root, Pcid pcid) {
    cpu.load_root(root, pcid, Cached::keep);
    { cpu.uses_pcids() } -> same_as<bool>;
};

// `Cpus` says which CPU this is and keeps the code there; `Interrupts` masks interrupts; `Wait` is
// what a CPU does, besides serving, in each turn that it waits for answers.
template <SwitchingCpu Cpu, CpuPolicy Cpus, ExclusionPolicy Interrupts, WaitPolicy Wait = RelaxOnly>
class Shootdown : public ShootdownCore {
  public:
    // Everything given must outlive this object. A record for each CPU that will ever start.
    Shootdown(Platform& platform, Span<ShootdownCpu> cpus, Cpu cpu = Cpu())
        : ShootdownCore(cpus), platform_(platform), cpu_(cpu) {}

    // On each CPU, once, before it touches memory that others may unmap: from now on it is asked,
    // and must answer. Drops all that it has cached.
    void start_cpu() {
        const Excluding<Interrupts> undisturbed;
        start(Cpus::index());
        cpu_.flush_all();
    }

    // Runs a space on this CPU from now on. Keeps what is cached of it under its PCID, if there are
    // PCIDs and nothing of it was invalidated meanwhile. O(PcidSlots::slots).
    void switch_to(TlbSpace& space) {
        const Excluding<Interrupts> undisturbed;
        const unsigned self = Cpus::index();
        if (loaded(self) == &space) return;
        const auto pcids = cpu_.uses_pcids() ? PcidSlots::Pcids::used : PcidSlots::Pcids::none;
        const PcidSlots::Choice choice = enter(self, space, pcids);
        cpu_.load_root(space.root(), choice.pcid, choice.cached);
        entered(self, space);
    }

    // Answers what other CPUs have asked of this one. Cheap when there is nothing. From the
    // interrupt, and from wait loops; nested calls are harmless.
    void serve() {
        if (!is_wanted(Cpus::index())) return;
        const Excluding<Interrupts> undisturbed;
        const unsigned self = Cpus::index();
        for (const unsigned sender : take_senders(self)) {
            flush_for(self, sender);
            answer(self, sender);
        }
    }

    // Drops what the request says from the TLBs of the CPUs that run the space, or of all when it
    // is null or the request's pages are global. Returns when each of them has answered: a frame or
    // table that was taken out may then be used for anything. Contexts: above. O(pages, up to the
    // threshold of a full flush, and CPUs).
    void invalidate(const FlushRequest& request, TlbSpace* space) {
        [[maybe_unused]] const typename Cpus::Pin pin;
        const unsigned self = Cpus::index();
        flush_and_send(self, request, space);
        wait_for_answers(self);
    }

  private:
    void flush_and_send(unsigned self, const FlushRequest& request, TlbSpace* space) {
        const Excluding<Interrupts> undisturbed;
        // Not empty when this is a handler that has interrupted a CPU which waits.
        wait_for_answers(self);
        const CpuMask others = send(self, request, space);
        if (!others.empty()) platform_.interrupt(others);
        flush_for(self, self);
    }

    void wait_for_answers(unsigned self) {
        while (!is_answered(self)) {
            serve();
            Wait::relax();
        }
    }

    // What `sender`'s request means for this CPU.
    void flush_for(unsigned self, unsigned sender) {
        switch (extent_of(self, sender)) {
            case FlushExtent::nothing:
                return;
            case FlushExtent::pages:
                for (const Page page : request_of(sender).pages)
                    cpu_.flush_page(address_of(page));
                return;
            case FlushExtent::space:
                flush_space(self);
                return;
            case FlushExtent::everything:
                cpu_.flush_all();
                return;
        }
    }
    void flush_space(unsigned self) {
        const TlbSpace& space = *loaded(self);
        cpu_.load_root(space.root(), record(self).pcids.pcid(), Cached::drop);
    }

    Platform& platform_;
    [[no_unique_address]] Cpu cpu_;
};

// The TlbInvalidator for an AddressSpace's page table. What it is asked to invalidate is of one
// space, or of what all of them have in common: the kernel's half.
template <class Shootdown>
class ShootdownInvalidator final : public TlbInvalidator {
  public:
    explicit ShootdownInvalidator(Shootdown& shootdown) : shootdown_(shootdown) {}
    ShootdownInvalidator(Shootdown& shootdown, TlbSpace& space)
        : shootdown_(shootdown), space_(&space) {}

    void invalidate(const FlushRequest& request) override {
        shootdown_.invalidate(request, space_);
    }

  private:
    Shootdown& shootdown_;
    TlbSpace* space_ = nullptr;
};

}  // namespace quire
