// SPDX-License-Identifier: MIT
// A page table in ordinary containers, written for what is easy to check and not for speed: two
// levels, blocks of 8 pages, of which a block is mapped by one large entry or by a table of 8. It
// wants an invalidation for every change, fresh mappings included, as some architectures do.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "quire/base/frame_access.hpp"
#include "quire/paging/page_table.hpp"

namespace quire::test {

// Frames that run out at the N-th request, and know which of them have been cleared.
class FakeFrames final : public FrameZeroer {
  public:
    // Hands out `run` frames in a row, then skips one.
    explicit FakeFrames(uint64_t total = 4096, uint64_t run = 5) : total_(total), run_(run) {}

    Result<Frame> allocate_frame() {
        ++requests_;
        if (fail_at_ != 0 && requests_ >= fail_at_ && requests_ <= fail_last_) {
            return Failure{Error::out_of_frames, requests_};
        }
        if (used_.size() >= total_) return Failure{Error::out_of_frames, total_};
        uint64_t frame = 0;
        if (!free_.empty()) {
            frame = *free_.begin();
            free_.erase(free_.begin());
        } else {
            frame = next_++;
            if (next_ % (run_ + 1) == 0) ++next_;
        }
        used_.insert(frame);
        dirty_.insert(frame);
        return Frame(frame);
    }
    Status free_frame(Frame frame) {
        EXPECT_EQ(used_.erase(frame.value()), 1u) << "frame " << frame.value() << " was not in use";
        free_.insert(frame.value());
        return {};
    }
    Status zero(Frame frame) override {
        if (zero_fails_at_ != 0 && --zero_fails_at_ == 0) {
            return Failure{Error::unreachable, frame.value()};
        }
        EXPECT_TRUE(used_.contains(frame.value()));
        dirty_.erase(frame.value());
        return {};
    }

    // The n-th request from now fails, or it and all that follow; 0: none.
    void fail_at(uint64_t n) { arm(n, n); }
    void fail_from(uint64_t n) { arm(n, UINT64_MAX); }
    void zero_fails_at(uint64_t n) { zero_fails_at_ = n; }
    uint64_t requests() const { return requests_; }
    size_t used() const { return used_.size(); }
    bool is_used(Frame frame) const { return used_.contains(frame.value()); }
    bool is_clean(Frame frame) const { return !dirty_.contains(frame.value()); }

  private:
    void arm(uint64_t n, uint64_t last) {
        requests_ = 0;
        fail_at_ = n;
        fail_last_ = last;
    }
    uint64_t total_, run_;
    uint64_t next_ = 1000;
    uint64_t requests_ = 0, fail_at_ = 0, fail_last_ = 0, zero_fails_at_ = 0;
    std::set<uint64_t> used_, free_, dirty_;
};

class FakeTlb final : public TlbInvalidator {
  public:
    void invalidate(const FlushRequest& request) override { requests.push_back(request); }
    std::vector<FlushRequest> requests;
};

class FakeTable final : public PageTable {
  public:
    static constexpr uintptr_t block_pages = 8;
    struct Entry {
        Frame frame;
        Attributes attributes;
        friend bool operator==(const Entry&, const Entry&) = default;
    };

    FakeTable(FrameSource source, const PageRange& reach) : source_(source), reach_(reach) {}

    PageRange reach() const override { return reach_; }
    Frame highest_frame() const override { return Frame(uint64_t{1} << 40); }
    uint64_t payload_limit() const override { return 1 << 20; }
    Frame root() const override { return Frame(7); }
    FrameCount table_frames() const override { return FrameCount(tables_); }
    void set_frame_source(FrameSource source) override { source_ = source; }

    Result<Invalidation> map(const PageRange& pages, Frame first,
                             const Attributes& attributes) override {
        if (pages.empty()) return Failure{Error::zero_size};
        if (!reach_.contains(pages)) return Failure{Error::out_of_range};
        if (first + as_frames(pages.count()) > highest_frame()) return Failure{Error::out_of_range};
        if (!is_expressible(attributes.protection)) return Failure{Error::unsupported};
        Failure taken{Error::already_mapped};
        if (first_entry(pages, taken)) return taken;
        std::vector<uintptr_t> wanting;
        each_block(pages, [&](uintptr_t block, const PageRange& part) {
            const Frame frame = first + as_frames(part.first() - pages.first());
            if (!fits_large(part, frame) && !blocks_.contains(block)) wanting.push_back(block);
        });
        std::vector<Frame> tables;
        if (!take(wanting.size(), tables)) return Failure{Error::out_of_frames};
        each_block(pages, [&](uintptr_t block, const PageRange& part) {
            const Frame frame = first + as_frames(part.first() - pages.first());
            if (fits_large(part, frame)) {
                blocks_[block].large = Entry{frame, attributes};
                return;
            }
            Block& filled = blocks_[block];
            if (!filled.table) {
                filled.table = tables.back();
                tables.pop_back();
            }
            for (const Page page : part) {
                filled.pages[page.value()] = {frame + as_frames(page - part.first()), attributes};
            }
        });
        return Invalidation({root(), pages, false});
    }

