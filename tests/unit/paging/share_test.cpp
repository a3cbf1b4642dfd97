// SPDX-License-Identifier: MIT
// Root entries that several roots have in common, in every format: what the kernel's page table
// maps there, every other root shows, whenever it was mapped.
#include <gtest/gtest.h>

#include "quire/base/late.hpp"
#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/x86_32.hpp"
#include "quire/paging/x86_64.hpp"
#include "quire/paging/x86_pae.hpp"
#include "sim/failing_frames.hpp"
#include "sim/frame_pool.hpp"
#include "sim/x86_mmu32.hpp"
#include "sim/x86_mmu64.hpp"
#include "sim/x86_mmu_pae.hpp"

namespace quire::share_test {
namespace {

struct Plain {
    using Format = X86_32;
    static Format kernel() { return X86_32(X86Features{true, true, true}); }
    static Format user() { return kernel(); }
    static void set(sim::Control& control) { control.large_pages = true; }
    sim::X86Mmu32 mmu;
    static constexpr uintptr_t half = 0xc0000;
    static constexpr uintptr_t root_entry = 1024;  // in pages
    static constexpr uintptr_t shared_entries = 256;
    static constexpr bool splits = true;  // large pages of the root's level
    // Tables that a root takes which shares the entries.
    static constexpr uint64_t user_tables = 1;
};
struct Extended {
    using Format = X86Pae;
    static Format kernel() { return X86Pae({true, true, true, 36}); }
    static Format user() { return kernel(); }
    static void set(sim::Control&) {}
    sim::X86MmuPae mmu;
    static constexpr uintptr_t half = 0xc0000;
    static constexpr uintptr_t root_entry = 512 * 512;
    static constexpr uintptr_t shared_entries = 1;
    static constexpr bool splits = false;
    static constexpr uint64_t user_tables = 4;
};
template <bool five>
struct Long {
    using Format = X86_64;
    static X86_64Features features() { return {five, true, true, true, 52}; }
    static Format kernel() { return X86_64(features(), AddressHalf::high); }
    static Format user() { return X86_64(features(), AddressHalf::low); }
    static void set(sim::Control& control) { control.five_levels = five; }
    sim::X86Mmu64 mmu;
    static constexpr uintptr_t root_entry = uintptr_t{1} << (five ? 36 : 27);
    static constexpr uintptr_t shared_entries = 3;
    static constexpr uintptr_t half = (UINTPTR_MAX >> 12) + 1 - 3 * root_entry;
    static constexpr bool splits = false;
    static constexpr uint64_t user_tables = 1;
};

// A kernel's page table of which the upper part is shared, and roots that have it too.
template <class Mode>
class Share : public ::testing::Test {
  protected:
    using Format = typename Mode::Format;
    using Table = FormatPageTable<Format, DirectMap>;
    static constexpr uint64_t ram_bytes = uint64_t{24} << 20;
    static constexpr Attributes data{read_write};

    Share() {
        control.paging = control.write_protect = control.global_pages = control.no_execute = true;
        control.pat = x86_page_attribute_table;
        Mode::set(control);
        EXPECT_TRUE(kernel.create(FrameSource(frames)).ok());
    }
    ~Share() override {
        EXPECT_TRUE(kernel.validate().ok());
        EXPECT_EQ(frames.strangers(), 0u);
    }

