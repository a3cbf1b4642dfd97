// SPDX-License-Identifier: MIT
// Multiboot2 Specification 2.0, 3.6 "Boot information": one block of tags, strings included, so
// reading it whole and reserving it once is all.
#include "boot_bytes.hpp"
#include "quire/boot/e820.hpp"

namespace quire::detail {

namespace {

enum class Tag : uint32_t {
    end = 0,
    command_line = 1,
    loader_name = 2,
    module = 3,
    sizes = 4,
    map = 6,
};

constexpr size_t alignment = 8;     // of the information and of every tag
constexpr size_t header_bytes = 8;  // of the information, and of every tag: type and size
constexpr size_t module_string_at = 16;
constexpr size_t sizes_bytes = 16;
constexpr size_t map_header_bytes = 16;
constexpr size_t entry_least_bytes = 24;

class Parser {
  public:
    Parser(PhysicalAddress address, MemoryMapBuilder& builder, BootInformation& information)
        : address_(address), builder_(builder), information_(information) {}

    Status parse(BootBytes block) {
        for (;;) {
            if (at_ > block.size() || block.size() - at_ < header_bytes) {
                return Failure{Error::truncated, where()};
            }
            const auto type = static_cast<Tag>(field32(block, at_));
            const size_t size = field32(block, at_ + 4);
            if (size < header_bytes) return Failure{Error::bad_boot_information, where()};
            if (size > block.size() - at_) return Failure{Error::truncated, where()};
            if (type == Tag::end) return finish();
            const Status parsed = parse_tag(type, block.subspan(at_, size));
            if (!parsed.ok()) return parsed;
            // Cannot overflow: a block is in memory, and so ends below the top by more than this.
            at_ += (size + alignment - 1) & ~(alignment - 1);
        }
    }

  private:
    // The address of the tag that is parsed.
    uint64_t where() const { return address_.value() + at_; }

    [[gnu::noinline]] Status parse_tag(Tag type, BootBytes tag) {
        switch (type) {
            case Tag::command_line:
                return parse_string(tag, header_bytes, information_.command_line);
            case Tag::loader_name:
                return parse_string(tag, header_bytes, information_.loader_name);
            case Tag::module:
                return parse_module(tag);
            case Tag::sizes:
                if (tag.size() < sizes_bytes) return Failure{Error::bad_boot_information, where()};
                sizes_ = tag;
                return {};
            case Tag::map:
                return parse_map(tag);
            case Tag::end:
            default:
                return {};
        }
    }

    Status parse_string(BootBytes tag, size_t offset, const char*& string) const {
        for (size_t i = offset; i < tag.size(); ++i) {
            if (tag[i] != '\0') continue;
            string = reinterpret_cast<const char*>(tag.data() + offset);
            return {};
        }
        return Failure{Error::bad_boot_information, where()};
    }

    Status parse_module(BootBytes tag) {
        // The string comes last: a tag that holds one, if only its null, holds the fields before
        // it.
        const char* command_line = nullptr;
        const Status named = parse_string(tag, module_string_at, command_line);
        if (!named.ok()) return named;
        return add_module(builder_, information_, field32(tag, 8), field32(tag, 12), command_line);
    }

    [[gnu::noinline]] Status parse_map(BootBytes tag) {
        if (tag.size() < map_header_bytes) return Failure{Error::bad_boot_information, where()};
        const size_t entry_bytes = field32(tag, 8);
        if (entry_bytes < entry_least_bytes) return Failure{Error::bad_boot_information, where()};
        BootBytes rest = tag.subspan(map_header_bytes, tag.size() - map_header_bytes);
        while (rest.size() >= entry_bytes) {
            add_e820(builder_, field64(rest, 0), field64(rest, 8), field32(rest, 16));
            has_map_ = true;
            rest = rest.subspan(entry_bytes, rest.size() - entry_bytes);
        }
        if (!rest.empty()) {
            builder_.note(RepairKind::truncated_entry, where() + tag.size() - rest.size(),
                          rest.size());
        }
        return {};
    }

    Status finish() {
        if (has_map_) return {};
        if (sizes_.empty()) return Failure{Error::bad_boot_information, address_.value()};
        return add_lower_and_upper(builder_, field32(sizes_, 8), field32(sizes_, 12));
    }

    PhysicalAddress address_;
    size_t at_ = header_bytes;  // offset of the tag that is parsed
    BootBytes sizes_;
    bool has_map_ = false;
    MemoryMapBuilder& builder_;
    BootInformation& information_;
};

}  // namespace

Status parse_multiboot2(PhysicalAddress address, PhysicalReader read, MemoryMapBuilder& builder,
                        BootInformation& information) {
    if (!address.is_aligned(Bytes(alignment))) {
        return Failure{Error::bad_boot_information, address.value()};
    }
    const auto header = read_bytes(read, address, header_bytes);
    if (!header.ok()) return header.failure();
    const size_t total = field32(*header, 0);
    if (total < header_bytes) return Failure{Error::bad_boot_information, address.value()};
    const auto block = read_bytes(read, address, total);
    if (!block.ok()) return block.failure();
    const Status reserved =
        builder.reserve(PhysicalRange(address, Bytes(total)), MemoryKind::boot_information);
    if (!reserved.ok()) return reserved;
    return Parser(address, builder, information).parse(*block);
}

}  // namespace quire::detail