    Result<UnmapInvalidation> unmap(const PageRange& pages, UnmappedFrames frames,
                                    Holes holes) override {
        if (pages.empty()) return Failure{Error::zero_size};
        if (!reach_.contains(pages)) return Failure{Error::out_of_range};
        if (waiting_) return Failure{Error::busy};
        if (const auto status = prepare(pages, holes); !status.ok()) return status.failure();
        bool any = false;
        for_blocks(pages, [&](uintptr_t number, Block& block, const PageRange& part) {
            const auto release = [&](Frame frame) {
                if (frames == UnmappedFrames::release) going_.push_back(frame);
            };
            if (block.large) {
                for (uintptr_t i = 0; i < block_pages; ++i)
                    release(block.large->frame + FrameCount(i));
                any = true;
                gone_.push_back(number);
                return;
            }
            for (const Page page : part) {
                const auto at = block.pages.find(page.value());
                if (at == block.pages.end()) continue;
                release(at->second.frame);
                block.pages.erase(at);
                any = true;
            }
            if (block.pages.empty()) {
                going_.push_back(*block.table);
                --tables_;
                gone_.push_back(number);
            }
        });
        for (const uintptr_t number : gone_)
            blocks_.erase(number);
        gone_.clear();
        if (!any) return UnmapInvalidation();
        waiting_ = true;
        return UnmapInvalidation(*this, {root(), pages, false});
    }

    Result<Invalidation> protect(const PageRange& pages, Protection protection,
                                 Holes holes) override {
        if (pages.empty()) return Failure{Error::zero_size};
        if (!reach_.contains(pages)) return Failure{Error::out_of_range};
        if (!is_expressible(protection)) return Failure{Error::unsupported};
        if (const auto status = prepare(pages, holes); !status.ok()) return status.failure();
        bool any = false;
        for_blocks(pages, [&](uintptr_t, Block& block, const PageRange& part) {
            any = true;
            if (block.large) {
                block.large->attributes.protection = protection;
                return;
            }
            for (const Page page : part) {
                const auto at = block.pages.find(page.value());
                if (at != block.pages.end()) at->second.attributes.protection = protection;
            }
        });
        if (!any) return Invalidation();
        return Invalidation({root(), pages, false});
    }

    Result<Invalidation> split(const PageRange& pages) override {
        if (pages.empty()) return Failure{Error::zero_size};
        if (!reach_.contains(pages)) return Failure{Error::out_of_range};
        if (const auto status = prepare(pages, Holes::skip); !status.ok()) return status.failure();
        return Invalidation({root(), pages, false});
    }
    // Nothing that a space asks for.
    Result<UnmapInvalidation> merge(VirtualAddress) override { return Failure{Error::unsupported}; }
    Result<Invalidation> harvest(const PageRange&, FunctionRef<void(const Translation&)>) override {
        return Failure{Error::unsupported};
    }

    Status park(const PageRange& pages, uint64_t payload) override {
        for (const Page page : pages)
            parked_[page.value()] = payload;
        return {};
    }

    Result<Translation> query(VirtualAddress address) const override {
        const Page page = page_of(address);
        if (!reach_.contains(page)) return Failure{Error::out_of_range, address.value()};
        Translation found;
        found.pages = PageRange(page, PageCount(1));
        if (const auto parked = parked_.find(page.value()); parked != parked_.end()) {
            found.state = EntryState::absent;
            found.payload = parked->second;
            return found;
        }
        const auto block = blocks_.find(page.value() / block_pages);
        if (block == blocks_.end()) return found;
        if (block->second.large) return translation(block->first, *block->second.large);
        const auto at = block->second.pages.find(page.value());
        if (at == block->second.pages.end()) return found;
        return translation(page, at->second);
    }

    Status walk(const PageRange& pages,
                FunctionRef<bool(const Translation&)> visit) const override {
        if (!reach_.contains(pages)) return Failure{Error::out_of_range};
        for (auto block = blocks_.lower_bound(pages.first().value() / block_pages);
             block != blocks_.end() && block->first <= pages.last().value() / block_pages;
             ++block) {
            if (block->second.large) {
                if (!visit(translation(block->first, *block->second.large))) return {};
                continue;
            }
            for (const auto& [page, entry] : block->second.pages) {
                if (!pages.contains(Page(page))) continue;
                if (!visit(translation(Page(page), entry))) return {};
            }
        }
        return {};
    }
    Status validate() const override { return {}; }

