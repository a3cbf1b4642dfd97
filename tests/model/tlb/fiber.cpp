// SPDX-License-Identifier: MIT
#include "fiber.hpp"

#include <cstdint>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#define QUIRE_FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QUIRE_FIBER_ASAN 1
#endif
#endif
#ifdef QUIRE_FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace quire::model {

Fiber::Fiber(std::function<void()> body)
    : body_(std::move(body)), stack_(std::make_unique<char[]>(stack_bytes)) {
    getcontext(&own_);
    own_.uc_stack.ss_sp = stack_.get();
    own_.uc_stack.ss_size = stack_bytes;
    own_.uc_link = nullptr;
    const auto self = reinterpret_cast<uintptr_t>(this);
    makecontext(&own_, reinterpret_cast<void (*)()>(&Fiber::enter), 2,
                static_cast<unsigned>(uint64_t{self} >> 32), static_cast<unsigned>(self));
}

#ifdef QUIRE_FIBER_ASAN

void Fiber::enter(unsigned high, unsigned low) {
    auto* const self = reinterpret_cast<Fiber*>(uint64_t{high} << 32 | low);
    __sanitizer_finish_switch_fiber(nullptr, &self->other_stack_, &self->other_bytes_);
    self->body_();
}

void Fiber::resume() {
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, stack_.get(), stack_bytes);
    swapcontext(&other_, &own_);
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
}

void Fiber::pause() {
    __sanitizer_start_switch_fiber(&fake_stack_, other_stack_, other_bytes_);
    swapcontext(&own_, &other_);
    __sanitizer_finish_switch_fiber(fake_stack_, &other_stack_, &other_bytes_);
}

#else

void Fiber::enter(unsigned high, unsigned low) {
    reinterpret_cast<Fiber*>(uint64_t{high} << 32 | low)->body_();
}

// swapcontext asks the system for the signal mask each time; jumps do not.
void Fiber::resume() {
    if (_setjmp(outside_) != 0) return;
    if (std::exchange(started_, true)) _longjmp(inside_, 1);
    setcontext(&own_);
}

void Fiber::pause() {
    if (_setjmp(inside_) == 0) _longjmp(outside_, 1);
}

#endif

}  // namespace quire::model
