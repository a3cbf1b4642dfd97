// SPDX-License-Identifier: MIT
#include "sim/cpu_core.hpp"

namespace quire::sim {

namespace {
bool leads_to(const Translation& cached, uint64_t physical) {
    return physical >= cached.frame && physical - cached.frame < cached.bytes();
}

bool harmful(const Translation& cached, const std::optional<Translation>& now) {
    if (!now || cached.physical(cached.page) != now->physical(cached.page)) return true;
    // A cached large page also answers for addresses that a small one now there does not cover.
    if (cached.shift > now->shift) return true;
    return (cached.writable && !now->writable) || (cached.user && !now->user) ||
           (cached.executable && !now->executable) || (cached.dirty && !now->dirty);
}
}  // namespace

std::string to_string(const StaleEntry& stale) {
    return "cpu " + std::to_string(stale.cpu) + " still has " + to_string(stale.cached) +
           "; the tables say " + (stale.now ? to_string(*stale.now) : std::string("nothing"));
}

CpuCore::CpuCore(const Ram& ram, const Mmu& mmu, const CpuShape& shape, unsigned number,
                 std::function<void(const Translation&)> dropped)
    : ram_(ram),
      mmu_(mmu),
      shape_(shape),
      number_(number),
      tlb_(mmu.small_shift(), mmu.large_shift(), shape.tlb, std::move(dropped)) {}

std::variant<Translation, PageFault> CpuCore::translate(const Access& access) {
    if (const Translation* cached = tlb_.find(access.address)) {
        if (mmu_.permits(control_, *cached, access)) {
            // A write through an entry made while the page was clean has to mark the tables
            // first, so it walks again.
            if (access.kind != AccessKind::write || cached->dirty) return *cached;
        } else if (shape_.adversary.spurious_faults) {
            ++counters_.faults;
            if (look(access).translation) ++counters_.spurious_faults;
            tlb_.forget(access.address);
            return mmu_.denied(control_, access);
        }
    }
    ++counters_.misses;
    const Walk walk =
        mmu_.walk(ram_, control_, access, Effect::marks, tlb_.find_structure(access.address));
    if (!walk.translation) {
        ++counters_.faults;
        if (look(access).translation) ++counters_.spurious_faults;
        tlb_.forget(access.address);
        return walk.fault;
    }
    insert_structures(walk);
    const Translation translation = tlb_.insert(*walk.translation);
    if (shape_.adversary.prefetches && control_.paging) {
        prefetch(translation.page - (uint64_t{1} << mmu_.small_shift()));
        prefetch(translation.page + translation.bytes());
    }
    return translation;
}

void CpuCore::prefetch(uint64_t page) {
    if (!mmu_.has_address(page) || tlb_.find(page) != nullptr) return;
    const Walk walk =
        mmu_.walk(ram_, control_, Access{page}, Effect::marks, tlb_.find_structure(page));
    insert_structures(walk);
    if (walk.translation) tlb_.insert(*walk.translation);
}

void CpuCore::insert_structures(const Walk& walk) {
    if (walk.structure) tlb_.insert(*walk.structure);
    for (unsigned i = 0; i < walk.uppers; ++i)
        tlb_.insert(walk.upper[i]);
}

Walk CpuCore::look(const Access& access) const {
    return mmu_.walk(ram_, control_, access, Effect::looks, nullptr);
}

void CpuCore::set_control(const Control& control, bool cr3_written) {
    const Control old = control_;
    control_ = control;
    tlb_.set_context(pcid());
    if (old.paging != control.paging || old.global_pages != control.global_pages) {
        invalidate_all(Globals::drop);
    } else if (cr3_written || old.cr3 != control.cr3) {
        invalidate_all(Globals::keep);
    }
}

void CpuCore::load_cr3(uint64_t cr3, bool keep) {
    control_.cr3 = cr3;
    tlb_.set_context(pcid());
    if (!keep || !control_.pcids) invalidate_all(Globals::keep);
}

void CpuCore::invalidate_page(uint64_t address) {
    ++counters_.page_invalidations;
    tlb_.invalidate_page(address);
}

void CpuCore::invalidate_all(Globals globals) {
    ++counters_.full_invalidations;
    tlb_.invalidate_all(globals);
}

std::vector<StaleEntry> CpuCore::stale_entries() const {
    std::vector<StaleEntry> stale;
    for (const Translation& cached : tlb_.entries(Contexts::current)) {
        const std::optional<Translation> now = look(Access{cached.page}).translation;
        if (now && *now == cached) continue;
        // Marks that software or another CPU has set since do not make an entry stale.
        if (now) {
            Translation unmarked = *now;
            unmarked.dirty = cached.dirty;
            if (unmarked == cached && now->dirty) continue;
        }
        stale.push_back({number_, cached, now, harmful(cached, now)});
    }
    return stale;
}

// What a walk would cache in an entry's place now.
std::optional<StructureEntry> CpuCore::structure_now(const StructureEntry& cached) const {
    const Walk walk = look(Access{cached.region});
    if (walk.structure && walk.structure->shift == cached.shift) return walk.structure;
    for (unsigned i = 0; i < walk.uppers; ++i) {
        if (walk.upper[i].shift == cached.shift) return walk.upper[i];
    }
    return std::nullopt;
}

std::vector<StaleStructure> CpuCore::stale_structures() const {
    std::vector<StaleStructure> stale;
    for (const StructureEntry& cached : tlb_.structures(Contexts::current)) {
        const std::optional<StructureEntry> now = structure_now(cached);
        if (!now || *now != cached) stale.push_back({number_, cached, now});
    }
    return stale;
}

bool CpuCore::sees_stale(Frame frame) const {
    const uint64_t first = address_of(frame).value();
    for (const Translation& cached : tlb_.entries(Contexts::current)) {
        if (!leads_to(cached, first)) continue;
        const uint64_t address = cached.page + (first - cached.frame);
        const std::optional<Translation> now = look(Access{address}).translation;
        if (!now || now->physical(address) != first) return true;
    }
    for (const StructureEntry& cached : tlb_.structures(Contexts::current)) {
        if (cached.table == first && structure_now(cached) != cached) return true;
    }
    return false;
}

bool CpuCore::sees(Frame frame) const {
    const uint64_t first = address_of(frame).value();
    for (const Translation& cached : tlb_.entries()) {
        if (leads_to(cached, first)) return true;
    }
    for (const StructureEntry& cached : tlb_.structures()) {
        if (cached.table == first) return true;
    }
    return control_.paging && (control_.cr3 >> page_shift) == frame.value();
}

}  // namespace quire::sim
