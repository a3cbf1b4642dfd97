// SPDX-License-Identifier: MIT
// Random changes against an oracle of plain maps, seen through every access.
#include <random>

#include "unit/paging/paging_fixture.hpp"

namespace quire::paging_test {
namespace {

// What the oracle knows of a page that is not empty.
struct Known {
    bool present = false;
    uint64_t frame = 0;
    uint64_t payload = 0;
    Attributes attributes;
};

class RandomChangesTest : public EveryWay {
  protected:
    // Six root entries' worth of pages, of which operations concern runs of every size.
    const uint64_t first_page = area / page_size;
    const uint64_t page_total = 6 * large_pages;

    uint64_t random(uint64_t limit) { return random_() % limit; }
    bool once_in(uint64_t n) { return random(n) == 0; }

    PageRange random_pages() {
        uint64_t begin = once_in(2) ? large_pages * random(6) : random(page_total);
        if (once_in(4) && begin > 0) --begin;
        uint64_t count = once_in(3) ? 1 + random(3) : 1 + random(once_in(2) ? 64 : 2500);
        if (once_in(3)) count = large_pages * (1 + random(2));
        count = std::min(count, page_total - begin);
        return PageRange(Page(first_page + begin), PageCount(count));
    }
    Attributes random_attributes() {
        const unsigned rights = 1 + 2 * static_cast<unsigned>(random(16));
        return {static_cast<Protection>(rights), static_cast<MemoryType>(random(5))};
    }
    uint64_t address(uint64_t page) const { return page * page_size; }

    // The first page of the range about which `is_so` holds.
    template <class Predicate>
    std::optional<uint64_t> find(const PageRange& pages, Predicate is_so) {
        for (const Page page : pages) {
            const auto known = known_.find(page.value());
            if (is_so(known == known_.end() ? nullptr : &known->second)) return page.value();
        }
        return std::nullopt;
    }
    static bool is_known(const Known* known) { return known != nullptr; }
    static bool is_hole(const Known* known) { return known == nullptr; }
    static bool is_not_present(const Known* known) { return known == nullptr || !known->present; }

