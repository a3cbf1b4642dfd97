// SPDX-License-Identifier: MIT
#include "walk.hpp"

#include "console.hpp"
#include "machine.hpp"
#include "show.hpp"

namespace kernel {
namespace {

using namespace quire;

bool is_writable_and_executable(const Attributes& attributes) {
    return has(attributes.protection, Protection::write | Protection::execute);
}

// Pages that follow one another, with the same attributes and for the same purpose.
class Stretch {
  public:
    // Adds the pages, or shows the stretch and starts another with them.
    void take(const PageRange& pages, const Attributes& attributes, const char* name) {
        const bool continues = !pages_.empty() &&
                               pages.first() == pages_.first() + pages_.count() &&
                               attributes == attributes_ && name == name_;
        if (continues) {
            pages_ = PageRange(pages_.first(), pages_.count() + pages.count());
            return;
        }
        show();
        pages_ = pages;
        attributes_ = attributes;
        name_ = name;
    }

    void show() const {
        if (pages_.empty()) return;
        const VirtualRange bytes = bytes_of(pages_);
        const bool loud = machine::can_deny_execute() && is_writable_and_executable(attributes_);
        if (loud) print("%s", console().palette().bad);
        show_range(bytes.first().value(), bytes.last().value(), bytes.count().value(), attributes_);
        print(" %s%s\n", name_, loud ? console().palette().plain : "");
    }

  private:
    PageRange pages_;
    Attributes attributes_;
    const char* name_ = "";
};

// Shows what is mapped in the range, which is all of one purpose.
Status walk_range(const PageTable& table, const PageRange& range, const char* name,
                  Stretch& stretch) {
    const PageRange pages = range.intersection(table.reach());
    if (pages.empty()) return {};
    return table.walk(pages, [&](const Translation& entry) {
        if (entry.state != EntryState::present) return true;
        stretch.take(entry.pages.intersection(pages), entry.attributes, name);
        return true;
    });
}

}  // namespace

void show_walk(KernelMemory& memory) {
    const PageTable& table = memory.table();
    Stretch stretch;
    Status walked;
    // What lies between regions is mapped by nobody, and would be shown all the more.
    constexpr const char* nobody = "(no region)";
    PageRange rest = table.reach();
    memory.space().for_each_region([&](const RegionInfo& region) {
        const PageCount below = region.pages.first() - rest.first();
        walked = walk_range(table, rest.prefix(below), nobody, stretch);
        if (walked.ok()) walked = walk_range(table, region.pages, region.name, stretch);
        rest = rest.without_prefix(below + region.pages.count());
        return walked.ok();
    });
    if (walked.ok()) walked = walk_range(table, rest, nobody, stretch);
    stretch.show();
    if (!walked.ok()) {
        show_failure("walk", walked.failure());
        return;
    }
    if (!machine::can_deny_execute()) {
        print("  this page-table format cannot deny execution: what can be read can be executed\n");
        return;
    }
    const uint64_t pages = writable_and_executable_pages(table);
    const Palette& colors = console().palette();
    if (pages == 0) {
        print("  both writable and executable: %snothing%s\n", colors.good, colors.plain);
    } else {
        print("  both writable and executable: %s%llu pages%s\n", colors.bad,
              static_cast<unsigned long long>(pages), colors.plain);
    }
}

uint64_t writable_and_executable_pages(const PageTable& table) {
    uint64_t count = 0;
    const Status walked = table.walk(table.reach(), [&count](const Translation& entry) {
        if (entry.state == EntryState::present && is_writable_and_executable(entry.attributes)) {
            count += entry.pages.count().value();
        }
        return true;
    });
    return walked.ok() ? count : UINT64_MAX;
}

}  // namespace kernel
