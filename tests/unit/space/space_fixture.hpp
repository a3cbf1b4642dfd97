// SPDX-License-Identifier: MIT
// A space over the fake page table, and what tests want to know about it.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "fake_table.hpp"
#include "quire/space/address_space.hpp"

namespace quire::test {

// Dies with the report's words, for death tests.
class LoudPlatform final : public Platform {
  public:
    [[noreturn]] void panic(const Report& report) override {
        char text[512];
        TextWriter writer(text);
        write(writer, report);
        std::fprintf(stderr, "%s\n", text);
        std::abort();
    }
};

// Host memory that stands for a range of virtual addresses.
class HostPages {
  public:
    explicit HostPages(const PageRange& pages)
        : bytes_(static_cast<size_t>(bytes_of(pages.count()).value())),
          start_(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)),
          first_(address_of(pages.first())) {
        if (start_ == MAP_FAILED) std::abort();
    }
    ~HostPages() { munmap(start_, bytes_); }
    HostPages(const HostPages&) = delete;
    HostPages& operator=(const HostPages&) = delete;
    AddressView view() const {
        return AddressView(reinterpret_cast<uintptr_t>(start_) - first_.value());
    }

  private:
    size_t bytes_;
    void* start_;
    VirtualAddress first_;
};

struct SpaceShape {
    PageRange bounds = PageRange(Page(0x100), PageCount(0x400));
    size_t first_nodes = 8;
    NodeGrowth growth = NodeGrowth::in_itself;
    uint64_t frames = 4096;
    uint64_t run = 5;  // frames in a row that the source hands out
};

template <class Lock = NoLock>
struct FakeMachine {
    explicit FakeMachine(const SpaceShape& shape = {})
        : nodes(shape.first_nodes * sizeof(Region) + alignof(Region)),
          host(shape.growth == NodeGrowth::in_itself ? shape.bounds
                                                     : PageRange(Page(0), PageCount(1))),
          frames(shape.frames, shape.run),
          table(frames, PageRange(Page(0), PageCount(Page::highest))),
          space({.table = table,
                 .frames = FrameSource(frames),
                 .zeroer = frames,
                 .tlb = tlb,
                 .platform = platform,
                 .view = host.view()},
                shape.bounds, aligned_nodes(shape), shape.growth) {}

    Span<unsigned char> aligned_nodes(const SpaceShape& shape) {
        const auto at = reinterpret_cast<uintptr_t>(nodes.data());
        const size_t skip = (alignof(Region) - at % alignof(Region)) % alignof(Region);
        return {nodes.data() + skip, shape.first_nodes * sizeof(Region)};
    }

    std::vector<RegionInfo> regions() const {
        std::vector<RegionInfo> all;
        space.for_each_region([&](const RegionInfo& region) {
            all.push_back(region);
            return true;
        });
        return all;
    }
    // Everything that an operation which fails must leave as it was, in words; the frames that
    // tables take are left out where a large page may have been split.
    std::string state(bool tables = true) const {
        std::string text;
        for (const RegionInfo& region : regions()) {
            text += std::string(region.name) + " " + std::to_string(region.pages.first().value()) +
                    "+" + std::to_string(region.pages.count().value()) + " guards " +
                    std::to_string(region.guard_before.value()) + "," +
                    std::to_string(region.guard_after.value()) + " " + to_string(region.backing) +
                    " " + std::to_string(static_cast<unsigned>(region.attributes.protection)) +
                    " from " + std::to_string(region.first_frame.value()) + "\n";
        }
        for (const auto& [page, entry] : table.contents()) {
            text += std::to_string(page) + ">" + std::to_string(entry.frame.value()) + ":" +
                    std::to_string(static_cast<unsigned>(entry.attributes.protection)) + " ";
        }
        text += "\nframes " + std::to_string(frames.used() - table.tables());
        if (tables) text += " tables " + std::to_string(table.tables());
        return text;
    }
    // The same as a number, for many steps.
    uint64_t fingerprint() const {
        uint64_t hash = 0;
        const auto mix = [&](uint64_t value) { hash = (hash ^ value) * 0x100000001b3u + 17; };
        space.for_each_region([&](const RegionInfo& region) {
            mix(region.pages.first().value());
            mix(region.pages.count().value());
            mix(region.guard_before.value() * 1000 + region.guard_after.value());
            mix(static_cast<uint64_t>(region.backing) * 1000 +
                static_cast<uint64_t>(region.attributes.protection));
            mix(region.first_frame.value());
            return true;
        });
        table.for_each_page([&](uintptr_t page, const FakeTable::Entry& entry) {
            mix(page);
            mix(entry.frame.value());
            mix(static_cast<uint64_t>(entry.attributes.protection));
        });
        mix(frames.used() - table.tables());
        return hash;
    }
    // Invariants of space and table, and that no frame is lost: each is a table's, or mapped by a
    // region that owns its frames.
    void check() const {
        const Status valid = space.validate();
        ASSERT_TRUE(valid.ok()) << to_string(valid.error()) << " at " << valid.failure().where;
        ASSERT_FALSE(table.is_waiting());
        ASSERT_EQ(space.records().free + space.regions(), space.records().total);
        size_t owned = 0;
        for (const RegionInfo& region : regions()) {
            if (region.backing == Backing::frames || region.backing == Backing::adopted) continue;
            for (const Page page : region.pages) {
                const auto entry = table.at(page);
                if (!entry) continue;
                ++owned;
                ASSERT_TRUE(frames.is_used(entry->frame));
                ASSERT_TRUE(frames.is_clean(entry->frame));
            }
        }
        ASSERT_EQ(frames.used(), owned + table.tables());
    }

    std::vector<unsigned char> nodes;
    HostPages host;
    FakeFrames frames;
    FakeTable table;
    FakeTlb tlb;
    LoudPlatform platform;
    BasicAddressSpace<Lock> space;
};

class SpaceTest : public ::testing::Test {
  protected:
    using Machine = FakeMachine<>;

    static PageRange pages(uintptr_t first, uintptr_t count) {
        return PageRange(Page(first), PageCount(count));
    }
    static Placement fixed_at(uintptr_t page, uintptr_t before = 0, uintptr_t after = 0) {
        return {.fixed = true,
                .at = Page(page),
                .guard_before = PageCount(before),
                .guard_after = PageCount(after)};
    }
    static AllocateOptions at(uintptr_t page, uintptr_t before = 0, uintptr_t after = 0) {
        AllocateOptions options;
        options.placement = fixed_at(page, before, after);
        return options;
    }
    static AllocateOptions named(const char* name) {
        AllocateOptions options;
        options.name = name;
        return options;
    }
    static AllocateOptions on_demand(uintptr_t page = 0) {
        AllocateOptions options;
        options.populate = Populate::on_demand;
        if (page != 0) options.placement = fixed_at(page);
        return options;
    }
    static uint64_t address(uintptr_t page) { return address_of(Page(page)).value(); }

    template <class T>
    static void expect_failure(const Result<T>& result, Error error, uint64_t where) {
        ASSERT_FALSE(result.ok());
        EXPECT_EQ(result.error(), error) << to_string(result.error());
        EXPECT_EQ(result.failure().where, where);
    }
    template <class T>
    static void expect_error(const Result<T>& result, Error error) {
        ASSERT_FALSE(result.ok());
        EXPECT_EQ(result.error(), error) << to_string(result.error());
    }
};

}  // namespace quire::test
