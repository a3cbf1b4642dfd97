// SPDX-License-Identifier: MIT
// Records of regions, and how a space grows room for them in itself.
//
// No operation uses more than two; a page of new ones uses one for its own region. So three at rest
// are enough for the next operation and the growth after it, and growing never has to grow first.
#include "quire/space/space_core.hpp"

namespace quire {
namespace {

constexpr size_t nodes_for_growth = 1;
constexpr size_t nodes_at_rest = 2 + nodes_for_growth;

}  // namespace

// At least `nodes` besides what growth itself needs.
Status SpaceCore::want_nodes(size_t nodes) {
    if (growth_ == NodeGrowth::none) {
        if (nodes_.available() < nodes) return Failure{Error::out_of_nodes, nodes_.total()};
        return {};
    }
    if (nodes_.available() >= nodes + nodes_for_growth) return {};
    return add_node_page();
}

// After an operation. When it fails now, the next operation tries again before it begins.
void SpaceCore::top_up_nodes() {
    if (growth_ == NodeGrowth::in_itself && nodes_.available() < nodes_at_rest) {
        const Status ignored = add_node_page();
        static_cast<void>(ignored);
    }
}

Status SpaceCore::add_node_page() {
    const Placement anywhere;
    const auto region = insert_region({.pages = PageCount(1),
                                       .attributes = {read_write | Protection::global},
                                       .backing = Backing::anonymous,
                                       .name = "region nodes",
                                       .placement = anywhere});
    if (!region.ok()) return region.failure();
    const PageRange pages = (*region)->pages;
    const Status filled = populate(pages, (*region)->attributes, FrameCount(1));
    if (!filled.ok()) {
        undo_insert_region(**region);
        return filled;
    }
    (*region)->pinned = true;
    nodes_.add_storage({view_.pointer<unsigned char>(address_of(pages.first())), page_size});
    return {};
}

}  // namespace quire
