// SPDX-License-Identifier: MIT
#include "map_oracle.hpp"
#include "parser_fixture.hpp"

namespace quire::test::multiboot1_test {
namespace {

using Layout = Multiboot1Layout;

class Multiboot1 : public ParserTest {
  protected:
    Multiboot1() : ParserTest(multiboot1_image()) {}

    Result<BootInformation> parse() {
        return build([&](MemoryMapBuilder& builder) {
            return parse_multiboot(multiboot1_magic, PhysicalAddress(multiboot1_at), image_,
                                   builder);
        });
    }
    void information(uint32_t flags, std::initializer_list<std::pair<size_t, uint32_t>> fields,
                     size_t bytes = 116) {
        ByteWriter out;
        while (out.size() < bytes)
            out.u32(0);
        out.set_u32(0, flags);
        for (const auto& [offset, value] : fields)
            out.set_u32(offset, value);
        image_.put(Layout::information, out);
    }
};

TEST_F(Multiboot1, TellsAllThatTheLoaderLeft) {
    const auto parsed = parse();
    ASSERT_TRUE(parsed.ok());
    EXPECT_STREQ(parsed->protocol, "Multiboot 1");
    EXPECT_STREQ(parsed->command_line, "quire --tour");
    EXPECT_STREQ(parsed->loader_name, "qemu");
    ASSERT_EQ(parsed->module_count, 2u);
    EXPECT_EQ(parsed->modules[0].range, PhysicalRange(PhysicalAddress(0x200000), Bytes(0x1800)));
    EXPECT_STREQ(parsed->modules[0].command_line, "initrd");
    EXPECT_EQ(parsed->modules[1].range, PhysicalRange(PhysicalAddress(0x300000), Bytes(0x1000)));
    EXPECT_EQ(parsed->modules[1].command_line, nullptr);
}

TEST_F(Multiboot1, ReservesWhatIsInUse) {
    ASSERT_TRUE(parse().ok());
    ASSERT_TRUE(finished_.ok());
    EXPECT_EQ(broken_promise(*map_), "");
    EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0x9fc00 + 0x7ee0000));
    EXPECT_EQ(kind_at(0x9500), MemoryKind::boot_information);
    EXPECT_EQ(kind_at(0x1000), MemoryKind::usable);
    EXPECT_EQ(kind_at(0x8fff), MemoryKind::usable);
    EXPECT_EQ(kind_at(0xa000), MemoryKind::usable);
    EXPECT_EQ(kind_at(0xa0000), MemoryKind::low_memory);
    EXPECT_EQ(kind_at(0x201fff), MemoryKind::module);
    EXPECT_EQ(kind_at(0x202000), MemoryKind::usable);
    EXPECT_EQ(kind_at(0x300000), MemoryKind::module);
    EXPECT_EQ(map_->taken_from_usable(MemoryKind::module), Bytes(0x3000));
    EXPECT_EQ(map_->taken_from_usable(MemoryKind::boot_information), Bytes(0x1000));
    EXPECT_EQ(map_->repair_count(), 1u);  // the frame that the extended BIOS data area shares
}

// Each part in a frame of its own, so that each reservation shows.
TEST_F(Multiboot1, ReservesEachPartWhereverItLies) {
    image_.put(0x20ff8, ByteWriter().u32(20).u64(0x10000).u64(0x80000).u32(1));
    image_.put(0x30000, ByteWriter().u32(0x50000).u32(0x51000).u32(0x43000).u32(0));
    image_.put(0x41fff, ByteWriter().text("x"));
    image_.put(0x43000, ByteWriter().text("y"));
    image_.put(0x45000, ByteWriter().text("z"));
    information(1u << 2 | 1u << 3 | 1u << 6 | 1u << 9,
                {{16, 0x41fff}, {20, 1}, {24, 0x30000}, {44, 24}, {48, 0x20ff8}, {64, 0x45000}});
    ASSERT_TRUE(parse().ok());
    for (uint64_t frame : {0x20000u, 0x21000u, 0x30000u, 0x41000u, 0x42000u, 0x43000u, 0x45000u})
        EXPECT_EQ(kind_at(frame), MemoryKind::boot_information) << std::hex << frame;
    EXPECT_EQ(kind_at(0x9000), MemoryKind::boot_information);
    EXPECT_EQ(kind_at(0x50000), MemoryKind::module);
    EXPECT_EQ(kind_at(0x44000), MemoryKind::usable);
}

