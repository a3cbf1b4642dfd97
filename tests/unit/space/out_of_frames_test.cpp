// SPDX-License-Identifier: MIT
// Each operation with each of its frames refused in turn: the state before and after is the same.
#include <functional>

#include "space_fixture.hpp"

namespace quire::test {
namespace {

class OutOfFrames : public SpaceTest {
  protected:
    using Step = std::function<Status(Machine&)>;
    template <class T>
    static Status status_of(const Result<T>& result) {
        return result.ok() ? Status() : Status(result.failure());
    }
    // Runs `step` on machines made by `prepare` with the first, second, ... frame refused, until it
    // succeeds. Returns how often it failed.
    static unsigned fail_each(const SpaceShape& shape, const Step& prepare, const Step& step,
                              bool compare_tables = true) {
        for (uint64_t n = 1;; ++n) {
            Machine machine(shape);
            EXPECT_TRUE(prepare(machine).ok());
            const std::string before = machine.state(compare_tables);
            machine.frames.fail_at(n);
            const Status done = step(machine);
            machine.frames.fail_at(0);
            machine.check();
            if (::testing::Test::HasFailure()) return 0;
            if (done.ok()) return static_cast<unsigned>(n - 1);
            EXPECT_EQ(done.error(), Error::out_of_frames);
            EXPECT_EQ(machine.state(compare_tables), before) << "request " << n;
            EXPECT_TRUE(step(machine).ok());
            machine.check();
        }
    }
    static Status nothing(Machine&) { return {}; }
    static constexpr SpaceShape scattered{};
    static constexpr SpaceShape in_a_row{.run = 100000};
};

TEST_F(OutOfFrames, AllocateUndoesItself) {
    const Step step = [](Machine& machine) {
        return status_of(machine.space.allocate(PageCount(40), at(0x10c, 1, 1)));
    };
    // 40 frames and their tables.
    EXPECT_GE(fail_each(scattered, nothing, step), 45u);
    EXPECT_GE(fail_each(in_a_row, nothing, step), 41u);
}

TEST_F(OutOfFrames, CommitUndoesItself) {
    const Step reserve = [](Machine& machine) {
        if (const auto got = machine.space.reserve(PageCount(60), at(0x10c)); !got.ok())
            return status_of(got);
        return machine.space.commit(pages(0x12c, 3));
    };
    const Step step = [](Machine& machine) { return machine.space.commit(pages(0x10d, 31)); };
    EXPECT_GE(fail_each(scattered, reserve, step), 35u);
}

TEST_F(OutOfFrames, MoveUndoesItself) {
    const Step prepare = [](Machine& machine) {
        for (const uintptr_t page : {0x10cu, 0x20cu})
            if (const auto got = machine.space.reserve(PageCount(80), at(page)); !got.ok())
                return status_of(got);
        return machine.space.commit(pages(0x10c, 70));
    };
    const Step step = [](Machine& machine) {
        return machine.space.move(pages(0x10c, 75), pages(0x210, 75));
    };
    EXPECT_GE(fail_each(scattered, prepare, step), 4u);
    EXPECT_GE(fail_each(in_a_row, prepare, step), 1u);
}

TEST_F(OutOfFrames, MapUndoesItself) {
    const Step step = [](Machine& machine) {
        MapOptions options;
        options.placement = fixed_at(0x101, 1);
        return status_of(machine.space.map(FrameRange(Frame(81), FrameCount(30)), options));
    };
    EXPECT_GE(fail_each(scattered, nothing, step), 2u);
}

TEST_F(OutOfFrames, UnmapOfPartOfALargePageUndoesItself) {
    const Step prepare = [](Machine& machine) {
        return status_of(machine.space.allocate(PageCount(32), at(0x100)));
    };
    const Step step = [](Machine& machine) { return machine.space.unmap(pages(0x103, 18)); };
    EXPECT_EQ(fail_each(in_a_row, prepare, step), 2u);
}

// The range cuts a large page at both ends, in different regions: whichever split fails, both are
// as they were. Only a split of the far one may remain, which maps what it mapped.
TEST_F(OutOfFrames, UnmapAcrossRegionsUndoesItself) {
    const Step prepare = [](Machine& machine) {
        for (const uintptr_t page : {0x100u, 0x120u, 0x140u}) {
            const auto got = machine.space.allocate(PageCount(page == 0x120 ? 31 : 32),
                                                    at(page, 0, page == 0x120 ? 1 : 0));
            if (!got.ok()) return status_of(got);
        }
        return Status();
    };
    const Step step = [](Machine& machine) { return machine.space.unmap(pages(0x103, 0x4a)); };
    EXPECT_EQ(fail_each(in_a_row, prepare, step, false), 2u);
    const Step read_only_end = [&](Machine& machine) {
        if (const Status made = prepare(machine); !made.ok()) return made;
        return machine.space.protect(pages(0x140, 32), read_only);
    };
    EXPECT_EQ(fail_each(in_a_row, read_only_end, step, false), 2u);
}

TEST_F(OutOfFrames, ProtectAcrossRegionsUndoesItself) {
    const Step prepare = [](Machine& machine) {
        const auto low = machine.space.allocate(PageCount(32), at(0x100));
        if (!low.ok()) return status_of(low);
        AllocateOptions options = at(0x120, 0, 8);
        options.protection = read_execute;
        const auto middle = machine.space.allocate(PageCount(24), options);
        if (!middle.ok()) return status_of(middle);
        return status_of(machine.space.allocate(PageCount(32), at(0x140)));
    };
    const Step step = [](Machine& machine) {
        return machine.space.protect(pages(0x103, 0x4a), read_only);
    };
    EXPECT_EQ(fail_each(in_a_row, prepare, step, false), 2u);
}

TEST_F(OutOfFrames, DemandFaultsUndoThemselves) {
    const Step prepare = [](Machine& machine) {
        return status_of(machine.space.allocate(PageCount(32), on_demand(0x103)));
    };
    const Step step = [](Machine& machine) -> Status {
        const FaultOutcome outcome =
            machine.space.fault({.address = VirtualAddress(address(0x105))});
        if (outcome.resolved) return {};
        return outcome.report.error;
    };
    EXPECT_EQ(fail_each(scattered, prepare, step), 2u);
}

// A whole scenario, including the growth of the space's own records.
TEST_F(OutOfFrames, AScenarioSurvivesEachRefusal) {
    for (uint64_t n = 1; n < 400; ++n) {
        Machine machine;
        machine.frames.fail_at(n);
        for (uintptr_t i = 0; i < 60; ++i) {
            const std::string before = machine.state(false);
            const size_t regions = machine.space.regions();
            const auto got = machine.space.allocate(PageCount(1 + i % 3), at(0x200 + 4 * i));
            if (!got.ok()) {
                // Unless it made room for records before it failed.
                if (machine.space.regions() == regions) {
                    ASSERT_EQ(machine.state(false), before);
                }
                continue;
            }
            if (i % 4 == 0) {
                ASSERT_TRUE(machine.space.unmap(got->prefix(PageCount(1))).ok());
            }
        }
        machine.check();
        ASSERT_FALSE(HasFatalFailure()) << n;
        if (machine.frames.requests() < n) break;
    }
}

TEST_F(OutOfFrames, AFrameThatCannotBeClearedIsGivenBack) {
    Machine machine;
    machine.frames.zero_fails_at(7);
    const std::string before = machine.state();
    expect_error(machine.space.allocate(PageCount(20)), Error::unreachable);
    EXPECT_EQ(machine.state(), before);
    EXPECT_TRUE(machine.space.allocate(PageCount(20)).ok());
    machine.check();
}

}  // namespace
}  // namespace quire::test
