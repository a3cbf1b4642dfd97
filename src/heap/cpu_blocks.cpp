// SPDX-License-Identifier: MIT
// Blocks at hand of a heap that watches what lies behind them.
#include "quire/heap/cpu_blocks.hpp"

#include "quire/heap/canary.hpp"
#include "quire/heap/poison.hpp"

namespace quire::heap_internal {

void* CpuBlocks::take_watched(Bin& bin, size_t bytes) {
    if (bin.top == bin.begin && !turn_to_full(bin)) return nullptr;
    const CellRef cell = bin.top[-1];
    if (most_poisoned_ != 0 && broken_poison(cell.block, bin.cell_bytes) != nullptr) return nullptr;
    --bin.top;
    const size_t slack = bin.cell_bytes - bytes;
    const bool in_state = bin.cell_bytes <= most_slack_in_state;
    if (!in_state) {
        slack_at(bin, cell.state, number_of(bin, cell.block)) = static_cast<uint16_t>(slack);
    }
    atomic::store(states()[cell.state],
                  static_cast<unsigned char>(cell_live + (in_state ? slack : 0)));
    slack_ += slack;
    write_canary(cell.block, bytes, bin.cell_bytes);
    return cell.block;
}

void CpuBlocks::put_watched(Bin& bin, unsigned char* block, uintptr_t state, size_t slack) {
    atomic::store(states()[state], cell_cached);
    slack_ -= slack;
    *bin.top++ = CellRef{block, state};
    if (most_poisoned_ != 0) poison(block, bin.cell_bytes);
}

void* CpuBlocks::allocate_watched(size_t bytes) {
    if (bytes >= watched_end_) return nullptr;
    return take_watched(bin_at(quick_bins.of_granules[bytes / granule + 1]), bytes);
}

bool CpuBlocks::put_if_intact(void* block) {
    const Cell cell = find_cell(block, watched_slots_);
    if (cell.bin == nullptr) return false;
    Bin& bin = *cell.bin;
    const unsigned state = states()[cell.state];
    if (state < cell_live) return false;
    if (bin.top == bin.end && !turn_to_empty(bin)) return false;
    const size_t slack = bin.cell_bytes <= most_slack_in_state
                             ? state - cell_live
                             : slack_at(bin, cell.state, number_of(bin, block));
    auto* const start = static_cast<unsigned char*>(block);
    if (slack > bin.cell_bytes || !canary_intact(start, bin.cell_bytes - slack, bin.cell_bytes))
        return false;
    put_watched(bin, start, cell.state, slack);
    return true;
}

}  // namespace quire::heap_internal