// The structure is as long as its highest flag says, and no longer.
TEST_F(Multiboot1, ReadsAndReservesAsFarAsTheFlagsSay) {
    const size_t ends[] = {12, 16, 20, 28, 44, 44, 52, 60, 64, 68, 72, 88, 116};
    for (size_t bit = 0; bit < std::size(ends); ++bit) {
        if (bit == 2 || bit == 3 || bit == 6 || bit == 9) continue;  // point elsewhere
        image_ = BootImage();
        information(1u | 1u << bit, {{4, 600}, {8, 2048}}, 120);
        ASSERT_TRUE(parse().ok()) << bit;
        EXPECT_EQ(image_.highest_read(), multiboot1_at + ends[bit]) << bit;
        image_.truncate(multiboot1_at, ends[bit] - 1);
        EXPECT_EQ(parse().failure(), (Failure{Error::truncated, multiboot1_at})) << bit;
    }
}

TEST_F(Multiboot1, TruncatedAnywhereIsAnError) {
    for (uint64_t piece : {Layout::information, Layout::map, Layout::modules, Layout::command_line,
                           Layout::loader_name, Layout::module_names}) {
        image_ = multiboot1_image();
        size_t bytes = 0;
        while (image_(PhysicalAddress(piece), bytes + 1) != nullptr)
            ++bytes;
        ASSERT_GE(bytes, 5u);
        while (bytes-- != 0) {
            image_.truncate(piece, bytes);
            const auto parsed = parse();
            ASSERT_FALSE(parsed.ok()) << std::hex << piece << " cut to " << bytes;
            EXPECT_EQ(parsed.failure(), (Failure{Error::truncated, piece}));
        }
    }
}

TEST_F(Multiboot1, FallsBackOnTheTwoSizes) {
    information(1u << 0, {{4, 640}, {8, 7168}});
    ASSERT_TRUE(parse().ok());
    EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0xa0000 + 0x700000));
    EXPECT_EQ(kind_at(0x7fffff), MemoryKind::usable);
    // A map of no bytes, or with no whole entry, is no map.
    information(1u << 0 | 1u << 6, {{4, 640}, {8, 7168}, {44, 0}, {48, 0x123}});
    ASSERT_TRUE(parse().ok());
    EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0xa0000 + 0x700000));
    image_.put(Layout::map, ByteWriter().u32(20).u64(0));
    information(1u << 0 | 1u << 6, {{4, 640}, {8, 7168}, {44, 12}, {48, Layout::map}});
    ASSERT_TRUE(parse().ok());
    EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0xa0000 + 0x700000));
}

TEST_F(Multiboot1, BelievesTheMapAndNotTheSizes) {
    ASSERT_TRUE(parse().ok());
    EXPECT_EQ(map_->find(PhysicalAddress(0x7fe0000))->kind, MemoryKind::reserved);
    information(1u << 0 | 1u << 6, {{4, 4000}, {8, 0xffffffff}, {44, 0x60}, {48, Layout::map}});
    ASSERT_TRUE(parse().ok());
    EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0x9fc00 + 0x7ee0000));
}

TEST_F(Multiboot1, LowerMemoryAboveOneMebibyteIsALie) {
    information(1u << 0, {{4, 1024}, {8, 7168}});
    EXPECT_TRUE(parse().ok());
    information(1u << 0, {{4, 1025}, {8, 7168}});
    EXPECT_EQ(parse().failure(), (Failure{Error::bad_boot_information, 1025}));
}

TEST_F(Multiboot1, WithoutAnyMemoryIsAnError) {
    information(0, {});
    EXPECT_EQ(parse().failure(), (Failure{Error::bad_boot_information, multiboot1_at}));
    information(1u << 6, {{44, 0}, {48, Layout::map}});
    EXPECT_EQ(parse().failure(), (Failure{Error::bad_boot_information, multiboot1_at}));
}

TEST_F(Multiboot1, TwoKindsOfSymbolsContradictEachOther) {
    information(1u | 1u << 4 | 1u << 5, {{4, 640}, {8, 7168}});
    EXPECT_EQ(parse().failure(), (Failure{Error::bad_boot_information, multiboot1_at}));
    for (uint32_t one : {1u << 4, 1u << 5}) {
        information(1u | one, {{4, 640}, {8, 7168}});
        EXPECT_TRUE(parse().ok());
    }
}

TEST_F(Multiboot1, AnEntryTooShortForItsFieldsIsAnError) {
    for (uint32_t size : {0u, 1u, 19u}) {
        ByteWriter map;
        map.u32(20).u64(0x100000).u64(0x100000).u32(1);
        map.u32(size).u64(0x200000).u64(0x100000).u32(1);
        image_.put(Layout::map, map);
        information(1u << 6, {{44, 48}, {48, Layout::map}});
        EXPECT_EQ(parse().failure(), (Failure{Error::bad_boot_information, Layout::map + 24}));
    }
}

