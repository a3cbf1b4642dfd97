// SPDX-License-Identifier: MIT
#include "quire/heap/page_account.hpp"

namespace quire::heap_internal {

bool PageAccount::begin() {
    if (closed_) {
        failure_ = Failure{Error::busy};
        return false;
    }
    const uintptr_t caller = platform_->caller();
    caller_.store(caller, MemoryOrder::relaxed);
    return true;
}

bool PageAccount::note(const Status& status) {
    end();
    if (!status.ok()) failure_ = status.failure();
    return status.ok();
}

unsigned char* PageAccount::reserve(size_t bytes, size_t alignment) {
    if (!begin()) return nullptr;
    const Result<void*> reserved = pages_->reserve(bytes, alignment);
    end();
    if (!reserved.ok()) {
        failure_ = reserved.failure();
        return nullptr;
    }
    reserved_ += bytes;
    return static_cast<unsigned char*>(*reserved);
}

bool PageAccount::commit(unsigned char* address, size_t bytes) {
    if (!begin() || !note(pages_->commit(address, bytes))) return false;
    add_committed(bytes);
    return true;
}

void PageAccount::add_committed(size_t bytes) {
    committed_ += bytes;
    if (committed_ > peak_) peak_ = committed_;
}

bool PageAccount::decommit(unsigned char* address, size_t bytes, size_t committed) {
    if (!begin() || !note(pages_->decommit(address, bytes))) return false;
    committed_ -= committed;
    return true;
}

unsigned char* PageAccount::move(unsigned char* address, const PageSource::Extent& from,
                                 const PageSource::Extent& to) {
    if (!begin()) return nullptr;
    const Result<void*> moved = pages_->move(address, from, to);
    end();
    if (!moved.ok()) {
        failure_ = moved.failure();
        return nullptr;
    }
    reserved_ += to.reserved_bytes - from.reserved_bytes;
    add_committed(to.committed_bytes - from.committed_bytes);
    return static_cast<unsigned char*>(*moved);
}

bool PageAccount::release(unsigned char* address, size_t bytes, size_t committed) {
    if (!begin() || !note(pages_->release(address, bytes))) return false;
    reserved_ -= bytes;
    committed_ -= committed;
    return true;
}

}  // namespace quire::heap_internal
