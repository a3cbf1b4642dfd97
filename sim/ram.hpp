// SPDX-License-Identifier: MIT
// Simulated physical memory: a memory file whose offsets are physical addresses, and one plain
// mapping of it. Sparse: a machine of many GiB costs the host only what is written.
//
// The MMU, and everything that plays the hardware, uses the plain mapping and nothing else. The
// library may use it too (AddressView(ram.bias()) shows physical address p at virtual address p),
// which is the one alias under which the thread sanitizer sees every access.
//
// A process that forks shares the memory file with its child. A death test of the "fast" style
// therefore writes to the parent's RAM: build the machine inside the statement, or use the
// "threadsafe" style.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "quire/base/frame_access.hpp"
#include "sim/firmware.hpp"

namespace quire::sim {

class Ram {
  public:
    // Physical memory that lies in the given segments (page-aligned, ascending, disjoint). Throws
    // std::invalid_argument for others, std::system_error when the host refuses.
    explicit Ram(std::vector<Segment> segments);
    // A PC's memory, with its holes: Ram(pc_segments(bytes)).
    explicit Ram(uint64_t bytes) : Ram(pc_segments(bytes)) {}
    ~Ram();
    Ram(const Ram&) = delete;
    Ram& operator=(const Ram&) = delete;

    // Puts device memory behind a page-aligned run of addresses where nothing is yet: it holds
    // what is written, as a frame buffer does, and starts as zeroes. Every other address outside
    // RAM reads as all ones and forgets what is written. Throws std::invalid_argument, also
    // for addresses past 64 GiB where no RAM is that far up.
    void add_device_memory(Segment segment);

    // Whether every byte of the run lies in RAM or device memory, in one segment.
    bool backs(uint64_t physical, uint64_t bytes = 1) const;
    // Whether it lies in RAM proper.
    bool is_ram(uint64_t physical, uint64_t bytes = 1) const;
    // The segments of RAM proper.
    const std::vector<Segment>& segments() const { return ram_; }
    // Bytes of RAM proper.
    uint64_t bytes() const;
    // One past the last byte that is backed.
    uint64_t end() const { return end_; }

    // Where a physical address lies in the plain mapping. Throws std::out_of_range when the bytes
    // are not backed.
    std::byte* at(uint64_t physical, uint64_t bytes = 1) const;
    template <class T>
    T* as(uint64_t physical) const {
        return reinterpret_cast<T*>(at(physical, sizeof(T)));
    }
    std::byte* at(Frame frame) const { return at(address_of(frame).value(), page_size); }
    // Where physical address zero lies.
    uintptr_t bias() const { return reinterpret_cast<uintptr_t>(base_); }
    // Shows physical addresses as virtual ones, as before paging is enabled.
    AddressView physical_view() const { return AddressView(bias()); }

    // What the hardware does: naturally aligned, atomic, all ones where nothing is.
    template <class T>
    T load(uint64_t physical) const {
        if (!backs(physical, sizeof(T))) return static_cast<T>(~T{0});
        T value;
        __atomic_load(host<T>(physical), &value, __ATOMIC_ACQUIRE);
        return value;
    }
    template <class T>
    void store(uint64_t physical, T value) const {
        if (!backs(physical, sizeof(T))) return;
        __atomic_store(host<T>(physical), &value, __ATOMIC_RELEASE);
    }
    // Whether the value was the expected one and is now the desired one. Where nothing is, nothing
    // changes, and that is success.
    template <class T>
    bool compare_exchange(uint64_t physical, T expected, T desired) const {
        if (!backs(physical, sizeof(T))) return true;
        return __atomic_compare_exchange(host<T>(physical), &expected, &desired, false,
                                         __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }

    // Fills backed bytes, and tells whether all hold one value. O(bytes).
    void fill(uint64_t physical, uint64_t bytes, uint8_t value) const;
    bool holds(uint64_t physical, uint64_t bytes, uint8_t value) const;
    // A different word at every 8 bytes, made from the seed, and whether it is still there; for
    // frames whose owner wants to know that nobody else wrote. O(bytes).
    void fill_pattern(uint64_t physical, uint64_t bytes, uint64_t seed) const;
    bool holds_pattern(uint64_t physical, uint64_t bytes, uint64_t seed) const;
    // Whether two backed runs hold the same bytes.
    bool equal(uint64_t a, uint64_t b, uint64_t bytes) const;

    // The memory file, for mappings at other places; file offset = physical address.
    int file() const { return file_; }

  private:
    template <class T>
    T* host(uint64_t physical) const {
        return reinterpret_cast<T*>(base_ + physical);
    }
    void show(const Segment& segment, uint64_t old_end);

    std::vector<Segment> ram_;
    std::vector<Segment> backed_;  // RAM and device memory, ascending
    uint64_t end_ = 0;
    uint64_t reserved_bytes_ = 0;  // of host addresses at base_
    int file_ = -1;
    std::byte* base_ = nullptr;  // of the reservation that the plain mapping lies in
};

}  // namespace quire::sim
