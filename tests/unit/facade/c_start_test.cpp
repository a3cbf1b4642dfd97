// SPDX-License-Identifier: MIT
// quire_start, on the simulated machine: what a C kernel says of itself, in good and in bad.
#include "quire/c_start.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "quire/paging/x86_32.hpp"
#include "sim/booted_machine.hpp"
#include "sim/firmware.hpp"

namespace quire {
namespace {

using sim::BootedMachine;

constexpr uint64_t memory_bytes = 16 << 20;
constexpr uint64_t information_at = 0x9000;
constexpr uint64_t firmware_map_at = 0x9800;

class CStartTest : public ::testing::Test {
  protected:
    using Kernel = CStart<X86_32, sim::SimulatedCpu>;

    CStartTest() {
        write_boot_information();
        for (const sim::ImageSection& section :
             {BootedMachine::text, BootedMachine::rodata, BootedMachine::data, BootedMachine::guard,
              BootedMachine::stack}) {
            fixed_.push_back(quire_mapping{BootedMachine::image_virtual + section.begin,
                                           BootedMachine::image_physical + section.begin,
                                           static_cast<size_t>(section.end - section.begin),
                                           static_cast<unsigned>(section.protection) | QUIRE_GLOBAL,
                                           QUIRE_WRITE_BACK, section.name});
        }
        start_.multiboot_magic = 0x2BADB002;
        start_.multiboot_information = information_at;
        start_.image_begin = BootedMachine::image_physical;
        start_.image_end = BootedMachine::image_physical + BootedMachine::image_bytes;
        start_.fixed = fixed_.data();
        start_.fixed_count = fixed_.size();
        start_.reach = QUIRE_REACH_DIRECT;
        start_.kernel_first = 0xC0000000;
        start_.kernel_last = 0xFF3FFFFF;
        start_.direct_map_first = 0xC4000000;
        start_.direct_map_last = 0xC7FFFFFF;
        start_.metadata_first = 0xF8000000;
        start_.metadata_last = 0xF80FFFFF;
        start_.windows_first = 0xFF000000;
        start_.windows_last = 0xFF3FFFFF;
        start_.self_slot = 1023;
        start_.foreign_slot = 1022;
        start_.scratch_slot = 1021;
        start_.boot_window = BootedMachine::boot_window;
        start_.boot_window_entries = booted_.boot_window_entries();
        start_.boot_window_pages = 64;
        start_.panic = [](const char* text) {
            std::fputs(text, stderr);
            std::_Exit(7);
        };
    }

    // Multiboot 1: sizes of memory and the firmware's map (specification 0.6.96, 3.3).
    void write_boot_information() {
        std::vector<uint32_t> map;
        for (const sim::FirmwareEntry& entry : sim::pc_firmware_map(memory_bytes)) {
            map.push_back(20);
            for (const uint64_t field : {entry.base, entry.length}) {
                map.push_back(static_cast<uint32_t>(field));
                map.push_back(static_cast<uint32_t>(field >> 32));
            }
            map.push_back(static_cast<uint32_t>(entry.type));
        }
        for (size_t i = 0; i < map.size(); ++i)
            *booted_.ram().as<uint32_t>(firmware_map_at + 4 * i) = map[i];
        const auto put = [&](uint64_t offset, uint64_t value) {
            *booted_.ram().as<uint32_t>(information_at + offset) = static_cast<uint32_t>(value);
        };
        put(0, 1 | 1 << 6);
        put(4, 639);
        put(8, (memory_bytes - (1 << 20)) >> 10);
        put(44, 4 * map.size());
        put(48, firmware_map_at);
    }

    Status start() {
        const Status prepared = kernel_->prepare(start_);
        return prepared.ok() ? kernel_->start(start_, X86_32(X86Features{true, true, true}))
                             : prepared;
    }
    // Starts with one thing wrong, which must be told; then rights it.
    void refuses(Failure failure, const std::function<void()>& wrong) {
        const struct ::quire_start good = start_;
        const std::vector<quire_mapping> good_fixed = fixed_;
        wrong();
        const Status status = start();
        ASSERT_FALSE(status.ok());
        EXPECT_EQ(status.error(), failure.error) << to_string(status.error());
        EXPECT_EQ(status.failure().where, failure.where);
        start_ = good;
        fixed_ = good_fixed;
        start_.fixed = fixed_.data();
    }

