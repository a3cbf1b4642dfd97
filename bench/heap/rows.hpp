// SPDX-License-Identifier: MIT
// What the heap's benchmark is made of: rows, each run in a process of its own under a heap that
// LD_PRELOAD chose. Nothing here allocates from that heap but what is measured.
#pragma once

#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "support/random.hpp"

namespace quire::bench {

struct Effort {
    double seconds = 0.15;  // how long a row repeats its chunks
    size_t latency_calls = 1'000'000;
    size_t live_bytes = size_t{1} << 30;
};

struct HeapRow {
    const char* table;
    const char* row;
    void (*run)(const HeapRow& row, const Effort& effort);
    size_t bytes = 0;  // of a block, or of live blocks, as the row's function has it
    size_t count = 0;
};
std::span<const HeapRow> time_rows();
std::span<const HeapRow> thread_rows();
std::span<const HeapRow> memory_rows();

inline void print(const char* what, double value) {
    printf("%s\t%.6g\n", what, value);
}

// Keeps the compiler from knowing what malloc returned, and from leaving out that it is written.
inline void* use(void* block) {
    __asm__ __volatile__("" : "+r"(block) : : "memory");
    if (block == nullptr) abort();
    *static_cast<volatile unsigned char*>(block) = 1;
    return block;
}

// An array in pages of its own, touched.
template <class T>
class Pages {
  public:
    explicit Pages(size_t count) : count_(count) {
        void* memory = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (memory == MAP_FAILED) abort();
        values_ = static_cast<T*>(memory);
    }
    ~Pages() { munmap(values_, bytes()); }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    T& operator[](size_t at) { return values_[at]; }
    T* begin() { return values_; }
    T* end() { return values_ + count_; }
    size_t size() const { return count_; }

  private:
    size_t bytes() const { return count_ * sizeof(T); }
    T* values_ = nullptr;
    size_t count_;
};

// Of this thread: what other processes take is none of the heap's cost, what the host's kernel
// does for it is.
inline double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}
inline double wall_seconds() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Nanoseconds of a step: the least and the median of many chunks.
class Chunks {
  public:
    void add(double nanoseconds) {
        if (count_ < taken_.size()) taken_[count_++] = nanoseconds;
    }
    void add_all(const Chunks& other) {
        for (size_t i = 0; i < other.count_; ++i)
            add(other.taken_[i]);
    }
    size_t count() const { return count_; }
    double least() { return sorted()[0]; }
    double median() { return sorted()[count_ / 2]; }
    void print_as(const char* name_of_least, const char* name_of_median) {
        print(name_of_least, least());
        print(name_of_median, median());
    }

  private:
    const double* sorted() {
        if (count_ == 0) abort();
        std::sort(taken_.begin(), taken_.begin() + count_);
        return taken_.data();
    }
    std::array<double, 1024> taken_;
    size_t count_ = 0;
};

// Runs chunk(), which does `steps` steps, until the time is over.
template <class Chunk>
void time_chunks(const Effort& effort, double steps, Chunk chunk) {
    Chunks chunks;
    chunk();  // the first one finds a heap that has to grow
    const double start = cpu_seconds();
    double before = start;
    do {
        chunk();
        const double now = cpu_seconds();
        chunks.add((now - before) * 1e9 / steps);
        before = now;
    } while (before - start < effort.seconds);
    chunks.print_as("least", "median");
}

// 16 to 1023 bytes, as many of 16 to 31 as of 512 to 1023.
inline size_t mixed_size(Random& random) {
    const size_t base = size_t{16} << random.below(6);
    return base + random.below(base);
}

}  // namespace quire::bench
