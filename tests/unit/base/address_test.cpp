// SPDX-License-Identifier: MIT
#include "quire/base/address.hpp"

#include <gtest/gtest.h>

namespace quire::test {
namespace {

using namespace quire::literals;

// What compiles, asked of the compiler.
template <class A, class B>
concept addable = requires(A a, B b) { a + b; };
template <class A, class B>
concept subtractable = requires(A a, B b) { a - b; };
template <class A, class B>
concept comparable = requires(A a, B b) { a == b; };
template <class A, class B>
concept ordered = requires(A a, B b) { a < b; };
template <class A, class B>
concept assignable = requires(A& a, B b) { a = b; };
template <class A, class B>
concept explicitly_made_from = requires(B b) { A(b); };
template <class A, class B>
concept quietly_made_from = requires(void (&take)(A), B b) { take(b); };

template <class... Ts>
struct List {};

// Nothing mixes but what the list of pairs allows.
template <class A>
constexpr bool place_rules() {
    using Amount = typename A::Amount;
    return addable<A, Amount> && !addable<A, A> && !addable<Amount, A> && subtractable<A, Amount> &&
           subtractable<A, A> && !subtractable<Amount, A> && comparable<A, A> && ordered<A, A> &&
           !comparable<A, Amount> && !ordered<A, Amount> && !addable<A, int> &&
           !subtractable<A, int> && !comparable<A, int> && !assignable<A, int> &&
           !assignable<A, Amount> && explicitly_made_from<A, unsigned> &&
           !quietly_made_from<A, unsigned> && !quietly_made_from<unsigned, A> &&
           !quietly_made_from<void*, A>;
}
static_assert(place_rules<PhysicalAddress>());
static_assert(place_rules<VirtualAddress>());
static_assert(place_rules<Frame>());
static_assert(place_rules<Page>());

template <class A>
constexpr bool amount_rules() {
    return addable<A, A> && subtractable<A, A> && comparable<A, A> && ordered<A, A> &&
           !addable<A, int> && !subtractable<A, int> && !comparable<A, int> &&
           !assignable<A, int> && explicitly_made_from<A, unsigned> &&
           !quietly_made_from<A, unsigned> && !quietly_made_from<unsigned, A>;
}
static_assert(amount_rules<Bytes>());
static_assert(amount_rules<FrameCount>());
static_assert(amount_rules<PageCount>());

// Two different types never meet, in either order, whatever they are.
template <class A, class B>
constexpr bool strangers() {
    return !addable<A, B> && !addable<B, A> && !subtractable<A, B> && !subtractable<B, A> &&
           !comparable<A, B> && !comparable<B, A> && !ordered<A, B> && !ordered<B, A> &&
           !assignable<A, B> && !assignable<B, A> && !explicitly_made_from<A, B> &&
           !explicitly_made_from<B, A>;
}
static_assert(strangers<PhysicalAddress, VirtualAddress>());
static_assert(strangers<PhysicalAddress, Frame>());
static_assert(strangers<PhysicalAddress, Page>());
static_assert(strangers<VirtualAddress, Frame>());
static_assert(strangers<VirtualAddress, Page>());
static_assert(strangers<Frame, Page>());
static_assert(strangers<Bytes, FrameCount>());
static_assert(strangers<Bytes, PageCount>());
static_assert(strangers<FrameCount, PageCount>());
static_assert(strangers<PhysicalAddress, FrameCount>());
static_assert(strangers<PhysicalAddress, PageCount>());
static_assert(strangers<VirtualAddress, FrameCount>());
static_assert(strangers<VirtualAddress, PageCount>());
static_assert(strangers<Frame, Bytes>());
static_assert(strangers<Frame, PageCount>());
static_assert(strangers<Page, Bytes>());
static_assert(strangers<Page, FrameCount>());
// And the test can tell: these two are no strangers.
static_assert(!strangers<PhysicalAddress, Bytes>());
static_assert(!strangers<Frame, FrameCount>());

TEST(Amounts, AddSubtractAndMultiply) {
    EXPECT_EQ(Bytes(3) + Bytes(4), Bytes(7));
    EXPECT_EQ(Bytes(7) - Bytes(7), Bytes(0));
    EXPECT_EQ(Bytes(3) * 5, Bytes(15));
    Bytes bytes(10);
    bytes += Bytes(5);
    EXPECT_EQ(bytes, Bytes(15));
    bytes -= Bytes(14);
    EXPECT_EQ(bytes, Bytes(1));
    EXPECT_EQ(Bytes().value(), 0u);
}

TEST(Amounts, Compare) {
    EXPECT_TRUE(Bytes(1) < Bytes(2));
    EXPECT_FALSE(Bytes(2) < Bytes(2));
    EXPECT_TRUE(Bytes(2) <= Bytes(2));
    EXPECT_FALSE(Bytes(3) <= Bytes(2));
    EXPECT_TRUE(Bytes(3) > Bytes(2));
    EXPECT_FALSE(Bytes(2) > Bytes(2));
    EXPECT_TRUE(Bytes(2) >= Bytes(2));
    EXPECT_FALSE(Bytes(1) >= Bytes(2));
    EXPECT_TRUE(Bytes(1) != Bytes(2));
}

TEST(AmountsDeathTest, NeverWrap) {
    EXPECT_EQ(Bytes(UINT64_MAX) + Bytes(0), Bytes(UINT64_MAX));
    EXPECT_DEATH((void)(Bytes(UINT64_MAX) + Bytes(1)), "");
    EXPECT_DEATH((void)(Bytes(1) - Bytes(2)), "");
    EXPECT_EQ(Bytes(UINT64_MAX / 2) * 2, Bytes(UINT64_MAX - 1));
    EXPECT_DEATH((void)(Bytes(UINT64_MAX / 2 + 1) * 2), "");
    EXPECT_DEATH((void)(PageCount(UINTPTR_MAX) + PageCount(1)), "");
}

template <class P>
class Places : public testing::Test {};
using AllPlaces = testing::Types<PhysicalAddress, VirtualAddress, Frame, Page>;
TYPED_TEST_SUITE(Places, AllPlaces);

TYPED_TEST(Places, MoveByAmounts) {
    using Amount = typename TypeParam::Amount;
    TypeParam place(100);
    EXPECT_EQ(place + Amount(5), TypeParam(105));
    EXPECT_EQ(place - Amount(100), TypeParam(0));
    EXPECT_EQ(TypeParam(105) - place, Amount(5));
    EXPECT_EQ(place - place, Amount(0));
    place += Amount(1);
    EXPECT_EQ(place, TypeParam(101));
    place -= Amount(2);
    EXPECT_EQ(place.value(), 99u);
    EXPECT_TRUE(TypeParam(1) < TypeParam(2) && TypeParam(2) > TypeParam(1));
    EXPECT_TRUE(TypeParam(2) <= TypeParam(2) && TypeParam(2) >= TypeParam(2));
    EXPECT_FALSE(TypeParam(2) <= TypeParam(1) || TypeParam(1) >= TypeParam(2));
}

TYPED_TEST(Places, ReachTheTopAndStopThere) {
    using Amount = typename TypeParam::Amount;
    const TypeParam top(TypeParam::highest);
    EXPECT_EQ(top + Amount(0), top);
    EXPECT_EQ((top - Amount(1)) + Amount(1), top);
    EXPECT_EQ(top - TypeParam(0), Amount(TypeParam::highest));
    EXPECT_EQ(TypeParam(0) + Amount(TypeParam::highest), top);
    EXPECT_EQ(*top.checked_add(Amount(0)), top);
    EXPECT_EQ(*(top - Amount(7)).checked_add(Amount(7)), top);
    EXPECT_EQ((top - Amount(7)).checked_add(Amount(8)).failure(),
              (Failure{Error::overflow, TypeParam::highest - 7}));
    EXPECT_EQ(TypeParam(1).checked_add(Amount(TypeParam::highest)).error(), Error::overflow);
    EXPECT_EQ(top.checked_add(Amount(static_cast<typename Amount::Rep>(-1))).error(),
              Error::overflow);
}

template <class P>
class PlacesDeathTest : public testing::Test {};
TYPED_TEST_SUITE(PlacesDeathTest, AllPlaces);

TYPED_TEST(PlacesDeathTest, NeverWrap) {
    using Amount = typename TypeParam::Amount;
    const TypeParam top(TypeParam::highest);
    EXPECT_DEATH((void)(top + Amount(1)), "");
    EXPECT_DEATH((void)(TypeParam(1) + Amount(TypeParam::highest)), "");
    EXPECT_DEATH((void)(TypeParam(0) - Amount(1)), "");
    EXPECT_DEATH((void)(TypeParam(1) - TypeParam(2)), "");
}

TEST(FramesDeathTest, EndWithThePhysicalAddressSpace) {
    EXPECT_EQ(address_of(Frame(Frame::highest)).value(), UINT64_MAX - (page_size - 1));
    EXPECT_DEATH((void)Frame(Frame::highest + 1), "");
    EXPECT_DEATH((void)Page(Page::highest + 1), "");
}

TYPED_TEST(Places, Align) {
    using Amount = typename TypeParam::Amount;
    const Amount unit(64);
    EXPECT_TRUE(TypeParam(0).is_aligned(unit));
    EXPECT_TRUE(TypeParam(128).is_aligned(unit));
    EXPECT_FALSE(TypeParam(127).is_aligned(unit));
    EXPECT_FALSE(TypeParam(96).is_aligned(unit));
    EXPECT_TRUE(TypeParam(127).is_aligned(Amount(1)));
    EXPECT_EQ(TypeParam(127).align_down(unit), TypeParam(64));
    EXPECT_EQ(TypeParam(128).align_down(unit), TypeParam(128));
    EXPECT_EQ(*TypeParam(65).align_up(unit), TypeParam(128));
    EXPECT_EQ(*TypeParam(128).align_up(unit), TypeParam(128));
    EXPECT_EQ(*TypeParam(0).align_up(unit), TypeParam(0));
}

TYPED_TEST(Places, AlignAtTheTop) {
    using Amount = typename TypeParam::Amount;
    using Rep = typename TypeParam::Rep;
    const Amount unit(64);
    const TypeParam last_aligned(static_cast<Rep>(TypeParam::highest - 63));
    EXPECT_EQ(TypeParam(TypeParam::highest).align_down(unit), last_aligned);
    EXPECT_EQ(*last_aligned.align_up(unit), last_aligned);
    EXPECT_EQ((last_aligned + Amount(1)).align_up(unit).failure(),
              (Failure{Error::overflow, TypeParam::highest - 62}));
    EXPECT_EQ(TypeParam(TypeParam::highest).align_up(unit).error(), Error::overflow);
}

TEST(Addresses, SplitIntoFrameAndOffset) {
    const PhysicalAddress physical(3 * page_size + 5);
    EXPECT_EQ(frame_of(physical), Frame(3));
    EXPECT_EQ(offset_in_page(physical), 5u);
    EXPECT_EQ(address_of(Frame(3)), PhysicalAddress(3 * page_size));
    const VirtualAddress virtual_address(7 * page_size + page_size - 1);
    EXPECT_EQ(page_of(virtual_address), Page(7));
    EXPECT_EQ(offset_in_page(virtual_address), page_size - 1);
    EXPECT_EQ(address_of(Page(7)), VirtualAddress(7 * page_size));
    EXPECT_EQ(frame_of(PhysicalAddress(UINT64_MAX)), Frame(Frame::highest));
    EXPECT_EQ(page_of(VirtualAddress(UINTPTR_MAX)), Page(Page::highest));
}

TEST(AddressesDeathTest, AmountsConvertWithoutLoss) {
    EXPECT_EQ(bytes_of(FrameCount(3)), Bytes(3 * page_size));
    EXPECT_EQ(bytes_of(PageCount(3)), Bytes(3 * page_size));
    EXPECT_DEATH((void)bytes_of(FrameCount(Frame::highest + 1)), "");  // 2^64
    EXPECT_EQ(frames_for(Bytes(0)), FrameCount(0));
    EXPECT_EQ(frames_for(Bytes(1)), FrameCount(1));
    EXPECT_EQ(frames_for(Bytes(page_size)), FrameCount(1));
    EXPECT_EQ(frames_for(Bytes(page_size + 1)), FrameCount(2));
    EXPECT_EQ(frames_for(Bytes(UINT64_MAX)), FrameCount(Frame::highest + 1));
    EXPECT_EQ(*pages_for(Bytes(page_size + 1)), PageCount(2));
    EXPECT_EQ(as_frames(PageCount(9)), FrameCount(9));
    EXPECT_EQ(as_pages(FrameCount(9)), PageCount(9));
}

TEST(Addresses, LiteralsAreBytes) {
    EXPECT_EQ(5_B, Bytes(5));
    EXPECT_EQ(1_KiB, Bytes(1024));
    EXPECT_EQ(3_MiB, Bytes(3 << 20));
    EXPECT_EQ(4_GiB, Bytes(uint64_t{1} << 32));
    EXPECT_EQ(1_TiB, Bytes(uint64_t{1} << 40));
}

TEST(Addresses, AreConstantsToo) {
    static_assert(PhysicalAddress(0x1000) + 4_KiB == PhysicalAddress(0x2000));
    static_assert(*PhysicalAddress(1).align_up(4_KiB) == PhysicalAddress(0x1000));
    static_assert(sizeof(PhysicalAddress) == 8 && sizeof(VirtualAddress) == sizeof(void*));
}

}  // namespace
}  // namespace quire::test
