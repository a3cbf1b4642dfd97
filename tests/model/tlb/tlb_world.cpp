// SPDX-License-Identifier: MIT
#include "tlb_world.hpp"

namespace quire::model {

template <class Mode>
TlbWorld<Mode>::TlbWorld(const TlbVariant& variant)
    : machine_(
          mode_.mmu, Mode::control(variant.pcids),
          {.tlb = {}, .adversary = {.spurious_faults = true, .prefetches = variant.prefetches}}) {
    TlbMachine::driven = &machine_;
    for (unsigned i = 0; i <= spaces; ++i) {
        const bool common = i == spaces;
        areas_[i] = std::make_unique<Area>(machine_, access_, Mode::format(common));
        Area& area = *areas_[i];
        area.common = common;
        area.base = common ? Mode::common_pages : Mode::space_pages;
        area.large_at = common ? Mode::common_large_at : Mode::large_at;
        check(area.table.create(area.frames).ok(), "no root");
        area.space.make(machine_.shootdown, area.table.root());
    }
    Area& common = *areas_[spaces];
    common.tlb.make(machine_.shootdown);
    auto kept = common.table.map(PageRange(Page(Mode::kept_page), PageCount(1)),
                                 *machine_.allocate_frame(), {read_write | Protection::global});
    check(kept.ok(), "the page that stays");
    kept->spend_unused();
    const auto entry_of = [](const Area& area) {
        return address_of(area.table.root()).value() +
               Mode::common_root_entry * sizeof(typename Mode::Entry);
    };
    const auto shared = machine_.ram.load<typename Mode::Entry>(entry_of(common));
    for (unsigned i = 0; i < spaces; ++i) {
        areas_[i]->tlb.make(machine_.shootdown, *areas_[i]->space);
        machine_.ram.store<typename Mode::Entry>(entry_of(*areas_[i]), shared);
    }
    for (unsigned cpu = 0; cpu < tlb_cpus; ++cpu) {
        machine_.at_once(cpu, [&] {
            machine_.shootdown.switch_to(*common.space);
            machine_.shootdown.start_cpu();
        });
        machine_.program(cpu, [this] { run(); });
    }
}

template <class Mode>
void TlbWorld<Mode>::step(uint64_t, uint64_t word) {
    const auto cpu = static_cast<unsigned>(word % tlb_cpus);
    last_.clear();
    machine_.turn(cpu, word_of(word, 1));
    if (++turns_[cpu] > patience) machine_.fail("CPU " + std::to_string(cpu) + " waits for ever");
    if (!machine_.failure().empty()) throw Mismatch{machine_.failure()};
}

// What each CPU does, an operation after the other; within them it pauses as the machine likes.
template <class Mode>
void TlbWorld<Mode>::run() {
    for (;;) {
        const unsigned self = machine_.current();
        turns_[self] = 0;
        idle_[self] = true;
        machine_.end_turn();
        if (finishing_) continue;
        idle_[self] = false;
        const unsigned choice = machine_.below(128);
        if (choice < 104) {
            access();
        } else if (choice < 114) {
            ++done_.switches;
            Area& area = any_area();
            note("switches to", area, 0, pages);
            machine_.shootdown.switch_to(*area.space);
        } else {
            change();
        }
    }
}

template <class Mode>
typename TlbWorld<Mode>::Area* TlbWorld<Mode>::loaded() {
    const TlbSpace* const space = machine_.shootdown.loaded(machine_.current());
    for (const auto& area : areas_) {
        if (space == &*area->space) return &*area;
    }
    return nullptr;
}

template <class Mode>
void TlbWorld<Mode>::access() {
    ++done_.accesses;
    Area& own = *loaded();
    Area& area = own.common || machine_.below(4) == 0 ? *areas_[spaces] : own;
    const bool in_large = area.large_at != 0 && machine_.below(8) == 0;
    const unsigned index = in_large ? pages + machine_.below(pieces) : machine_.below(pages);
    Page page(area.base + index);
    FrameCount offset(0);
    if (in_large) {
        const PageRange piece = area.piece_range(index - pages, 1);
        offset = FrameCount(machine_.below(static_cast<unsigned>(piece.count().value())));
        page = piece.first() + as_pages(offset);
    }
    const bool writes = machine_.below(2) == 0;
    note(writes ? "writes" : "reads", area, index, 1);
    const Expected& expected = area.expected[index];
    const auto outcome = machine_.core().translate(
        {address_of(page).value(), writes ? sim::AccessKind::write : sim::AccessKind::read,
         sim::Privilege::supervisor});
    if (const auto* fault = std::get_if<sim::PageFault>(&outcome)) {
        const auto may_fault = [&](const Shown& shown) {
            return shown.frame == 0 || (writes && !shown.writable);
        };
        if (may_fault(expected.now) || may_fault(expected.before)) return;
        machine_.fail("CPU " + std::to_string(machine_.current()) + ": " + to_string(*fault) +
                      ", although it is mapped");
        return;
    }
    ++done_.hits;
    const uint64_t frame =
        (std::get<sim::Translation>(outcome).physical(address_of(page).value()) >> page_shift) -
        offset.value();
    const auto allows = [&](const Shown& shown) {
        return shown.frame == frame && (!writes || shown.writable);
    };
    if (allows(expected.now) || allows(expected.before)) return;
    machine_.fail("CPU " + std::to_string(machine_.current()) + (writes ? " writes" : " reads") +
                  " page " + std::to_string(index) + (area.common ? " of all" : " of its space") +
                  " in frame " + std::to_string(frame) + ", which is stale");
}

template <class Mode>
void TlbWorld<Mode>::change() {
    Area& area = any_area();
    const unsigned first = machine_.below(pages);
    const unsigned most = machine_.below(16) == 0 ? pages : 4;
    const unsigned count = min(1 + machine_.below(most), pages - first);
    const unsigned kind = machine_.below(4);
    // Half of all locks are taken with interrupts off.
    const bool quiet = machine_.below(2) == 0;
    const bool before = quiet ? TlbInterrupts::disable() : true;
    area.lock.lock();
    for (Expected& expected : area.expected)
        expected.before = expected.now;
    if (area.large_at != 0 && machine_.below(4) == 0) {
        change_large(area);
    } else if (kind < 2) {
        map(area, first, count);
    } else if (kind == 2) {
        unmap(area, first, count);
    } else {
        protect(area, first, count);
    }
    for (Expected& expected : area.expected)
        expected.before = expected.now;
    area.lock.unlock();
    if (quiet) TlbInterrupts::restore(before);
}

template <class Mode>
void TlbWorld<Mode>::map(Area& area, unsigned first, unsigned count) {
    note("maps", area, first, count);
    for (unsigned i = first; i < first + count; ++i) {
        if (area.expected[i].now.frame != 0) continue;
        ++done_.mapped;
        const Frame frame = *machine_.allocate_frame();
        const bool writable = machine_.below(4) != 0;
        const Protection protection = protection_of(area, writable, i % 2 == 0);
        area.expected[i].now = {frame.value(), writable};
        auto change = area.table.map(area.range(i, 1), frame, {protection});
        if (!change.ok()) return machine_.fail("a page cannot be mapped");
        change->spend(*area.tlb);
    }
}

template <class Mode>
void TlbWorld<Mode>::unmap(Area& area, unsigned first, unsigned count) {
    note("unmaps", area, first, count);
    for (unsigned i = first; i < first + count; ++i) {
        if (area.expected[i].now.frame != 0) ++done_.unmapped;
        area.expected[i].now = {};
    }
    auto change = area.table.unmap(area.range(first, count), UnmappedFrames::release, Holes::skip);
    if (!change.ok()) return machine_.fail("pages cannot be unmapped");
    change->spend(*area.tlb);
}

template <class Mode>
void TlbWorld<Mode>::protect(Area& area, unsigned first, unsigned count) {
    ++done_.protects;
    note("protects", area, first, count);
    const bool writable = machine_.below(2) == 0;
    for (unsigned i = first; i < first + count; ++i) {
        if (area.expected[i].now.frame != 0) area.expected[i].now.writable = writable;
    }
    // Pages that are global stay so.
    for (unsigned i = first; i < first + count; ++i) {
        const Protection protection = protection_of(area, writable, i % 2 == 0);
        const unsigned together = area.common ? 1 : first + count - i;
        auto change = area.table.protect(area.range(i, together), protection, Holes::skip);
        if (!change.ok()) return machine_.fail("pages cannot be protected");
        change->spend(*area.tlb);
        i += together - 1;
    }
}

// The large page comes whole, is cut by changes of some of its pieces, gets pieces back, and is
// merged again where they agree.
template <class Mode>
void TlbWorld<Mode>::change_large(Area& area) {
    ++done_.large;
    const unsigned first = machine_.below(pieces);
    const unsigned count = machine_.below(4) == 0 ? pieces - first : 1;
    const unsigned kind = machine_.below(8);
    if (!area.block || kind < 2) {
        map_large(area, area.block ? first : 0, area.block ? count : pieces);
    } else if (kind == 2) {
        unmap_large(area, first, count);
    } else if (kind < 5) {
        protect_large(area, machine_.below(2) == 0 ? first : 0, count);
    } else if (kind == 5) {
        protect_large(area, 0, pieces);
    } else {
        merge_large(area);
    }
}

// Those of the pieces that are not there; all at once where none is.
template <class Mode>
void TlbWorld<Mode>::map_large(Area& area, unsigned first, unsigned count) {
    note("maps large", area, first, count);
    const unsigned together = area.block ? 1 : pieces;
    if (!area.block) area.block = machine_.take_large_block();
    if (!area.block) return;
    const bool writable = machine_.below(4) != 0;
    for (unsigned i = first; i < first + count; i += together) {
        if (area.expected[pages + i].now.frame != 0) continue;
        const PageRange range = area.piece_range(i, together);
        const Page start = area.piece_range(0, 1).first();
        for (unsigned piece = i; piece < i + together; ++piece) {
            const Page at = area.piece_range(piece, 1).first();
            area.expected[pages + piece].now = {(*area.block + as_frames(at - start)).value(),
                                                writable};
        }
        auto change = area.table.map(range, *area.block + as_frames(range.first() - start),
                                     {protection_of(area, writable, true)});
        if (!change.ok()) return machine_.fail("pieces of a large page cannot be mapped");
        change->spend(*area.tlb);
    }
}

template <class Mode>
void TlbWorld<Mode>::unmap_large(Area& area, unsigned first, unsigned count) {
    note("unmaps large", area, first, count);
    for (unsigned i = first; i < first + count; ++i)
        area.expected[pages + i].now = {};
    auto change =
        area.table.unmap(area.piece_range(first, count), UnmappedFrames::keep, Holes::skip);
    if (!change.ok()) return machine_.fail("pieces of a large page cannot be unmapped");
    change->spend(*area.tlb);
    for (unsigned i = first; i < first + count; ++i) {
        const Shown& gone = area.expected[pages + i].before;
        if (gone.frame != 0) machine_.check_gone(Frame(gone.frame));
    }
    for (unsigned i = 0; i < pieces; ++i) {
        if (area.expected[pages + i].now.frame != 0) return;
    }
    machine_.give_back_large_block(*area.block);
    area.block.reset();
}

template <class Mode>
void TlbWorld<Mode>::protect_large(Area& area, unsigned first, unsigned count) {
    note("protects large", area, first, count);
    count = min(count, pieces - first);
    const bool writable = machine_.below(2) == 0;
    for (unsigned i = first; i < first + count; ++i) {
        if (area.expected[pages + i].now.frame != 0)
            area.expected[pages + i].now.writable = writable;
    }
    auto change = area.table.protect(area.piece_range(first, count),
                                     protection_of(area, writable, true), Holes::skip);
    if (!change.ok()) return machine_.fail("pieces of a large page cannot be protected");
    change->spend(*area.tlb);
}

// Refused where the pieces differ, or are one page already.
template <class Mode>
void TlbWorld<Mode>::merge_large(Area& area) {
    note("merges", area, 0, pieces);
    auto change = area.table.merge(address_of(area.piece_range(0, 1).first()));
    if (!change.ok()) return;
    ++done_.merges;
    change->spend(*area.tlb);
}

// Every CPU ends what it is at, and begins nothing new; it is interrupted all the same.
template <class Mode>
void TlbWorld<Mode>::finish_all() {
    finishing_ = true;
    for (uint64_t turn = 0; finishing_ && turn < patience; ++turn) {
        for (unsigned cpu = 0; cpu < tlb_cpus; ++cpu)
            machine_.turn(cpu, word_of(turn, cpu));
        finishing_ = !(idle_[0] && idle_[1] && idle_[2] && idle_[3]);
    }
    if (finishing_) machine_.fail("the CPUs wait for ever");
}

template <class Mode>
void TlbWorld<Mode>::validate() {
    finish_all();
    if (!machine_.failure().empty()) throw Mismatch{machine_.failure()};
    for (const auto& area : areas_) {
        if ((Mode::tables_validate || area->common) && !area->table.validate().ok()) {
            throw Mismatch{"a page table is broken"};
        }
        for (unsigned i = 0; i < (area->large_at == 0 ? pages : pages + pieces); ++i) {
            const Page page =
                i < pages ? Page(area->base + i) : area->piece_range(i - pages, 1).first();
            const Translation found = *area->table.query(address_of(page));
            const Shown& now = area->expected[i].now;
            if ((found.state == EntryState::present) != (now.frame != 0) ||
                (now.frame != 0 &&
                 found.physical(address_of(page)).value() >> page_shift != now.frame)) {
                throw Mismatch{"page " + std::to_string(i) + " is not mapped as was asked for"};
            }
        }
    }
    for (unsigned cpu = 0; cpu < tlb_cpus; ++cpu) {
        for (const sim::StaleEntry& stale : machine_.core(cpu).stale_entries()) {
            if (stale.harmful) throw Mismatch{to_string(stale)};
        }
        if (!machine_.core(cpu).stale_structures().empty()) {
            throw Mismatch{"CPU " + std::to_string(cpu) + " has a stale way to a table"};
        }
    }
}

template <class Mode>
void TlbWorld<Mode>::note(const char* what, const Area& area, unsigned first, unsigned count) {
    if (!tracing_) return;
    last_ = "CPU " + std::to_string(machine_.current()) + " " + what + " ";
    for (unsigned i = 0; i < spaces; ++i) {
        if (&*areas_[i] == &area) last_ += "space " + std::to_string(i);
    }
    if (area.common) last_ += "common";
    last_ += " page " + std::to_string(first) + "+" + std::to_string(count);
}

template <class Mode>
std::string TlbWorld<Mode>::summary() const {
    return std::to_string(done_.accesses) + " accesses (" + std::to_string(done_.hits) +
           " served), " + std::to_string(done_.switches) + " switches, " +
           std::to_string(done_.mapped) + " pages mapped, " + std::to_string(done_.unmapped) +
           " unmapped, " + std::to_string(done_.protects) + " protects, " +
           std::to_string(done_.large) + " changes of large pages, " +
           std::to_string(done_.merges) + " merged\n";
}

template class TlbWorld<TlbMode64>;
template class TlbWorld<TlbMode32>;

}  // namespace quire::model
