// SPDX-License-Identifier: MIT
// Page faults: resolved, or reported.
#include "quire/space/fault.hpp"

#include "fault_cause.hpp"
#include "quire/space/space_core.hpp"

namespace quire {
namespace {

// A CPU that faults so often in a row on a page that the table lets it use, each time after a
// flush, will never stop.
constexpr unsigned spurious_limit = 64;

bool allows(Protection protection, const Fault& fault) {
    const Protection right = fault.access == AccessKind::write     ? Protection::write
                             : fault.access == AccessKind::execute ? Protection::execute
                                                                   : Protection::read;
    return has(protection, right) && (!fault.user || has(protection, Protection::user));
}

}  // namespace

FaultOutcome SpaceCore::fault(const Fault& fault) {
    FaultOutcome outcome;
    FaultReport& report = outcome.report;
    look_up(fault.address, report.translation);
    const auto resolution = resolve(fault, report.translation);
    if (!resolution.ok()) {
        ++fault_counters_.reported;
        report.fault = fault;
        report.error = resolution.error();
        fill_in(report);
        return outcome;
    }
    outcome.resolved = true;
    outcome.spurious = *resolution == Resolution::stale_translation;
    ++(outcome.spurious ? fault_counters_.spurious : fault_counters_.resolved);
    return outcome;
}

// What the table says; nothing where it cannot map.
void SpaceCore::look_up(VirtualAddress address, Translation& found) const {
    const auto answer = table_.query(address);
    found = answer.ok() ? *answer : Translation{};
}

Result<SpaceCore::Resolution> SpaceCore::resolve(const Fault& fault,
                                                 const Translation& translation) {
    const Page page = page_of(fault.address);
    const uint64_t where = fault.address.value();
    const Region* region = regions_.find(page);
    if (region == nullptr) return Failure{Error::no_region, where};
    const bool in_guard = region->backing == Backing::guard || !region->pages.contains(page);
    if (in_guard) return Failure{Error::guard_hit, where};
    if (!allows(region->attributes.protection, fault)) return Failure{Error::access_denied, where};
    if (translation.state == EntryState::present) {
        const Protection granted = translation.attributes.protection;
        if (!allows(granted, fault)) return Failure{Error::corrupted, where};
        if (is_stuck(page)) return Failure{Error::corrupted, where};
        tlb_.invalidate(FlushRequest{.root = table_.root(),
                                     .pages = PageRange(page, PageCount(1)),
                                     .global = has(granted, Protection::global)});
        return Resolution::stale_translation;
    }
    if (translation.state == EntryState::absent) return Failure{Error::corrupted, where};
    if (region->backing == Backing::reserved) return Failure{Error::not_mapped, where};
    if (region->backing != Backing::on_demand) return Failure{Error::corrupted, where};
    const Status filled = populate_page(page, region->attributes);
    if (!filled.ok()) return filled.failure();
    changed();
    return Resolution::frame_given;
}

bool SpaceCore::is_stuck(Page page) {
    if (page != spurious_page_) {
        spurious_page_ = page;
        spurious_in_a_row_ = 0;
    }
    return ++spurious_in_a_row_ > spurious_limit;
}

// Everything that follows from the address.
void SpaceCore::fill_in(FaultReport& report) const {
    const Page page = page_of(report.fault.address);
    const Region* at_or_above = regions_.at_or_above(page);
    const Region* below =
        at_or_above != nullptr ? RegionSet::previous(*at_or_above) : regions_.last();
    const Region* above = at_or_above;
    if (at_or_above != nullptr && at_or_above->extent().contains(page)) {
        report.has_region = true;
        report.region = *at_or_above;
        above = RegionSet::next(*at_or_above);
    } else if (const Departed* departed = departed_at(page)) {
        report.had_region = true;
        report.region.pages = departed->pages;
        report.region.name = departed->name;
    }
    if (below != nullptr) {
        report.has_below = true;
        report.below = *below;
    }
    if (above != nullptr) {
        report.has_above = true;
        report.above = *above;
    }
    report.likely_cause = likely_cause(report, bounds());
}

void SpaceCore::remember_departed(const Region& region, const PageRange& pages) {
    departed_[next_departed_] = {pages, region.name};
    next_departed_ = (next_departed_ + 1) % departed_kept;
}

// The latest, when there were several.
const SpaceCore::Departed* SpaceCore::departed_at(Page page) const {
    for (size_t age = 1; age <= departed_kept; ++age) {
        const Departed& departed =
            departed_[(next_departed_ + departed_kept - age) % departed_kept];
        if (departed.pages.contains(page)) return &departed;
    }
    return nullptr;
}

}  // namespace quire
