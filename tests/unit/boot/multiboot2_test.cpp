// SPDX-License-Identifier: MIT
#include "map_oracle.hpp"
#include "parser_fixture.hpp"

namespace quire::test {
namespace {

class Multiboot2 : public ParserTest {
  protected:
    Result<BootInformation> parse(uint64_t at = multiboot2_at) {
        return build([&](MemoryMapBuilder& builder) {
            return parse_multiboot(multiboot2_magic, PhysicalAddress(at), image_, builder);
        });
    }
    Result<BootInformation> parse(const ByteWriter& information) {
        image_ = BootImage();
        image_.put(multiboot2_at, information);
        return parse();
    }
    // Tags between a header and an end tag.
    Result<BootInformation> parse_tags(const ByteWriter& tags) {
        ByteWriter out;
        out.u32(static_cast<uint32_t>(tags.size() + 16)).u32(0);
        for (unsigned char byte : tags.bytes())
            out.u8(byte);
        return parse(out.u32(0).u32(8));
    }
    static ByteWriter sizes_tag() {
        ByteWriter out;
        out.u32(4).u32(16).u32(640).u32(7168);
        return out;
    }
};

constexpr uint64_t first_tag = multiboot2_at + 8;

TEST_F(Multiboot2, TellsAllThatTheLoaderLeft) {
    const auto parsed = parse(multiboot2_information());
    ASSERT_TRUE(parsed.ok());
    EXPECT_STREQ(parsed->protocol, "Multiboot 2");
    EXPECT_STREQ(parsed->command_line, "quire --tour");
    EXPECT_STREQ(parsed->loader_name, "GRUB");
    ASSERT_EQ(parsed->module_count, 2u);
    EXPECT_EQ(parsed->modules[0].range, PhysicalRange(PhysicalAddress(0x200000), Bytes(0x1800)));
    EXPECT_STREQ(parsed->modules[0].command_line, "initrd");
    EXPECT_STREQ(parsed->modules[1].command_line, "");
}

TEST_F(Multiboot2, ReservesWhatIsInUse) {
    ASSERT_TRUE(parse(multiboot2_information()).ok());
    ASSERT_TRUE(finished_.ok());
    EXPECT_EQ(broken_promise(*map_), "");
    EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0x9fc00 + 0x7ee0000));
    EXPECT_EQ(kind_at(multiboot2_at), MemoryKind::boot_information);
    EXPECT_EQ(kind_at(0xa0000), MemoryKind::low_memory);
    EXPECT_EQ(kind_at(0x201fff), MemoryKind::module);
    EXPECT_EQ(kind_at(0x300000), MemoryKind::module);
    EXPECT_EQ(map_->taken_from_usable(MemoryKind::boot_information), Bytes(0x1000));
    EXPECT_EQ(map_->repair_count(), 1u);
}

TEST_F(Multiboot2, ReservesItsWholeLength) {
    ByteWriter tags = sizes_tag();
    tags.u32(99).u32(0x3000);
    while (tags.size() < 16 + 0x3000)
        tags.u8(0xff);
    ASSERT_TRUE(parse_tags(tags).ok());
    EXPECT_EQ(map_->totals().of(MemoryKind::boot_information), Bytes(0x4000));
}

// Both protocols, one machine: the same map comes out, but for the information itself.
TEST_F(Multiboot2, AgreesWithMultiboot1) {
    ASSERT_TRUE(parse(multiboot2_information()).ok());
    const Bytes usable = map_->totals().of(MemoryKind::usable);
    image_ = multiboot1_image();
    MemoryMapBuilder builder(*map_);
    ASSERT_TRUE(
        parse_multiboot(multiboot1_magic, PhysicalAddress(multiboot1_at), image_, builder).ok());
    ASSERT_TRUE(builder.finish(PhysicalAddress(0xffffffff)).ok());
    EXPECT_EQ(map_->totals().of(MemoryKind::usable), usable);
}

TEST_F(Multiboot2, CutOffAnywhereIsAnError) {
    const ByteWriter whole = multiboot2_information();
    image_.put(multiboot2_at, whole);
    for (size_t bytes = whole.size(); bytes-- != 0;) {
        image_.truncate(multiboot2_at, bytes);
        const auto parsed = parse();
        ASSERT_FALSE(parsed.ok()) << bytes;
        EXPECT_EQ(parsed.failure(), (Failure{Error::truncated, multiboot2_at})) << bytes;
    }
}

// The memory is there, but the information says less of itself than its tags need.
TEST_F(Multiboot2, AnyShorterTotalIsAnError) {
    ByteWriter information = multiboot2_information();
    for (auto total = static_cast<uint32_t>(information.size()); total-- != 0;) {
        information.set_u32(0, total);
        const auto parsed = parse(information);
        ASSERT_FALSE(parsed.ok()) << total;
        if (total < 8) {
            EXPECT_EQ(parsed.failure(), (Failure{Error::bad_boot_information, multiboot2_at}));
        } else {
            EXPECT_EQ(parsed.error(), Error::truncated) << total;
        }
        EXPECT_LE(image_.highest_read(), multiboot2_at + max<uint64_t>(total, 8));
    }
}

