// SPDX-License-Identifier: MIT
// Records of regions, and how a space grows room for them in itself.
//
// No operation uses more than two; a page of new ones uses one for its own region. So operations
// leave one alone, and growing, which comes before an operation, never has to grow first.
#include "quire/space/space_core.hpp"

namespace quire {
namespace {

constexpr Placement anywhere;

constexpr size_t nodes_for_growth = 1;
constexpr size_t nodes_for_an_operation = 2;

}  // namespace

void SpaceCore::make_room() {
    if (growth_ == NodeGrowth::none) return;
    if (nodes_.available() < nodes_for_an_operation + nodes_for_growth) add_node_page();
}

// Whether there are so many besides what growth itself needs.
Status SpaceCore::want_nodes(size_t nodes) const {
    const size_t kept = growth_ == NodeGrowth::none ? 0 : nodes_for_growth;
    if (nodes_.available() < nodes + kept) return Failure{Error::out_of_nodes, nodes_.total()};
    return {};
}

// Leaves everything as it was when it fails.
void SpaceCore::add_node_page() {
    static constexpr Wanted wanted{.pages = PageCount(1),
                                   .attributes = {read_write | Protection::global},
                                   .backing = Backing::anonymous,
                                   .name = "region nodes",
                                   .placement = anywhere};
    const auto region = insert_region(wanted);
    if (!region.ok()) return;
    const Page page = (*region)->pages.first();
    if (!populate_page(page, (*region)->attributes).ok()) {
        undo_insert_region(**region);
        return;
    }
    (*region)->pinned = true;
    nodes_.add_storage({view_.pointer<unsigned char>(address_of(page)), page_size});
}

}  // namespace quire
