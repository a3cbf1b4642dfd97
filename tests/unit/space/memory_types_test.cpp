// SPDX-License-Identifier: MIT
// Frames that a space shows twice, or once beside the direct map: one memory type in all places.
#include <gtest/gtest.h>

#include "quire/base/late.hpp"
#include "quire/paging/access_zeroer.hpp"
#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/x86_32.hpp"
#include "quire/paging/x86_64.hpp"
#include "quire/paging/x86_pae.hpp"
#include "sim/failing_frames.hpp"
#include "sim/frame_pool.hpp"
#include "space_fixture.hpp"

namespace quire::test {
namespace {

struct Plain {
    using Format = X86_32;
    static Format format() { return X86_32(X86Features{true, true, true}); }
};
struct Extended {
    using Format = X86Pae;
    static Format format() { return X86Pae({true, true, true, 36}); }
};
struct Long {
    using Format = X86_64;
    static Format format() { return X86_64(X86_64Features()); }
};

// Page tables of one format, of which the kernel's shows RAM from `shown_at` on: write-back and
// mostly by large pages, but for a hole and for a stretch that is uncached there, too.
template <class Mode>
class MemoryTypes : public SpaceTest {
  protected:
    static constexpr uint64_t ram_frames = 0x4000;
    static constexpr Frame hole{0x2100};
    static constexpr FrameRange uncached_run{Frame(0x2200), FrameCount(16)};
    static constexpr Page shown_at{0x40000};
    using Table = FormatPageTable<typename Mode::Format, DirectMap>;
    using Space = BasicAddressSpace<NoLock>;

    MemoryTypes() {
        EXPECT_TRUE(kernel_table.create(FrameSource(frames)).ok());
        EXPECT_TRUE(user_table.create(FrameSource(frames)).ok());
        const FrameRange below = FrameRange::between(Frame(0), hole - FrameCount(1));
        const FrameRange between = FrameRange::between(hole + FrameCount(1), Frame(0x21ff));
        const FrameRange above = FrameRange::between(Frame(0x2210), Frame(ram_frames - 1));
        show(below, MemoryType::write_back);
        show(between, MemoryType::write_back);
        show(uncached_run, MemoryType::uncached);
        show(above, MemoryType::write_back);
        kernel.make(parts(kernel_table, true), bounds, Span<unsigned char>(nodes[0]),
                    NodeGrowth::none);
        user.make(parts(user_table, true), bounds, Span<unsigned char>(nodes[1]), NodeGrowth::none);
    }
    SpaceParts parts(Table& table, bool shown) {
        ShownFrames direct;
        if (shown) direct = {&kernel_table, access.frames(), shown_at};
        return {table, FrameSource(frames), zeroer, tlb, platform, {}, direct};
    }
    void show(const FrameRange& run, MemoryType type) {
        const PageRange pages(shown_at + as_pages(run.first() - Frame(0)), as_pages(run.count()));
        auto mapped = kernel_table.map(pages, run.first(), {read_write, type});
        ASSERT_TRUE(mapped.ok());
        mapped->spend_unused();
    }
    static FrameRange run(uint64_t first, uint64_t count) {
        return FrameRange(Frame(first), FrameCount(count));
    }
    static MapOptions as(MemoryType type) {
        MapOptions options;
        options.attributes = {read_write, type};
        return options;
    }
    // Refused because of that frame, and nothing has changed.
    void expect_refused(Space& space, const FrameRange& wanted, MemoryType type, uint64_t frame) {
        const size_t regions = space.regions();
        const auto tables = frames.outstanding();
        this->expect_failure(space.map(wanted, as(type)), Error::in_use, frame * page_size);
        EXPECT_EQ(space.regions(), regions);
        EXPECT_EQ(frames.outstanding(), tables);
        EXPECT_TRUE(space.validate().ok());
    }

