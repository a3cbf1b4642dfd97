// SPDX-License-Identifier: MIT
// What a range of empty entries is filled with.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/paging/detail/geometry.hpp"

namespace quire::detail {

template <PagingFormat Format>
class Filling {
  public:
    using Entry = typename Format::Entry;
    using Shape = Geometry<Format>;

    // Nothing; to be replaced.
    Filling() = default;
    // Frames that follow one another, as the pages do.
    static Filling frames(const Format& format, Page page, Frame frame,
                          const Attributes& attributes) {
        return Filling(format, Content::frames, page, frame, attributes, 0);
    }
    // The same payload in every entry.
    static Filling payload(const Format& format, uint64_t value) {
        return Filling(format, Content::payload, Page(), Frame(), Attributes{}, value);
    }
    // Each page maps the leaf table that decides about it.
    static Filling own_leaf_table(const Format& format) {
        return Filling(format, Content::own_leaf_table, Page(), Frame(), Attributes{}, 0);
    }

    // Whether a whole slot of that level can be filled by one entry.
    bool fits(unsigned level) const {
        if (level == 0) return true;
        if (!format_->can_map_at(level) || content_ == Content::own_leaf_table) return false;
        const uint64_t distance = frame_.value() - page_.value();
        return content_ == Content::payload ||
               (distance & (Shape::slot_pages(level).value() - 1)) == 0;
    }

    // The entry for the slot that starts with `page`, in the table with that frame.
    [[gnu::noinline]] Entry entry(unsigned level, Page page, Frame table) const {
        switch (content_) {
            case Content::payload:
                return format_->absent(EntryKind::payload, payload_);
            case Content::own_leaf_table:
                return format_->leaf(level, table, attributes_);
            case Content::frames:
                break;
        }
        return format_->leaf(level, frame_ + as_frames(page - page_), attributes_);
    }

    // Whether what it makes is global.
    bool is_global() const {
        return content_ == Content::frames && has(attributes_.protection, Protection::global);
    }

    // How the entries of a table follow one another: what is added from one to the next. Frame
    // numbers are one run of bits in every format.
    Entry step(unsigned level) const {
        if (content_ != Content::frames) return 0;
        const Frame next(Shape::slot_pages(level).value());
        return static_cast<Entry>(format_->leaf(level, next, attributes_) -
                                  format_->leaf(level, Frame(0), attributes_));
    }

    // Tables that it takes to fill a part of an empty run of slots of that level: each slot that is
    // touched needs one, unless it lies inside a slot of its own or a higher level that one entry
    // fills.
    [[gnu::noinline]] size_t tables_needed(const PageRange& part, unsigned level) const {
        size_t tables = 0;
        for (unsigned lower = 1; lower <= level; ++lower) {
            tables += Shape::slots(part, lower);
            unsigned upper = lower;
            while (upper <= level && !fits(upper))
                ++upper;
            if (upper > level) continue;
            tables -= Shape::whole_slots(part, upper) << Shape::shift(upper - lower);
        }
        return tables;
    }

  private:
    enum class Content : uint8_t { frames, payload, own_leaf_table };

    Filling(const Format& format, Content content, Page page, Frame frame,
            const Attributes& attributes, uint64_t value)
        : format_(&format),
          content_(content),
          attributes_(attributes),
          page_(page),
          frame_(frame),
          payload_(value) {}

    const Format* format_ = nullptr;
    Content content_ = Content::frames;
    Attributes attributes_;
    Page page_;
    Frame frame_;
    uint64_t payload_ = 0;
};

}  // namespace quire::detail