TEST_F(Multiboot2, ALongerTotalThanMemoryIsTruncated) {
    ByteWriter information = multiboot2_information();
    for (uint32_t more : {static_cast<uint32_t>(information.size()) + 1, 0x7fffffffu, UINT32_MAX}) {
        information.set_u32(0, more);
        EXPECT_EQ(parse(information).failure(), (Failure{Error::truncated, multiboot2_at}));
    }
}

TEST_F(Multiboot2, MustBeAlignedToEightBytes) {
    for (uint64_t off : {1u, 2u, 4u, 7u}) {
        image_ = BootImage();
        image_.put(multiboot2_at + off, multiboot2_information());
        EXPECT_EQ(parse(multiboot2_at + off).failure(),
                  (Failure{Error::bad_boot_information, multiboot2_at + off}));
        EXPECT_EQ(image_.reads(), 0u);
    }
}

TEST_F(Multiboot2, ATagMustHoldItsHeader) {
    for (uint32_t size : {0u, 1u, 7u}) {
        ByteWriter tags = sizes_tag();
        tags.u32(99).u32(size);
        EXPECT_EQ(parse_tags(tags).failure(),
                  (Failure{Error::bad_boot_information, first_tag + 16}));
        // The end tag too.
        ByteWriter out;
        out.u32(32).u32(0).u32(4).u32(16).u32(640).u32(7168).u32(0).u32(size);
        EXPECT_EQ(parse(out).failure(), (Failure{Error::bad_boot_information, first_tag + 16}));
    }
}

TEST_F(Multiboot2, ATagMustEndWithTheInformation) {
    for (uint32_t size : {25u, 0x1000u, 0x7fffffffu, 0xfffffff8u, UINT32_MAX}) {
        ByteWriter tags = sizes_tag();
        tags.u32(99).u32(size).u64(0);
        EXPECT_EQ(parse_tags(tags).failure(), (Failure{Error::truncated, first_tag + 16})) << size;
    }
}

TEST_F(Multiboot2, ATagMustHoldItsFields) {
    const struct {
        uint32_t type;
        uint32_t least;
    } tags[] = {{4, 16}, {3, 17}, {6, 16}};
    for (const auto& tag : tags) {
        for (uint32_t size = 8; size < tag.least; ++size) {
            ByteWriter out = sizes_tag();
            out.u32(tag.type).u32(size);
            for (uint32_t i = 8; i < size; ++i)
                out.u8(0);
            out.align(8);
            EXPECT_EQ(parse_tags(out).failure(),
                      (Failure{Error::bad_boot_information, first_tag + 16}))
                << tag.type << " of " << size;
        }
    }
}

TEST_F(Multiboot2, AStringMustEndInsideItsTag) {
    for (uint32_t type : {1u, 2u}) {
        ByteWriter tags = sizes_tag();
        tags.u32(type).u32(12).u32(0x61616161).align(8);
        EXPECT_EQ(parse_tags(tags).failure(),
                  (Failure{Error::bad_boot_information, first_tag + 16}));
        ByteWriter empty = sizes_tag();
        empty.u32(type).u32(8);
        EXPECT_EQ(parse_tags(empty).failure(),
                  (Failure{Error::bad_boot_information, first_tag + 16}));
    }
    ByteWriter module = sizes_tag();
    module.u32(3).u32(20).u32(0x200000).u32(0x201000).u32(0x61616161).align(8);
    EXPECT_EQ(parse_tags(module).failure(), (Failure{Error::bad_boot_information, first_tag + 16}));
}

TEST_F(Multiboot2, FallsBackOnTheTwoSizes) {
    ASSERT_TRUE(parse_tags(sizes_tag()).ok());
    EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0xa0000 + 0x700000));
    ByteWriter empty_map = sizes_tag();
    empty_map.u32(6).u32(16).u32(24).u32(0);
    ASSERT_TRUE(parse_tags(empty_map).ok());
    EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0xa0000 + 0x700000));
    ByteWriter lie;
    lie.u32(4).u32(16).u32(1025).u32(7168);
    EXPECT_EQ(parse_tags(lie).failure(), (Failure{Error::bad_boot_information, 1025}));
}

TEST_F(Multiboot2, WithoutAnyMemoryIsAnError) {
    EXPECT_EQ(parse_tags(ByteWriter()).failure(),
              (Failure{Error::bad_boot_information, multiboot2_at}));
    EXPECT_EQ(parse_tags(ByteWriter().u32(6).u32(16).u32(24).u32(0)).failure(),
              (Failure{Error::bad_boot_information, multiboot2_at}));
}

TEST_F(Multiboot2, EntriesMayBeLongerThanTodayButNotShorter) {
    ByteWriter tags;
    tags.u32(6).u32(16 + 2 * 32).u32(32).u32(0);
    tags.u64(0x100000).u64(0x100000).u32(1).u32(0).u64(0xdead);
    tags.u64(0x200000).u64(0x100000).u32(2).u32(0).u64(0xdead);
    ASSERT_TRUE(parse_tags(tags).ok());
    EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0x100000));
    EXPECT_EQ(kind_at(0x200000), MemoryKind::reserved);
    for (uint32_t size : {0u, 1u, 20u, 23u}) {
        tags.set_u32(8, size);
        EXPECT_EQ(parse_tags(tags).failure(), (Failure{Error::bad_boot_information, first_tag}));
    }
}

