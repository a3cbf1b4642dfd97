// SPDX-License-Identifier: MIT
// Random operations on a space, with frames that run out now and then, against the oracle.
#include <random>

#include "space_fixture.hpp"
#include "space_oracle.hpp"

namespace quire::test {
namespace {

class SpaceModel : public SpaceTest {
  protected:
    static constexpr PageRange bounds = PageRange(Page(0x100), PageCount(220));

    explicit SpaceModel(uint64_t run = 40)
        : machine({.bounds = bounds,
                   .first_nodes = 300,
                   .growth = NodeGrowth::none,
                   .frames = 170,
                   .run = run}),
          oracle(bounds) {}

    uintptr_t below(uintptr_t n) { return static_cast<uintptr_t>(random() % n); }
    bool chance(unsigned percent) { return random() % 100 < percent; }
    Page any_page() { return bounds.first() + PageCount(below(bounds.count().value())); }
    PageRange any_range() {
        const Page first = any_page();
        return PageRange(first, PageCount(1 + below(chance(70) ? 12 : 90)));
    }
    // Often the very pages of a region, so that not everything ends in pieces.
    PageRange likely_range() {
        const auto* state = oracle.at(any_page());
        if (chance(40) || state == nullptr) return any_range();
        const auto info = machine.space.query(address_of(any_page()));
        return info.ok() ? info->region.pages : any_range();
    }
    Placement any_placement() {
        Placement placement;
        if (chance(30)) placement.guard_before = PageCount(below(3));
        if (chance(30)) placement.guard_after = PageCount(below(3));
        if (chance(20)) placement.alignment = PageCount(uintptr_t{1} << below(5));
        if (chance(40)) {
            placement.fixed = true;
            placement.at = any_page().align_down(placement.alignment);
        }
        return placement;
    }
    Protection any_protection() {
        constexpr Protection choices[] = {read_write, read_only, read_execute,
                                          read_write | Protection::user,
                                          read_write | Protection::global};
        return choices[below(5)];
    }
    // What a creation must answer; nothing when it must succeed if there are frames.
    std::optional<Error> expected_of_making(PageCount pages, const Placement& placement) {
        if (!placement.fixed) {
            if (oracle.has_room(pages, placement)) return std::nullopt;
            return Error::out_of_address_space;
        }
        if (!bounds.contains(placement.at)) return Error::out_of_range;
        const bool inside =
            placement.at - bounds.first() >= placement.guard_before &&
            bounds.last() - placement.at >= pages + placement.guard_after - PageCount(1);
        if (!inside) return Error::out_of_range;
        const PageRange extent(placement.at - placement.guard_before,
                               placement.guard_before + pages + placement.guard_after);
        if (!oracle.is_free(extent)) return Error::already_mapped;
        return std::nullopt;
    }
    template <class T>
    void check_answer(const Result<T>& answer, const std::optional<Error>& expected,
                      uint64_t before) {
        if (answer.ok()) {
            ASSERT_FALSE(expected) << "should have failed: " << to_string(*expected);
            return;
        }
        if (expected) {
            ASSERT_EQ(answer.error(), *expected) << to_string(answer.error());
        } else {
            ASSERT_EQ(answer.error(), Error::out_of_frames) << to_string(answer.error());
        }
        ASSERT_EQ(machine.fingerprint(), before);
    }

