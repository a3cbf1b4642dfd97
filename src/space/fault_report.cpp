// SPDX-License-Identifier: MIT
// A fault report as text.
#include "quire/space/fault.hpp"

namespace quire {
namespace {

using namespace literals;

constexpr size_t value_column = 13;
constexpr size_t line_width = 80;
constexpr size_t longest_name = 24;

TextWriter& label(TextWriter& out, const char* name) {
    return out.put(name).column(value_column);
}

void write_name(TextWriter& out, const char* name) {
    out.put('"');
    for (size_t i = 0; name[i] != '\0'; ++i) {
        if (i == longest_name) {
            out.put("...");
            break;
        }
        out.put(name[i]);
    }
    out.put('"');
}

// Words on as many lines as they need, from the value column on.
void write_wrapped(TextWriter& out, const char* text) {
    size_t column = value_column;
    while (*text != '\0') {
        size_t length = 0;
        while (text[length] != '\0' && text[length] != ' ')
            ++length;
        if (column > value_column && column + 1 + length > line_width) {
            out.put('\n').column(value_column);
            column = value_column;
        }
        if (column > value_column) {
            out.put(' ');
            ++column;
        }
        for (size_t i = 0; i < length; ++i)
            out.put(text[i]);
        column += length;
        text += length;
        while (*text == ' ')
            ++text;
    }
    out.put('\n');
}

void write_rights(TextWriter& out, Protection protection) {
    const char* separator = "";
    const auto right = [&](Protection one, const char* word) {
        if (!has(protection, one)) return;
        out.put(separator).put(word);
        separator = "+";
    };
    right(Protection::read, "read");
    right(Protection::write, "write");
    right(Protection::execute, "execute");
    if (*separator == '\0') out.put("no access");
    out.put(has(protection, Protection::user) ? ", user" : ", kernel only");
}

void write_distance(TextWriter& out, Bytes bytes) {
    if (bytes < 64_KiB) {
        out.decimal(bytes.value()).put(bytes == Bytes(1) ? " byte" : " bytes");
        return;
    }
    // In the largest unit of which there are at least 100: 12345 KiB tell more than 12 MiB.
    constexpr const char* units[] = {"KiB", "MiB", "GiB", "TiB"};
    constexpr uint64_t most = uint64_t{100} * 1024;
    uint64_t value = bytes.value() >> 10;
    size_t unit = 0;
    for (; value >= most && unit < 3; ++unit)
        value >>= 10;
    out.decimal(value).put(' ').put(units[unit]);
}

void write_pages(TextWriter& out, PageCount pages) {
    out.decimal(pages.value()).put(pages == PageCount(1) ? " page" : " pages");
}

void write_access(TextWriter& out, const Fault& fault) {
    label(out, "page fault");
    switch (fault.access) {
        case AccessKind::read:
            out.put("read of ");
            break;
        case AccessKind::write:
            out.put("write to ");
            break;
        case AccessKind::execute:
            out.put("execution at ");
            break;
    }
    out.address(fault.address).put(fault.user ? " by user code" : " by the kernel").put('\n');
    if (fault.instruction == VirtualAddress(0)) return;
    label(out, "instruction").address(fault.instruction).put('\n');
}

// Where the address is, seen from a region that holds it.
void write_place(TextWriter& out, const RegionInfo& region, VirtualAddress address) {
    const VirtualRange body = bytes_of(region.pages);
    if (address < body.first()) {
        write_distance(out, body.first() - address);
        out.put(" before its start, in the guard below it\n");
    } else if (address > body.last()) {
        write_distance(out, (address - body.last()) - Bytes(1));
        out.put(" past its end, in the guard above it\n");
    } else {
        write_distance(out, address - body.first());
        out.put(" from its start\n");
    }
}

void write_region(TextWriter& out, const FaultReport& report) {
    const RegionInfo& region = report.region;
    label(out, report.has_region ? "region" : "was region").range(bytes_of(region.pages)).put('\n');
    out.column(value_column);
    write_name(out, region.name);
    if (!report.has_region) {
        out.put(", unmapped since\n");
        return;
    }
    out.put(", ").put(to_string(region.backing)).put('\n').column(value_column);
    write_rights(out, region.attributes.protection);
    out.put(", ").put(to_string(region.attributes.type)).put('\n');
    if (region.guard_before != PageCount(0) || region.guard_after != PageCount(0)) {
        out.column(value_column).put("guards: ");
        write_pages(out, region.guard_before);
        out.put(" below, ");
        write_pages(out, region.guard_after);
        out.put(" above\n");
    }
    label(out, "address");
    write_place(out, region, report.fault.address);
}

void write_neighbours(TextWriter& out, const FaultReport& report) {
    const VirtualAddress address = report.fault.address;
    if (report.has_below) {
        const VirtualRange body = bytes_of(report.below.pages);
        label(out, "below").range(body).put('\n').column(value_column);
        write_name(out, report.below.name);
        out.put(", ends ");
        write_distance(out, (address - body.last()) - Bytes(1));
        out.put(" below the address\n");
    }
    if (report.has_above) {
        const VirtualRange body = bytes_of(report.above.pages);
        label(out, "above").range(body).put('\n').column(value_column);
        write_name(out, report.above.name);
        out.put(", starts ");
        write_distance(out, body.first() - address);
        out.put(" above the address\n");
    }
    if (!report.has_below && !report.has_above && !report.has_region) {
        label(out, "region").put("none; the space holds no region at all\n");
    }
}

void write_translation(TextWriter& out, const FaultReport& report) {
    const Translation& found = report.translation;
    label(out, "page table");
    switch (found.state) {
        case EntryState::empty:
            out.put("maps nothing there\n");
            return;
        case EntryState::absent:
            out.put("holds the payload ").hex(found.payload).put(" there\n");
            return;
        case EntryState::present:
            break;
    }
    out.put("maps it to ").address(found.physical(report.fault.address)).put(", in an entry for ");
    write_pages(out, found.pages.count());
    out.put('\n');
    out.column(value_column);
    write_rights(out, found.attributes.protection);
    out.put(", ").put(to_string(found.attributes.type)).put('\n');
}

}  // namespace

void write(TextWriter& out, const FaultReport& report) {
    write_access(out, report.fault);
    label(out, "error").put(to_string(report.error)).put('\n');
    if (report.has_region || report.had_region) write_region(out, report);
    write_neighbours(out, report);
    write_translation(out, report);
    label(out, "likely cause");
    write_wrapped(out, report.likely_cause);
}

}  // namespace quire
