// SPDX-License-Identifier: MIT
#include "quire/heap/size_class.hpp"

#include <gtest/gtest.h>

namespace quire::heap_internal {
namespace {

const SizeClass& class_at(unsigned index) {
    return size_classes.entries[index];
}

TEST(SizeClass, IsTheSmallestThatHoldsTheBytes) {
    for (size_t bytes = 0; bytes <= largest_cell; ++bytes) {
        const unsigned index = class_for(bytes);
        ASSERT_LT(index, ordinary_classes) << bytes;
        ASSERT_GE(class_at(index).cell_bytes, bytes);
        if (index > 0) {
            ASSERT_LT(class_at(index - 1).cell_bytes, bytes) << "a smaller class would do";
        }
    }
}

TEST(SizeClass, WastesLessThanAGranuleOrAnEighth) {
    for (size_t bytes = smallest_cell; bytes <= largest_cell; ++bytes) {
        const size_t cell = class_at(class_for(bytes)).cell_bytes;
        ASSERT_TRUE(cell - bytes < granule || (cell - bytes) * 8 <= cell) << bytes;
    }
}

TEST(SizeClass, CellsAreAlignedToTheGranule) {
    for (const SizeClass& shape : size_classes.entries)
        EXPECT_EQ(shape.stride % granule, 0u);
}

TEST(SizeClass, EveryPowerOfTwoIsAClass) {
    for (size_t bytes = smallest_cell; bytes <= largest_cell; bytes *= 2)
        EXPECT_EQ(class_at(class_for(bytes)).cell_bytes, bytes);
}

TEST(SizeClass, CellsFitTheirSpan) {
    for (const SizeClass& shape : size_classes.entries) {
        EXPECT_GE(shape.cells, 1u);
        EXPECT_LE(size_t{shape.cells} * shape.stride, shape.span_bytes());
        EXPECT_GT((size_t{shape.cells} + 1) * shape.stride, shape.span_bytes());
        EXPECT_EQ(shape.medium(), &shape >= &size_classes.entries[first_medium]);
        EXPECT_LE(shape.span_bytes(), shape.medium() ? largest_medium : largest_span);
        EXPECT_LE(shape.cells, groups * group_cells);
    }
}

TEST(SizeClass, IndexOfAgreesWithDivisionEverywhere) {
    for (const SizeClass& shape : size_classes.entries)
        for (size_t offset = 0; offset < shape.span_bytes(); offset += shape.medium() ? 4099 : 1)
            ASSERT_EQ(shape.index_of(offset), offset / shape.stride)
                << shape.stride << " at " << offset;
}

TEST(SizeClass, WholeMultiplesAloneLeaveLittle) {
    for (const SizeClass& shape : size_classes.entries) {
        if (shape.medium()) continue;
        // As blocks at hand are found, with reciprocals of a word.
        const size_t reciprocal = SIZE_MAX / shape.stride + 1;
        for (size_t offset = 0; offset < shape.span_bytes(); ++offset) {
            const size_t rest = offset * reciprocal;
            ASSERT_EQ(rest <= SIZE_MAX / largest_cell, offset % shape.stride == 0) << shape.stride;
        }
    }
}

TEST(SizeClass, StatesAndSlackFitTheirChunk) {
    for (const SizeClass& shape : size_classes.entries) {
        const size_t states = shape.padded_cells();
        // A place behind the last cell has a state too.
        EXPECT_GT(states * shape.stride, shape.span_bytes() - 1);
        EXPECT_GE(size_t{1} << shape.chunk_shift(false), states);
        const size_t slacks = shape.long_slack() ? 2 * size_t{shape.cells} : 0;
        EXPECT_GE(size_t{1} << shape.chunk_shift(true), states + slacks);
        EXPECT_LE(shape.chunk_shift(true), page_shift);
        EXPECT_TRUE(shape.long_slack() || shape.cell_bytes <= most_slack_in_state);
        EXPECT_TRUE(shape.medium() || shape.cell_bytes <= UINT16_MAX);
    }
}

TEST(SizeClass, StatesTellSizesApart) {
    for (size_t bytes = 0; bytes <= largest_medium; bytes += 1 + bytes / 1000) {
        const unsigned live = live_state(bytes);
        const unsigned resized = resized_state(bytes);
        ASSERT_GE(live, cell_live);
        ASSERT_GE(resized, cell_live);
        ASSERT_FALSE(is_resized(live));
        ASSERT_TRUE(is_resized(resized));
        for (size_t more = 1; more < 127; ++more) {
            ASSERT_NE(live_state(bytes + more), live) << bytes << '+' << more;
            if (more < 63) {
                ASSERT_NE(resized_state(bytes + more), resized) << bytes << '+' << more;
            }
        }
        for (size_t power = 1; power < largest_medium; power *= 2) {
            ASSERT_NE(live_state(bytes + power), live) << bytes << '+' << power;
            ASSERT_NE(resized_state(bytes + power), resized) << bytes << '+' << power;
        }
    }
}

TEST(SizeClass, MagazinesHoldAFewCells) {
    for (const SizeClass& shape : size_classes.entries) {
        EXPECT_GE(shape.magazine_cells(), 3u);
        EXPECT_LE(shape.magazine_cells(), unsigned{UINT8_MAX});
        EXPECT_LE(shape.magazine_shift, page_shift);
    }
}

TEST(SizeClass, MediumClassesGoOnInEighths) {
    EXPECT_EQ(medium_class_for(largest_cell + 1), first_medium);
    EXPECT_EQ(class_at(first_medium).cell_bytes, largest_cell / 8 * 9);
    EXPECT_EQ(medium_class_for(largest_medium), class_count - 1);
    EXPECT_EQ(class_at(class_count - 1).cell_bytes, largest_medium);
    for (size_t bytes = largest_cell + 1; bytes <= largest_medium; bytes += 511) {
        const SizeClass& shape = class_at(medium_class_for(bytes));
        EXPECT_GE(shape.cell_bytes, bytes);
        EXPECT_LE(shape.cell_bytes - bytes, bytes / 8);
        EXPECT_EQ(shape.cells, 1u);
        EXPECT_LT(shape.span_bytes() - shape.cell_bytes, slot_bytes);
    }
}

TEST(SizeClass, GuardedCellsLieAPageApart) {
    static_assert(guarded_classes == 4 || page_shift != 12);
    for (unsigned index = ordinary_classes; index < first_medium; ++index) {
        EXPECT_TRUE(class_at(index).guarded);
        EXPECT_EQ(class_at(index).cell_bytes, (index - ordinary_classes + 1) * page_size);
        EXPECT_EQ(class_at(index).stride, class_at(index).cell_bytes + page_size);
    }
}

}  // namespace
}  // namespace quire::heap_internal
