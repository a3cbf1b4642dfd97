// SPDX-License-Identifier: MIT
// What can go wrong, as codes with one sentence each.
#pragma once

#include <stdint.h>

namespace quire {

enum class Error : uint8_t {
    // Arguments that no state could make right.
    misaligned,    // an address, size or frame does not have the alignment asked of it
    zero_size,     // a range or request of no bytes, frames or pages
    overflow,      // a range runs past the top of the address space
    out_of_range,  // outside what this manager, space or format covers
    bad_argument,  // contradictory or meaningless otherwise
    unsupported,   // the hardware's format cannot express it
    // Something has run out; the same request may succeed later.
    out_of_frames,         // no frame, or no run of frames, satisfies the request
    out_of_address_space,  // no gap of virtual addresses is large enough
    out_of_nodes,          // bookkeeping memory is exhausted
    out_of_memory,         // the heap could not get the pages it needs
    too_many,              // a fixed capacity was exceeded
    // The request contradicts the present state.
    already_mapped,  // something is mapped where a mapping was asked for
    not_mapped,      // nothing is mapped where a mapping was expected
    already_free,    // a frame or block was freed twice
    in_use,          // the particular frame or range asked for is taken
    reserved,        // memory that was never to be given out
    foreign,         // a frame or pointer that this manager never gave out
    unreachable,     // the access in use cannot reach this frame
    no_region,       // the address belongs to no region
    access_denied,   // the region forbids this kind of access
    guard_hit,       // the address lies in a guard
    busy,            // an earlier change of the same range is not finished
    // What the firmware or boot loader handed over.
    bad_boot_information,  // it contradicts its own format
    truncated,             // it ends before its own size says
    no_usable_memory,      // it names no usable RAM
    // Memory was overwritten.
    corrupted,  // bookkeeping or a canary does not hold what it must
};

// One sentence in plain English, without a full stop; never null. Any context. O(1).
const char* to_string(Error error);

}  // namespace quire
