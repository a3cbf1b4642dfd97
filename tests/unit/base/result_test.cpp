// SPDX-License-Identifier: MIT
#include "quire/base/result.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <type_traits>

namespace quire::test {
namespace {

// Counts how many live, and can be moved only.
class Counted {
  public:
    explicit Counted(int value) : value_(value) { ++living; }
    Counted(Counted&& other) : value_(other.value_) {
        other.value_ = -1;
        ++living;
    }
    ~Counted() { --living; }
    int value() const { return value_; }
    static int living;

  private:
    int value_;
};
int Counted::living = 0;

TEST(Results, HoldAValue) {
    Result<int> result = 5;
    ASSERT_TRUE(result.ok());
    EXPECT_TRUE(static_cast<bool>(result));
    EXPECT_EQ(result.value(), 5);
    EXPECT_EQ(*result, 5);
    result.value() = 6;
    EXPECT_EQ(*result, 6);
    EXPECT_EQ(result.value_or(9), 6);
    const int named = 7;
    const Result<int> copied = named;
    ASSERT_TRUE(copied.ok());
    EXPECT_EQ(*copied, 7);
    const Result<std::pair<int, int>> pair = std::pair{1, 2};
    EXPECT_EQ(pair->second, 2);
    EXPECT_EQ((*pair).first, 1);
}

TEST(Results, HoldAFailure) {
    const Result<int> result = Failure{Error::misaligned, 0x1234};
    EXPECT_FALSE(result.ok());
    EXPECT_FALSE(static_cast<bool>(result));
    EXPECT_EQ(result.failure(), (Failure{Error::misaligned, 0x1234}));
    EXPECT_EQ(result.error(), Error::misaligned);
    EXPECT_EQ(result.value_or(9), 9);
    const Result<int> bare = Error::busy;
    EXPECT_EQ(bare.failure(), (Failure{Error::busy, 0}));
}

TEST(Results, OfTrivialTypesAreCopied) {
    const Result<int> value = 5;
    Result<int> copy = value;
    EXPECT_EQ(*copy, 5);
    copy = Result<int>(Error::busy);
    EXPECT_EQ(copy.error(), Error::busy);
    EXPECT_EQ(*value, 5);
    static_assert(std::is_trivially_destructible_v<Result<int>>);
    static_assert(std::is_trivially_copyable_v<Result<int>>);
}

TEST(Results, MoveAndDestroyWhatTheyHold) {
    {
        Result<Counted> result = Counted(7);
        EXPECT_EQ(Counted::living, 1);
        Result<Counted> moved = move(result);
        EXPECT_EQ(Counted::living, 2);
        EXPECT_EQ(moved->value(), 7);
        EXPECT_EQ(result->value(), -1);
        const Counted out = move(moved).value();
        EXPECT_EQ(out.value(), 7);
        EXPECT_EQ(Counted::living, 3);
        const Counted starred = *Result<Counted>(Counted(8));
        EXPECT_EQ(starred.value(), 8);
        Result<Counted> failed = Failure{Error::busy, 3};
        const Result<Counted> moved_failure = move(failed);
        EXPECT_EQ(moved_failure.failure(), (Failure{Error::busy, 3}));
        EXPECT_EQ(Counted::living, 4);
    }
    EXPECT_EQ(Counted::living, 0);
    static_assert(!std::is_copy_constructible_v<Result<Counted>>);
}

TEST(ResultsDeathTest, AnswerOnlyWhatTheyHold) {
    Result<int> failed = Error::busy;
    const Result<int> constant = Error::busy;
    Result<int> good = 1;
    EXPECT_DEATH((void)failed.value(), "");
    EXPECT_DEATH((void)*failed, "");
    EXPECT_DEATH((void)constant.value(), "");
    EXPECT_DEATH((void)*constant, "");
    EXPECT_DEATH((void)Result<int>(Error::busy).value(), "");
    EXPECT_DEATH((void)good.failure(), "");
    EXPECT_DEATH((void)good.error(), "");
    EXPECT_DEATH((void)Status().failure(), "");
}

TEST(Statuses, AreGoodOrHoldAFailure) {
    const Status good;
    EXPECT_TRUE(good.ok());
    EXPECT_TRUE(static_cast<bool>(good));
    const Status bad = Failure{Error::in_use, 4};
    EXPECT_FALSE(bad.ok());
    EXPECT_EQ(bad.failure(), (Failure{Error::in_use, 4}));
    EXPECT_EQ(Status(Error::foreign).error(), Error::foreign);
}

TEST(Results, AreConstantsToo) {
    static_assert(*Result<int>(4) == 4);
    static_assert(Result<int>(Error::busy).error() == Error::busy);
    static_assert(Status().ok());
}

// A result is not a truth value or a number by accident.
template <class From, class To>
concept quietly = requires(void (&take)(To), From from) { take(from); };
static_assert(!quietly<Result<int>, bool> && !quietly<Result<int>, int>);
static_assert(!quietly<Status, bool>);

constexpr size_t errors = static_cast<size_t>(Error::corrupted) + 1;

TEST(Errors, HaveATextEach) {
    std::set<std::string> texts;
    for (size_t code = 0; code < errors; ++code) {
        const std::string text = to_string(static_cast<Error>(code));
        EXPECT_GT(text.size(), 8u);
        EXPECT_NE(text.back(), '.');
        EXPECT_NE(text, "unknown error") << code;
        texts.insert(text);
    }
    EXPECT_EQ(texts.size(), errors);
    EXPECT_STREQ(to_string(static_cast<Error>(errors)), "unknown error");
    EXPECT_STREQ(to_string(static_cast<Error>(255)), "unknown error");
}

}  // namespace
}  // namespace quire::test
