// SPDX-License-Identifier: MIT
#include "terminal.hpp"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "../../console.hpp"

namespace kernel::sim_machine::terminal {

namespace {

class Output final : public ConsoleSink {
  public:
    void put(char character) override {
        std::putchar(character);
        if (character == '\n') std::fflush(stdout);
    }
};

Output output;
termios saved;

void restore() {
    tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

}  // namespace

void open() {
    if (isatty(STDIN_FILENO) == 0 || tcgetattr(STDIN_FILENO, &saved) != 0) return;
    std::atexit(restore);
    termios raw = saved;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_iflag &= ~static_cast<tcflag_t>(ICRNL);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

ConsoleSink& sink() {
    return output;
}

int read() {
    std::fflush(stdout);
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, 0) <= 0) return -1;
    unsigned char byte = 0;
    if (::read(STDIN_FILENO, &byte, 1) != 1) std::exit(0);
    return byte;
}

void wait() {
    std::fflush(stdout);
    pollfd input{STDIN_FILENO, POLLIN, 0};
    poll(&input, 1, -1);
}

}  // namespace kernel::sim_machine::terminal
