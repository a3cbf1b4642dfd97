// SPDX-License-Identifier: MIT
// The bodies of regions in a range, gathered into runs that the page table can unmap in one call.
#pragma once

#include "quire/paging/page_table.hpp"
#include "quire/space/region_set.hpp"

namespace quire {

struct Run {
    PageRange pages;
    UnmappedFrames frames = UnmappedFrames::keep;
};

// What happens to a region's frames when it is unmapped.
constexpr UnmappedFrames fate_of_frames(Backing backing) {
    return backing == Backing::frames || backing == Backing::adopted ? UnmappedFrames::keep
                                                                     : UnmappedFrames::release;
}

// Bodies that touch and share their fate come as one run. No large page lies across the border of
// two runs then: one that did would have been mapped by one caller, and have one fate.
class Runs {
  public:
    Runs(const RegionSet& regions, const PageRange& pages)
        : pages_(pages), region_(regions.at_or_above(pages.first())) {}

    // The next run upwards; an empty one at the end.
    Run next() {
        Run run;
        for (; region_ != nullptr && region_->extent().first() <= pages_.last();
             region_ = RegionSet::next(*region_)) {
            const PageRange part = region_->pages.intersection(pages_);
            if (part.empty()) continue;
            const UnmappedFrames fate = fate_of_frames(region_->backing);
            if (run.pages.empty()) {
                run = {part, fate};
                continue;
            }
            if (part.first() - run.pages.last() != PageCount(1)) break;
            if (fate != run.frames) break;
            run.pages = PageRange::between(run.pages.first(), part.last());
        }
        return run;
    }

  private:
    PageRange pages_;
    const Region* region_;
};

}  // namespace quire
