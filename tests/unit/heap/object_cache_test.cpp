// SPDX-License-Identifier: MIT
// Typed objects, and blocks taken beforehand.
#include "quire/heap/object_cache.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "heap_fixture.hpp"
#include "quire/heap/per_cpu_heap.hpp"

namespace quire::test::object_cache_test {
namespace {

struct Counted {
    Counted(int a, int& b) : sum(a + b) { ++alive; }
    ~Counted() { --alive; }
    int sum;
    char rest[100] = {};
    static inline int alive = 0;
};
struct alignas(256) Wide {
    explicit Wide(char with) { std::memset(bytes, with, sizeof(bytes)); }
    char bytes[300];
};
struct Tiny {
    char byte = 7;
};

struct Contexts {
    struct Pin {
        bool may_wait() const { return in_thread; }
    };
    static unsigned index() { return 0; }
    static inline bool in_thread = true;
};
using Front = PerCpuHeap<Heap, Contexts>;

class ObjectCacheTest : public HeapTest, public testing::WithParamInterface<OverrunCheck> {
  protected:
    void SetUp() override {
        HeapOptions options;
        options.overrun_check = GetParam();
        start(options);
    }
    void TearDown() override {
        Contexts::in_thread = true;
        front_.drain();
        EXPECT_EQ(heap_.counters().live_blocks, 0u);
        expect_valid();
        HeapTest::TearDown();
    }
    Front::Slot slot_[1];
    Front front_{heap_, slot_};
};
INSTANTIATE_TEST_SUITE_P(Checks, ObjectCacheTest,
                         testing::Values(OverrunCheck::none, OverrunCheck::every_block));

TEST_P(ObjectCacheTest, ConstructsAtEachCreationAndDestroysAtEachEnd) {
    ObjectCache<Counted> cache(front_);
    int two = 2;
    Counted* const first = cache.create(1, two).value();
    Counted* const second = cache.create(10, two).value();
    EXPECT_EQ(first->sum, 3);
    EXPECT_EQ(second->sum, 12);
    EXPECT_EQ(Counted::alive, 2);
    EXPECT_EQ(cache.live(), 2u);
    cache.destroy(first);
    EXPECT_EQ(Counted::alive, 1);
    cache.destroy(nullptr);
    cache.destroy(second);
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_EQ(cache.live(), 0u);
}

TEST_P(ObjectCacheTest, ServesAnyAlignmentFromAnyHeap) {
    ObjectCache<Wide, Heap&> of_heap(heap_);
    ObjectCache<Wide, Front&> of_front(front_);
    ObjectCache<Tiny> tiny(heap_);
    std::vector<Wide*> wide;
    for (int i = 0; i < 20; ++i) {
        wide.push_back(of_heap.create(static_cast<char>(i)).value());
        wide.push_back(of_front.create(static_cast<char>(i)).value());
    }
    Tiny* const small = tiny.create().value();
    EXPECT_EQ(small->byte, 7);
    for (size_t i = 0; i < wide.size(); ++i) {
        EXPECT_TRUE(is_aligned(wide[i], 256));
        EXPECT_EQ(wide[i]->bytes[299], static_cast<char>(i / 2));
        i % 2 == 0 ? of_heap.destroy(wide[i]) : of_front.destroy(wide[i]);
    }
    tiny.destroy(small);
}

TEST_P(ObjectCacheTest, SaysSoWhenThereIsNoMemory) {
    ObjectCache<Counted> cache(heap_);
    int zero = 0;
    pages_.limit_pages(0);
    EXPECT_EQ(cache.create(1, zero).error(), Error::out_of_memory);
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_EQ(cache.live(), 0u);
    EXPECT_EQ(cache.try_create(1, zero).error(), Error::unsupported);
}

TEST_P(ObjectCacheTest, HandlersCreateOfWhatIsAtHand) {
    ObjectCache<Counted> cache(front_);
    int zero = 0;
    for (int i = 0; i < 3; ++i)
        cache.destroy(cache.create(i, zero).value());
    Contexts::in_thread = false;
    EXPECT_EQ(cache.create(1, zero).error(), Error::busy);
    Counted* const object = cache.try_create(5, zero).value();
    EXPECT_EQ(object->sum, 5);
    cache.destroy(object);
}

TEST_P(ObjectCacheTest, AReservationCannotFail) {
    ObjectCache<Counted> cache(front_);
    HeapReservation reserved = cache.reservation();
    ASSERT_TRUE(reserved.prefill(50).ok());
    ASSERT_TRUE(reserved.prefill(20).ok());
    EXPECT_EQ(reserved.count(), 50u);
    pages_.limit_pages(0);
    front_.trim();
    int one = 1;
    std::vector<Counted*> objects;
    Contexts::in_thread = false;
    for (int i = 0; i < 50; ++i) {
        objects.push_back(cache.create_from(reserved, i, one));
        EXPECT_EQ(objects.back()->sum, i + 1);
    }
    EXPECT_EQ(reserved.count(), 0u);
    EXPECT_EQ(reserved.take(), nullptr);
    Contexts::in_thread = true;
    EXPECT_EQ(cache.live(), 50u);
    for (Counted* object : objects)
        cache.destroy(object);
}

TEST_P(ObjectCacheTest, AReservationIsFilledWholeOrNotAtAll) {
    HeapReservation reserved(front_, 5000, 64);
    ASSERT_TRUE(reserved.prefill(3).ok());
    pages_.limit_pages(pages_.committed_bytes() / page_size + 20);
    EXPECT_EQ(reserved.prefill(100).error(), Error::out_of_memory);
    EXPECT_EQ(reserved.count(), 3u);
    void* const block = reserved.take();
    EXPECT_TRUE(is_aligned(block, 64));
    std::memset(block, 1, 5000);
    EXPECT_EQ(reserved.count(), 2u);
    reserved.put(block);
    EXPECT_EQ(reserved.count(), 3u);
    EXPECT_EQ(reserved.take(), block);
    front_.free_sized(block, reserved.block_bytes(), reserved.alignment());
    // The rest goes back with it.
}

TEST_P(ObjectCacheTest, SizedFreesNameTheAlignmentToo) {
    const HeapRef refs[] = {heap_, front_};
    for (const HeapRef& heap : refs) {
        void* const block = heap.allocate_aligned(40, 256).value();
        EXPECT_TRUE(is_aligned(block, 256));
        if (GetParam() == OverrunCheck::none) {
            EXPECT_EQ(heap.try_free_sized(block, 40, 1).error(), Error::bad_argument);
        }
        EXPECT_TRUE(heap.try_free_sized(block, 40, 256).ok());
        heap.free_sized(heap.allocate_aligned(40, 256).value(), 40, 256);
    }
}

TEST_P(ObjectCacheTest, AnObjectOfAnotherSizeIsMisuse) {
    ObjectCache<Wide> wide(heap_);
    ObjectCache<Tiny> tiny(heap_);
    Tiny* const object = tiny.create().value();
    Report report{};
    try {
        wide.destroy(reinterpret_cast<Wide*>(object));
    } catch (const Panic& panic) {
        report = panic.report;
    }
    EXPECT_EQ(report.error, Error::bad_argument);
    EXPECT_EQ(report.address, value_of(object));
    tiny.destroy(object);
}

}  // namespace
}  // namespace quire::test::object_cache_test
