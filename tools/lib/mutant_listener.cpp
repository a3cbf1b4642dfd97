// SPDX-License-Identifier: MIT
// Linked into the unit tests that ./quire mutants builds: after each test, appends to the file
// QUIRE_MUTANT_TESTS a line with its name, its milliseconds and the sites that it reached.
#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern "C" unsigned char* quire_mutant_marks(unsigned* count) noexcept;

namespace {

class ReachListener : public testing::EmptyTestEventListener {
    void OnTestStart(const testing::TestInfo&) override {
        unsigned count = 0;
        if (unsigned char* marks = quire_mutant_marks(&count)) memset(marks, 0, count);
    }
    void OnTestEnd(const testing::TestInfo& test) override {
        unsigned count = 0;
        const unsigned char* marks = quire_mutant_marks(&count);
        FILE* out = fopen(getenv("QUIRE_MUTANT_TESTS"), "a");
        if (out == nullptr || marks == nullptr) return;
        fprintf(out, "%s.%s %lld", test.test_suite_name(), test.name(),
                static_cast<long long>(test.result()->elapsed_time()));
        for (unsigned number = 0; number < count; number++) {
            if (marks[number] != 0) fprintf(out, " %u", number);
        }
        fputc('\n', out);
        fclose(out);
    }
};

[[maybe_unused]] const bool installed = [] {
    if (getenv("QUIRE_MUTANT_TESTS") == nullptr) return false;
    testing::UnitTest::GetInstance()->listeners().Append(new ReachListener);
    return true;
}();

}  // namespace