TEST_F(Multiboot1, AnEntryThatDoesNotFitIsIgnoredAndReported) {
    for (uint32_t bytes = 25; bytes < 48; ++bytes) {
        ByteWriter map;
        map.u32(20).u64(0x100000).u64(0x100000).u32(1);
        map.u32(20).u64(0x200000).u64(0x100000).u32(1);
        image_.put(Layout::map, map);
        information(1u << 6, {{44, bytes}, {48, Layout::map}});
        ASSERT_TRUE(parse().ok()) << bytes;
        EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0x100000));
        ASSERT_EQ(map_->repair_count(), 3u);
        EXPECT_EQ(map_->repairs()[0].kind, RepairKind::truncated_entry);
        EXPECT_EQ(map_->repairs()[0].first, Layout::map + 24);
        EXPECT_EQ(map_->repairs()[0].bytes, bytes - 24);
        // The information and the map lie where this firmware names no memory.
        EXPECT_EQ(map_->repairs()[1].kind, RepairKind::reserved_outside_ram);
        EXPECT_EQ(map_->repairs()[2].kind, RepairKind::reserved_outside_ram);
    }
}

TEST_F(Multiboot1, AnEntryOfEnormousSizeIsIgnored) {
    for (uint32_t size : {25u, 0x7fffffffu, 0xfffffffcu, 0xffffffffu}) {
        ByteWriter map;
        map.u32(20).u64(0x100000).u64(0x100000).u32(1);
        map.u32(size).u64(0x200000).u64(0x100000).u32(1);
        image_.put(Layout::map, map);
        information(1u << 6, {{44, 48}, {48, Layout::map}});
        ASSERT_TRUE(parse().ok());
        EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0x100000));
        EXPECT_EQ(map_->repairs()[0].kind, RepairKind::truncated_entry);
    }
}

TEST_F(Multiboot1, AMapLargerThanMemoryIsTruncated) {
    information(1u << 6, {{44, 0xffffffff}, {48, Layout::map}});
    EXPECT_EQ(parse().failure(), (Failure{Error::truncated, Layout::map}));
}

TEST_F(Multiboot1, TakesAsManyModulesAsThereIsRoomForAndNoMore) {
    ByteWriter modules;
    for (uint32_t i = 0; i < boot_module_capacity + 1; ++i)
        modules.u32(0x100000 + i * 0x1000).u32(0x101000 + i * 0x1000).u32(0).u32(0);
    image_.put(Layout::modules, modules);
    information(1u | 1u << 3,
                {{4, 640}, {8, 7168}, {20, boot_module_capacity}, {24, Layout::modules}});
    const auto parsed = parse();
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed->module_count, boot_module_capacity);
    EXPECT_EQ(map_->totals().of(MemoryKind::module), Bytes(boot_module_capacity * 0x1000));
    information(1u | 1u << 3,
                {{4, 640}, {8, 7168}, {20, boot_module_capacity + 1}, {24, Layout::modules}});
    EXPECT_EQ(parse().failure(), (Failure{Error::too_many, Layout::modules}));
    // Refused for their number alone: the list is not read.
    information(1u | 1u << 3, {{4, 640}, {8, 7168}, {20, 0xffffffff}, {24, 0xfffffff0}});
    EXPECT_EQ(parse().failure(), (Failure{Error::too_many, 0xfffffff0}));
}

TEST_F(Multiboot1, NoModulesNeedNoList) {
    information(1u | 1u << 3, {{4, 640}, {8, 7168}, {20, 0}, {24, 0}});
    const auto parsed = parse();
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed->module_count, 0u);
}

TEST_F(Multiboot1, AModuleMayBeEmptyButNotBackwards) {
    image_.put(Layout::modules, ByteWriter().u32(0x200000).u32(0x200000).u32(0).u32(0));
    information(1u | 1u << 3, {{4, 640}, {8, 7168}, {20, 1}, {24, Layout::modules}});
    const auto parsed = parse();
    ASSERT_TRUE(parsed.ok());
    ASSERT_EQ(parsed->module_count, 1u);
    EXPECT_TRUE(parsed->modules[0].range.empty());
    EXPECT_EQ(kind_at(0x200000), MemoryKind::usable);
    image_.put(Layout::modules, ByteWriter().u32(0x200000).u32(0x1fffff).u32(0).u32(0));
    EXPECT_EQ(parse().failure(), (Failure{Error::bad_boot_information, 0x200000}));
}

