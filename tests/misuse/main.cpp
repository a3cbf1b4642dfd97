// SPDX-License-Identifier: MIT
// quire_misuse CASE: makes one mistake, and says "missed" when it was made with effect. Ends with 0
// then, with 3 for no effect, with 2 when the program itself is at fault. CASE "control/CLASS"
// makes none, and says "clean". --list names all cases.
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstring>

#include "misuse.hpp"

namespace misuse {
namespace {

constexpr size_t most_name = 96;

void write_name(char (&name)[most_name], const Class& group, const Row& row, size_t bytes) {
    snprintf(name, sizeof name, "%s/%s%s%s", group.name, row.name, bytes != 0 ? "/" : "",
             bytes != 0 ? name_of_size(bytes) : "");
}

// Calls visit(name, row, bytes) for each case.
template <class Visit>
void for_each_case(Visit visit) {
    for (const Class* group : all_classes()) {
        for (const Row& row : group->rows) {
            char name[most_name];
            for (int i = 0; i < 4 && (i == 0 || row.sizes[i] != 0); ++i) {
                write_name(name, *group, row, row.sizes[i]);
                visit(name, row, row.sizes[i] != 0 ? row.sizes[i] : small);
            }
        }
    }
}

void list() {
    for_each_case([](const char* name, const Row&, size_t) { puts(name); });
    for (const Class* group : all_classes())
        printf("control/%s\n", group->name);
}

int run_control(const char* name) {
    for (const Class* group : all_classes()) {
        if (strcmp(group->name, name) != 0) continue;
        group->control();
        puts("clean");
        return 0;
    }
    return 2;
}

int run(const char* wanted) {
    if (strncmp(wanted, "control/", 8) == 0) return run_control(wanted + 8);
    const Row* found = nullptr;
    size_t bytes_of_found = 0;
    for_each_case([&](const char* name, const Row& row, size_t bytes) {
        if (strcmp(name, wanted) != 0) return;
        found = &row;
        bytes_of_found = bytes;
    });
    if (found == nullptr) return 2;
    const Effect effect = found->run(bytes_of_found);
    puts(effect == Effect::done ? "missed" : "no effect");
    fflush(stdout);
    return effect == Effect::done ? 0 : 3;
}

}  // namespace
}  // namespace misuse

int main(int count, char** arguments) {
    // Nobody wants hundreds of core dumps.
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
    if (count != 2) {
        fputs("quire_misuse --list | CASE\n", stderr);
        return 2;
    }
    if (strcmp(arguments[1], "--list") == 0) {
        misuse::list();
        return 0;
    }
    return misuse::run(arguments[1]);
}
