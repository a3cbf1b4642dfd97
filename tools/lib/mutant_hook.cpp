// SPDX-License-Identifier: MIT
// The run-time half of ./quire mutants, part of the mutated library.
//
//     QUIRE_MUTANT=N          the one mutant that is on
//     QUIRE_MUTANT_REACHED=F  a file of one byte a mutant, in which reached sites are marked; it is
//                             mapped, so that a crash or a death test's child loses nothing
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "quire_mutant.hpp"

namespace {

struct State {
    unsigned active = ~0U;
    unsigned char* reached = nullptr;
    unsigned count = 0;

    State() {
        if (const char* number = getenv("QUIRE_MUTANT")) {
            active = static_cast<unsigned>(strtoul(number, nullptr, 10));
        }
        const char* path = getenv("QUIRE_MUTANT_REACHED");
        const int file = path != nullptr ? open(path, O_RDWR | O_CLOEXEC) : -1;
        if (file < 0) return;
        struct stat facts{};
        if (fstat(file, &facts) == 0 && facts.st_size > 0) {
            const auto bytes = static_cast<size_t>(facts.st_size);
            void* map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            if (map != MAP_FAILED) {
                reached = static_cast<unsigned char*>(map);
                count = static_cast<unsigned>(bytes);
            }
        }
        close(file);
    }
};

// Before every other constructor: tests may use the library while they are constructed.
[[gnu::init_priority(101)]] State state;

}  // namespace

extern "C" bool quire_mutant_reached(unsigned number) noexcept {
    if (number < state.count) __atomic_store_n(&state.reached[number], 1, __ATOMIC_RELAXED);
    return number == state.active;
}

// For the listener that tells which test reached what.
extern "C" unsigned char* quire_mutant_marks(unsigned* count) noexcept {
    *count = state.count;
    return state.reached;
}
