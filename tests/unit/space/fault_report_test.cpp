// SPDX-License-Identifier: MIT
// What a tired person gets to read.
#include <gmock/gmock.h>

#include <sstream>

#include "quire/space/fault.hpp"

namespace quire {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class FaultReportText : public ::testing::Test {
  protected:
    static RegionInfo region(uintptr_t first, uintptr_t count, const char* name) {
        RegionInfo info;
        info.pages = PageRange(Page(first), PageCount(count));
        info.name = name;
        return info;
    }
    static std::string text_of(FaultReport report) {
        if (*report.likely_cause == '\0') report.likely_cause = "none";
        char buffer[1200];
        TextWriter writer(buffer);
        write(writer, report);
        EXPECT_FALSE(writer.truncated());
        size_t lines = 0;
        std::istringstream stream(writer.text());
        for (std::string line; std::getline(stream, line); ++lines) {
            EXPECT_LE(line.size(), 80u) << line;
            EXPECT_FALSE(line.empty());
            EXPECT_NE(line.back(), ' ') << line;
        }
        EXPECT_LE(lines, 18u);
        return writer.text();
    }
};

TEST_F(FaultReportText, TellsAllThereIsToTell) {
    FaultReport report;
    report.fault = {.address = VirtualAddress(0xc0805010),
                    .access = AccessKind::write,
                    .instruction = VirtualAddress(0xc0101234)};
    report.error = Error::guard_hit;
    report.has_region = true;
    report.region = region(0xc0801, 4, "stack of idle");
    report.region.guard_before = PageCount(1);
    report.region.guard_after = PageCount(2);
    report.has_below = report.has_above = true;
    report.below = region(0xc0700, 16, "heap");
    report.above = region(0xc0900, 1, "screen");
    report.likely_cause =
        "overrun: something ran past the end of this region, into the guard above it, and the "
        "words go on";
    std::string text = text_of(report);
    // Addresses are as wide as the machine's.
    const std::string wide = sizeof(void*) == 8 ? "00000000" : "";
    for (size_t at = 0; (at = text.find("0x" + wide, at)) != std::string::npos; ++at)
        text.erase(at + 2, wide.size());
    EXPECT_EQ(text,
              "page fault   write to 0xc0805010 by the kernel\n"
              "instruction  0xc0101234\n"
              "error        the address lies in a guard\n"
              "region       0xc0801000-0xc0804fff\n"
              "             \"stack of idle\", anonymous\n"
              "             read+write, kernel only, write-back\n"
              "             guards: 1 page below, 2 pages above\n"
              "address      16 bytes past its end, in the guard above it\n"
              "below        0xc0700000-0xc070ffff\n"
              "             \"heap\", ends 980 KiB below the address\n"
              "above        0xc0900000-0xc0900fff\n"
              "             \"screen\", starts 1003 KiB above the address\n"
              "page table   maps nothing there\n"
              "likely cause overrun: something ran past the end of this region, into the guard\n"
              "             above it, and the words go on\n");
}

TEST_F(FaultReportText, ShowsWhatTheTableMaps) {
    FaultReport report;
    report.fault.address = VirtualAddress(0x112345);
    report.error = Error::access_denied;
    report.has_region = true;
    report.region = region(0x110, 8, "constants");
    report.region.attributes.protection = read_execute | Protection::user;
    report.translation.state = EntryState::present;
    report.translation.pages = PageRange(Page(0x100), PageCount(1024));
    report.translation.frames = FrameRange(Frame(0x400), FrameCount(1024));
    report.translation.attributes = {Protection::read, MemoryType::uncached};
    const std::string text = text_of(report);
    EXPECT_THAT(
        text,
        HasSubstr(
            "412345, in an entry for 1024 pages\n             read, kernel only, uncached\n"));
    EXPECT_THAT(text, HasSubstr("read+execute, user, write-back"));
    EXPECT_THAT(text, HasSubstr("9029 bytes from its start"));
    EXPECT_THAT(text, Not(HasSubstr("guards")));
}

TEST_F(FaultReportText, OtherPlaces) {
    FaultReport report;
    report.fault = {
        .address = VirtualAddress(0x10ffff), .access = AccessKind::execute, .user = true};
    report.has_region = true;
    report.region = region(0x110, 8, "x");
    report.region.guard_before = PageCount(1);
    EXPECT_THAT(text_of(report), HasSubstr("1 byte before its start, in the guard below it"));
    EXPECT_THAT(text_of(report), HasSubstr("execution at"));
    EXPECT_THAT(text_of(report), HasSubstr("by user code"));
    report.has_region = false;
    EXPECT_THAT(text_of(report), HasSubstr("the space holds no region at all"));
    report.had_region = true;
    EXPECT_THAT(text_of(report), HasSubstr("was region"));
    EXPECT_THAT(text_of(report), HasSubstr("\"x\", unmapped since"));
    report.translation.state = EntryState::absent;
    report.translation.payload = 0x77;
    EXPECT_THAT(text_of(report), HasSubstr("holds the payload 0x77 there"));
}

TEST_F(FaultReportText, LongNamesAndFarNeighboursFit) {
    const std::string name(300, 'n');
    FaultReport report;
    report.fault.address = VirtualAddress(UINTPTR_MAX / 2);
    report.fault.instruction = VirtualAddress(UINTPTR_MAX);
    report.error = Error::corrupted;
    report.has_region = report.has_below = report.has_above = true;
    report.region = region(Page::highest / 2, 2, name.c_str());
    report.region.guard_before = PageCount(Page::highest / 4);
    report.region.guard_after = PageCount(Page::highest / 4);
    report.region.attributes = {read_write | Protection::execute | Protection::user,
                                MemoryType::write_combining};
    report.below = region(0, 1, name.c_str());
    report.above = region(Page::highest, 1, name.c_str());
    report.translation.state = EntryState::present;
    report.translation.pages = PageRange(Page(Page::highest / 2), PageCount(1 << 18));
    report.translation.frames = FrameRange(Frame(Frame::highest / 2), FrameCount(1 << 18));
    report.translation.attributes = report.region.attributes;
    std::string longest;
    for (int i = 0; i < 30; ++i)
        longest += "words ";
    report.likely_cause = longest.c_str();
    const std::string text = text_of(report);
    EXPECT_THAT(text, HasSubstr(std::string(24, 'n') + "...\""));
    EXPECT_THAT(text, HasSubstr(sizeof(void*) == 8 ? "TiB" : "MiB"));
}

}  // namespace
}  // namespace quire
