// SPDX-License-Identifier: MIT
// What a heap takes from the host for what is asked of it: at its fullest, when most is freed, when
// what is left is used for other sizes, and in the end.
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <cstring>

#include "rows.hpp"

namespace quire::bench {
namespace {

double resident_bytes() {
    char text[128] = {};
    const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, text, sizeof text - 1) <= 0) abort();
    close(file);
    char* rest = nullptr;
    strtoull(text, &rest, 10);
    return static_cast<double>(strtoull(rest, nullptr, 10)) *
           static_cast<double>(sysconf(_SC_PAGESIZE));
}

// Gives back all that the heap has a call for: the standard one, and what others have in its place.
void trim() {
    using Collect = void(bool);
    using Release = void();
    using Control = int(const char*, void*, size_t*, void*, size_t);
    if (auto* collect = reinterpret_cast<Collect*>(dlsym(RTLD_DEFAULT, "mi_collect")))
        collect(true);
    if (auto* release =
            reinterpret_cast<Release*>(dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory")))
        release();
    if (auto* control = reinterpret_cast<Control*>(dlsym(RTLD_DEFAULT, "mallctl"))) {
        control("thread.tcache.flush", nullptr, nullptr, nullptr, 0);
        control("arena.4096.purge", nullptr, nullptr, nullptr, 0);
    }
    malloc_trim(0);
}

struct Live {
    void* block;
    size_t bytes;
};

class Filled {
  public:
    explicit Filled(size_t most) : blocks_(most), base_(resident_bytes()) {}

    template <class Size>
    void fill_to(size_t bytes, Size size) {
        while (live_bytes_ < bytes) {
            if (count_ == blocks_.size()) abort();
            const size_t next = size(random_);
            void* block = use(malloc(next));
            memset(block, 1, next);
            blocks_[count_++] = {block, next};
            live_bytes_ += next;
        }
    }
    // Frees all but one in `share`, in random order.
    void free_all_but(size_t share) {
        for (size_t left = count_; left > 1; --left)
            std::swap(blocks_[left - 1], blocks_[random_.below(left)]);
        const size_t kept = share == 0 ? 0 : count_ / share;
        while (count_ > kept) {
            --count_;
            free(blocks_[count_].block);
            live_bytes_ -= blocks_[count_].bytes;
        }
    }
    double resident() const { return resident_bytes() - base_; }
    double live() const { return static_cast<double>(live_bytes_); }

  private:
    Pages<Live> blocks_;
    double base_;
    Random random_{1};
    size_t count_ = 0;
    size_t live_bytes_ = 0;
};

// Mostly small blocks; the bytes are about evenly in small, medium and large ones.
size_t usual_size(Random& random) {
    const uint64_t kind = random.below(1000);
    if (kind < 980) return mixed_size(random);
    const size_t base = (kind < 998 ? size_t{1} << 10 : size_t{32} << 10) << random.below(5);
    return base + random.below(base);
}
size_t other_size(Random& random) {
    const size_t base = size_t{100} << random.below(7);
    return base + random.below(base);
}

void life(const HeapRow& row, const Effort& effort) {
    Filled heap(effort.live_bytes / 256);
    const auto mib = [](double bytes) { return bytes / (1 << 20); };
    heap.fill_to(effort.live_bytes, usual_size);
    print("live", mib(heap.live()));
    print("peak", mib(heap.resident()));
    print("peak/live", heap.resident() / heap.live());
    heap.free_all_but(row.count);
    print("sparse", mib(heap.resident()));
    print("sparse/live", heap.resident() / heap.live());
    const size_t more = effort.live_bytes + effort.live_bytes * 3 / 10;
    heap.fill_to(more, other_size);
    print("reuse", mib(heap.resident()));
    print("reuse/live", heap.resident() / heap.live());
    heap.free_all_but(0);
    print("all freed", mib(heap.resident()));
    trim();
    print("trimmed", mib(heap.resident()));
}

constexpr HeapRow rows[] = {{"memory", "a life", life, 0, 16}};

}  // namespace

std::span<const HeapRow> memory_rows() {
    return rows;
}

}  // namespace quire::bench
