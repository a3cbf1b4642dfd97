// SPDX-License-Identifier: MIT
// How a space makes room for its own records.
#include "space_fixture.hpp"

namespace quire::test {
namespace {

class RegionNodes : public SpaceTest {
  protected:
    static size_t node_pages(const Machine& machine) {
        size_t found = 0;
        for (const RegionInfo& region : machine.regions())
            if (std::string(region.name) == "region nodes") ++found;
        return found;
    }
    static PageRange node_page(const Machine& machine) {
        for (const RegionInfo& region : machine.regions())
            if (std::string(region.name) == "region nodes") return region.pages;
        return {};
    }
    // Regions of one page, each apart from the next, until the space has grown.
    static void fill_until_grown(Machine& machine) {
        for (uintptr_t page = 0x300; node_pages(machine) == 0; page += 2)
            ASSERT_TRUE(machine.space.reserve(PageCount(1), at(page)).ok());
    }
};

TEST_F(RegionNodes, TheSpaceGrowsThemInItself) {
    Machine machine;
    for (uintptr_t page = 0x100; page < 0x4f0; page += 2) {
        AllocateOptions options = named("one");
        const auto got = machine.space.allocate(PageCount(1), options);
        ASSERT_TRUE(got.ok()) << page;
    }
    EXPECT_GE(node_pages(machine), 504 * sizeof(Region) / page_size);
    machine.check();
    EXPECT_EQ(machine.space.regions(), machine.regions().size());
    EXPECT_EQ(machine.space.regions(), 504 + node_pages(machine));
}

TEST_F(RegionNodes, TheirPagesCanNeitherBeUnmappedNorProtected) {
    Machine machine;
    fill_until_grown(machine);
    const PageRange nodes = node_page(machine);
    const std::string before = machine.state();
    expect_failure(machine.space.unmap(nodes), Error::in_use, address_of(nodes.first()).value());
    expect_failure(machine.space.protect(nodes, read_only), Error::in_use,
                   address_of(nodes.first()).value());
    EXPECT_EQ(machine.state(), before);
}

TEST_F(RegionNodes, WithoutGrowthTheyRunOutAndNothingChanges) {
    Machine machine({.first_nodes = 3, .growth = NodeGrowth::none});
    ASSERT_TRUE(machine.space.allocate(PageCount(9), at(0x110)).ok());
    ASSERT_TRUE(machine.space.allocate(PageCount(9), at(0x120)).ok());
    ASSERT_TRUE(machine.space.allocate(PageCount(9), at(0x130)).ok());
    const std::string before = machine.state();
    expect_failure(machine.space.allocate(PageCount(1)), Error::out_of_nodes, 3);
    expect_failure(machine.space.reserve(PageCount(1)), Error::out_of_nodes, 3);
    expect_failure(machine.space.unmap(pages(0x112, 2)), Error::out_of_nodes, 3);
    expect_failure(machine.space.protect(pages(0x110, 2), read_only), Error::out_of_nodes, 3);
    expect_failure(machine.space.protect(pages(0x117, 2), read_only), Error::out_of_nodes, 3);
    EXPECT_EQ(machine.state(), before);
    machine.check();
    // What needs none still works.
    EXPECT_TRUE(machine.space.unmap(pages(0x110, 2)).ok());
    EXPECT_TRUE(machine.space.protect(pages(0x112, 7), read_only).ok());
    EXPECT_TRUE(machine.space.unmap(pages(0x130, 9)).ok());
    // One is not enough for two cuts.
    expect_failure(machine.space.protect(pages(0x122, 2), read_only), Error::out_of_nodes, 3);
    EXPECT_TRUE(machine.space.protect(pages(0x120, 2), read_only).ok());
    machine.check();
}

// While no frame can be had, operations go on as long as the records last and then fail cleanly;
// with the first frame the space catches up.
TEST_F(RegionNodes, GrowthWaitsForFrames) {
    Machine machine;
    machine.frames.fail_from(1);
    uintptr_t made = 0;
    Result<PageRange> last = machine.space.reserve(PageCount(1), at(0x300));
    for (; last.ok(); last = machine.space.reserve(PageCount(1), at(0x300 + 2 * made)))
        ++made;
    EXPECT_EQ(made, 7u);  // of 8, one is kept for the growth itself
    expect_error(last, Error::out_of_nodes);
    const std::string before = machine.state();
    expect_error(machine.space.reserve(PageCount(1)), Error::out_of_nodes);
    EXPECT_EQ(machine.state(), before);
    machine.check();
    machine.frames.fail_at(0);
    EXPECT_TRUE(machine.space.reserve(PageCount(1)).ok());
    EXPECT_EQ(node_pages(machine), 1u);
    machine.check();
}

TEST_F(RegionNodes, GrowthWaitsForAddresses) {
    Machine machine({.bounds = PageRange(Page(0x100), PageCount(8))});
    for (int i = 0; i < 7; ++i)
        ASSERT_TRUE(machine.space.reserve(PageCount(1)).ok());
    // The eighth page became the space's own before the records ran short.
    EXPECT_EQ(node_pages(machine), 1u);
    expect_error(machine.space.reserve(PageCount(1)), Error::out_of_address_space);
    machine.check();
}

TEST_F(RegionNodes, TheyComeBackWhenRegionsGo) {
    Machine machine({.first_nodes = 8, .growth = NodeGrowth::none});
    for (int round = 0; round < 50; ++round) {
        const auto got = machine.space.allocate(PageCount(5), at(0x110));
        ASSERT_TRUE(got.ok());
        ASSERT_TRUE(machine.space.protect(pages(0x111, 2), read_only).ok());
        ASSERT_TRUE(machine.space.unmap(pages(0x113, 1)).ok());
        ASSERT_TRUE(machine.space.unmap(pages(0x110, 3)).ok());
        ASSERT_TRUE(machine.space.unmap(pages(0x114, 1)).ok());
    }
    machine.check();  // counts the records, too
}

}  // namespace
}  // namespace quire::test