    void map_some() {
        const PageRange pages = random_pages();
        uint64_t frame = 0x2000 + random(0x1000);
        if (once_in(2)) {
            const uint64_t inside = large_pages - 1;
            frame = (frame & ~inside) | (pages.first().value() & inside);
        }
        const Attributes attributes = random_attributes();
        auto mapped = table().map(pages, Frame(frame), attributes);
        const auto taken = find(pages, is_known);
        ASSERT_EQ(mapped.ok(), !taken);
        if (taken) {
            ASSERT_EQ(mapped.failure(), (Failure{Error::already_mapped, address(*taken)}));
            return;
        }
        for (const Page page : pages)
            known_[page.value()] =
                Known{true, frame++, 0, {granted(attributes.protection), attributes.type}};
    }
    void park_some() {
        const PageRange pages = random_pages();
        const uint64_t payload = random(table().payload_limit());
        const Status parked = table().park(pages, payload);
        const auto taken = find(pages, is_known);
        ASSERT_EQ(parked.ok(), !taken);
        if (taken) return;
        for (const Page page : pages)
            known_[page.value()] = Known{false, 0, payload, {}};
    }
    void unmap_some() {
        const PageRange pages = random_pages();
        const Holes holes = once_in(4) ? Holes::refuse : Holes::skip;
        auto unmapped = table().unmap(pages, UnmappedFrames::keep, holes);
        const auto hole = find(pages, is_hole);
        if (hole && holes == Holes::refuse) {
            ASSERT_EQ(unmapped.failure(), (Failure{Error::not_mapped, address(*hole)}));
            return;
        }
        ASSERT_TRUE(unmapped.ok());
        unmapped->spend(m.tlb);
        for (const Page page : pages)
            known_.erase(page.value());
    }
    void protect_some() {
        const PageRange pages = random_pages();
        const Protection protection = random_attributes().protection;
        const Holes holes = once_in(2) ? Holes::refuse : Holes::skip;
        auto changed = table().protect(pages, protection, holes);
        const auto hole = find(pages, is_not_present);
        if (hole && holes == Holes::refuse) {
            ASSERT_EQ(changed.failure(), (Failure{Error::not_mapped, address(*hole)}));
            return;
        }
        ASSERT_TRUE(changed.ok());
        changed->spend(m.tlb);
        for (const Page page : pages) {
            const auto known = known_.find(page.value());
            if (known != known_.end() && known->second.present)
                known->second.attributes.protection = granted(protection);
        }
    }
    // Neither changes what is mapped.
    void split_some() {
        auto changed = table().split(random_pages());
        ASSERT_TRUE(changed.ok());
        changed->spend(m.tlb);
    }
    void merge_some() {
        auto changed = table().merge(at(address(first_page + random(page_total))));
        if (changed.ok()) changed->spend(m.tlb);
    }
    // An entry may cover more pages than one; each is checked.
    void check(const Translation& found, uint64_t page) {
        const auto known = known_.find(page);
        if (known == known_.end()) {
            ASSERT_EQ(found.state, EntryState::empty) << std::hex << page;
            return;
        }
        const Known& should = known->second;
        ASSERT_EQ(found.state, should.present ? EntryState::present : EntryState::absent);
        if (should.present) {
            ASSERT_EQ(found.physical(at(address(page))).value(), address(should.frame));
            ASSERT_EQ(found.attributes, should.attributes) << std::hex << page;
        } else {
            ASSERT_EQ(found.payload, should.payload);
        }
    }
    void query_some() {
        const uint64_t page = first_page + random(page_total);
        const auto found = table().query(at(address(page) + random(page_size)));
        ASSERT_TRUE(found.ok());
        check(*found, page);
        const auto known = known_.find(page);
        const auto seen = look(address(page));
        ASSERT_EQ(seen.has_value(), known != known_.end() && known->second.present);
        if (seen) {
            ASSERT_EQ(seen->physical(address(page)), address(known->second.frame));
        }
        if (is_active()) probe(page, known == known_.end() ? nullptr : &known->second);
    }
    // What the CPU itself does there.
    void probe(uint64_t page, const Known* known) {
        const bool mapped = known != nullptr && known->present;
        const auto loaded = m.machine.probe_load<uint32_t>(address(page));
        ASSERT_EQ(loaded.ok(), mapped) << std::hex << page;
        const bool writable = mapped && has(known->attributes.protection, Protection::write);
        const uint32_t value = static_cast<uint32_t>(random_());
        const auto stored = m.machine.probe_store<uint32_t>(address(page), value);
        ASSERT_EQ(stored.ok(), writable) << std::hex << page;
        if (!writable) return;
        ASSERT_EQ(m.words(Frame(known->frame))[0], value);
        ASSERT_TRUE(query(address(page)).dirty);
    }
    void check_all() {
        ASSERT_TRUE(table().validate().ok());
        uint64_t next = first_page;
        const auto empty_until = [&](uint64_t page) {
            for (; next < page; ++next)
                ASSERT_EQ(known_.count(next), 0u) << std::hex << next;
        };
        const PageRange all = pages_at(area, page_total);
        ASSERT_TRUE(table()
                        .walk(all,
                              [&](const Translation& found) {
                                  empty_until(found.pages.first().value());
                                  for (const Page page : found.pages)
                                      check(found, page.value());
                                  next = found.pages.last().value() + 1;
                                  return true;
                              })
                        .ok());
        empty_until(first_page + page_total);
        for (const auto& stale : m.machine.stale_entries()) {
            ASSERT_TRUE(!stale.harmful || access_keeps(stale.cached.page)) << sim::to_string(stale);
        }
    }
    void step() {
        switch (random(10)) {
            case 0:
            case 1:
                return map_some();
            case 2:
                return park_some();
            case 3:
            case 4:
                return unmap_some();
            case 5:
                return protect_some();
            case 6:
                return split_some();
            case 7:
                return merge_some();
            default:
                return query_some();
        }
    }

    std::mt19937_64 random_;
    std::map<uint64_t, Known> known_;
};
INSTANTIATE_TEST_SUITE_P(Ways, RandomChangesTest, testing::ValuesIn(all_ways()), name_of);

TEST_P(RandomChangesTest, AgreeWithTheOracle) {
    for (uint64_t seed = 1; seed <= 2; ++seed) {
        random_.seed(seed);
        for (int i = 0; i < 250 && !HasFatalFailure(); ++i) {
            SCOPED_TRACE(testing::Message() << "seed " << seed << ", step " << i);
            step();
            if (i % 50 == 49) check_all();
        }
    }
    unmap(pages_at(area, page_total), UnmappedFrames::keep, Holes::skip);
    EXPECT_EQ(table().table_frames(), tables_before_);
}

}  // namespace
}  // namespace quire::paging_test