    // What the table says, page by page, whatever the size of its entries.
    template <class Visit>
    void for_each_page(Visit visit) const {
        for (const auto& [number, block] : blocks_) {
            for (uintptr_t i = 0; block.large && i < block_pages; ++i) {
                visit(number * block_pages + i,
                      Entry{block.large->frame + FrameCount(i), block.large->attributes});
            }
            for (const auto& [page, entry] : block.pages)
                visit(page, entry);
        }
    }
    std::map<uintptr_t, Entry> contents() const {
        std::map<uintptr_t, Entry> all;
        for_each_page([&](uintptr_t page, const Entry& entry) { all[page] = entry; });
        return all;
    }
    std::optional<Entry> at(Page page) const {
        const auto all = query(address_of(page));
        if (!all.ok() || all->state != EntryState::present) return std::nullopt;
        return Entry{all->frames.first() + as_frames(page - all->pages.first()), all->attributes};
    }
    bool is_large(Page page) const {
        const auto block = blocks_.find(page.value() / block_pages);
        return block != blocks_.end() && block->second.large.has_value();
    }
    // Behind everybody's back.
    void forget(Page page) { blocks_.at(page.value() / block_pages).pages.erase(page.value()); }
    Entry& entry(Page page) {
        return blocks_.at(page.value() / block_pages).pages.at(page.value());
    }
    size_t tables() const { return tables_; }
    bool is_waiting() const { return waiting_; }

  private:
    struct Block {
        std::optional<Entry> large;
        std::optional<Frame> table;
        std::map<uintptr_t, Entry> pages;
    };

    static bool is_expressible(Protection protection) { return has(protection, Protection::read); }
    static bool fits_large(const PageRange& part, Frame frame) {
        return part.count() == PageCount(block_pages) && frame.value() % block_pages == 0;
    }
    static Translation translation(uintptr_t block, const Entry& large) {
        Translation found;
        found.state = EntryState::present;
        found.pages = PageRange(Page(block * block_pages), PageCount(block_pages));
        found.frames = FrameRange(large.frame, FrameCount(block_pages));
        found.attributes = large.attributes;
        return found;
    }
    static Translation translation(Page page, const Entry& entry) {
        Translation found;
        found.state = EntryState::present;
        found.pages = PageRange(page, PageCount(1));
        found.frames = FrameRange(entry.frame, FrameCount(1));
        found.attributes = entry.attributes;
        return found;
    }
    template <class Visit>
    void each_block(const PageRange& pages, Visit visit) const {
        for (uintptr_t block = pages.first().value() / block_pages;
             block <= pages.last().value() / block_pages; ++block) {
            visit(block,
                  pages.intersection(PageRange(Page(block * block_pages), PageCount(block_pages))));
        }
    }
    // Only blocks that exist; `visit` must not erase them.
    template <class Visit>
    void for_blocks(const PageRange& pages, Visit visit) {
        for (auto block = blocks_.lower_bound(pages.first().value() / block_pages);
             block != blocks_.end() && block->first <= pages.last().value() / block_pages;
             ++block) {
            visit(block->first, block->second,
                  pages.intersection(
                      PageRange(Page(block->first * block_pages), PageCount(block_pages))));
        }
    }
    bool first_entry(const PageRange& pages, Failure& taken) const {
        bool any = false;
        const Status walked = walk(pages, [&](const Translation& found) {
            taken.where = address_of(found.pages.first()).value();
            any = true;
            return false;
        });
        EXPECT_TRUE(walked.ok());
        for (auto parked = parked_.lower_bound(pages.first().value());
             parked != parked_.end() && parked->first <= pages.last().value(); ++parked) {
            any = true;
        }
        return any;
    }
    bool take(size_t count, std::vector<Frame>& tables) {
        for (size_t i = 0; i < count; ++i) {
            const auto frame = source_.allocate_frame();
            if (!frame.ok()) {
                for (const Frame taken : tables)
                    EXPECT_TRUE(source_.free_frame(taken).ok());
                return false;
            }
            tables.push_back(*frame);
        }
        tables_ += count;
        return true;
    }
    // Refuses holes where asked to, and splits large entries that the range cuts.
    Status prepare(const PageRange& pages, Holes holes) {
        if (holes == Holes::refuse) {
            for (const Page page : pages)
                if (!at(page)) return Failure{Error::not_mapped, address_of(page).value()};
        }
        std::vector<Block*> cut;
        for_blocks(pages, [&](uintptr_t, Block& block, const PageRange& part) {
            if (block.large && part.count() < PageCount(block_pages)) cut.push_back(&block);
        });
        std::vector<Frame> tables;
        if (!take(cut.size(), tables)) return Failure{Error::out_of_frames};
        for (Block* block : cut) {
            for (auto& [number, each] : blocks_) {
                if (&each != block) continue;
                for (uintptr_t i = 0; i < block_pages; ++i) {
                    each.pages[number * block_pages + i] = {each.large->frame + FrameCount(i),
                                                            each.large->attributes};
                }
            }
            block->large.reset();
            block->table = tables.back();
            tables.pop_back();
        }
        return {};
    }
    void finish(const FlushRequest&) override {
        for (const Frame frame : going_)
            EXPECT_TRUE(source_.free_frame(frame).ok());
        going_.clear();
        waiting_ = false;
    }

    FrameSource source_;
    PageRange reach_;
    std::map<uintptr_t, Block> blocks_;
    std::map<uintptr_t, uint64_t> parked_;
    std::vector<Frame> going_;
    std::vector<uintptr_t> gone_;
    size_t tables_ = 0;
    bool waiting_ = false;
};

}  // namespace quire::test