    static constexpr PageRange bounds{Page(0x400), PageCount(0x10000)};
    sim::Ram ram{ram_frames * page_size};
    sim::FramePool pool{ram, run(0x400, 0x400), {sim::FreedFrames::filled_with_junk, true, 3}};
    sim::FailingFrames<sim::FramePool> frames{pool};
    DirectMap access{run(0, ram_frames), VirtualAddress(0), ram.physical_view()};
    AccessZeroer<DirectMap> zeroer{access};
    FakeTlb tlb;
    LoudPlatform platform;
    Table kernel_table{access, Mode::format()};
    Table user_table{access, Mode::format()};
    alignas(Region) unsigned char nodes[2][16 * sizeof(Region)];
    Late<Space> kernel;
    Late<Space> user;
};

using Modes = ::testing::Types<Plain, Extended, Long>;
TYPED_TEST_SUITE(MemoryTypes, Modes);

TYPED_TEST(MemoryTypes, RamThatTheDirectMapShowsCannotBeADevice) {
    for (auto* space : {&*this->kernel, &*this->user}) {
        for (const MemoryType type : {MemoryType::device, MemoryType::uncached,
                                      MemoryType::write_combining, MemoryType::write_through}) {
            this->expect_refused(*space, this->run(0x1000, 4), type, 0x1000);
        }
        EXPECT_TRUE(space->map(this->run(0x1000, 4), this->as(MemoryType::write_back)).ok());
    }
}

TYPED_TEST(MemoryTypes, OnePageWithinIsEnough) {
    // From the hole to the page after it; from what the map shows uncached to beyond it.
    this->expect_refused(*this->kernel, this->run(0x2100, 2), MemoryType::uncached, 0x2101);
    this->expect_refused(*this->kernel, this->run(0x2208, 9), MemoryType::uncached, 0x2210);
    this->expect_refused(*this->kernel, this->run(0x21ff, 2), MemoryType::write_back, 0x2200);
    this->expect_refused(*this->kernel, this->run(this->ram_frames - 1, 2), MemoryType::device,
                         this->ram_frames - 1);
}

TYPED_TEST(MemoryTypes, WhatTheDirectMapDoesNotShowCanBeAnything) {
    EXPECT_TRUE(this->kernel->map(this->run(0x2100, 1), this->as(MemoryType::device)).ok());
    EXPECT_TRUE(
        this->kernel->map(this->run(this->ram_frames, 8), this->as(MemoryType::write_combining))
            .ok());
    EXPECT_TRUE(this->user->map(this->uncached_run, this->as(MemoryType::uncached)).ok());
    EXPECT_TRUE(this->kernel->validate().ok());
}

TYPED_TEST(MemoryTypes, WithoutADirectMapNothingIsShownTwice) {
    alignas(Region) unsigned char room[8 * sizeof(Region)];
    BasicAddressSpace<NoLock> space(this->parts(this->user_table, false), this->bounds, room,
                                    NodeGrowth::none);
    EXPECT_TRUE(space.map(this->run(0x1000, 4), this->as(MemoryType::device)).ok());
}

TYPED_TEST(MemoryTypes, MappingsOfOneSpaceAgree) {
    auto& space = *this->kernel;
    const uint64_t device = this->ram_frames + 0x100;
    const auto first = space.map(this->run(device, 16), this->as(MemoryType::device));
    ASSERT_TRUE(first.ok());
    const auto plain = space.map(this->run(device + 32, 4), this->as(MemoryType::write_back));
    ASSERT_TRUE(plain.ok());
    this->expect_refused(space, this->run(device + 15, 1), MemoryType::write_back, device + 15);
    this->expect_refused(space, this->run(device - 4, 5), MemoryType::uncached, device);
    this->expect_refused(space, this->run(device + 33, 8), MemoryType::device, device + 33);
    EXPECT_TRUE(space.map(this->run(device + 4, 4), this->as(MemoryType::device)).ok());
    EXPECT_TRUE(space.map(this->run(device + 16, 1), this->as(MemoryType::write_back)).ok());
    // What other spaces show is not known here.
    EXPECT_TRUE(this->user->map(this->run(device, 1), this->as(MemoryType::uncached)).ok());
}

TYPED_TEST(MemoryTypes, PiecesOfAMappingAreKnownAndWhatIsUnmappedIsNot) {
    auto& space = *this->kernel;
    const uint64_t device = this->ram_frames + 0x100;
    const auto all = space.map(this->run(device, 16), this->as(MemoryType::device));
    ASSERT_TRUE(all.ok());
    ASSERT_TRUE(space.unmap(PageRange(all->first() + PageCount(4), PageCount(4))).ok());
    EXPECT_TRUE(space.map(this->run(device + 4, 4), this->as(MemoryType::write_back)).ok());
    this->expect_refused(space, this->run(device + 3, 1), MemoryType::write_back, device + 3);
    this->expect_refused(space, this->run(device + 8, 1), MemoryType::write_back, device + 8);
    ASSERT_TRUE(space.unmap(PageRange(all->first(), PageCount(4))).ok());
    EXPECT_TRUE(space.map(this->run(device + 3, 1), this->as(MemoryType::write_back)).ok());
    EXPECT_TRUE(space.validate().ok());
}

TYPED_TEST(MemoryTypes, NoFrameForATableChangesNothing) {
    auto& space = *this->kernel;
    const uint64_t device = this->ram_frames + 0x100;
    this->frames.fail_from(1);
    this->expect_error(space.map(this->run(device, 16), this->as(MemoryType::device)),
                       Error::out_of_frames);
    this->frames.never_fail();
    // Nothing remembers the attempt.
    EXPECT_TRUE(space.map(this->run(device, 16), this->as(MemoryType::write_back)).ok());
    EXPECT_TRUE(space.validate().ok());
}

}  // namespace
}  // namespace quire::test
