// SPDX-License-Identifier: MIT
#include "quire/heap/page_account.hpp"

namespace quire::heap_internal {

Result<unsigned char*> PageAccount::reserve(size_t bytes, size_t alignment) {
    const Result<void*> reserved = pages_->reserve(bytes, alignment);
    if (!reserved.ok()) return reserved.failure();
    reserved_ += bytes;
    return static_cast<unsigned char*>(*reserved);
}

Status PageAccount::commit(unsigned char* address, size_t bytes) {
    const Status status = pages_->commit(address, bytes);
    if (!status.ok()) return status;
    committed_ += bytes;
    if (committed_ > peak_) peak_ = committed_;
    return {};
}

Status PageAccount::decommit(unsigned char* address, size_t bytes, size_t committed) {
    const Status status = pages_->decommit(address, bytes);
    if (status.ok()) committed_ -= committed;
    return status;
}

Status PageAccount::release(unsigned char* address, size_t bytes, size_t committed) {
    const Status status = pages_->release(address, bytes);
    if (!status.ok()) return status;
    reserved_ -= bytes;
    committed_ -= committed;
    return {};
}

}  // namespace quire::heap_internal