TEST_F(Multiboot1, AStringWithoutAnEndIsAnError) {
    // Readable, but longer than a string may be.
    std::vector<unsigned char> endless(boot_string_capacity + 1, 'x');
    image_.put(0x20000, endless);
    information(1u | 1u << 2, {{4, 640}, {8, 7168}, {16, 0x20000}});
    EXPECT_EQ(parse().failure(), (Failure{Error::bad_boot_information, 0x20000}));
    // The longest that is accepted.
    endless[boot_string_capacity - 1] = 0;
    image_.put(0x20000, endless);
    const auto parsed = parse();
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(std::string(parsed->command_line).size(), boot_string_capacity - 1);
}

TEST_F(Multiboot1, AStringAtAddressZeroIsNotThere) {
    information(1u | 1u << 2 | 1u << 9, {{4, 640}, {8, 7168}});
    const auto parsed = parse();
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed->command_line, nullptr);
    EXPECT_EQ(parsed->loader_name, nullptr);
}

TEST_F(Multiboot1, AnotherMagicIsRefused) {
    map_ = std::make_unique<MemoryMap>();
    MemoryMapBuilder builder(*map_);
    for (uint32_t magic : {0u, 0x1badb002u, multiboot1_magic + 1, 0xe85250d6u}) {
        const auto parsed = parse_multiboot(magic, PhysicalAddress(multiboot1_at), image_, builder);
        EXPECT_EQ(parsed.failure(), (Failure{Error::bad_argument, magic}));
    }
    EXPECT_EQ(image_.reads(), 0u);
}

TEST_F(Multiboot1, InformationAtTheTopOfMemoryIsAnError) {
    map_ = std::make_unique<MemoryMap>();
    MemoryMapBuilder builder(*map_);
    const unsigned char byte[4] = {1, 0, 0, 0};
    const auto anything = [&](PhysicalAddress, size_t) -> const unsigned char* { return byte; };
    const PhysicalAddress top(UINT64_MAX - 2);
    EXPECT_EQ(parse_multiboot(multiboot1_magic, top, anything, builder).failure(),
              (Failure{Error::bad_boot_information, UINT64_MAX - 2}));
}

TEST_F(Multiboot1, InformationInTheTopFrameCannotBeReserved) {
    map_ = std::make_unique<MemoryMap>();
    MemoryMapBuilder builder(*map_);
    const PhysicalAddress top_frame(UINT64_MAX - (page_size - 1));
    image_.put(top_frame.value(), ByteWriter().u32(1).u32(640).u32(7168));
    EXPECT_EQ(parse_multiboot(multiboot1_magic, top_frame, image_, builder).failure(),
              (Failure{Error::out_of_range, top_frame.value()}));
}

// The builder's own refusals come through.
TEST_F(Multiboot1, WithoutRoomForReservationsIsAnError) {
    map_ = std::make_unique<MemoryMap>();
    MemoryMapBuilder builder(*map_);
    size_t room = memory_map_capacity;
    for (; room != 0; --room) {
        const PhysicalRange frame(PhysicalAddress(room * 0x2000), Bytes(1));
        ASSERT_TRUE(builder.reserve(frame, MemoryKind::kernel).ok());
    }
    EXPECT_EQ(
        parse_multiboot(multiboot1_magic, PhysicalAddress(multiboot1_at), image_, builder).error(),
        Error::too_many);
}

TEST(BootMapping, ShowsWhatLiesBelowItsLimitAtItsOffset) {
    unsigned char memory[64] = {};
    const auto offset = reinterpret_cast<uintptr_t>(memory);
    const BootMapping mapping(PhysicalAddress(64), offset);
    EXPECT_EQ(mapping(PhysicalAddress(0), 64), memory);
    EXPECT_EQ(mapping(PhysicalAddress(63), 1), memory + 63);
    EXPECT_EQ(mapping(PhysicalAddress(63), 2), nullptr);
    EXPECT_EQ(mapping(PhysicalAddress(64), 0), nullptr);
    EXPECT_EQ(mapping(PhysicalAddress(64), 1), nullptr);
    EXPECT_EQ(mapping(PhysicalAddress(UINT64_MAX), 1), nullptr);
    EXPECT_EQ(mapping(PhysicalAddress(1), SIZE_MAX), nullptr);
    const BootMapping identity(PhysicalAddress(UINT64_MAX), 0);
    EXPECT_EQ(identity(PhysicalAddress(0), 1), nullptr);
    EXPECT_EQ(identity(PhysicalAddress(offset), 1), memory);
}

}  // namespace
}  // namespace quire::test::multiboot1_test
