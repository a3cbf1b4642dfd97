// SPDX-License-Identifier: MIT
// A function with a stack of its own, that runs and stops when it is told to: several of them take
// turns in one thread, in an order that repeats.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <functional>
#include <memory>

namespace quire::model {

class Fiber {
  public:
    // `body` must not return, and what it leaves on its stack is not destroyed with the fiber: it
    // must own nothing there whenever it pauses.
    explicit Fiber(std::function<void()> body);
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    // Lets it run until it pauses.
    void resume();
    // Called by the body: goes back to whoever has resumed it.
    void pause();

  private:
    static constexpr size_t stack_bytes = size_t{256} << 10;
    static void enter(unsigned high, unsigned low);

    std::function<void()> body_;
    std::unique_ptr<char[]> stack_;
    ucontext_t own_{};
    // Of these, the address sanitizer's way of switching needs some, and the fast one others.
    [[maybe_unused]] ucontext_t other_{};
    [[maybe_unused]] jmp_buf inside_;
    [[maybe_unused]] jmp_buf outside_;
    [[maybe_unused]] bool started_ = false;
    [[maybe_unused]] void* fake_stack_ = nullptr;
    [[maybe_unused]] const void* other_stack_ = nullptr;
    [[maybe_unused]] size_t other_bytes_ = 0;
};

}  // namespace quire::model