    void step() {
        const uint64_t before = machine.fingerprint();
        machine.frames.fail_at(chance(30) ? 1 + below(30) : 0);
        switch (below(11)) {
            case 0:
            case 1: {
                const PageCount pages(1 + below(20));
                AllocateOptions options;
                options.placement = any_placement();
                options.protection = any_protection();
                const bool lazy = chance(40);
                options.populate = lazy ? Populate::on_demand : Populate::at_once;
                const auto expected = expected_of_making(pages, options.placement);
                const auto got = machine.space.allocate(pages, options);
                check_answer(got, expected, before);
                if (got.ok()) {
                    oracle.make(*got, options.placement,
                                {.is_mapped = !lazy,
                                 .backing = lazy ? Backing::on_demand : Backing::anonymous,
                                 .protection = options.protection});
                }
                break;
            }
            case 2: {
                const PageCount pages(1 + below(60));
                AllocateOptions options;
                options.placement = any_placement();
                options.protection = any_protection();
                const auto expected = expected_of_making(pages, options.placement);
                const auto got = machine.space.reserve(pages, options);
                check_answer(got, expected, before);
                if (got.ok()) {
                    oracle.make(*got, options.placement,
                                {.backing = Backing::reserved, .protection = options.protection});
                }
                break;
            }
            case 3: {
                const FrameRange frames(Frame(100000 + 8 * below(100) + below(2)),
                                        FrameCount(1 + below(40)));
                MapOptions options;
                options.placement = any_placement();
                options.attributes.protection = any_protection();
                const auto expected =
                    expected_of_making(as_pages(frames.count()), options.placement);
                const auto got = machine.space.map(frames, options);
                check_answer(got, expected, before);
                if (got.ok()) {
                    oracle.make(*got, options.placement,
                                {.is_mapped = true,
                                 .backing = Backing::frames,
                                 .protection = options.attributes.protection,
                                 .frame = frames.first().value()});
                }
                break;
            }
            case 4:
            case 5: {
                const PageRange range = likely_range();
                std::optional<Error> expected;
                if (!bounds.contains(range)) {
                    expected = Error::out_of_range;
                } else if (!oracle.covers(range)) {
                    expected = Error::no_region;
                }
                const Status status = machine.space.unmap(range);
                check_answer(status, expected, before);
                if (status.ok()) oracle.unmap(range);
                break;
            }
            case 6: {
                const PageRange range = likely_range();
                const Protection protection = any_protection();
                std::optional<Error> expected;
                if (!bounds.contains(range)) {
                    expected = Error::out_of_range;
                } else if (!oracle.covers(range)) {
                    expected = Error::no_region;
                }
                const Status status = machine.space.protect(range, protection);
                check_answer(status, expected, before);
                if (status.ok()) oracle.protect(range, protection);
                break;
            }
            case 7: {
                const PageRange range = likely_range();
                std::optional<Error> expected;
                if (!oracle.is_inside_one_reservation(range)) {
                    expected = Error::no_region;
                } else if (oracle.any_mapped(range)) {
                    expected = Error::already_mapped;
                }
                const Status status = machine.space.commit(range);
                check_answer(status, expected, before);
                if (status.ok()) oracle.set_mapped(range, true);
                break;
            }
            case 8: {
                const PageRange range = likely_range();
                std::optional<Error> expected;
                if (!oracle.is_inside_one_reservation(range)) expected = Error::no_region;
                const Status status = machine.space.decommit(range);
                check_answer(status, expected, before);
                if (status.ok()) oracle.set_mapped(range, false);
                break;
            }
            case 9:
                step_move(before);
                break;
            default:
                step_fault(before);
        }
        machine.frames.fail_at(0);
    }

    void step_move(uint64_t before) {
        const PageRange from = likely_range();
        const PageRange to =
            PageRange::from(any_page(), chance(90) ? from.count() : PageCount(1)).value_or(from);
        std::optional<Error> expected;
        if (from.count() != to.count() || from.overlaps(to)) {
            expected = Error::bad_argument;
        } else if (!oracle.is_inside_one_reservation(from) ||
                   !oracle.is_inside_one_reservation(to)) {
            expected = Error::no_region;
        } else if (oracle.any_mapped(to)) {
            expected = Error::already_mapped;
        }
        const auto entries = machine.table.contents();
        const Status status = machine.space.move(from, to);
        check_answer(status, expected, before);
        if (!status.ok()) return;
        for (PageCount i; i < from.count(); i += PageCount(1)) {
            const auto was = entries.find((from.first() + i).value());
            oracle.set_mapped(PageRange(to.first() + i, PageCount(1)), was != entries.end());
            if (was == entries.end()) continue;
            ASSERT_EQ(machine.table.at(to.first() + i)->frame, was->second.frame);
        }
        oracle.set_mapped(from, false);
    }

