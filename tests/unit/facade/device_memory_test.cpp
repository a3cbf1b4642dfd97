// SPDX-License-Identifier: MIT
// Memory for devices, on the simulated machine.
#include "quire/device_memory.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <vector>

#include "sim/booted_machine.hpp"

namespace quire {
namespace {

using sim::BootedMachine;

class DeviceMemoryTest : public ::testing::Test {
  protected:
    void SetUp() override {
        sim::BootedShape shape;
        shape.memory_bytes = 64 << 20;
        booted_.emplace(shape);
        ASSERT_TRUE(booted_->start().ok());
        devices_.emplace(memory().frames(), memory().space(), memory().layout().view);
        // What the first mapping leaves behind for good.
        ASSERT_TRUE(devices_->free(devices_->allocate({.bytes = 1}).value().address).ok());
        free_ = memory().frames().counters().free;
    }
    void TearDown() override {
        EXPECT_EQ(memory().frames().counters().free, free_);
        EXPECT_TRUE(memory().frames().validate().ok());
        EXPECT_TRUE(memory().space().validate().ok());
    }
    KernelMemory& memory() { return booted_->memory(); }

    std::optional<BootedMachine> booted_;
    std::optional<DeviceMemory> devices_;
    FrameCount free_;
};

TEST_F(DeviceMemoryTest, IsZeroedAndWhereTheDeviceSeesIt) {
    for (int round = 0; round < 2; ++round) {
        const DeviceBlock block = devices_->allocate({.bytes = 10000}).value();
        EXPECT_EQ(block.bytes, 12288u);
        auto* const bytes = static_cast<unsigned char*>(block.address);
        for (size_t i = 0; i < block.bytes; ++i)
            ASSERT_EQ(bytes[i], 0);
        std::memset(block.address, 0xC5, block.bytes);
        EXPECT_EQ(*reinterpret_cast<const unsigned char*>(
                      booted_->ram().at(block.physical.value() + 12287, 1)),
                  0xC5);
        const auto found = memory().space().query(memory().layout().view.address(block.address));
        ASSERT_TRUE(found.ok());
        EXPECT_STREQ(found->region.name, "device memory");
        EXPECT_TRUE(devices_->free(block.address).ok());
    }
}

TEST_F(DeviceMemoryTest, KeepsTheDevicesConditions) {
    const DeviceBlock low =
        devices_->allocate({.bytes = 65536, .highest = PhysicalAddress((16 << 20) - 1)}).value();
    EXPECT_LE(low.physical.value() + low.bytes, uint64_t{16} << 20);
    // A limit inside a frame leaves that frame out.
    const uint64_t limit = (8 << 20) + 100;
    const auto below = devices_->allocate({.bytes = 4096, .highest = PhysicalAddress(limit)});
    ASSERT_TRUE(below.ok());
    EXPECT_LE(below->physical.value() + 4095, limit);
    const DeviceBlock aligned = devices_->allocate({.bytes = 4096, .alignment = 1 << 20}).value();
    EXPECT_EQ(aligned.physical.value() % (1 << 20), 0u);
    DeviceBlock inside[20];
    for (DeviceBlock& block : inside) {
        block = devices_->allocate({.bytes = 3 * 4096, .boundary = 16384}).value();
        EXPECT_EQ(block.physical.value() / 16384, (block.physical.value() + 3 * 4096 - 1) / 16384);
    }
    for (const DeviceBlock& block : inside)
        EXPECT_TRUE(devices_->free(block.address).ok());
    EXPECT_TRUE(devices_->free(low.address).ok());
    EXPECT_TRUE(devices_->free(below->address).ok());
    EXPECT_TRUE(devices_->free(aligned.address).ok());
}

// Every hole of three frames lies across a multiple of four.
TEST_F(DeviceMemoryTest, CrossesNoBoundary) {
    FrameAllocator& frames = memory().frames();
    const FrameRange hull = booted_->map().usable_hull();
    std::vector<Frame> taken;
    for (uint64_t number = hull.first().value() / 4 * 4 + 2; number <= hull.last().value();
         number += 4) {
        if (frames.allocate_at(FrameRange(Frame(number), FrameCount(1))).ok()) {
            taken.push_back(Frame(number));
        }
    }
    EXPECT_EQ(devices_->allocate({.bytes = 3 * 4096, .boundary = 16384}).error(),
              Error::out_of_frames);
    const auto across = devices_->allocate({.bytes = 3 * 4096});
    ASSERT_TRUE(across.ok());
    EXPECT_TRUE(devices_->free(across->address).ok());
    for (const Frame frame : taken)
        EXPECT_TRUE(frames.free(frame).ok());
}

TEST_F(DeviceMemoryTest, RefusesWhatMakesNoSense) {
    EXPECT_EQ(devices_->allocate({}).error(), Error::zero_size);
    EXPECT_EQ(devices_->allocate({.bytes = 1, .alignment = 3}).error(), Error::misaligned);
    EXPECT_EQ(devices_->allocate({.bytes = 1, .alignment = 0}).error(), Error::misaligned);
    EXPECT_EQ(devices_->allocate({.bytes = 1, .boundary = 12288}).error(), Error::misaligned);
    EXPECT_EQ(devices_->allocate({.bytes = 1, .boundary = 4097}).error(), Error::misaligned);
    EXPECT_EQ(devices_->allocate({.bytes = 8192, .boundary = 4096}).error(), Error::bad_argument);
    EXPECT_EQ(devices_->allocate({.bytes = 1, .boundary = 1024}).error(), Error::bad_argument);
    EXPECT_EQ(devices_->allocate({.bytes = 1, .highest = PhysicalAddress(4094)}).error(),
              Error::out_of_frames);
    EXPECT_EQ(devices_->allocate({.bytes = UINT64_MAX}).error(), Error::out_of_frames);
}

TEST_F(DeviceMemoryTest, FreesOnlyItsOwn) {
    const DeviceBlock block = devices_->allocate({.bytes = 8192}).value();
    auto* const bytes = static_cast<unsigned char*>(block.address);
    EXPECT_EQ(devices_->free(bytes + 4096).error(), Error::foreign);
    EXPECT_EQ(devices_->free(bytes + 1).error(), Error::foreign);
    const PageRange pages = memory().space().allocate(PageCount(1)).value();
    void* const other = memory().layout().view.pointer(address_of(pages.first()));
    EXPECT_EQ(devices_->free(other).error(), Error::foreign);
    EXPECT_TRUE(memory().space().unmap(pages).ok());
    EXPECT_TRUE(devices_->free(block.address).ok());
    EXPECT_EQ(devices_->free(block.address).error(), Error::foreign);
}

TEST_F(DeviceMemoryTest, WhatCannotBeMappedGivesItsFramesBack) {
    // More contiguous frames than there are, and a type the format does not have.
    EXPECT_EQ(devices_->allocate({.bytes = uint64_t{1} << 40}).error(), Error::out_of_frames);
    std::vector<PageRange> taken;
    for (uint64_t count = uint64_t{1} << 20; count != 0;) {
        const auto pages = memory().space().reserve(PageCount(count));
        if (pages.ok()) {
            taken.push_back(*pages);
        } else {
            count /= 2;
        }
    }
    const FrameCount before = memory().frames().counters().free;
    EXPECT_FALSE(devices_->allocate({.bytes = 65536}).ok());
    EXPECT_EQ(memory().frames().counters().free, before);
    for (const PageRange& pages : taken)
        EXPECT_TRUE(memory().space().unmap(pages).ok());
    free_ = memory().frames().counters().free;
}

}  // namespace
}  // namespace quire
