// SPDX-License-Identifier: MIT
// A suite of programs that misuse the heap, one kind of misuse each. They know nothing of the heap
// under them but the C names, so that any heap can be put there by LD_PRELOAD.
//
// What counts as caught: the process ends by a signal, whether in the misuse, in a later call or at
// tear-down; or the misuse has no effect, where a case can tell (what effect is meant, its class
// says). Ending well after the effect counts as missed. Each class has a control that does the like
// without the mistake, and must end well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

namespace misuse {

enum class Effect {
    done,  // the mistake was made, and nobody objected so far
    none,  // the mistake was made in vain: the data was gone, the request refused
};

// The sizes that cases are run with; 0 ends a list. A few bytes less than any heap's class would
// be, so that there is slack behind the block, and powers of two, which most heaps fill exactly.
inline constexpr size_t small = 40;
inline constexpr size_t power = 64;
inline constexpr size_t medium = 3000;
inline constexpr size_t page = 4096;
inline constexpr size_t large = 300'000;
const char* name_of_size(size_t bytes);

struct Row {
    const char* name;
    Effect (*run)(size_t bytes);
    size_t sizes[4];  // one case for each; none at all makes one case, run with `small`
};

struct Class {
    const char* name;
    std::span<const Row> rows;
    void (*control)();
};
std::span<const Class* const> all_classes();

// ---- what cases are made of
// ----------------------------------------------------------------------

// The compiler knows no more of where a pointer came from or what it points to.
template <class T>
T* hide(T* pointer) {
    __asm__ __volatile__("" : "+r"(pointer) : : "memory");
    return pointer;
}
template <class T = unsigned char>
T* hide(uintptr_t address) {
    return hide(reinterpret_cast<T*>(address));
}
inline unsigned char* moved(void* block, ptrdiff_t bytes) {
    return hide(static_cast<unsigned char*>(block) + bytes);
}

// A block of its own contents; the process ends, as no case does, when there is no memory.
unsigned char* get(size_t bytes);
// A mistake in the program: neither caught nor missed.
[[noreturn]] void broken(const char* what);
inline void require(bool holds, const char* what) {
    if (!holds) broken(what);
}

// Runs it in another thread, to its end.
void in_thread(void (*run)(void*), void* argument);
void free_in_thread(void* block);

// Allocates and frees so much of this size that a heap which holds freed blocks back for a while
// lets them go.
void churn(size_t bytes);

// A recognisable content.
inline constexpr uint64_t secret = 0x5ec2e75ec2e75ec2;
void fill_with_secret(void* block, size_t bytes);
// Whether any aligned word of it is the secret's.
bool shows_secret(const void* block, size_t bytes);

// Blocks of one size side by side, as far as the heap puts them so.
struct Neighbours {
    static constexpr int count = 9;
    static constexpr int middle = count / 2;

    explicit Neighbours(size_t size) : bytes(size) {
        for (unsigned char*& one : block)
            one = get(size);
    }
    unsigned char* in_the_middle() { return hide(block[middle]); }
    void free_all() {
        for (unsigned char* one : block)
            free(one);
    }
    void free_others() {
        for (int i = 0; i < count; ++i)
            if (i != middle) free(block[i]);
    }

    size_t bytes;
    unsigned char* block[count];
};

}  // namespace misuse
