// SPDX-License-Identifier: MIT
#include "sim/ram.hpp"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>
#include <system_error>

namespace quire::sim {

namespace {
// Physical addresses that a machine can have: what most 32-bit processors reach by PAE or PSE-36,
// and more for a machine with more RAM. Reserving host addresses for them costs nothing.
constexpr uint64_t least_physical_bytes = uint64_t{1} << 36;
constexpr uint64_t most_physical_bytes = uint64_t{1} << 41;

[[noreturn]] void host_refused(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

const Segment* find(const std::vector<Segment>& segments, uint64_t physical, uint64_t bytes) {
    for (const Segment& segment : segments) {
        if (physical >= segment.base && physical - segment.base < segment.length &&
            bytes <= segment.length - (physical - segment.base)) {
            return &segment;
        }
    }
    return nullptr;
}

bool overlap(const Segment& a, const Segment& b) {
    return a.base < b.base + b.length && b.base < a.base + a.length;
}

// A word that depends on every bit of seed and position (the finaliser of splitmix64).
uint64_t pattern_word(uint64_t seed, uint64_t index) {
    uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}
}  // namespace

Ram::Ram(std::vector<Segment> segments) : ram_(std::move(segments)) {
    if (ram_.empty()) throw std::invalid_argument("sim: a machine needs RAM");
    uint64_t previous_end = 0;
    for (const Segment& segment : ram_) {
        if (segment.length == 0 || (segment.base | segment.length) % page_size != 0 ||
            segment.base < previous_end || segment.length > most_physical_bytes ||
            segment.base > most_physical_bytes - segment.length) {
            throw std::invalid_argument("sim: segments must be whole pages, ascending, disjoint");
        }
        previous_end = segment.base + segment.length;
    }
    reserved_bytes_ = std::max(least_physical_bytes, previous_end);
    file_ = memfd_create("quire-sim-ram", MFD_CLOEXEC);
    if (file_ < 0) host_refused("sim: memfd_create");
    void* base = mmap(nullptr, reserved_bytes_, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) host_refused("sim: reserving addresses for RAM");
    base_ = static_cast<std::byte*>(base);
    for (const Segment& segment : ram_)
        show(segment, end_);
}

Ram::~Ram() {
    munmap(base_, reserved_bytes_);
    close(file_);
}

void Ram::show(const Segment& segment, uint64_t old_end) {
    end_ = std::max(old_end, segment.base + segment.length);
    if (ftruncate(file_, static_cast<off_t>(end_)) != 0) host_refused("sim: growing the RAM file");
    void* mapped =
        mmap(base_ + segment.base, segment.length, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_FIXED | MAP_NORESERVE, file_, static_cast<off_t>(segment.base));
    if (mapped == MAP_FAILED) host_refused("sim: mapping RAM");
    backed_.push_back(segment);
    std::sort(backed_.begin(), backed_.end(),
              [](const Segment& a, const Segment& b) { return a.base < b.base; });
}

void Ram::add_device_memory(Segment segment) {
    const bool taken = std::any_of(backed_.begin(), backed_.end(),
                                   [&](const Segment& other) { return overlap(segment, other); });
    if (taken || segment.length == 0 || (segment.base | segment.length) % page_size != 0 ||
        segment.length > reserved_bytes_ || segment.base > reserved_bytes_ - segment.length) {
        throw std::invalid_argument("sim: device memory must be whole pages where nothing is");
    }
    show(segment, end_);
}

bool Ram::backs(uint64_t physical, uint64_t bytes) const {
    return find(backed_, physical, bytes) != nullptr;
}

bool Ram::is_ram(uint64_t physical, uint64_t bytes) const {
    return find(ram_, physical, bytes) != nullptr;
}

uint64_t Ram::bytes() const {
    return std::accumulate(ram_.begin(), ram_.end(), uint64_t{0},
                           [](uint64_t sum, const Segment& s) { return sum + s.length; });
}

std::byte* Ram::at(uint64_t physical, uint64_t bytes) const {
    if (!backs(physical, bytes)) {
        throw std::out_of_range("sim: nothing lies at physical address " +
                                std::to_string(physical));
    }
    return base_ + physical;
}

void Ram::fill(uint64_t physical, uint64_t bytes, uint8_t value) const {
    std::memset(at(physical, bytes), value, bytes);
}

bool Ram::holds(uint64_t physical, uint64_t bytes, uint8_t value) const {
    const std::byte* first = at(physical, bytes);
    return std::all_of(first, first + bytes, [&](std::byte b) { return b == std::byte{value}; });
}

void Ram::fill_pattern(uint64_t physical, uint64_t bytes, uint64_t seed) const {
    uint64_t* words = reinterpret_cast<uint64_t*>(at(physical, bytes));
    for (uint64_t i = 0; i < bytes / sizeof(uint64_t); ++i)
        words[i] = pattern_word(seed, i);
}

bool Ram::holds_pattern(uint64_t physical, uint64_t bytes, uint64_t seed) const {
    const uint64_t* words = reinterpret_cast<const uint64_t*>(at(physical, bytes));
    for (uint64_t i = 0; i < bytes / sizeof(uint64_t); ++i) {
        if (words[i] != pattern_word(seed, i)) return false;
    }
    return true;
}

bool Ram::equal(uint64_t a, uint64_t b, uint64_t bytes) const {
    return std::memcmp(at(a, bytes), at(b, bytes), bytes) == 0;
}

}  // namespace quire::sim
