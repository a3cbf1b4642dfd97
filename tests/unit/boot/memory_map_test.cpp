// SPDX-License-Identifier: MIT
// What a finished map answers.
#include "quire/boot/memory_map.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

namespace quire::test {
namespace {

FrameRange frames(uint64_t first, uint64_t count) {
    return FrameRange(Frame(first), FrameCount(count));
}

// Frames 16-31 and 48-63 usable, 40 reserved, 56-57 the kernel's.
class SomeMap : public testing::Test {
  protected:
    SomeMap() {
        MemoryMapBuilder builder(*map_);
        builder.add(0x10000, 0x10000, MemoryKind::usable);
        builder.add(0x28000, 0x1000, MemoryKind::reserved);
        builder.add(0x30000, 0x10000, MemoryKind::usable);
        const PhysicalRange kernel(PhysicalAddress(0x38000), Bytes(0x2000));
        EXPECT_TRUE(builder.reserve(kernel, MemoryKind::kernel).ok());
        EXPECT_TRUE(builder.finish(PhysicalAddress(0xffffffff)).ok());
    }
    std::unique_ptr<MemoryMap> map_ = std::make_unique<MemoryMap>();
};

TEST_F(SomeMap, FindsTheEntryOfAnAddress) {
    EXPECT_EQ(map_->find(PhysicalAddress(0))->kind, MemoryKind::frame_zero);
    EXPECT_EQ(map_->find(PhysicalAddress(0x1000)), nullptr);
    EXPECT_EQ(map_->find(PhysicalAddress(0xffff)), nullptr);
    EXPECT_EQ(map_->find(PhysicalAddress(0x10000))->kind, MemoryKind::usable);
    EXPECT_EQ(map_->find(PhysicalAddress(0x1ffff))->kind, MemoryKind::usable);
    EXPECT_EQ(map_->find(PhysicalAddress(0x20000)), nullptr);
    EXPECT_EQ(map_->find(PhysicalAddress(0x28fff))->kind, MemoryKind::reserved);
    EXPECT_EQ(map_->find(PhysicalAddress(0x37fff))->kind, MemoryKind::usable);
    EXPECT_EQ(map_->find(PhysicalAddress(0x38000))->kind, MemoryKind::kernel);
    EXPECT_EQ(map_->find(PhysicalAddress(0x3ffff))->kind, MemoryKind::usable);
    EXPECT_EQ(map_->find(PhysicalAddress(0x40000)), nullptr);
    EXPECT_EQ(map_->find(PhysicalAddress(UINT64_MAX)), nullptr);
}

TEST_F(SomeMap, KnowsWhichRangesAreUsable) {
    EXPECT_TRUE(map_->is_usable(frames(16, 16)));
    EXPECT_TRUE(map_->is_usable(frames(31, 1)));
    EXPECT_TRUE(map_->is_usable(frames(58, 6)));
    EXPECT_FALSE(map_->is_usable(frames(16, 17)));
    EXPECT_FALSE(map_->is_usable(frames(15, 2)));
    EXPECT_FALSE(map_->is_usable(frames(15, 1)));
    EXPECT_FALSE(map_->is_usable(frames(40, 1)));
    EXPECT_FALSE(map_->is_usable(frames(48, 16)));
    EXPECT_FALSE(map_->is_usable(frames(55, 2)));
    EXPECT_FALSE(map_->is_usable(frames(56, 1)));
    EXPECT_FALSE(map_->is_usable(frames(16, 0)));
    EXPECT_FALSE(map_->is_usable(frames(Frame::highest, 1)));
}

TEST_F(SomeMap, CountsWhatItHolds) {
    EXPECT_EQ(map_->usable_frames(), FrameCount(30));
    EXPECT_EQ(map_->usable_hull(), frames(16, 48));
    const MemoryTotals totals = map_->totals();
    EXPECT_EQ(totals.of(MemoryKind::usable), Bytes(30 * page_size));
    EXPECT_EQ(totals.of(MemoryKind::reserved), Bytes(page_size));
    EXPECT_EQ(totals.of(MemoryKind::kernel), Bytes(2 * page_size));
    EXPECT_EQ(totals.of(MemoryKind::frame_zero), Bytes(page_size));
    EXPECT_EQ(totals.of(MemoryKind::module), Bytes(0));
}

TEST(MemoryMapText, EveryKindAndRepairHasItsOwn) {
    std::set<std::string> texts;
    for (size_t kind = 0; kind < memory_kinds; ++kind)
        texts.insert(to_string(static_cast<MemoryKind>(kind)));
    EXPECT_EQ(texts.size(), memory_kinds);
    EXPECT_EQ(texts.count("unknown"), 0u);
    EXPECT_STREQ(to_string(static_cast<MemoryKind>(memory_kinds)), "unknown");
    texts.clear();
    for (size_t kind = 0; kind < repair_kinds; ++kind)
        texts.insert(to_string(static_cast<RepairKind>(kind)));
    EXPECT_EQ(texts.size(), repair_kinds);
    EXPECT_EQ(texts.count("unknown repair"), 0u);
    EXPECT_STREQ(to_string(static_cast<RepairKind>(repair_kinds)), "unknown repair");
}

TEST(MemoryMapText, EntriesAndRepairsAreLinesOfABootLog) {
    char buffer[128];
    TextWriter out(buffer);
    write(out, MemoryEntry{PhysicalRange(PhysicalAddress(0x100000), Bytes(0x7ee0000)),
                           MemoryKind::usable});
    EXPECT_STREQ(out.text(), "0x00100000-0x07fdffff usable, 129920 KiB");
    out.clear();
    write(out, Repair{RepairKind::partial_frame_cut, 0x9f000, 0xc00});
    EXPECT_STREQ(out.text(),
                 "0x0009f000, 3 KiB: usable memory that makes no whole frame was left out");
}

}  // namespace
}  // namespace quire::test
