// SPDX-License-Identifier: MIT
#include "quire/base/text.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "quire/base/report.hpp"

namespace quire::test {
namespace {

class Texts : public testing::Test {
  protected:
    std::string take() {
        const std::string text = out_.text();
        EXPECT_EQ(text.size(), out_.length());
        out_.clear();
        return text;
    }
    char buffer_[256];
    TextWriter out_{buffer_};
};

TEST_F(Texts, AreEmptyAtFirst) {
    EXPECT_STREQ(out_.text(), "");
    EXPECT_EQ(out_.length(), 0u);
    EXPECT_FALSE(out_.truncated());
}

TEST_F(Texts, HoldCharactersAndWords) {
    out_.put('a').put("bc").put("").put('d');
    EXPECT_EQ(take(), "abcd");
}

TEST_F(Texts, ShowDecimalNumbers) {
    for (uint64_t value : {uint64_t{0}, uint64_t{9}, uint64_t{10}, uint64_t{4294967295},
                           uint64_t{4294967296}, uint64_t{10000000000}, UINT64_MAX}) {
        out_.decimal(value);
        EXPECT_EQ(take(), std::to_string(value));
    }
    std::mt19937_64 random(1);
    for (int i = 0; i < 1000; ++i) {
        const uint64_t value = random() >> (random() % 64);
        out_.decimal(value);
        EXPECT_EQ(take(), std::to_string(value));
    }
    out_.decimal(42, 5);
    EXPECT_EQ(take(), "   42");
    out_.decimal(123456, 3);
    EXPECT_EQ(take(), "123456");
}

TEST_F(Texts, ShowHexadecimalNumbers) {
    out_.hex(0);
    EXPECT_EQ(take(), "0x0");
    out_.hex(0xabc, 8);
    EXPECT_EQ(take(), "0x00000abc");
    out_.hex(0x123456789, 8);
    EXPECT_EQ(take(), "0x123456789");
    out_.hex(UINT64_MAX);
    EXPECT_EQ(take(), "0xffffffffffffffff");
    out_.hex(0x10, 0);
    EXPECT_EQ(take(), "0x10");
    out_.hex(1, 99);  // a number has no more digits than sixteen
    EXPECT_EQ(take(), "0x0000000000000001");
}

TEST_F(Texts, ShowSizesInTheLargestUnitThatIsExact) {
    const struct {
        uint64_t bytes;
        const char* text;
    } sizes[] = {{0, "0 B"},
                 {1023, "1023 B"},
                 {1024, "1 KiB"},
                 {1025, "1025 B"},
                 {4096, "4 KiB"},
                 {1536 * 1024, "1536 KiB"},
                 {uint64_t{1} << 20, "1 MiB"},
                 {uint64_t{3} << 30, "3 GiB"},
                 {uint64_t{1} << 40, "1 TiB"},
                 {uint64_t{1} << 50, "1 PiB"},
                 {uint64_t{1} << 60, "1024 PiB"},
                 {UINT64_MAX, "18446744073709551615 B"}};
    for (const auto& size : sizes) {
        out_.size(Bytes(size.bytes));
        EXPECT_EQ(take(), size.text);
    }
}

TEST_F(Texts, ShowAddressesAndRanges) {
    out_.address(PhysicalAddress(0x1000)).put(' ').address(PhysicalAddress(0x123456789a));
    EXPECT_EQ(take(), "0x00001000 0x123456789a");
    out_.address(VirtualAddress(0x1000));
    EXPECT_EQ(take(), "0x00001000");
    if constexpr (sizeof(uintptr_t) == 8) {
        out_.address(VirtualAddress(static_cast<uintptr_t>(0x123456789a)));
        EXPECT_EQ(take(), "0x000000123456789a");
    }
    out_.range(PhysicalRange(PhysicalAddress(0x1000), Bytes(0x1000)));
    EXPECT_EQ(take(), "0x00001000-0x00001fff");
    out_.range(PhysicalRange(PhysicalAddress(0x1000), Bytes(0)));
    EXPECT_EQ(take(), "(empty)");
    out_.range(VirtualRange(VirtualAddress(0x1000), Bytes(1)));
    EXPECT_EQ(take(), "0x00001000-0x00001000");
    out_.range(VirtualRange());
    EXPECT_EQ(take(), "(empty)");
}

TEST_F(Texts, AlignInColumnsOfTheCurrentLine) {
    out_.put("ab").column(5).put('c').column(3).put('d');
    EXPECT_EQ(take(), "ab   cd");
    out_.put("long line\nx").column(4).put('y');
    EXPECT_EQ(take(), "long line\nx   y");
    out_.put("one\n");
    out_.clear();
    out_.put('x').column(3).put('y');
    EXPECT_EQ(take(), "x  y");
}

TEST(TextsInShortBuffers, AreCutOffAndSaySo) {
    char buffer[5] = {'?', '?', '?', '?', '?'};
    TextWriter out(buffer, 4);
    out.put("abc");
    EXPECT_STREQ(out.text(), "abc");
    EXPECT_FALSE(out.truncated());
    out.put('d');
    EXPECT_STREQ(out.text(), "abc");
    EXPECT_TRUE(out.truncated());
    out.column(1000);  // comes back
    EXPECT_EQ(out.length(), 3u);
    EXPECT_EQ(buffer[4], '?');
    out.clear();
    EXPECT_FALSE(out.truncated());
    out.decimal(12345);
    EXPECT_STREQ(out.text(), "123");
    char one[1];
    TextWriter none(one);
    none.put('a');
    EXPECT_STREQ(none.text(), "");
    EXPECT_TRUE(none.truncated());
}

TEST(TextsDeathTest, NeedRoomForTheirEnd) {
    char buffer[1];
    EXPECT_DEATH(TextWriter(buffer, 0), "");
}

TEST_F(Texts, ReportsNameTheBlock) {
    Report report{.what = "heap: block freed twice",
                  .error = Error::already_free,
                  .address = 0x1000,
                  .likely_cause = nullptr};
    report.block = 0x1000;
    report.block_bytes = 24;
    write(out_, report);
    EXPECT_EQ(take(),
              "heap: block freed twice at 0x00001000: it is free already\n"
              "  block 0x00001000 of 24 bytes");
    report.tag = "files";
    report.allocated_at = reinterpret_cast<const void*>(uintptr_t{0x2000});
    report.freed_at = reinterpret_cast<const void*>(uintptr_t{0x3000});
    write(out_, report);
    EXPECT_EQ(take(),
              "heap: block freed twice at 0x00001000: it is free already\n"
              "  block 0x00001000 of 24 bytes, tag files, allocated at 0x00002000, freed at "
              "0x00003000");
}

TEST_F(Texts, ReportsSayWhatWhereAndWhy) {
    Report report{.what = "heap: block freed twice",
                  .error = Error::already_free,
                  .address = 0xc0001000,
                  .likely_cause = nullptr};
    write(out_, report);
    EXPECT_EQ(take(), "heap: block freed twice at 0xc0001000: it is free already");
    report.has_values = true;
    report.expected = 0x5a;
    report.found = 0xa5;
    report.likely_cause = "two owners";
    write(out_, report);
    EXPECT_EQ(take(),
              "heap: block freed twice at 0xc0001000: it is free already\n"
              "  expected 0x5a, found 0xa5\n"
              "  likely cause: two owners");
}

}  // namespace
}  // namespace quire::test
