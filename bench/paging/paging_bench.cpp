// SPDX-License-Identifier: MIT
// quire_paging_bench [--quick] [--repetitions N] [--only SUBJECT]: times of the page table in each
// format, and of what it is measured against. Writes a line for each figure: size, subject, row and
// nanoseconds a page, parted by tabs. Repetitions are interleaved, so that what disturbs one
// subject disturbs all. `./quire bench paging` runs this and makes tables of it.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "subjects.hpp"
#include "workloads.hpp"

int main(int count, char** arguments) {
    using namespace quire::bench;
    int repetitions = 5;
    bool quick = false;
    std::string only;
    for (int i = 1; i < count; ++i) {
        const std::string argument = arguments[i];
        const bool has_value = i + 1 < count;
        if (argument == "--quick") {
            quick = true;
        } else if (argument == "--repetitions" && has_value) {
            repetitions = std::atoi(arguments[++i]);
        } else if (argument == "--only" && has_value) {
            only = arguments[++i];
        } else {
            std::fprintf(
                stderr, "usage: quire_paging_bench [--quick] [--repetitions N] [--only SUBJECT]\n");
            return 2;
        }
    }
    for (int repetition = 0; repetition < repetitions; ++repetition) {
        for (const Size& size : {one_gib, many_gib}) {
            if (quick && size.pages == many_gib.pages) continue;
            for_each_subject([&]<class S>() {
                if (!only.empty() && only != S::name) return;
                if (size.pages == many_gib.pages && !is_wide<S>) return;
                const auto report = [&](const std::string& row, double nanoseconds) {
                    std::printf("%s\t%s\t%s\t%.4f\n", size.name, S::name, row.c_str(), nanoseconds);
                };
                Workload<S, decltype(report)>(size, report).run();
                std::fflush(stdout);
            });
        }
    }
    return 0;
}
