// SPDX-License-Identifier: MIT
#include "quire/boot/pvh.hpp"

#include "map_oracle.hpp"
#include "parser_fixture.hpp"

namespace quire::test::pvh_test {
namespace {

using Layout = PvhLayout;

class Pvh : public ParserTest {
  protected:
    Pvh() : ParserTest(pvh_image()) {}

    Status parse() {
        return build([&](MemoryMapBuilder& builder) {
            return parse_pvh(PhysicalAddress(pvh_at), image_, builder, said_);
        });
    }
    struct Fields {
        uint32_t magic = pvh_magic;
        uint32_t version = 1;
        uint32_t module_count = 0;
        uint64_t modules = 0;
        uint64_t command_line = 0;
        uint64_t map = Layout::map;
        uint32_t map_count = 4;
    };
    void information(const Fields& fields) {
        ByteWriter out;
        out.u32(fields.magic).u32(fields.version).u32(0).u32(fields.module_count);
        out.u64(fields.modules).u64(fields.command_line).u64(0).u64(fields.map);
        out.u32(fields.map_count).u32(0);
        image_.put(Layout::information, out);
    }

    BootInformation said_;
};

TEST_F(Pvh, TellsAllThatTheLoaderLeft) {
    said_.loader_name = "left over";
    ASSERT_TRUE(parse().ok());
    EXPECT_STREQ(said_.protocol, "PVH");
    EXPECT_STREQ(said_.command_line, "quire --tour");
    EXPECT_EQ(said_.loader_name, nullptr);
    ASSERT_EQ(said_.module_count, 2u);
    EXPECT_EQ(said_.modules[0].range, PhysicalRange(PhysicalAddress(0x200000), Bytes(0x1800)));
    EXPECT_STREQ(said_.modules[0].command_line, "initrd");
    EXPECT_EQ(said_.modules[1].range, PhysicalRange(PhysicalAddress(0x300000), Bytes(0x1000)));
    EXPECT_EQ(said_.modules[1].command_line, nullptr);
}

TEST_F(Pvh, ReservesWhatIsInUse) {
    ASSERT_TRUE(parse().ok());
    ASSERT_TRUE(finished_.ok());
    EXPECT_EQ(broken_promise(*map_), "");
    EXPECT_EQ(map_->firmware_usable_raw(), Bytes(0x9fc00 + 0x7ee0000));
    EXPECT_EQ(kind_at(0x7500), MemoryKind::boot_information);
    EXPECT_EQ(kind_at(0x6fff), MemoryKind::usable);
    EXPECT_EQ(kind_at(0x8000), MemoryKind::usable);
    EXPECT_EQ(kind_at(0xa0000), MemoryKind::low_memory);
    EXPECT_EQ(kind_at(0x201fff), MemoryKind::module);
    EXPECT_EQ(kind_at(0x202000), MemoryKind::usable);
    EXPECT_EQ(map_->taken_from_usable(MemoryKind::module), Bytes(0x3000));
    EXPECT_EQ(map_->taken_from_usable(MemoryKind::boot_information), Bytes(0x1000));
}

// Each part in a frame of its own, so that each reservation shows.
TEST_F(Pvh, ReservesEachPartWhereverItLies) {
    image_.put(0x20ff8, ByteWriter().u64(0x10000).u64(0x80000).u32(1).u32(0));
    image_.put(0x30000, ByteWriter().u64(0x50000).u64(0x1000).u64(0x43000).u64(0));
    image_.put(0x41fff, ByteWriter().text("x"));
    image_.put(0x43000, ByteWriter().text("y"));
    Fields fields;
    fields.map = 0x20ff8;
    fields.map_count = 1;
    fields.modules = 0x30000;
    fields.module_count = 1;
    fields.command_line = 0x41fff;
    information(fields);
    ASSERT_TRUE(parse().ok());
    for (uint64_t frame : {0x20000u, 0x21000u, 0x30000u, 0x41000u, 0x42000u, 0x43000u})
        EXPECT_EQ(kind_at(frame), MemoryKind::boot_information) << std::hex << frame;
    EXPECT_EQ(kind_at(0x50000), MemoryKind::module);
    EXPECT_EQ(kind_at(0x44000), MemoryKind::usable);
}

TEST_F(Pvh, TruncatedAnywhereIsAnError) {
    for (uint64_t piece : {Layout::information, Layout::map, Layout::modules, Layout::command_line,
                           Layout::module_names}) {
        image_ = pvh_image();
        size_t bytes = 0;
        while (image_(PhysicalAddress(piece), bytes + 1) != nullptr)
            ++bytes;
        ASSERT_GE(bytes, 5u);
        while (bytes-- != 0) {
            image_.truncate(piece, bytes);
            ASSERT_EQ(parse().failure(), (Failure{Error::truncated, piece}))
                << std::hex << piece << " cut to " << bytes;
        }
    }
}

TEST_F(Pvh, AnotherMagicIsRefused) {
    Fields fields;
    fields.magic = pvh_magic + 1;
    information(fields);
    EXPECT_EQ(parse().failure(), (Failure{Error::bad_boot_information, pvh_at}));
}

TEST_F(Pvh, VersionZeroHasNoMap) {
    Fields fields;
    fields.version = 0;
    information(fields);
    EXPECT_EQ(parse().failure(), (Failure{Error::bad_boot_information, pvh_at}));
    // Later versions add fields behind.
    fields.version = 2;
    information(fields);
    EXPECT_TRUE(parse().ok());
}

TEST_F(Pvh, AnEmptyMapIsRefused) {
    Fields fields;
    fields.map_count = 0;
    information(fields);
    EXPECT_EQ(parse().failure(), (Failure{Error::bad_boot_information, Layout::map}));
}

TEST_F(Pvh, CountsPastTheEndAreErrors) {
    Fields fields;
    fields.map_count = 5;
    information(fields);
    EXPECT_EQ(parse().failure(), (Failure{Error::truncated, Layout::map}));
    for (uint32_t count : {pvh_map_capacity + 1, 0xaaaaaaabu, 0xffffffffu}) {
        fields.map_count = count;
        information(fields);
        EXPECT_EQ(parse().failure(), (Failure{Error::too_many, Layout::map})) << count;
    }
    fields = Fields();
    fields.modules = Layout::modules;
    fields.module_count = 3;
    information(fields);
    EXPECT_EQ(parse().failure(), (Failure{Error::truncated, Layout::modules}));
    fields.module_count = 0xffffffff;
    information(fields);
    EXPECT_EQ(parse().failure(), (Failure{Error::too_many, Layout::modules}));
}

TEST_F(Pvh, AsManyEntriesAsThereMayBeAreRead) {
    ByteWriter map;
    for (uint32_t i = 0; i < pvh_map_capacity; ++i)
        map.u64(0x100000).u64(0x100000).u32(1).u32(0);
    image_.put(0x400000, map);
    Fields fields;
    fields.map = 0x400000;
    fields.map_count = pvh_map_capacity;
    information(fields);
    ASSERT_TRUE(parse().ok());
    EXPECT_EQ(kind_at(0x1fffff), MemoryKind::usable);
}

TEST_F(Pvh, AsManyModulesAsThereMayBeAreListed) {
    ByteWriter modules;
    for (size_t i = 0; i <= boot_module_capacity; ++i)
        modules.u64(0x200000 + i * 0x1000).u64(0x1000).u64(0).u64(0);
    image_.put(Layout::modules, modules);
    Fields fields;
    fields.modules = Layout::modules;
    fields.module_count = boot_module_capacity;
    information(fields);
    ASSERT_TRUE(parse().ok());
    EXPECT_EQ(said_.module_count, boot_module_capacity);
    fields.module_count = boot_module_capacity + 1;
    information(fields);
    EXPECT_EQ(parse().failure(), (Failure{Error::too_many, Layout::modules}));
}

TEST_F(Pvh, ModulesOfAnySizeAndPlace) {
    Fields fields;
    fields.modules = Layout::modules;
    fields.module_count = 1;
    information(fields);
    image_.put(Layout::modules, ByteWriter().u64(0x200000).u64(0).u64(0).u64(0));
    ASSERT_TRUE(parse().ok());
    EXPECT_TRUE(said_.modules[0].range.empty());
    EXPECT_EQ(kind_at(0x200000), MemoryKind::usable);
    image_.put(Layout::modules, ByteWriter().u64(0x1234567000).u64(0x1000).u64(0).u64(0));
    ASSERT_TRUE(parse().ok());
    EXPECT_EQ(said_.modules[0].range.first(), PhysicalAddress(0x1234567000));
    const uint64_t near_top = ~uint64_t{0} - 0xfff;
    image_.put(Layout::modules, ByteWriter().u64(near_top).u64(0x1001).u64(0).u64(0));
    EXPECT_EQ(parse().failure(), (Failure{Error::bad_boot_information, near_top}));
}

TEST_F(Pvh, AddressesPastTheTopAreErrors) {
    const uint64_t top = ~uint64_t{0} - 7;
    Fields fields;
    fields.map = top;
    information(fields);
    EXPECT_EQ(parse().failure(), (Failure{Error::bad_boot_information, top}));
    fields = Fields();
    fields.modules = top;
    fields.module_count = 1;
    information(fields);
    EXPECT_EQ(parse().failure(), (Failure{Error::bad_boot_information, top}));
    image_ = BootImage();
    map_ = std::make_unique<MemoryMap>();
    MemoryMapBuilder builder(*map_);
    EXPECT_EQ(parse_pvh(PhysicalAddress(top), image_, builder, said_).failure(),
              (Failure{Error::bad_boot_information, top}));
}

TEST_F(Pvh, AStringWithoutAnEndIsAnError) {
    image_.put(0x500000, std::vector<unsigned char>(boot_string_capacity + 1, 'x'));
    Fields fields;
    fields.command_line = 0x500000;
    information(fields);
    EXPECT_EQ(parse().failure(), (Failure{Error::bad_boot_information, 0x500000}));
}

}  // namespace
}  // namespace quire::test::pvh_test