    void step_fault(uint64_t before) {
        const Page page = any_page();
        Fault fault{.address = address_of(page) + Bytes(below(page_size))};
        const Protection right = chance(50) ? Protection::read : Protection::write;
        fault.access = right == Protection::read ? AccessKind::read : AccessKind::write;
        const SpaceOracle::PageState* state = oracle.at(page);
        const FaultOutcome outcome = machine.space.fault(fault);
        if (state == nullptr || state->is_guard || !has(state->protection, right)) {
            ASSERT_FALSE(outcome.resolved);
            ASSERT_EQ(outcome.report.error, state == nullptr  ? Error::no_region
                                            : state->is_guard ? Error::guard_hit
                                                              : Error::access_denied);
        } else if (state->is_mapped) {
            ASSERT_TRUE(outcome.spurious);
        } else if (state->backing == Backing::reserved) {
            ASSERT_FALSE(outcome.resolved);
            ASSERT_EQ(outcome.report.error, Error::not_mapped);
        } else if (outcome.resolved) {
            ASSERT_FALSE(outcome.spurious);
            oracle.set_mapped(PageRange(page, PageCount(1)), true);
            return;
        } else {
            ASSERT_EQ(outcome.report.error, Error::out_of_frames);
        }
        ASSERT_EQ(machine.fingerprint(), before);
    }

    // Everything that can be seen of the space, page by page.
    void compare() {
        machine.check();
        ASSERT_EQ(machine.space.regions(), oracle.regions());
        for (const Page page : bounds) {
            const auto query = machine.space.query(address_of(page));
            const SpaceOracle::PageState* state = oracle.at(page);
            ASSERT_EQ(query.ok(), state != nullptr) << page.value();
            const auto entry = machine.table.at(page);
            ASSERT_EQ(entry.has_value(), oracle.is_mapped(page)) << page.value();
            if (state == nullptr) continue;
            const RegionInfo& region = query->region;
            ASSERT_EQ(region.pages.contains(page), !state->is_guard) << page.value();
            ASSERT_EQ(region.backing, state->backing);
            if (!state->is_guard) {
                ASSERT_EQ(region.attributes.protection, state->protection);
            }
            if (!entry) continue;
            ASSERT_EQ(entry->attributes.protection, state->protection);
            if (state->backing == Backing::frames) {
                ASSERT_EQ(entry->frame.value(), state->frame);
            }
        }
        ASSERT_EQ(machine.frames.used(), oracle.mapped_of_its_own() + machine.table.tables());
    }

    void run(unsigned seed, int steps) {
        random.seed(seed);
        for (int i = 0; i < steps; ++i) {
            step();
            if (i % 16 == 0 || HasFatalFailure()) compare();
            ASSERT_FALSE(HasFatalFailure()) << "seed " << seed << ", step " << i;
        }
        ASSERT_TRUE(clear());
    }
    // Ends every region; nothing may be left.
    bool clear() {
        while (!machine.regions().empty())
            if (!machine.space.unmap(machine.regions().front().pages).ok()) return false;
        return machine.frames.used() == 0 && machine.space.validate().ok();
    }

    std::mt19937_64 random;
    Machine machine;
    SpaceOracle oracle;
};

TEST_F(SpaceModel, RandomOperationsAgreeWithTheOracle) {
    for (unsigned seed = 1; seed <= 15; ++seed) {
        oracle = SpaceOracle(bounds);
        run(seed, 12000);
        ASSERT_FALSE(HasFatalFailure());
    }
}

}  // namespace
}  // namespace quire::test