    BootedMachine booted_{sim::BootedShape{}};
    std::vector<quire_mapping> fixed_;
    struct ::quire_start start_ = {};
    std::unique_ptr<Kernel> kernel_ =
        std::make_unique<Kernel>(booted_.cpu(), booted_.machine().view());
};

class CStartReachTest : public CStartTest, public ::testing::WithParamInterface<quire_reach> {};

TEST_P(CStartReachTest, StartsTheCFace) {
    start_.reach = GetParam();
    const Status started = start();
    ASSERT_TRUE(started.ok()) << to_string(started.error());
    uint64_t total = 0;
    uint64_t free = 0;
    quire_frames_count(&total, &free);
    EXPECT_GT(total, 3500u);
    auto* const block = static_cast<int*>(quire_malloc(100000));
    ASSERT_NE(block, nullptr);
    block[24999] = 7;
    EXPECT_EQ(block[24999], 7);
    quire_free(block);
    struct ::quire_query answer = {};
    const auto text = booted_.machine().view().pointer<void>(
        VirtualAddress(BootedMachine::image_virtual + BootedMachine::text.begin));
    ASSERT_EQ(::quire_query(text, &answer), QUIRE_OK);
    EXPECT_EQ(answer.physical, BootedMachine::image_physical + BootedMachine::text.begin);
    EXPECT_STREQ(answer.region_name, "kernel text");
    EXPECT_EQ(start().error(), Error::in_use);
}

INSTANTIATE_TEST_SUITE_P(EveryReach, CStartReachTest,
                         ::testing::Values(QUIRE_REACH_DIRECT, QUIRE_REACH_RECURSIVE,
                                           QUIRE_REACH_WINDOW));

TEST_F(CStartTest, RefusesWhatMakesNoSenseAndCanBeTriedAgain) {
    refuses({Error::bad_argument, 63}, [&] { start_.boot_window_pages = 63; });
    refuses({Error::bad_argument, 5}, [&] { start_.multiboot_magic = 5; });
    refuses({Error::zero_size, start_.image_begin}, [&] { start_.image_end = start_.image_begin; });
    refuses({Error::bad_argument, 0xC0000000}, [&] { start_.kernel_last = 0xBFFFFFFF; });
    refuses({Error::misaligned, 0xC4000000}, [&] { start_.direct_map_last -= 1; });
    refuses({Error::misaligned, 0xF8000001}, [&] { start_.metadata_first += 1; });
    refuses({Error::bad_argument, 0xFF000000}, [&] { start_.windows_last = 5; });
    refuses({Error::too_many, detail::fixed_capacity + 1}, [&] {
        fixed_.resize(detail::fixed_capacity + 1);
        start_.fixed = fixed_.data();
        start_.fixed_count = fixed_.size();
    });
    refuses({Error::misaligned, fixed_[0].address + 1}, [&] { fixed_[0].address += 1; });
    refuses({Error::misaligned, fixed_[1].physical + 2}, [&] { fixed_[1].physical += 2; });
    refuses({Error::misaligned, fixed_[2].bytes + 3}, [&] { fixed_[2].bytes += 3; });
    refuses({Error::bad_argument, 64}, [&] { fixed_[0].rights = 64; });
    refuses({Error::bad_argument, 7}, [&] { fixed_[0].type = static_cast<quire_memory_type>(7); });
    refuses({Error::bad_argument, 3}, [&] { start_.reach = static_cast<quire_reach>(3); });
    EXPECT_TRUE(start().ok());
}

// The window's page may still be in the TLB with what it showed before.
TEST_F(CStartTest, ReadsWhatIsThereAndNotWhatTheWindowShowedBefore) {
    uint32_t* const entries = booted_.boot_window_entries();
    entries[0] = static_cast<uint32_t>(BootedMachine::image_physical) | 3;
    const VirtualAddress window(BootedMachine::boot_window);
    EXPECT_EQ(*booted_.machine().view().pointer<volatile uint32_t>(window),
              *booted_.ram().as<uint32_t>(BootedMachine::image_physical));
    EXPECT_TRUE(start().ok());
}

TEST_F(CStartTest, BootInformationBeyondTheWindowIsTruncated) {
    refuses({Error::truncated, firmware_map_at},
            [&] { *booted_.ram().as<uint32_t>(information_at + 44) = 33 * page_size; });
    write_boot_information();
    EXPECT_TRUE(start().ok());
}

TEST_F(CStartTest, PanicsAreTheKernelsToShow) {
    ASSERT_TRUE(start().ok());
    void* const block = quire_malloc(100);
    quire_free(block);
    EXPECT_EXIT(quire_free(block), ::testing::ExitedWithCode(7), "free already");
}

}  // namespace
}  // namespace quire
