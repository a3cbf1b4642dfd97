// SPDX-License-Identifier: MIT
// What drives the models must itself notice, replay and shrink.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/driver.hpp"

namespace quire::model {
namespace {

enum class Ending { mismatch, mismatch_when_validated, crash };

// Goes wrong once steps 300 and 700 have both been done.
class FailingWorld final : public World {
  public:
    explicit FailingWorld(Ending ending) : ending_(ending) {}
    void step(uint64_t number, uint64_t) override {
        seen_ += number == 300 || number == 700;
        if (seen_ < 2) return;
        if (ending_ == Ending::mismatch) throw Mismatch{"both were done"};
        if (ending_ == Ending::crash) std::abort();
    }
    void validate() override {
        if (seen_ == 2) throw Mismatch{"both were seen"};
    }

  private:
    Ending ending_;
    int seen_ = 0;
};

WorldMaker failing(Ending ending) {
    return [ending] { return std::make_unique<FailingWorld>(ending); };
}

TEST(ModelDriverTest, PassesWhatDoesNotFail) {
    model::Run run;
    run.steps = 700;
    const Outcome outcome = run_here(failing(Ending::mismatch), run);
    EXPECT_TRUE(outcome.passed);
    EXPECT_EQ(outcome.failed_at, 700u);
    EXPECT_TRUE(run_in_child(failing(Ending::crash), run).passed);
}

TEST(ModelDriverTest, NoticesFailuresOfEveryKind) {
    model::Run run;
    run.steps = 2000;
    Outcome outcome = run_here(failing(Ending::mismatch), run);
    EXPECT_FALSE(outcome.passed);
    EXPECT_EQ(outcome.failed_at, 700u);
    EXPECT_NE(outcome.what.find("both were done"), std::string::npos);

    run.validate_every = 64;
    outcome = run_here(failing(Ending::mismatch_when_validated), run);
    EXPECT_FALSE(outcome.passed);
    EXPECT_EQ(outcome.failed_at, 704u);

    outcome = run_in_child(failing(Ending::crash), run);
    EXPECT_FALSE(outcome.passed);
    EXPECT_EQ(outcome.failed_at, 700u);
    EXPECT_NE(outcome.what.find("killed"), std::string::npos);
}

TEST(ModelDriverTest, ShrinksToTheStepsThatMatter) {
    for (const Ending ending : {Ending::mismatch, Ending::mismatch_when_validated}) {
        model::Run run;
        run.steps = 2000;
        const Outcome outcome = run_here(failing(ending), run);
        const std::vector<uint64_t> steps = shrink(failing(ending), run, outcome.failed_at, 60);
        EXPECT_EQ(steps, (std::vector<uint64_t>{300, 700}));
    }
}

TEST(ModelDriverTest, StepsAreWrittenAsRuns) {
    const std::vector<uint64_t> steps{3, 7, 8, 9, 12, 100, 101};
    EXPECT_EQ(to_text(steps), "3,7-9,12,100-101");
    EXPECT_EQ(from_text("3,7-9,12,100-101"), steps);
    for (const char* wrong : {"x", "9-7", "3;4"})
        EXPECT_THROW(from_text(wrong), std::invalid_argument) << wrong;
}

}  // namespace
}  // namespace quire::model
