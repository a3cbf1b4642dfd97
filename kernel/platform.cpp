// SPDX-License-Identifier: MIT
#include "platform.hpp"

#include "console.hpp"
#include "machine.hpp"

namespace kernel {
namespace {

class KernelPlatform final : public quire::Platform {
  public:
    void log(quire::Severity severity, const char* line) override {
        const Palette& colors = console().palette();
        const bool loud = severity >= quire::Severity::warning;
        print("%s%s%s\n", loud ? colors.warning : colors.dim, line, colors.plain);
    }

    [[noreturn]] void panic(const quire::Report& report) override {
        char buffer[512];
        quire::TextWriter text(buffer);
        write(text, report);
        kernel::panic("%s", text.text());
    }

    unsigned cpu_count() const override { return machine::cpu_count(); }
    uintptr_t caller() const override { return machine::this_cpu() + 1; }
    void interrupt(const quire::CpuMask& cpus) override { machine::interrupt(cpus); }
};

constinit KernelPlatform the_platform;

}  // namespace

quire::Platform& platform() {
    return the_platform;
}

}  // namespace kernel
