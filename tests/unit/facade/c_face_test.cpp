// SPDX-License-Identifier: MIT
// Every function of quire.h, on the simulated machine.
#include "quire/quire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <string>

#include "quire/c_face.hpp"
#include "sim/booted_machine.hpp"

namespace quire {
namespace {

class CFaceTest : public ::testing::Test {
  protected:
    CFaceTest() : booted_(sim::BootedShape{}) {
        EXPECT_TRUE(booted_.start().ok());
        use_from_c(booted_.memory());
        booted_.machine().on_page_fault([this](const sim::PageFault& fault) {
            struct ::quire_fault told = {};
            told.address = fault.address;
            told.write = fault.write();
            told.present = fault.present();
            fault_error_ = ::quire_fault(&told, report_, sizeof(report_));
            return fault_error_ == QUIRE_OK;
        });
    }

    bool loads(const void* address) {
        return booted_.machine()
            .probe_load<uint8_t>(booted_.memory().layout().view.address(address).value())
            .ok();
    }
    bool stores(void* address) {
        return booted_.machine()
            .probe_store<uint8_t>(booted_.memory().layout().view.address(address).value(), 1)
            .ok();
    }
    uint64_t free_frames() {
        uint64_t total = 0;
        uint64_t free = 0;
        quire_frames_count(&total, &free);
        EXPECT_EQ(total, booted_.memory().frames().counters().total.value());
        return free;
    }

