// SPDX-License-Identifier: MIT
// What X86Cpu writes into which control register, and in which order.
#include "quire/paging/x86/cpu.hpp"

#if defined(__i386__) || defined(__x86_64__)

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace quire {
namespace {

using Write = std::pair<std::string, uintptr_t>;

struct Written {
    uintptr_t cr3 = 0;
    uintptr_t cr4 = 0;
    std::vector<Write> log;
};

class FakeRegisters {
  public:
    explicit FakeRegisters(Written& written) : written_(&written) {}
    uintptr_t cr3() const { return written_->cr3; }
    uintptr_t cr4() const { return written_->cr4; }
    void set_cr3(uintptr_t value) const {
        written_->cr3 = value;
        written_->log.emplace_back("cr3", value);
    }
    void set_cr4(uintptr_t value) const {
        written_->cr4 = value;
        written_->log.emplace_back("cr4", value);
    }

  private:
    Written* written_;
};

constexpr uintptr_t large_and_global = x86::cr4_large_pages | x86::cr4_global_pages;

TEST(X86CpuTest, FlushesAllByReloadingTheRootWithoutGlobalPages) {
    Written written{0x5000, x86::cr4_large_pages, {}};
    BasicX86Cpu<FakeRegisters>(FakeRegisters(written)).flush_all();
    EXPECT_EQ(written.log, (std::vector<Write>{{"cr3", 0x5000}}));
}

TEST(X86CpuTest, FlushesGlobalPagesByTurningThemOffAndOn) {
    Written written{0x5000, large_and_global, {}};
    BasicX86Cpu<FakeRegisters>(FakeRegisters(written)).flush_all();
    EXPECT_EQ(written.log,
              (std::vector<Write>{{"cr4", x86::cr4_large_pages}, {"cr4", large_and_global}}));
}

// Loading CR3 alone would spare the global translations of the last table.
TEST(X86CpuTest, ANewRootFlushesGlobalPagesToo) {
    Written written{0x5000, large_and_global, {}};
    BasicX86Cpu<FakeRegisters>(FakeRegisters(written)).load_root(Frame(0x123));
    EXPECT_EQ(written.log,
              (std::vector<Write>{
                  {"cr3", 0x123000}, {"cr4", x86::cr4_large_pages}, {"cr4", large_and_global}}));
}

// There is no CR4.PGE without effect: with PCIDs, a load of CR3 would drop one PCID's translations.
TEST(X86CpuTest, FlushesThoseOfAllPcids) {
    Written written{0x5003, x86::cr4_pcids, {}};
    BasicX86Cpu<FakeRegisters>(FakeRegisters(written)).flush_all();
    EXPECT_EQ(written.log, (std::vector<Write>{{"cr4", x86::cr4_pcids | x86::cr4_global_pages},
                                               {"cr4", x86::cr4_pcids}}));
}

// SDM vol. 3A 4.10.1 and 4.10.4.1: the PCID in bits 11:0, bit 63 keeps what is tagged with it.
TEST(X86CpuTest, LoadsARootUnderAPcid) {
    Written written{0x5000, large_and_global, {}};
    const BasicX86Cpu<FakeRegisters> cpu{FakeRegisters(written)};
    EXPECT_FALSE(cpu.uses_pcids());
    cpu.load_root(Frame(0x123), 0, Cached::drop);
    written.cr4 |= uintptr_t{1} << 17;
    EXPECT_TRUE(cpu.uses_pcids());
    cpu.load_root(Frame(0x123), 5, Cached::drop);
    cpu.load_root(Frame(0x124), 6, Cached::keep);
    const uintptr_t keep = sizeof(uintptr_t) == 8 ? ~(~uintptr_t{0} >> 1) : 0;
    EXPECT_EQ(written.log,
              (std::vector<Write>{{"cr3", 0x123000}, {"cr3", 0x123005}, {"cr3", 0x124006 | keep}}));
}

TEST(X86CpuTest, ReadsWhatPaeOffersOutOfCpuid) {
    const auto found = [](uint32_t basic, uint32_t extended, uint32_t sizes) {
        return x86::features_pae({0, 0, 0, basic}, {0, 0, 0, extended}, {sizes, 0, 0, 0});
    };
    const X86PaeFeatures none = found(~(1u << 13 | 1u << 16), ~(1u << 20), 0);
    EXPECT_FALSE(none.no_execute || none.global_pages || none.page_attributes);
    EXPECT_EQ(none.physical_bits, 36u);
    EXPECT_EQ(found(~(1u << 17), 0, 0).physical_bits, 32u);
    EXPECT_TRUE(found(1u << 13, 0, 0).global_pages);
    EXPECT_TRUE(found(1u << 16, 0, 0).page_attributes);
    EXPECT_TRUE(found(0, 1u << 20, 0).no_execute);
    EXPECT_EQ(found(0, 0, 0x3028).physical_bits, 40u);
}

#if defined(__x86_64__)
// The bits of SDM vol. 2A, CPUID, as numbers.
TEST(X86CpuTest, ReadsFeaturesOf64BitPaging) {
    constexpr x86::Cpuid nothing;
    const X86_64Features none = x86::features_64(nothing, nothing, nothing, 0);
    EXPECT_FALSE(none.five_levels || none.no_execute || none.gigabyte_pages || none.global_pages);
    EXPECT_EQ(none.physical_bits, 36u);
    const auto edx = [](uint32_t bits) { return x86::Cpuid{0, 0, 0, bits}; };
    const uint32_t all = 0xffffffff;
    EXPECT_TRUE(x86::features_64(edx(0x2000), nothing, nothing, 0).global_pages);
    EXPECT_FALSE(x86::features_64(edx(all - 0x2000), nothing, nothing, 0).global_pages);
    EXPECT_TRUE(x86::features_64(nothing, edx(0x100000), nothing, 0).no_execute);
    EXPECT_FALSE(x86::features_64(nothing, edx(all - 0x100000), nothing, 0).no_execute);
    EXPECT_TRUE(x86::features_64(nothing, edx(0x4000000), nothing, 0).gigabyte_pages);
    EXPECT_FALSE(x86::features_64(nothing, edx(all - 0x4000000), nothing, 0).gigabyte_pages);
    EXPECT_TRUE(x86::features_64(nothing, nothing, nothing, 0x1000).five_levels);
    EXPECT_FALSE(x86::features_64(nothing, nothing, nothing, all - 0x1000).five_levels);
    EXPECT_EQ(x86::features_64(nothing, nothing, {0x3930, 0, 0, 0}, 0).physical_bits, 48u);
}

// The processor that runs this is in 64-bit mode, and so has these.
TEST(X86CpuTest, AsksTheProcessor) {
    EXPECT_GE(x86::cpuid(0x80000000).eax, 0x80000001u);
    EXPECT_NE(x86::cpuid(1).edx & (1u << 16), 0u);  // the PAT
}
#endif

}  // namespace
}  // namespace quire

#endif
