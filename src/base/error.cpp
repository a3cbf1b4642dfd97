// SPDX-License-Identifier: MIT
#include "quire/base/error.hpp"

namespace quire {

const char* to_string(Error error) {
    switch (error) {
        case Error::misaligned:
            return "an address or size does not have the alignment it needs";
        case Error::zero_size:
            return "the range or request is empty";
        case Error::overflow:
            return "the range runs past the top of the address space";
        case Error::out_of_range:
            return "outside the range that is managed here";
        case Error::bad_argument:
            return "the arguments contradict each other";
        case Error::unsupported:
            return "the hardware's page-table format cannot express it";
        case Error::out_of_frames:
            return "no free frames satisfy the request";
        case Error::out_of_address_space:
            return "no gap of virtual addresses is large enough";
        case Error::out_of_nodes:
            return "the memory for bookkeeping is exhausted";
        case Error::out_of_memory:
            return "the heap could not get the pages it needs";
        case Error::too_many:
            return "a fixed capacity was exceeded";
        case Error::already_mapped:
            return "something is mapped there already";
        case Error::not_mapped:
            return "nothing is mapped there";
        case Error::already_free:
            return "it is free already";
        case Error::in_use:
            return "it is in use";
        case Error::reserved:
            return "it is reserved and was never to be given out";
        case Error::foreign:
            return "it was not given out here";
        case Error::unreachable:
            return "the access in use cannot reach this frame";
        case Error::no_region:
            return "the address belongs to no region";
        case Error::access_denied:
            return "the region forbids this kind of access";
        case Error::guard_hit:
            return "the address lies in a guard";
        case Error::busy:
            return "something there is under way and must finish first";
        case Error::bad_boot_information:
            return "the boot information contradicts its own format";
        case Error::truncated:
            return "the boot information ends before its own size says";
        case Error::no_usable_memory:
            return "the firmware names no usable memory";
        case Error::corrupted:
            return "bookkeeping or a canary was overwritten";
    }
    return "unknown error";
}

}  // namespace quire
