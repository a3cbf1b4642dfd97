// SPDX-License-Identifier: MIT
#include "quire/space/region_set.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

namespace quire {
namespace {

class RegionSetTest : public ::testing::Test {
  protected:
    Region& add(RegionSet& set, uintptr_t first, uintptr_t count, uintptr_t before = 0,
                uintptr_t after = 0) {
        Region& region = regions_.emplace_back();
        region.pages = PageRange(Page(first), PageCount(count));
        region.guard_before = PageCount(before);
        region.guard_after = PageCount(after);
        set.insert(region);
        return region;
    }
    static GapRequest request(uintptr_t pages, uintptr_t alignment = 1, uintptr_t before = 0,
                              uintptr_t after = 0) {
        return {PageCount(pages), PageCount(before), PageCount(after), PageCount(alignment)};
    }
    std::deque<Region> regions_;
};

TEST_F(RegionSetTest, AnEmptySetIsOneGap) {
    const RegionSet set(PageRange(Page(100), PageCount(50)));
    EXPECT_EQ(set.find_gap(request(50)).value(), Page(100));
    EXPECT_EQ(set.find_gap(request(10, 64)).value(), Page(128));
    EXPECT_EQ(set.find_gap(request(10, 1, 3)).value(), Page(103));
    EXPECT_EQ(set.find_gap(request(51)).error(), Error::out_of_address_space);
    EXPECT_EQ(set.find_gap(request(48, 1, 2, 1)).error(), Error::out_of_address_space);
    EXPECT_EQ(set.find_gap(request(30, 64)).error(), Error::out_of_address_space);
    EXPECT_EQ(set.find(Page(100)), nullptr);
    EXPECT_TRUE(set.validate().ok());
}

TEST_F(RegionSetTest, FindsByAnyPageOfTheExtent) {
    RegionSet set(PageRange(Page(0), PageCount(100)));
    Region& low = add(set, 10, 5, 2, 1);
    Region& high = add(set, 16, 4);
    EXPECT_EQ(set.find(Page(7)), nullptr);
    EXPECT_EQ(set.find(Page(8)), &low);
    EXPECT_EQ(set.find(Page(15)), &low);
    EXPECT_EQ(set.find(Page(16)), &high);
    EXPECT_EQ(set.find(Page(19)), &high);
    EXPECT_EQ(set.find(Page(20)), nullptr);
    EXPECT_EQ(set.at_or_above(Page(0)), &low);
    EXPECT_EQ(set.at_or_above(Page(16)), &high);
    EXPECT_EQ(set.at_or_above(Page(20)), nullptr);
    EXPECT_EQ(RegionSet::next(low), &high);
    EXPECT_EQ(RegionSet::previous(high), &low);
}

TEST_F(RegionSetTest, BoundsMayEndAtTheVeryTop) {
    RegionSet set(PageRange::between(Page(Page::highest - 9), Page(Page::highest)));
    EXPECT_EQ(set.find_gap(request(10)).value(), Page(Page::highest - 9));
    Region& top = add(set, Page::highest - 1, 2);
    EXPECT_EQ(set.find(Page(Page::highest)), &top);
    EXPECT_EQ(set.find_gap(request(8)).value(), Page(Page::highest - 9));
    EXPECT_EQ(set.find_gap(request(9)).error(), Error::out_of_address_space);
    set.remove(top);
    EXPECT_EQ(set.find_gap(request(1, 4)).value(), Page(Page::highest - 7));
    EXPECT_EQ(set.find_gap(request(1, uintptr_t{1} << 40)).error(), Error::out_of_address_space);
    EXPECT_TRUE(set.validate().ok());
}

// More gaps are large enough but badly aligned than the search tries one by one. The one that fits
// must still be found, whether it has room to spare or is exact.
TEST_F(RegionSetTest, AnAlignedGapIsFoundBehindManyThatDoNotFit) {
    for (const uintptr_t spare : {0u, 16u}) {
        RegionSet set(PageRange(Page(0), PageCount(5000)));
        // Gaps of 16 pages that start at an odd page, up to 3200.
        for (uintptr_t i = 0; i < 100; ++i)
            add(set, 32 * i + 17, 16);
        add(set, 0, 1);
        add(set, 3217, 15);         // up to 3231
        add(set, 3248 + spare, 1);  // a gap of 16 at 3232, or more
        add(set, 3249 + spare, 5000 - 3249 - spare);
        ASSERT_TRUE(set.validate().ok());
        EXPECT_EQ(set.find_gap(request(16, 16)).value(), Page(3232));
        EXPECT_EQ(set.find_gap(request(16)).value(), Page(1));
        EXPECT_EQ(set.find_gap(request(16, 64)).ok(), false);
    }
}

TEST_F(RegionSetTest, ValidateFindsOverlapAndWrongGaps) {
    RegionSet set(PageRange(Page(0), PageCount(100)));
    Region& low = add(set, 10, 5);
    Region& high = add(set, 20, 5);
    EXPECT_TRUE(set.validate().ok());
    low.pages = PageRange(Page(10), PageCount(11));
    EXPECT_EQ(set.validate().failure(), (Failure{Error::corrupted, address_of(Page(20)).value()}));
    low.pages = PageRange(Page(10), PageCount(6));  // resized() not called
    EXPECT_EQ(set.validate().failure(), (Failure{Error::corrupted, address_of(Page(20)).value()}));
    set.resized(low);
    EXPECT_TRUE(set.validate().ok());
    high.pages = PageRange(Page(20), PageCount(81));
    EXPECT_EQ(set.validate().failure(), (Failure{Error::corrupted, address_of(Page(20)).value()}));
}

TEST_F(RegionSetTest, ValidateCountsTheRegionsOfOtherMemoryTypes) {
    RegionSet set(PageRange(Page(0), PageCount(100)));
    Region& region = add(set, 10, 5);
    region.backing = Backing::frames;
    EXPECT_TRUE(set.validate().ok());
    region.attributes.type = MemoryType::uncached;  // behind the set's back
    EXPECT_EQ(set.validate().failure(), (Failure{Error::corrupted, address_of(Page(0)).value()}));
}

// Random regions; every answer is compared with a search page by page.
TEST_F(RegionSetTest, RandomGapsAgreeWithASearchPageByPage) {
    constexpr uintptr_t first = 1000;
    constexpr uintptr_t count = 700;
    std::mt19937 random(99);
    const auto below = [&](uintptr_t n) { return static_cast<uintptr_t>(random() % n); };
    RegionSet set(PageRange{Page(first), PageCount(count)});
    std::map<uintptr_t, Region*> present;
    std::deque<Region> storage(200);
    std::vector<Region*> spare;
    for (Region& region : storage)
        spare.push_back(&region);
    for (int step = 0; step < 30000; ++step) {
        const GapRequest wanted =
            request(1 + below(12), uintptr_t{1} << below(5), below(3), below(3));
        std::vector<bool> taken(count + 1);
        for (const auto& [page, region] : present)
            for (const Page each : region->extent())
                taken[each.value() - first] = true;
        const auto fits = [&](uintptr_t body) {
            if (body % wanted.alignment.value() != 0) return false;
            if (body < first + wanted.guard_before.value()) return false;
            const uintptr_t start = body - wanted.guard_before.value();
            const uintptr_t end = body + wanted.pages.value() + wanted.guard_after.value();
            if (end > first + count) return false;
            for (uintptr_t page = start; page < end; ++page)
                if (taken[page - first]) return false;
            return true;
        };
        bool any = false;
        for (uintptr_t body = first; body < first + count && !any; ++body)
            any = fits(body);
        const auto found = set.find_gap(wanted);
        ASSERT_EQ(found.ok(), any) << "step " << step;
        if (found.ok()) {
            ASSERT_TRUE(fits(found->value())) << "step " << step;
        }
        const bool grow = below(100) < ((step / 3000) % 2 == 0 ? 60u : 40u);
        if (grow && found.ok() && !spare.empty()) {
            Region& region = *spare.back();
            spare.pop_back();
            region.pages = PageRange(*found, wanted.pages);
            region.guard_before = wanted.guard_before;
            region.guard_after = wanted.guard_after;
            set.insert(region);
            present[found->value()] = &region;
        } else if (!present.empty()) {
            const auto at =
                std::next(present.begin(), static_cast<ptrdiff_t>(below(present.size())));
            if (below(4) == 0 && at->second->pages.count() > PageCount(1)) {
                at->second->pages = at->second->pages.prefix(PageCount(1));
                at->second->guard_after = PageCount(0);
                set.resized(*at->second);
            } else {
                set.remove(*at->second);
                spare.push_back(at->second);
                present.erase(at);
            }
        }
        if (step % 32 == 0) {
            ASSERT_TRUE(set.validate().ok());
        }
    }
}

}  // namespace
}  // namespace quire