TEST_F(Multiboot2, AnEntryThatDoesNotFitIsIgnoredAndReported) {
    for (uint32_t extra = 1; extra < 24; ++extra) {
        ByteWriter tags;
        tags.u32(6).u32(16 + 24 + extra).u32(24).u32(0);
        tags.u64(0x100000).u64(0x100000).u32(1).u32(0);
        for (uint32_t i = 0; i < extra; ++i)
            tags.u8(0x11);
        tags.align(8);
        ASSERT_TRUE(parse_tags(tags).ok()) << extra;
        EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0x100000));
        EXPECT_EQ(map_->repairs()[0].kind, RepairKind::truncated_entry);
        EXPECT_EQ(map_->repairs()[0].first, first_tag + 40);
        EXPECT_EQ(map_->repairs()[0].bytes, extra);
    }
    // An entry size past the tag's end leaves no entry.
    ByteWriter tags = sizes_tag();
    tags.u32(6).u32(16 + 24).u32(0xffffffff).u32(0).u64(0x100000).u64(0x100000).u32(1).u32(0);
    ASSERT_TRUE(parse_tags(tags).ok());
    EXPECT_EQ(map_->repairs()[0].kind, RepairKind::truncated_entry);
}

TEST_F(Multiboot2, TwoMapsAreOne) {
    ByteWriter tags;
    tags.u32(6).u32(40).u32(24).u32(0).u64(0x100000).u64(0x100000).u32(1).u32(0);
    tags.u32(6).u32(40).u32(24).u32(0).u64(0x180000).u64(0x100000).u32(2).u32(0);
    ASSERT_TRUE(parse_tags(tags).ok());
    EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0x80000));
}

TEST_F(Multiboot2, TakesAsManyModulesAsThereIsRoomForAndNoMore) {
    ByteWriter tags = sizes_tag();
    for (uint32_t i = 0; i < boot_module_capacity; ++i) {
        tags.u32(3).u32(17).u32(0x100000 + i * 0x1000).u32(0x101000 + i * 0x1000).u8(0).align(8);
    }
    const auto parsed = parse_tags(tags);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed->module_count, boot_module_capacity);
    tags.u32(3).u32(17).u32(0x200000).u32(0x201000).u8(0).align(8);
    EXPECT_EQ(parse_tags(tags).failure(), (Failure{Error::too_many, 0x200000}));
}

TEST_F(Multiboot2, AModuleMayBeEmptyButNotBackwards) {
    ByteWriter empty = sizes_tag();
    empty.u32(3).u32(17).u32(0x200000).u32(0x200000).u8(0).align(8);
    ASSERT_TRUE(parse_tags(empty).ok());
    EXPECT_EQ(kind_at(0x200000), MemoryKind::usable);
    ByteWriter backwards = sizes_tag();
    backwards.u32(3).u32(17).u32(0x200000).u32(0x1fffff).u8(0).align(8);
    EXPECT_EQ(parse_tags(backwards).failure(), (Failure{Error::bad_boot_information, 0x200000}));
}

TEST_F(Multiboot2, InformationInTheTopFrameCannotBeReserved) {
    const uint64_t top_frame = UINT64_MAX - (page_size - 1);
    image_.put(top_frame, multiboot2_information());
    EXPECT_EQ(parse(top_frame).failure(), (Failure{Error::out_of_range, top_frame}));
}

// With room for the information's reservation but not for the module's.
TEST_F(Multiboot2, AModuleThatCannotBeReservedIsAnError) {
    ByteWriter out;
    out.u32(56).u32(0).u32(3).u32(17).u32(0x200000).u32(0x201000).u8(0).align(8);
    out.u32(4).u32(16).u32(640).u32(7168).u32(0).u32(8);
    image_.put(multiboot2_at, out);
    map_ = std::make_unique<MemoryMap>();
    MemoryMapBuilder builder(*map_);
    for (uint64_t i = 1; i < memory_map_capacity; ++i) {
        const PhysicalRange frame(PhysicalAddress(i * 0x2000), Bytes(1));
        ASSERT_TRUE(builder.reserve(frame, MemoryKind::kernel).ok());
    }
    EXPECT_EQ(parse_multiboot(multiboot2_magic, PhysicalAddress(multiboot2_at), image_, builder)
                  .failure(),
              (Failure{Error::too_many, memory_map_capacity}));
}

TEST_F(Multiboot2, NothingAfterTheEndTagIsRead) {
    ByteWriter out;
    out.u32(48).u32(0).u32(4).u32(16).u32(640).u32(7168).u32(0).u32(8);
    out.u32(3).u32(17).u32(0x200000).u32(0x100000);  // would be an error
    const auto parsed = parse(out);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed->module_count, 0u);
}

}  // namespace
}  // namespace quire::test