    sim::BootedMachine booted_;
    int fault_error_ = QUIRE_OK;
    char report_[1024] = {};
};

TEST_F(CFaceTest, EveryErrorHasATextOfItsOwn) {
    std::set<std::string> texts;
    for (int error = QUIRE_OK; error <= QUIRE_CORRUPTED; ++error) {
        texts.insert(quire_error_text(error));
    }
    EXPECT_EQ(texts.size(), static_cast<size_t>(QUIRE_CORRUPTED) + 1);
    EXPECT_STREQ(quire_error_text(QUIRE_OUT_OF_FRAMES), to_string(Error::out_of_frames));
    EXPECT_STREQ(quire_error_text(QUIRE_CORRUPTED), to_string(Error::corrupted));
    EXPECT_STREQ(quire_error_text(-1), "unknown error");
    EXPECT_STREQ(quire_error_text(QUIRE_CORRUPTED + 1), "unknown error");
}

TEST_F(CFaceTest, FramesComeAndGo) {
    const uint64_t before = free_frames();
    uint64_t physical = 1;
    ASSERT_EQ(quire_frames_allocate(8, &physical), QUIRE_OK);
    EXPECT_EQ(physical % page_size, 0u);
    EXPECT_EQ(free_frames(), before - 8);
    EXPECT_EQ(quire_frames_free(physical, 8), QUIRE_OK);
    EXPECT_EQ(quire_frames_free(physical, 8), QUIRE_ALREADY_FREE);
    EXPECT_EQ(quire_frames_free(physical + 1, 1), QUIRE_MISALIGNED);
    EXPECT_EQ(quire_frames_free(UINT64_MAX - 0xfff, 2), QUIRE_OVERFLOW);
    EXPECT_EQ(free_frames(), before);
    physical = 1;
    EXPECT_EQ(quire_frames_allocate(0, &physical), QUIRE_ZERO_SIZE);
    EXPECT_EQ(quire_frames_allocate(1 << 20, &physical), QUIRE_OUT_OF_FRAMES);
    EXPECT_EQ(physical, 1u);
}

TEST_F(CFaceTest, FramesBelowALimit) {
    uint64_t physical = 0;
    ASSERT_EQ(quire_frames_allocate_below(4, 0x3fffff, 0x10000, &physical), QUIRE_OK);
    EXPECT_LE(physical + 4 * page_size - 1, 0x3fffffu);
    EXPECT_EQ(physical % 0x10000, 0u);
    EXPECT_EQ(quire_frames_free(physical, 4), QUIRE_OK);
    EXPECT_EQ(quire_frames_allocate_below(1, 0xffe, 4096, &physical), QUIRE_OUT_OF_FRAMES);
    EXPECT_EQ(quire_frames_allocate_below(1, UINT64_MAX, 100, &physical), QUIRE_MISALIGNED);
    EXPECT_EQ(quire_frames_allocate_below(1, UINT64_MAX, 3 * 4096, &physical), QUIRE_MISALIGNED);
}

TEST_F(CFaceTest, PagesByAddressAlone) {
    const uint64_t before = free_frames();
    void* address = nullptr;
    ASSERT_EQ(quire_pages_allocate(8192, QUIRE_READ | QUIRE_WRITE, &address), QUIRE_OK);
    EXPECT_TRUE(stores(address));
    struct ::quire_query answer = {};
    ASSERT_EQ(::quire_query(static_cast<char*>(address) + 5000, &answer), QUIRE_OK);
    EXPECT_EQ(answer.present, 1);
    EXPECT_EQ(answer.physical % page_size, 5000u - 4096u);
    EXPECT_EQ(answer.rights, static_cast<unsigned>(QUIRE_READ | QUIRE_WRITE | QUIRE_EXECUTE));
    EXPECT_EQ(answer.type, QUIRE_WRITE_BACK);
    EXPECT_EQ(answer.region_bytes, 8192u);

    EXPECT_EQ(quire_protect(address, 4096, QUIRE_READ), QUIRE_OK);
    EXPECT_TRUE(loads(address));
    EXPECT_FALSE(stores(address));
    EXPECT_EQ(fault_error_, QUIRE_ACCESS_DENIED);
    EXPECT_THAT(report_, ::testing::HasSubstr("write"));
    EXPECT_EQ(quire_protect(address, 4096, 64), QUIRE_BAD_ARGUMENT);
    EXPECT_EQ(quire_protect(address, 4096, QUIRE_WRITE), QUIRE_UNSUPPORTED);
    EXPECT_EQ(quire_protect(address, 100, QUIRE_READ), QUIRE_MISALIGNED);

    EXPECT_EQ(quire_unmap(static_cast<char*>(address) + 1, 4096), QUIRE_MISALIGNED);
    EXPECT_EQ(quire_unmap(address, 8192), QUIRE_OK);
    EXPECT_EQ(quire_unmap(address, 8192), QUIRE_NO_REGION);
    EXPECT_FALSE(loads(address));
    EXPECT_EQ(fault_error_, QUIRE_NO_REGION);
    EXPECT_EQ(::quire_query(address, &answer), QUIRE_NO_REGION);
    EXPECT_GE(free_frames() + 1, before);  // a page of region nodes may have come
    EXPECT_EQ(quire_pages_allocate(100, QUIRE_READ, &address), QUIRE_MISALIGNED);
    EXPECT_EQ(quire_pages_allocate(0, QUIRE_READ, &address), QUIRE_ZERO_SIZE);
}

TEST_F(CFaceTest, PhysicalMemoryIsShown) {
    void* screen = nullptr;
    ASSERT_EQ(quire_map(0xb8000, 4096, QUIRE_READ | QUIRE_WRITE, QUIRE_UNCACHED, &screen),
              QUIRE_OK);
    struct ::quire_query answer = {};
    ASSERT_EQ(::quire_query(screen, &answer), QUIRE_OK);
    EXPECT_EQ(answer.physical, 0xb8000u);
    EXPECT_EQ(answer.type, QUIRE_UNCACHED);
    EXPECT_EQ(quire_map_at(screen, 0xb8000, 4096, QUIRE_READ, QUIRE_UNCACHED),
              QUIRE_ALREADY_MAPPED);
    // As another type it would contradict the mapping that is there, wherever it goes.
    EXPECT_EQ(quire_map_at(screen, 0xb8000, 4096, QUIRE_READ, QUIRE_DEVICE), QUIRE_IN_USE);
    EXPECT_EQ(quire_unmap(screen, 4096), QUIRE_OK);
    ASSERT_EQ(quire_map_at(screen, 0xb8000, 4096, QUIRE_READ, QUIRE_DEVICE), QUIRE_OK);
    ASSERT_EQ(::quire_query(screen, &answer), QUIRE_OK);
    EXPECT_EQ(answer.type, QUIRE_DEVICE);
    EXPECT_EQ(quire_unmap(screen, 4096), QUIRE_OK);

    void* untouched = nullptr;
    EXPECT_EQ(quire_map(0xb8001, 4096, QUIRE_READ, QUIRE_DEVICE, &untouched), QUIRE_MISALIGNED);
    EXPECT_EQ(quire_map(0xb8000, 5, QUIRE_READ, QUIRE_DEVICE, &untouched), QUIRE_MISALIGNED);
    EXPECT_EQ(quire_map(0xb8000, 4096, QUIRE_READ, static_cast<quire_memory_type>(5), &untouched),
              QUIRE_BAD_ARGUMENT);
    EXPECT_EQ(quire_map(uint64_t{1} << 40, 4096, QUIRE_READ, QUIRE_DEVICE, &untouched),
              QUIRE_OUT_OF_RANGE);
    EXPECT_EQ(untouched, nullptr);
}

TEST_F(CFaceTest, TheHeapByItsUsualNames) {
    auto* const block = static_cast<unsigned char*>(quire_malloc(100));
    ASSERT_NE(block, nullptr);
    std::memset(block, 7, 100);
    EXPECT_GE(quire_malloc_usable_size(block), 100u);
    auto* const larger = static_cast<unsigned char*>(quire_realloc(block, 50000));
    ASSERT_NE(larger, nullptr);
    EXPECT_EQ(larger[99], 7);
    quire_free(larger);
    EXPECT_EQ(quire_malloc_usable_size(larger), 0u);
    auto* const zeroed = static_cast<unsigned char*>(quire_calloc(10, 30));
    ASSERT_NE(zeroed, nullptr);
    for (int i = 0; i < 300; ++i)
        EXPECT_EQ(zeroed[i], 0);
    quire_free(zeroed);
    void* const aligned = quire_aligned_alloc(8192, 10);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(aligned) % 8192, 0u);
    quire_free(aligned);
    quire_free(nullptr);
    EXPECT_EQ(quire_malloc(SIZE_MAX), nullptr);
    EXPECT_EQ(quire_calloc(SIZE_MAX / 2, 3), nullptr);
    EXPECT_EQ(quire_aligned_alloc(24, 10), nullptr);
    EXPECT_EQ(booted_.memory().heap().counters().live_blocks, 0u);
}

TEST_F(CFaceTest, SizedFreesAndCounts) {
    size_t blocks = 0;
    size_t live = 0;
    size_t committed = 0;
    void* const block = quire_malloc(1000);
    void* const aligned = quire_aligned_alloc(256, 40);
    quire_malloc_count(&blocks, &live, &committed);
    EXPECT_EQ(blocks, 2u);
    EXPECT_EQ(live, 1040u);
    EXPECT_GE(committed, live);
    quire_free_sized(block, 1000);
    quire_free_aligned_sized(aligned, 256, 40);
    EXPECT_GT(quire_malloc_trim(), 0u);
    quire_malloc_count(&blocks, &live, &committed);
    EXPECT_EQ(blocks + live, 0u);
    EXPECT_EQ(committed, booted_.memory().heap().counters().committed_bytes);
}

TEST_F(CFaceTest, MemoryForDevices) {
    void* address = nullptr;
    uint64_t physical = 0;
    ASSERT_EQ(quire_device_allocate(5000, 0xFFFFFF, 65536, 65536, &address, &physical), QUIRE_OK);
    EXPECT_EQ(physical % 65536, 0u);
    EXPECT_LE(physical + 8192, uint64_t{1} << 24);
    std::memset(address, 1, 8192);
    struct quire_query answer{};
    ASSERT_EQ(quire_query(address, &answer), QUIRE_OK);
    EXPECT_EQ(answer.physical, physical);
    EXPECT_EQ(quire_device_free(static_cast<char*>(address) + 1), QUIRE_FOREIGN);
    EXPECT_EQ(quire_device_free(address), QUIRE_OK);
    EXPECT_EQ(quire_device_free(address), QUIRE_FOREIGN);
    void* untouched = nullptr;
    EXPECT_EQ(quire_device_allocate(0, UINT64_MAX, 4096, 0, &untouched, &physical),
              QUIRE_ZERO_SIZE);
    EXPECT_EQ(untouched, nullptr);
}

TEST_F(CFaceTest, ABlockFreedTwiceEndsInAReport) {
    void* const block = quire_malloc(100);
    quire_free(block);
    try {
        quire_free(block);
        FAIL() << "the second free went through";
    } catch (const sim::Panic& panic) {
        EXPECT_EQ(panic.report.error, Error::already_free);
    }
}

}  // namespace
}  // namespace quire
