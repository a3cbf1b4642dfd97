// SPDX-License-Identifier: MIT
#include "unit/paging/paging_fixture.hpp"

#include "quire/paging/x86/page_attributes.hpp"
#include "sim/x86_mmu32.hpp"
#include "sim/x86_mmu64.hpp"
#include "sim/x86_mmu_pae.hpp"

namespace quire::paging_test {

namespace {
constexpr uint64_t marks = 0x60;  // accessed and dirty

std::shared_ptr<const sim::Mmu> mmu_of(Mode::Kind kind) {
    if (kind == Mode::Kind::x86_32) return std::make_shared<sim::X86Mmu32>();
    if (kind == Mode::Kind::pae) return std::make_shared<sim::X86MmuPae>();
    return std::make_shared<sim::X86Mmu64>();
}

sim::MappedShape shape_of(const std::shared_ptr<const sim::Mmu>& mmu, const Shown& shown) {
    sim::MappedShape shape;
    shape.mmu = mmu;
    shape.first_shown = shown.first;
    shape.bytes_shown = shown.bytes;
    shape.host_address = shown.host_address;
    return shape;
}
}  // namespace

std::vector<Way> all_ways() {
    std::vector<Way> all = ways_of_32_bits();
    for (const Way& way : ways_of_64_bits())
        all.push_back(way);
    return all;
}

std::vector<Way> active_ways() {
    std::vector<Way> active = all_ways();
    std::erase_if(active, [](const Way& way) { return way.use != Use::active; });
    return active;
}

Machine::Machine(const Mode& mode, const Shown& shown)
    : mmu(mmu_of(mode.kind)), machine(ram, shape_of(mmu, shown)) {
    sim::Control control = machine.control();
    control.pat = x86_page_attribute_table;
    control.large_pages = control.global_pages = control.write_protect = true;
    control.no_execute = true;
    control.five_levels = mode.root_level == 4;
    machine.set_control(control);
}

sim::Walk Machine::look(Frame root, uint64_t address, sim::AccessKind kind) const {
    sim::Control control = machine.control();
    control.paging = true;
    control.cr3 = address_of(root).value();
    return mmu->walk(ram, control, {address, kind, sim::Privilege::supervisor}, sim::Effect::looks,
                     nullptr);
}

void PagingTest::map(const PageRange& pages, Frame first, const Attributes& attributes) {
    auto mapped = table().map(pages, first, attributes);
    ASSERT_TRUE(mapped.ok()) << to_string(mapped.error());
    EXPECT_TRUE(mapped->empty());
}

void PagingTest::unmap(const PageRange& pages, UnmappedFrames frames, Holes holes) {
    auto unmapped = table().unmap(pages, frames, holes);
    ASSERT_TRUE(unmapped.ok()) << to_string(unmapped.error());
    unmapped->spend(m.tlb);
}

void PagingTest::protect(const PageRange& pages, Protection protection, Holes holes) {
    auto changed = table().protect(pages, protection, holes);
    ASSERT_TRUE(changed.ok()) << to_string(changed.error());
    changed->spend(m.tlb);
}

Translation PagingTest::query(uint64_t address) {
    const auto found = table().query(at(address));
    EXPECT_TRUE(found.ok());
    return found.ok() ? *found : Translation{};
}

std::optional<uint64_t> PagingTest::frame_behind(uint64_t address) {
    const Translation found = query(address);
    const auto seen = look(address);
    EXPECT_EQ(found.state == EntryState::present, seen.has_value()) << std::hex << address;
    if (found.state != EntryState::present || !seen) return std::nullopt;
    const Protection rights = found.attributes.protection;
    EXPECT_EQ(found.physical(at(address)).value(), seen->physical(address));
    EXPECT_EQ(has(rights, Protection::write), seen->writable);
    EXPECT_EQ(has(rights, Protection::user), seen->user);
    EXPECT_EQ(has(rights, Protection::execute), seen->executable);
    EXPECT_EQ(has(rights, Protection::global), seen->global);
    EXPECT_EQ(found.pages.count().value() * page_size, seen->bytes());
    return seen->physical(address) / page_size;
}

PagingTest::Dump PagingTest::dump() {
    Dump all;
    for (uint64_t address = area; address < area_end; address += large) {
        const uint64_t upper = large_entry(address);
        if (upper == 0) continue;
        all[address] = upper & ~marks;
        const bool leads_to_table = (upper & 0x81) == 1;
        const bool holds_table = (upper & 7) == 6;
        if (!leads_to_table && !holds_table) continue;
        const Frame leaf = leads_to_table ? table_in(upper) : Frame(upper >> 3);
        for (unsigned i = 0; i < large_pages; ++i) {
            all[(address + i * page_size) | 1] = leaf_entry_in(leaf, i) & ~marks;
        }
    }
    return all;
}

EntryPlace PagingTest::entry(Frame root, unsigned level, uint64_t address) const {
    Frame frame = root;
    for (unsigned at = mode.root_level;; --at) {
        const uint64_t index =
            address >> (page_shift + at * mode.index_bits) & ((uint64_t{1} << mode.index_bits) - 1);
        const EntryPlace place(m.words(frame) + index * (mode.entry_bytes / 4), mode.entry_bytes);
        if (at == level) return place;
        EXPECT_EQ(place & 1, 1u) << "no table there";
        frame = table_in(place);
    }
}

Page PagingTest::page_outside() const {
    const bool is_last = mode.highest == UINT64_MAX;
    return is_last ? page_at(mode.lowest) - PageCount(1) : page_at(mode.highest) + PageCount(1);
}

PageRange PagingTest::pages_across() const {
    const Page outside = page_outside();
    return mode.highest == UINT64_MAX ? PageRange(outside, PageCount(2))
                                      : PageRange(outside - PageCount(1), PageCount(2));
}

}  // namespace quire::paging_test
