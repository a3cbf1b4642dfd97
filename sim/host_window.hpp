// SPDX-License-Identifier: MIT
// A run of host addresses in which the pages of a memory file appear and disappear, and whose
// faults go to an owner. The host side of the mapped engine.
//
// Works beside the address sanitizer: the window lies in addresses that its shadow covers, so that
// the library's poisoning works there; mappings are changed behind the sanitizer's back, since it
// would take a new mapping for fresh memory and unpoison it. Does not work under the thread and
// memory sanitizers, whose address spaces have no room for it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quire::sim {

enum class HostAccess : uint8_t { read_only, read_write };

class HostWindow {
  public:
    // Told of an access at `offset` that the host's mappings refused. True: try again. False: the
    // fault is nobody's, and the process's previous handler has it.
    class Owner {
      public:
        virtual bool host_fault(uint64_t offset, bool write) = 0;

      protected:
        ~Owner() = default;
    };

    // Reserves `bytes` of addresses, at `bias` or, when that is 0, at a place that no earlier
    // window of this process used lately. Installs the process's handler for SIGSEGV if it is not
    // in place. Throws std::system_error, and std::length_error past 16 windows at a time.
    HostWindow(Owner& owner, uint64_t bytes, uintptr_t bias = 0);
    ~HostWindow();
    HostWindow(const HostWindow&) = delete;
    HostWindow& operator=(const HostWindow&) = delete;

    // Where offset zero lies.
    uintptr_t bias() const { return bias_; }

    // Shows `bytes` of a file at an offset, instead of what was there.
    void show(uint64_t offset, uint64_t bytes, int file, uint64_t file_offset, HostAccess access);
    // Shows a page of ones at an offset, of which writes change a copy that goes with the mapping.
    void show_nothing(uint64_t offset, HostAccess access);
    void hide(uint64_t offset, uint64_t bytes);
    void hide_all();
    // Mappings shown since everything was hidden last: what they may cost the host at most.
    size_t shown() const { return shown_; }

  private:
    Owner& owner_;
    const uint64_t bytes_;
    uintptr_t bias_ = 0;
    size_t shown_ = 0;
    int ones_ = -1;

    friend struct HostWindows;
};

}  // namespace quire::sim
