// SPDX-License-Identifier: MIT
// A CPU that sets accessed and dirty at the worst moment: after the library has read an entry and
// before it writes it. Neither mark may get lost.
#include <gtest/gtest.h>

#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/x86_32.hpp"
#include "sim/frame_pool.hpp"

namespace quire::paging_test::hardware_marks_test {
namespace {

constexpr uint64_t area = 0x40000000;
constexpr Frame free_frame{0x2000};
constexpr uint32_t marks = 0x60;  // accessed and dirty, SDM vol. 3A 4.8

PageRange pages_of_area(uintptr_t count) {
    return PageRange(Page(area / page_size), PageCount(count));
}

constexpr uint32_t page_size_bit = 0x80;

// The leaf that a CPU uses meanwhile: at the n-th moment, once.
struct Victim {
    uint32_t* entry = nullptr;
    int moments = 0;
    uint32_t kind = 0;  // page_size_bit while it is a large page, after which there is no moment

    void use() {
        if (entry == nullptr || (*entry & page_size_bit) != kind || --moments != 0) return;
        __atomic_fetch_or(entry, marks, __ATOMIC_ACQ_REL);
    }
};

// The format says what the entry is that was read, or computes the new one: these are the moments.
class WatchedFormat : public X86_32 {
  public:
    explicit WatchedFormat(Victim* victim)
        : X86_32(X86Features{true, true, true}), victim_(victim) {}

    EntryKind kind(unsigned level, Entry entry) const {
        victim_->use();
        return X86_32::kind(level, entry);
    }
    Entry without_marks(Entry entry) const {
        victim_->use();
        return X86_32::without_marks(entry);
    }
    Entry part(unsigned level, Entry entry, unsigned index) const {
        if (index == 512) victim_->use();
        return X86_32::part(level, entry, index);
    }

  private:
    Victim* victim_;
};

class HardwareMarksTest : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(table.create(pool).ok());
        ASSERT_TRUE(table.map(pages_of_area(1024), free_frame, Attributes{}).ok());
    }
    uint32_t& root_entry() {
        return ram.as<uint32_t>(address_of(table.root()).value())[area >> 22];
    }
    uint32_t* leaf_entries() { return ram.as<uint32_t>(root_entry() & 0xfffff000); }
    void protect(const PageRange& pages, Protection protection) {
        auto changed = table.protect(pages, protection);
        ASSERT_TRUE(changed.ok());
        changed->spend_unused();
    }

    sim::Ram ram{uint64_t{64} << 20};
    sim::FramePool pool{ram, FrameRange(Frame(0x400), FrameCount(0x100))};
    DirectMap access{FrameRange(Frame(0), FrameCount(0x4000)), VirtualAddress(0),
                     ram.physical_view()};
    Victim victim;
    FormatPageTable<WatchedFormat, DirectMap> table{access, WatchedFormat(&victim)};
};

TEST_F(HardwareMarksTest, SurviveProtect) {
    protect(pages_of_area(1), read_only);
    uint32_t& entry = leaf_entries()[0];
    ASSERT_EQ(entry & (marks | 2), 0u);
    // A single page has a path of its own. Every moment there is, until one is not reached.
    for (const uintptr_t pages : {uintptr_t{1}, uintptr_t{2}}) {
        int moment = 1;
        for (;; ++moment) {
            const Protection protection = (entry & 2) == 0 ? read_write : read_only;
            victim = {&entry, moment};
            protect(pages_of_area(pages), protection);
            EXPECT_EQ((entry & 2) != 0, protection == read_write);
            if (victim.moments > 0) break;
            EXPECT_EQ(entry & marks, marks) << pages << " " << moment;
            entry &= ~marks;
        }
        EXPECT_GT(moment, 1);
    }
}

TEST_F(HardwareMarksTest, SurviveASplit) {
    int moment = 1;
    for (;; ++moment) {
        victim = {&root_entry(), moment, page_size_bit};
        protect(pages_of_area(1), read_only);
        const bool reached = victim.moments <= 0;
        victim = {};
        for (unsigned i = 0; i < 1024; ++i)
            ASSERT_EQ(leaf_entries()[i] & marks, reached ? marks : 0) << moment << " " << i;
        EXPECT_TRUE(table.validate().ok());
        if (!reached) break;
        table.unmap(pages_of_area(1024))->spend_unused();
        ASSERT_TRUE(table.map(pages_of_area(1024), free_frame, Attributes{}).ok());
    }
    EXPECT_GT(moment, 3);  // in the reading pass, while it is decided, in the middle of the split
}

TEST_F(HardwareMarksTest, SurviveHarvest) {
    protect(pages_of_area(1), read_only);
    uint32_t& entry = leaf_entries()[0];
    for (int moment = 1;; ++moment) {
        // One mark to begin with, and both before it is cleared.
        entry = (entry & ~marks) | 0x20;
        victim = {&entry, moment};
        bool dirty = false;
        auto harvested =
            table.harvest(pages_of_area(1), [&](const Translation& found) { dirty = found.dirty; });
        ASSERT_TRUE(harvested.ok());
        harvested->spend_unused();
        if (victim.moments > 0) {
            EXPECT_GT(moment, 2);
            break;
        }
        EXPECT_NE(dirty, (entry & marks) != 0) << moment;
    }
}

}  // namespace
}  // namespace quire::paging_test::hardware_marks_test
