// SPDX-License-Identifier: MIT
// The small parts: traits, function references, late objects, address views, platforms.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "quire/base/frame_access.hpp"
#include "quire/base/function_ref.hpp"
#include "quire/base/late.hpp"
#include "quire/base/traits.hpp"
#include "quire/platform.hpp"

namespace quire::test {
namespace {

struct Trivial {
    int value;
};
struct Destroyed {
    ~Destroyed() {}
};
static_assert(same_as<remove_reference<int&>, int> && same_as<remove_reference<int&&>, int>);
static_assert(same_as<remove_const_reference<const int&>, int>);
static_assert(same_as<remove_const_reference<int>, int> && !same_as<int, long>);
static_assert(same_as<remove_reference<const int&>, const int>);
static_assert(is_trivially_copyable<Trivial> && !is_trivially_copyable<std::string>);
static_assert(is_trivially_destructible<Trivial> && !is_trivially_destructible<Destroyed>);
static_assert(convertible_to<int, long> && !convertible_to<int*, int>);
static_assert(convertible_to<Trivial*, void*> && !convertible_to<void*, Trivial*>);

TEST(Traits, MoveSwapAndExchange) {
    std::string a = "a";
    std::string b = "b";
    quire::swap(a, b);
    EXPECT_EQ(a, "b");
    EXPECT_EQ(b, "a");
    EXPECT_EQ(quire::exchange(a, std::string("c")), "b");
    EXPECT_EQ(a, "c");
    const std::string moved = quire::move(a);
    EXPECT_EQ(moved, "c");
    EXPECT_EQ(a, "");
}

TEST(Traits, MinAndMaxPreferTheFirstOfEquals) {
    const int a = 1;
    const int b = 1;
    const int c = 2;
    EXPECT_EQ(&quire::min(a, b), &a);
    EXPECT_EQ(&quire::max(a, b), &a);
    EXPECT_EQ(quire::min(c, a), 1);
    EXPECT_EQ(quire::max(a, c), 2);
    EXPECT_EQ(quire::max(c, a), 2);
}

TEST(Traits, ForwardKeepsWhatAnArgumentIs) {
    std::string text = "text";
    const std::string copied = quire::forward<std::string&>(text);
    EXPECT_EQ(text, "text");
    const std::string taken = quire::forward<std::string>(text);
    EXPECT_EQ(taken, "text");
    EXPECT_EQ(text, "");
}

TEST(Traits, ConstructInRawStorage) {
    alignas(std::string) unsigned char raw[sizeof(std::string)];
    std::string* made = quire::construct_at(reinterpret_cast<std::string*>(raw), 3u, 'x');
    EXPECT_EQ(*made, "xxx");
    made->~basic_string();
}

int twice(int number) {
    return 2 * number;
}
int thrice(int number) noexcept {
    return 3 * number;
}
int call(FunctionRef<int(int)> function, int number) {
    return function(number);
}

TEST(FunctionRefs, CallWhateverCanBeCalled) {
    EXPECT_EQ(call(twice, 4), 8);
    EXPECT_EQ(call(&twice, 4), 8);
    EXPECT_EQ(call(thrice, 4), 12);
    int calls = 0;
    auto counting = [&calls](int number) {
        ++calls;
        return number + 1;
    };
    EXPECT_EQ(call(counting, 4), 5);
    EXPECT_EQ(call([](int number) { return number - 1; }, 4), 3);
    const auto constant = [](int number) { return number * number; };
    EXPECT_EQ(call(constant, 4), 16);
    EXPECT_EQ(calls, 1);
}

TEST(FunctionRefs, ReferAndDoNotCopy) {
    struct Adder {
        int sum = 0;
        void operator()(int number) { sum += number; }
    } adder;
    const FunctionRef<void(int)> first(adder);
    const FunctionRef<void(int)> second = first;
    first(1);
    second(2);
    EXPECT_EQ(adder.sum, 3);
    static_assert(sizeof(FunctionRef<void(int)>) == 2 * sizeof(void*));
}

TEST(FunctionRefs, OfFunctionsOutliveTheCallTheyWereMadeFor) {
    FunctionRef<int(int)> kept(twice);
    {
        const FunctionRef<int(int)> other(twice);
        kept = other;
    }
    EXPECT_EQ(kept(21), 42);
}

TEST(FunctionRefs, PassReferencesAndMoveOnlyArguments) {
    int target = 0;
    FunctionRef<int&(int&)> same = [](int& number) -> int& { return number; };
    same(target) = 5;
    EXPECT_EQ(target, 5);
    const auto take = [](std::unique_ptr<int> number) { return *number; };
    EXPECT_EQ(FunctionRef<int(std::unique_ptr<int>)>(take)(std::make_unique<int>(7)), 7);
}

struct Counting {
    static int living;
    int value;
    explicit Counting(int number) : value(number) { ++living; }
    ~Counting() { --living; }
    int doubled() const { return 2 * value; }
};
int Counting::living = 0;

TEST(LateObjects, AreMadeWhenAsked) {
    Late<Counting> late;
    EXPECT_FALSE(late.made());
    EXPECT_EQ(Counting::living, 0);
    EXPECT_EQ(late.make(4).value, 4);
    EXPECT_TRUE(late.made());
    EXPECT_EQ(late->doubled(), 8);
    (*late).value = 5;
    const Late<Counting>& constant = late;
    EXPECT_EQ(constant->value, 5);
    EXPECT_EQ((*constant).value, 5);
    late.end();
    EXPECT_FALSE(late.made());
    EXPECT_EQ(Counting::living, 0);
    late.end();
    EXPECT_EQ(Counting::living, 0);
    late.make(6);
    EXPECT_EQ(late->value, 6);
    late.end();
}

TEST(LateObjectsDeathTest, AreMadeOnceAndBeforeTheyAreUsed) {
    Late<Counting> late;
    const Late<Counting>& constant = late;
    EXPECT_DEATH((void)*late, "");
    EXPECT_DEATH((void)*constant, "");
    EXPECT_DEATH((void)late->value, "");
    late.make(1);
    EXPECT_DEATH(late.make(2), "");
    late.end();
}

TEST(AddressViews, ShiftPointersByTheirBias) {
    int target = 0;
    const auto at = reinterpret_cast<uintptr_t>(&target);
    const AddressView identity;
    EXPECT_EQ(identity.pointer<int>(VirtualAddress(at)), &target);
    EXPECT_EQ(identity.address(&target), VirtualAddress(at));
    const AddressView view(at - 0x1000);
    EXPECT_EQ(view.bias(), at - 0x1000);
    EXPECT_EQ(view.pointer<int>(VirtualAddress(0x1000)), &target);
    EXPECT_EQ(view.pointer(VirtualAddress(0x1000)), static_cast<void*>(&target));
    EXPECT_EQ(view.address(&target), VirtualAddress(0x1000));
}

struct GoodAccess {
    struct Opened {
        void* data() const { return nullptr; }
    };
    Result<Opened> open(Frame) { return Opened{}; }
};
struct AccessByAddress {
    struct Opened {
        void* data() const { return nullptr; }
    };
    Result<Opened> open(PhysicalAddress) { return Opened{}; }
};
static_assert(FrameAccess<GoodAccess> && !FrameAccess<AccessByAddress> && !FrameAccess<int>);

class LeastPlatform : public Platform {};

TEST(PlatformsDeathTest, NeedNotOverrideAnything) {
    LeastPlatform platform;
    platform.log(Severity::info, "dropped");
    EXPECT_EQ(platform.cpu_count(), 1u);
    const Report report{
        .what = "test", .error = Error::corrupted, .address = 0, .likely_cause = nullptr};
    EXPECT_DEATH(platform.panic(report), "");
}

}  // namespace
}  // namespace quire::test
