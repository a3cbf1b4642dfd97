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

}  // namespace
}  // namespace quire

#endif