    static Page high(uintptr_t page) { return Page(Mode::half + page); }
    static PageRange high(uintptr_t page, uintptr_t count) {
        return PageRange(high(page), PageCount(count));
    }
    static PageRange low(uintptr_t page, uintptr_t count) {
        return PageRange(Page(page), PageCount(count));
    }
    static PageRange all_shared() { return high(0, Mode::root_entry * Mode::shared_entries); }
    void share() {
        auto shared = kernel.share(all_shared());
        ASSERT_TRUE(shared.ok());
        shared->spend_unused();
    }
    void make_user() {
        user.make(access, Mode::user());
        ASSERT_TRUE(user->create_sharing(FrameSource(frames), kernel).ok());
    }
    void map(Table& table, const PageRange& pages, uint64_t frame) {
        auto mapped = table.map(pages, Frame(frame), data);
        ASSERT_TRUE(mapped.ok()) << to_string(mapped.error());
        mapped->spend_unused();
    }
    void unmap(Table& table, const PageRange& pages) {
        auto unmapped = table.unmap(pages);
        ASSERT_TRUE(unmapped.ok()) << to_string(unmapped.error());
        unmapped->spend_unused();
    }
    // The frame that a CPU on that root finds; 0: none.
    uint64_t seen(const Table& table, Page page) const {
        sim::Control used = control;
        used.cr3 = address_of(table.root()).value();
        const auto found =
            Mode()
                .mmu
                .walk(ram, used,
                      {address_of(page).value(), sim::AccessKind::read, sim::Privilege::supervisor},
                      sim::Effect::looks, nullptr)
                .translation;
        return found ? found->physical(address_of(page).value()) >> page_shift : 0;
    }

