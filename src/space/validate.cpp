// SPDX-License-Identifier: MIT
// Whether the regions and the page table tell the same story.
#include "agreement.hpp"
#include "quire/space/space_core.hpp"

namespace quire {
namespace {

// Walks one region's extent; `where` is the first page that is not as it must be.
class RegionCheck {
  public:
    explicit RegionCheck(const RegionInfo& region) : region_(region) {}

    bool see(const Translation& found) {
        const PageRange shown = found.pages.intersection(region_.extent());
        if (found.state != EntryState::present || region_.backing == Backing::guard ||
            !region_.pages.contains(shown) || !agrees(found.attributes, region_.attributes) ||
            !follows(shown.first()) || !frames_are_right(found, shown.first())) {
            return fail(shown.first());
        }
        seen_ += shown.count();
        return true;
    }
    Status finish() {
        if (good_ && is_filled() && seen_ < region_.pages.count()) {
            fail(region_.pages.first() + seen_);
        }
        if (!good_) return Failure{Error::corrupted, address_of(where_).value()};
        return {};
    }

  private:
    bool is_filled() const {
        return region_.backing != Backing::on_demand && region_.backing != Backing::reserved &&
               region_.backing != Backing::guard;
    }
    // No hole before this page where there may be none.
    bool follows(Page first) const {
        return !is_filled() || first - region_.pages.first() == seen_;
    }
    bool frames_are_right(const Translation& found, Page first) const {
        if (region_.backing != Backing::frames) return true;
        const Frame shown = found.frames.first() + as_frames(first - found.pages.first());
        return shown == region_.first_frame + as_frames(first - region_.pages.first());
    }
    bool fail(Page where) {
        good_ = false;
        where_ = where;
        return false;
    }

    const RegionInfo& region_;
    PageCount seen_;
    Page where_;
    bool good_ = true;
};

}  // namespace

Status SpaceCore::validate() const {
    if (const Status good = regions_.validate(); !good.ok()) return good;
    for (const Region* region = regions_.first(); region != nullptr;
         region = RegionSet::next(*region)) {
        RegionCheck check(*region);
        const Status walked = table_.walk(
            region->extent(), [&](const Translation& found) { return check.see(found); });
        if (!walked.ok()) return walked;
        if (const Status good = check.finish(); !good.ok()) return good;
    }
    return {};
}

}  // namespace quire
