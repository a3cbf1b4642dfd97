// SPDX-License-Identifier: MIT
#include "quire/heap/page_account.hpp"

namespace quire::heap_internal {

bool PageAccount::note(const Status& status) {
    if (!status.ok()) failure_ = status.failure();
    return status.ok();
}

bool PageAccount::refuses() {
    if (closed_) failure_ = Failure{Error::busy};
    return closed_;
}

unsigned char* PageAccount::reserve(size_t bytes, size_t alignment) {
    if (refuses()) return nullptr;
    const Result<void*> reserved = pages_->reserve(bytes, alignment);
    if (!reserved.ok()) {
        failure_ = reserved.failure();
        return nullptr;
    }
    reserved_ += bytes;
    return static_cast<unsigned char*>(*reserved);
}

bool PageAccount::commit(unsigned char* address, size_t bytes) {
    if (refuses() || !note(pages_->commit(address, bytes))) return false;
    add_committed(bytes);
    return true;
}

void PageAccount::add_committed(size_t bytes) {
    committed_ += bytes;
    if (committed_ > peak_) peak_ = committed_;
}

bool PageAccount::decommit(unsigned char* address, size_t bytes, size_t committed) {
    if (refuses() || !note(pages_->decommit(address, bytes))) return false;
    committed_ -= committed;
    return true;
}

unsigned char* PageAccount::move(unsigned char* address, const PageSource::Extent& from,
                                 const PageSource::Extent& to) {
    if (refuses()) return nullptr;
    const Result<void*> moved = pages_->move(address, from, to);
    if (!moved.ok()) {
        failure_ = moved.failure();
        return nullptr;
    }
    reserved_ += to.reserved_bytes - from.reserved_bytes;
    add_committed(to.committed_bytes - from.committed_bytes);
    return static_cast<unsigned char*>(*moved);
}

bool PageAccount::release(unsigned char* address, size_t bytes, size_t committed) {
    if (refuses() || !note(pages_->release(address, bytes))) return false;
    reserved_ -= bytes;
    committed_ -= committed;
    return true;
}

}  // namespace quire::heap_internal