    sim::Ram ram{ram_bytes};
    sim::FramePool pool{ram,
                        FrameRange(Frame(0x400), FrameCount(0x1000)),
                        {sim::FreedFrames::filled_with_junk, true, 7}};
    sim::FailingFrames<sim::FramePool> frames{pool};
    DirectMap access{FrameRange(Frame(0), FrameCount(ram_bytes / page_size)), VirtualAddress(0),
                     ram.physical_view()};
    sim::Control control;
    Table kernel{access, Mode::kernel()};
    Late<Table> user;
};

using Modes = ::testing::Types<Plain, Extended, Long<false>, Long<true>>;
TYPED_TEST_SUITE(Share, Modes);

TYPED_TEST(Share, WhatTheKernelMapsLaterIsSeenByAll) {
    this->map(this->kernel, this->high(5, 1), 0x17);
    this->share();
    this->make_user();
    EXPECT_EQ(this->seen(*this->user, this->high(5)), 0x17u);
    for (uintptr_t entry = 0; entry < TypeParam::shared_entries; ++entry) {
        const uintptr_t page = entry * TypeParam::root_entry + 9;
        this->map(this->kernel, this->high(page, 3), 0x20 + entry);
        EXPECT_EQ(this->seen(*this->user, this->high(page + 1)), 0x21 + entry);
    }
    EXPECT_TRUE(this->user->validate().ok());
}

TYPED_TEST(Share, WhatIsUnmappedIsGoneForAllAndTablesStay) {
    this->share();
    const FrameCount empty = this->kernel.table_frames();
    this->make_user();
    this->map(this->kernel, this->high(0, 3), 0x40);
    this->unmap(this->kernel, this->high(0, 3));
    EXPECT_EQ(this->seen(*this->user, this->high(1)), 0u);
    EXPECT_EQ(this->kernel.table_frames(), empty);
    EXPECT_TRUE(this->kernel.validate().ok());
    // Whole root entries at once, whose tables go as a whole elsewhere.
    this->map(this->kernel, this->high(0, TypeParam::root_entry), 0x40000);
    EXPECT_EQ(this->seen(*this->user, this->high(77)), uint64_t{0x40000 + 77});
    this->unmap(this->kernel, this->high(0, TypeParam::root_entry));
    EXPECT_EQ(this->kernel.table_frames(), empty);
    EXPECT_EQ(this->seen(*this->user, this->high(77)), 0u);
    this->map(this->kernel, this->high(4, 1), 0x60);
    EXPECT_EQ(this->seen(*this->user, this->high(4)), 0x60u);
    this->unmap(this->kernel, this->high(4, 1));
    EXPECT_TRUE(this->user->validate().ok());
}

TYPED_TEST(Share, WhatIsTheUsersStaysTheUsers) {
    this->share();
    this->make_user();
    this->map(*this->user, this->low(3, 4), 0x80);
    EXPECT_EQ(this->seen(*this->user, Page(4)), 0x81u);
    EXPECT_EQ(this->seen(this->kernel, Page(4)), 0u);
    EXPECT_FALSE(this->user->reach().overlaps(this->all_shared()));
    auto above = this->user->map(this->high(0, 1), Frame(1), this->data);
    ASSERT_FALSE(above.ok());
    EXPECT_EQ(above.error(), Error::out_of_range);
    EXPECT_TRUE(this->user->validate().ok());
    this->unmap(*this->user, this->low(3, 4));
}

TYPED_TEST(Share, AUsersTableGoesAndTheKernelsHalfStays) {
    this->share();
    this->map(this->kernel, this->high(5, 1), 0x17);
    const uint64_t before = this->frames.outstanding();
    this->make_user();
    EXPECT_EQ(this->user->table_frames(), FrameCount(TypeParam::user_tables));
    this->map(*this->user, this->low(3, 4), 0x80);
    EXPECT_EQ(this->user->destroy().error(), Error::in_use);
    this->unmap(*this->user, this->low(3, 4));
    ASSERT_TRUE(this->user->destroy().ok());
    EXPECT_EQ(this->frames.outstanding(), before);
    EXPECT_EQ(this->seen(this->kernel, this->high(5)), 0x17u);
    EXPECT_TRUE(this->kernel.validate().ok());
    // The object can be used again, for a table of its own.
    ASSERT_TRUE(this->user->create(FrameSource(this->frames)).ok());
    EXPECT_EQ(this->user->reach(), TypeParam::user().pages());
    ASSERT_TRUE(this->user->destroy().ok());
}

TYPED_TEST(Share, TheKernelsCannotBeDestroyedAnyMore) {
    this->share();
    const auto destroyed = this->kernel.destroy();
    ASSERT_FALSE(destroyed.ok());
    EXPECT_EQ(destroyed.error(), Error::in_use);
    EXPECT_EQ(destroyed.failure().where, address_of(this->all_shared().first()).value());
}

TYPED_TEST(Share, LargePagesOfTheRootAreSplitAndOthersStay) {
    const uintptr_t size = sizeof(typename TypeParam::Format::Entry) == 4 ? 1024 : 512;
    this->map(this->kernel, this->high(0, size), 0x10000);
    const auto large = this->kernel.query(address_of(this->high(0)));
    ASSERT_EQ(large->pages.count(), PageCount(size));
    auto shared = this->kernel.share(this->all_shared());
    ASSERT_TRUE(shared.ok());
    EXPECT_EQ(shared->empty(), !TypeParam::splits);
    if (TypeParam::splits) {
        EXPECT_EQ(shared->request().pages, this->high(0, size));
    }
    shared->spend_unused();
    const auto now = this->kernel.query(address_of(this->high(0)));
    EXPECT_EQ(now->pages.count(), PageCount(TypeParam::splits ? 1 : size));
    this->make_user();
    EXPECT_EQ(this->seen(*this->user, this->high(7)), 0x10007u);
    auto merged = this->kernel.merge(address_of(this->high(0)));
    ASSERT_FALSE(merged.ok());
    if (TypeParam::splits) {
        EXPECT_EQ(merged.error(), Error::unsupported);
    }
    this->unmap(this->kernel, this->high(0, size));
    EXPECT_EQ(this->seen(*this->user, this->high(7)), 0u);
}

TYPED_TEST(Share, AllOrNothing) {
    this->map(this->kernel, this->high(5, 1), 0x17);
    const uint64_t before = this->frames.outstanding();
    const FrameCount tables = this->kernel.table_frames();
    for (uint64_t n = 1;; ++n) {
        this->frames.fail_from(n);
        auto shared = this->kernel.share(this->all_shared());
        if (shared.ok()) break;
        ASSERT_EQ(shared.error(), Error::out_of_frames);
        ASSERT_EQ(this->frames.outstanding(), before);
        ASSERT_EQ(this->kernel.table_frames(), tables);
    }
    const uint64_t shared = this->frames.outstanding();
    this->user.make(this->access, TypeParam::user());
    for (uint64_t n = 1;; ++n) {
        this->frames.fail_from(n);
        const Status created = this->user->create_sharing(FrameSource(this->frames), this->kernel);
        if (created.ok()) break;
        ASSERT_EQ(created.error(), Error::out_of_frames);
        ASSERT_EQ(this->frames.outstanding(), shared);
        ASSERT_TRUE(this->user->reach().empty());
    }
    EXPECT_EQ(this->seen(*this->user, this->high(5)), 0x17u);
}

TYPED_TEST(Share, WrongRequestsChangeNothing) {
    auto& kernels = this->kernel;
    EXPECT_EQ(kernels.share(this->high(0, 0)).error(), Error::zero_size);
    if (TypeParam::kernel().pages().first() != Page(0)) {
        EXPECT_EQ(kernels.share(this->low(0, 1)).error(), Error::out_of_range);
    }
    this->user.make(this->access, TypeParam::user());
    const auto create = [&](const auto& other) {
        return this->user->create_sharing(FrameSource(this->frames), other).error();
    };
    EXPECT_EQ(create(kernels), Error::bad_argument);  // it shares nothing
    this->share();
    EXPECT_EQ(kernels.share(this->all_shared()).error(), Error::in_use);
    DirectMap elsewhere = this->access;
    typename TestFixture::Table stranger(elsewhere, TypeParam::user());
    EXPECT_EQ(stranger.create_sharing(FrameSource(this->frames), kernels).error(),
              Error::bad_argument);
    ASSERT_TRUE(this->user->create_sharing(FrameSource(this->frames), kernels).ok());
    EXPECT_EQ(create(kernels), Error::in_use);
}

TYPED_TEST(Share, NotWhileAnUnmapWaits) {
    this->map(this->kernel, this->high(5, 1), 0x17);
    auto waiting = this->kernel.unmap(this->high(5, 1));
    ASSERT_TRUE(waiting.ok());
    EXPECT_EQ(this->kernel.share(this->all_shared()).error(), Error::busy);
    waiting->spend_unused();
    this->share();
}

TYPED_TEST(Share, APromiseOfManyPagesStaysOne) {
    // Where the root holds it, as one entry.
    ASSERT_TRUE(this->kernel.park(this->high(0, TypeParam::root_entry), 99).ok());
    this->share();
    this->make_user();
    const auto found = this->kernel.query(address_of(this->high(1)));
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->state, EntryState::absent);
    EXPECT_EQ(found->payload, 99u);
    EXPECT_EQ(this->seen(*this->user, this->high(1)), 0u);
    this->unmap(this->kernel, this->high(0, TypeParam::root_entry));
}

// A page table that shares from its first page leaves no page to others.
TEST(ShareTest, SomePagesMustBeLeft) {
    sim::Ram ram{1 << 24};
    sim::FramePool pool{ram, FrameRange(Frame(0x400), FrameCount(0x400)), {}};
    DirectMap access{FrameRange(Frame(0), FrameCount(0x1000)), VirtualAddress(0),
                     ram.physical_view()};
    FormatPageTable<X86Pae, DirectMap> kernel(access, Extended::kernel());
    FormatPageTable<X86Pae, DirectMap> user(access, Extended::user());
    ASSERT_TRUE(kernel.create(FrameSource(pool)).ok());
    auto shared = kernel.share(PageRange(Page(0), PageCount(1)));
    ASSERT_TRUE(shared.ok());
    EXPECT_EQ(user.create_sharing(FrameSource(pool), kernel).error(), Error::bad_argument);
}

// A root that leads to itself means something else in every root.
TEST(ShareTest, ARootThatShowsItselfIsNotShared) {
    sim::Ram ram{1 << 24};
    sim::FramePool pool{ram, FrameRange(Frame(0x400), FrameCount(0x400)), {}};
    DirectMap access{FrameRange(Frame(0), FrameCount(0x1000)), VirtualAddress(0),
                     ram.physical_view()};
    FormatPageTable<X86_32, DirectMap> kernel(access, Plain::kernel());
    ASSERT_TRUE(kernel.create(FrameSource(pool)).ok());
    ASSERT_TRUE(kernel.link_self(1023).ok());
    auto shared = kernel.share(PageRange(Page(0xfe000), PageCount(0x2000)));
    ASSERT_FALSE(shared.ok());
    EXPECT_EQ(shared.error(), Error::out_of_range);
    EXPECT_EQ(shared.failure().where, 0xffc00000u);
}

}  // namespace
}  // namespace quire::share_test
