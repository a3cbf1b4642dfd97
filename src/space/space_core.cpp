// SPDX-License-Identifier: MIT
// The space as a whole: its beginning, its questions, and the stop when it is broken.
#include "quire/space/space_core.hpp"

namespace quire {

SpaceCore::SpaceCore(const SpaceParts& parts, const PageRange& bounds,
                     Span<unsigned char> first_nodes, NodeGrowth growth)
    : table_(parts.table),
      frames_(parts.frames),
      zeroer_(parts.zeroer),
      tlb_(parts.tlb),
      platform_(parts.platform),
      view_(parts.view),
      direct_map_(parts.direct_map),
      growth_(growth),
      regions_(bounds) {
    if (bounds.empty() || !table_.reach().contains(bounds)) {
        platform_.panic({.what = "space: its bounds reach beyond what the page table can map",
                         .error = Error::out_of_range,
                         .address = address_of(bounds.first()).value(),
                         .likely_cause = "the bounds include what the page-table access keeps"});
    }
    nodes_.add_storage(first_nodes);
}

Result<SpaceQuery> SpaceCore::query(VirtualAddress address) const {
    if (!bounds().contains(page_of(address))) {
        return Failure{Error::out_of_range, address.value()};
    }
    const Region* region = regions_.find(page_of(address));
    if (region == nullptr) return Failure{Error::no_region, address.value()};
    const auto translation = table_.query(address);
    if (!translation.ok()) return translation.failure();
    return SpaceQuery{*region, *translation};
}

void SpaceCore::for_each_region(FunctionRef<bool(const RegionInfo&)> visit) const {
    for (const Region* region = regions_.first(); region != nullptr;
         region = RegionSet::next(*region)) {
        if (!visit(*region)) return;
    }
}

void SpaceCore::must(const Status& status, const char* what) const {
    if (status.ok()) return;
    platform_.panic({.what = what,
                     .error = status.error(),
                     .address = status.failure().where,
                     .likely_cause = "the page table or the frames were changed behind the "
                                     "space's back, or overwritten"});
}

Status SpaceCore::change_map(const PageRange& pages, Frame first, const Attributes& attributes) {
    auto change = table_.map(pages, first, attributes);
    if (!change.ok()) return change.failure();
    change->spend(tlb_);
    return {};
}

// Pages where nothing is mapped are passed over, by both.
Status SpaceCore::change_unmap(const PageRange& pages, UnmappedFrames frames) {
    auto change = table_.unmap(pages, frames, Holes::skip);
    if (!change.ok()) return change.failure();
    change->spend(tlb_);
    return {};
}

Status SpaceCore::change_split(const PageRange& pages) {
    auto change = table_.split(pages);
    if (!change.ok()) return change.failure();
    change->spend(tlb_);
    return {};
}

Status SpaceCore::change_protect(const PageRange& pages, Protection protection) {
    auto change = table_.protect(pages, protection, Holes::skip);
    if (!change.ok()) return change.failure();
    change->spend(tlb_);
    return {};
}

}  // namespace quire
