// SPDX-License-Identifier: MIT
// Every form of operator new and delete, replaced for this whole program.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "quire/heap/define_operator_new.hpp"
#include "quire/heap/heap.hpp"
#include "quire/heap/region_page_source.hpp"

namespace {

class LoudPlatform final : public quire::Platform {
  public:
    [[noreturn]] void panic(const quire::Report& report) override {
        std::fprintf(stderr, "panic: %s\n", report.what);
        std::abort();
    }
};

alignas(quire::page_size) unsigned char region[size_t{64} << 20];
quire::RegionPageSource pages;
LoudPlatform platform;
quire::Heap heap;

}  // namespace

// The first block is asked for before main, by whichever static object comes first.
quire::HeapRef quire_operator_new_heap() {
    static const bool started = pages.start(region, sizeof region).ok() &&
                                heap.start(pages, platform, pages.heap_options()).ok();
    if (!started) std::abort();
    return heap;
}

namespace quire {
namespace {

bool is_aligned(const void* block, size_t alignment) {
    return (reinterpret_cast<uintptr_t>(block) & (alignment - 1)) == 0;
}
bool in_region(const void* block) {
    const auto* at = static_cast<const unsigned char*>(block);
    return at >= region && at < region + sizeof region;
}

class OperatorNew : public testing::Test {
  protected:
    void SetUp() override { live_ = heap.counters().live_blocks; }
    // The block is one more of the heap's, of that size.
    void expect_new(void* block, size_t bytes, size_t alignment) {
        ASSERT_NE(block, nullptr);
        EXPECT_TRUE(in_region(block));
        EXPECT_TRUE(is_aligned(block, alignment));
        EXPECT_EQ(heap.usable_size(block).value_or(0), bytes);
        EXPECT_EQ(heap.counters().live_blocks, live_ + 1);
    }
    void expect_gone() { EXPECT_EQ(heap.counters().live_blocks, live_); }

    size_t live_ = 0;
};

constexpr std::align_val_t wide{256};
// More than the region has.
constexpr size_t too_much = size_t{1} << 30;

TEST_F(OperatorNew, PlainForms) {
    void* block = ::operator new(100);
    expect_new(block, 100, 16);
    ::operator delete(block);
    expect_gone();
    block = ::operator new[](100);
    expect_new(block, 100, 16);
    ::operator delete[](block);
    expect_gone();
}

TEST_F(OperatorNew, SizedDeletes) {
    void* block = ::operator new(100);
    ::operator delete(block, size_t{100});
    expect_gone();
    block = ::operator new[](100);
    ::operator delete[](block, size_t{100});
    expect_gone();
    block = ::operator new(100, wide);
    ::operator delete(block, size_t{100}, wide);
    expect_gone();
    block = ::operator new[](100, wide);
    ::operator delete[](block, size_t{100}, wide);
    expect_gone();
}

TEST_F(OperatorNew, AlignedForms) {
    void* block = ::operator new(100, wide);
    expect_new(block, 100, 256);
    ::operator delete(block, wide);
    expect_gone();
    block = ::operator new[](100, wide);
    expect_new(block, 100, 256);
    ::operator delete[](block, wide);
    expect_gone();
}

TEST_F(OperatorNew, FormsThatMayReturnNull) {
    void* block = ::operator new(100, std::nothrow);
    expect_new(block, 100, 16);
    ::operator delete(block, std::nothrow);
    expect_gone();
    block = ::operator new[](100, std::nothrow);
    expect_new(block, 100, 16);
    ::operator delete[](block, std::nothrow);
    expect_gone();
    block = ::operator new(100, wide, std::nothrow);
    expect_new(block, 100, 256);
    ::operator delete(block, wide, std::nothrow);
    expect_gone();
    block = ::operator new[](100, wide, std::nothrow);
    expect_new(block, 100, 256);
    ::operator delete[](block, wide, std::nothrow);
    expect_gone();
    EXPECT_EQ(::operator new(too_much, std::nothrow), nullptr);
    EXPECT_EQ(::operator new[](too_much, std::nothrow), nullptr);
    EXPECT_EQ(::operator new(too_much, wide, std::nothrow), nullptr);
    EXPECT_EQ(::operator new[](too_much, wide, std::nothrow), nullptr);
    expect_gone();
}

TEST_F(OperatorNew, ServesTheStandardLibrary) {
    {
        std::vector<std::string> words;
        for (int i = 0; i < 1000; ++i)
            words.push_back(std::string(static_cast<size_t>(i), 'x'));
        EXPECT_TRUE(in_region(words.data()));
        EXPECT_TRUE(heap.validate().ok());
    }
    expect_gone();
}

using OperatorNewDeathTest = OperatorNew;

TEST_F(OperatorNewDeathTest, NoMemoryIsReportedWhereNullMayNotBe) {
    EXPECT_DEATH(static_cast<void>(::operator new(too_much)), "operator new: no memory");
    EXPECT_DEATH(static_cast<void>(::operator new[](too_much)), "operator new: no memory");
    EXPECT_DEATH(static_cast<void>(::operator new(too_much, wide)), "operator new: no memory");
    EXPECT_DEATH(static_cast<void>(::operator new[](too_much, wide)), "operator new: no memory");
}

TEST_F(OperatorNewDeathTest, WrongDeletesAreReported) {
    void* block = ::operator new(100);
    EXPECT_DEATH(::operator delete(block, size_t{99}), "another size");
    EXPECT_DEATH(::operator delete[](block, size_t{99}), "another size");
    EXPECT_DEATH(::operator delete(block, size_t{99}, wide), "another size");
    EXPECT_DEATH(::operator delete[](block, size_t{99}, wide), "another size");
    ::operator delete(block);
    EXPECT_DEATH(::operator delete(block), "freed twice");
}

}  // namespace
}  // namespace quire
