// SPDX-License-Identifier: MIT
#include "sim/host_window.hpp"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "quire/config.hpp"

namespace quire::sim {

namespace {
// Clear of the address sanitizer's shadow (it covers these addresses like any others), of where
// Linux places programs, libraries and stacks, and of everything a debugger is likely to show.
constexpr uintptr_t first_bias = 0x2000'0000'0000;
// A new window takes the next of these places, so that a pointer into a machine that is gone faults
// and does not reach the machine that came after it.
constexpr uintptr_t place_bytes = uintptr_t{1} << 33;
constexpr unsigned places = 1024;
constexpr size_t windows_at_a_time = 16;

[[noreturn]] void host_refused(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

// Straight to the kernel; see the header for why not through the C library.
void* raw_mmap(uintptr_t address, uint64_t bytes, int protection, int flags, int file,
               uint64_t offset) {
    // The kernel's own result: an address, or -1 with errno set.
    return reinterpret_cast<void*>(
        syscall(SYS_mmap, address, bytes, protection, flags, file, offset));
}

void map_or_stop(uintptr_t address, uint64_t bytes, int protection, int flags, int file,
                 uint64_t offset) {
    if (raw_mmap(address, bytes, protection, flags | MAP_FIXED, file, offset) == MAP_FAILED) {
        // Usually inside a signal handler: nobody could catch an exception.
        std::perror("sim: the host refused a mapping");
        std::abort();
    }
}

int protection_for(HostAccess access) {
    return access == HostAccess::read_write ? PROT_READ | PROT_WRITE : PROT_READ;
}

// Whether the access that raised the signal was a write.
bool was_write(const void* context) {
    const auto* user = static_cast<const ucontext_t*>(context);
#if defined(__x86_64__)
    return (user->uc_mcontext.gregs[REG_ERR] & 2) != 0;
#elif defined(__aarch64__)
    // The exception syndrome lies in a tagged record (Linux, struct esr_context): bit 6 is WnR.
    const unsigned char* record = user->uc_mcontext.__reserved;
    for (;;) {
        const auto* head = reinterpret_cast<const _aarch64_ctx*>(record);
        if (head->magic == 0) return false;
        if (head->magic == ESR_MAGIC) {
            return (reinterpret_cast<const esr_context*>(record)->esr >> 6 & 1) != 0;
        }
        record += head->size;
    }
#else
#error "sim: how does this host say whether a fault was a write?"
#endif
}
}  // namespace

// The windows of the process, and its signal handler.
struct HostWindows {
    std::array<HostWindow*, windows_at_a_time> open{};
    struct sigaction previous{};
    bool installed = false;
    unsigned next_place = 0;

    static HostWindows& instance() {
        static HostWindows windows;
        return windows;
    }

    static void on_signal(int number, siginfo_t* info, void* context) {
        const int saved_errno = errno;
        const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
        HostWindows& windows = instance();
        for (HostWindow* window : windows.open) {
            if (window == nullptr || address - window->bias_ >= window->bytes_) continue;
            if (window->owner_.host_fault(address - window->bias_, was_write(context))) {
                errno = saved_errno;
                return;
            }
            break;
        }
        windows.pass_on(number, info, context);
        errno = saved_errno;
    }

    void pass_on(int number, siginfo_t* info, void* context) const {
        if ((previous.sa_flags & SA_SIGINFO) != 0) {
            previous.sa_sigaction(number, info, context);
        } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
            previous.sa_handler(number);
        } else {
            // Returning repeats the access, which then has its ordinary consequence.
            signal(number, SIG_DFL);
        }
    }

    void install() {
        if (installed) return;
        struct sigaction action{};
        action.sa_sigaction = on_signal;
        // Nested faults are part of the game: the library's fault handler touches its own tables.
        action.sa_flags = SA_SIGINFO | SA_NODEFER;
        sigemptyset(&action.sa_mask);
        if (sigaction(SIGSEGV, &action, &previous) != 0) host_refused("sim: sigaction");
        installed = true;
    }

    HostWindow*& free_slot() {
        for (HostWindow*& slot : open) {
            if (slot == nullptr) return slot;
        }
        throw std::length_error("sim: too many machines at once");
    }

    uintptr_t reserve(uint64_t bytes, uintptr_t bias) {
        const unsigned tries = bias != 0 ? 1 : places;
        for (unsigned i = 0; i < tries; ++i) {
            const uintptr_t wanted =
                bias != 0 ? bias : first_bias + place_bytes * (next_place++ % places);
            void* got =
                mmap(reinterpret_cast<void*>(wanted), bytes, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
            if (got == reinterpret_cast<void*>(wanted)) return wanted;
            // Kernels before 4.17 take the address for a hint.
            if (got != MAP_FAILED) munmap(got, bytes);
        }
        host_refused("sim: no room for the machine's addresses");
    }
};

HostWindow::HostWindow(Owner& owner, uint64_t bytes, uintptr_t bias)
    : owner_(owner), bytes_(bytes) {
    HostWindows& windows = HostWindows::instance();
    HostWindow*& slot = windows.free_slot();
    ones_ = memfd_create("quire-sim-ones", MFD_CLOEXEC);
    const std::vector<unsigned char> ones(page_size, 0xff);
    if (ones_ < 0 || write(ones_, ones.data(), page_size) != static_cast<ssize_t>(page_size)) {
        host_refused("sim: a page of ones");
    }
    bias_ = windows.reserve(bytes, bias);
    windows.install();
    slot = this;
}

HostWindow::~HostWindow() {
    for (HostWindow*& slot : HostWindows::instance().open) {
        if (slot == this) slot = nullptr;
    }
    // Through the C library, so that a sanitizer forgets what was poisoned here.
    munmap(reinterpret_cast<void*>(bias_), bytes_);
    close(ones_);
}

void HostWindow::show(uint64_t offset, uint64_t bytes, int file, uint64_t file_offset,
                      HostAccess access) {
    map_or_stop(bias_ + offset, bytes, protection_for(access), MAP_SHARED | MAP_NORESERVE, file,
                file_offset);
    ++shown_;
}

void HostWindow::show_nothing(uint64_t offset, HostAccess access) {
    map_or_stop(bias_ + offset, page_size, protection_for(access), MAP_PRIVATE | MAP_NORESERVE,
                ones_, 0);
    ++shown_;
}

void HostWindow::hide(uint64_t offset, uint64_t bytes) {
    map_or_stop(bias_ + offset, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                0);
}

void HostWindow::hide_all() {
    hide(0, bytes_);
    shown_ = 0;
}

}  // namespace quire::sim
