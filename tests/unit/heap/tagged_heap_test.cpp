// SPDX-License-Identifier: MIT
// Who has the memory: tags, records, walks and leaks.
#include "quire/heap/tagged_heap.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "heap_fixture.hpp"
#include "quire/heap/object_cache.hpp"

namespace quire::test {
namespace {

using heap_internal::BlockRecord;
using heap_internal::BlockRecords;
using testing::HasSubstr;

class LoggingPlatform final : public Platform {
  public:
    void log(Severity severity, const char* line) override {
        EXPECT_EQ(severity, Severity::warning);
        lines.push_back(line);
    }
    std::vector<std::string> lines;
};

void* pointer(uintptr_t value) {
    return reinterpret_cast<void*>(value);
}

TEST(BlockRecords, AgreeWithAMapWhateverComesAndGoes) {
    HostPageSource pages;
    BlockRecords records;
    ASSERT_TRUE(records.start(pages, 20000).ok());
    std::map<uintptr_t, size_t> expected;
    std::mt19937_64 random(7);
    for (int step = 0; step < 60000; ++step) {
        const uintptr_t address = 16 + 16 * (random() % 30000);
        if (expected.count(address) == 0 && random() % 5 != 0 && expected.size() < 20000) {
            BlockRecord* const record = records.take();
            ASSERT_NE(record, nullptr);
            record->address = pointer(address);
            record->bytes = expected[address] = random() % 1000;
            records.insert(*record);
        } else {
            BlockRecord* const record = records.remove(pointer(address));
            ASSERT_EQ(record != nullptr, expected.count(address) == 1);
            if (record == nullptr) continue;
            ASSERT_EQ(record->bytes, expected[address]);
            records.give_back(*record);
            expected.erase(address);
        }
        ASSERT_EQ(records.size(), expected.size());
    }
    EXPECT_TRUE(records.consistent());
    for (const auto& [address, bytes] : expected)
        ASSERT_EQ(records.find(pointer(address))->bytes, bytes);
    records.stop();
    EXPECT_EQ(pages.reserved_bytes(), 0u);
    EXPECT_EQ(pages.breaches(), 0u);
}

TEST(BlockRecords, EndWhereTheirRoomOrThePagesEnd) {
    HostPageSource pages;
    BlockRecords records;
    EXPECT_EQ(records.start(pages, 0).error(), Error::bad_argument);
    EXPECT_EQ(records.start(pages, SIZE_MAX / 8).error(), Error::bad_argument);
    for (size_t call = 1; call <= 3; ++call) {
        pages.fail_call(call);
        EXPECT_FALSE(records.start(pages, 1000).ok());
        EXPECT_EQ(pages.reserved_bytes(), 0u) << call;
    }
    pages.fail_call(0);
    ASSERT_TRUE(records.start(pages, 1000).ok());
    EXPECT_EQ(records.start(pages, 1000).error(), Error::bad_argument);
    const size_t in_a_page = page_size / sizeof(BlockRecord);
    pages.limit_pages(2);
    for (size_t i = 0; i < in_a_page; ++i)
        ASSERT_NE(records.take(), nullptr);
    EXPECT_EQ(records.take(), nullptr);
    pages.limit_pages(SIZE_MAX);
    for (size_t i = in_a_page; i < 1000; ++i)
        ASSERT_NE(records.take(), nullptr);
    EXPECT_EQ(records.take(), nullptr);
    records.stop();
}

TEST(BlockRecords, NoticeARecordThatIsNotWhereItShouldBe) {
    HostPageSource pages;
    BlockRecords records;
    ASSERT_TRUE(records.start(pages, 100).ok());
    BlockRecord* const record = records.take();
    record->address = pointer(0x1000);
    records.insert(*record);
    EXPECT_TRUE(records.consistent());
    record->address = pointer(0x5550);
    EXPECT_FALSE(records.consistent());
    record->address = nullptr;
    EXPECT_FALSE(records.consistent());
    records.stop();
}

class TaggedHeapTest : public HeapTest {
  protected:
    using Tagged = TaggedHeap<Heap>;
    void SetUp() override {
        start();
        ASSERT_TRUE(tagged_.start(record_pages_, 10000).ok());
    }
    void TearDown() override {
        EXPECT_TRUE(tagged_.validate().ok());
        tagged_.stop();
        EXPECT_EQ(record_pages_.reserved_bytes(), 0u);
        EXPECT_EQ(record_pages_.breaches(), 0u);
        HeapTest::TearDown();
    }
    // The sum of tags is the use, and the heap's.
    void expect_agreement() {
        TagUse sum;
        tagged_.for_each_tag([&](const HeapTag&, const TagUse& use) {
            sum.blocks += use.blocks;
            sum.bytes += use.bytes;
            return true;
        });
        EXPECT_EQ(sum, tagged_.use());
        EXPECT_EQ(sum.blocks, heap_.counters().live_blocks);
        EXPECT_EQ(sum.bytes, heap_.counters().live_bytes);
    }

    HostPageSource record_pages_;
    Tagged tagged_{heap_};
    HeapTag files_{"files"};
    HeapTag nets_{"nets"};
};

TEST_F(TaggedHeapTest, TheSumOfTagsIsTheUseAtEveryMoment) {
    std::vector<std::pair<void*, HeapTag*>> blocks;
    std::mt19937_64 random(3);
    HeapTag* const tags[] = {&files_, &nets_};
    for (int step = 0; step < 3000; ++step) {
        HeapTag& tag = *tags[random() % 2];
        const size_t bytes = random() % (random() % 50 == 0 ? 100000 : 500);
        const uint64_t kind = random() % 8;
        if (kind < 4 || blocks.empty()) {
            const Result<void*> block = kind == 0   ? tagged_.allocate_zeroed(bytes, tag)
                                        : kind == 1 ? tagged_.allocate_aligned(bytes, 64, tag)
                                                    : tagged_.allocate(bytes, tag);
            ASSERT_TRUE(block.ok());
            blocks.emplace_back(*block, &tag);
            EXPECT_EQ(tagged_.find(*block)->tag, &tag);
            EXPECT_EQ(tagged_.find(*block)->bytes, bytes);
            EXPECT_NE(tagged_.find(*block)->caller, nullptr);
        } else if (kind == 4) {
            auto& [block, own] = blocks[random() % blocks.size()];
            block = tagged_.reallocate(block, bytes, tag).value();
            EXPECT_EQ(tagged_.find(block)->tag, own);
            EXPECT_EQ(tagged_.find(block)->bytes, bytes);
        } else {
            std::swap(blocks[random() % blocks.size()], blocks.back());
            ASSERT_TRUE(tagged_.try_free(blocks.back().first).ok());
            EXPECT_EQ(tagged_.find(blocks.back().first).error(), Error::foreign);
            blocks.pop_back();
        }
        expect_agreement();
    }
    EXPECT_TRUE(tagged_.validate().ok());
    std::set<void*> shown;
    tagged_.for_each_block([&](const TaggedBlock& block) {
        shown.insert(block.address);
        return true;
    });
    EXPECT_EQ(shown.size(), blocks.size());
    for (auto& [block, tag] : blocks) {
        EXPECT_EQ(shown.count(block), 1u);
        tagged_.free(block);
    }
    EXPECT_EQ(tagged_.use(), TagUse{});
    EXPECT_EQ(tagged_.use(files_), TagUse{});
}

TEST_F(TaggedHeapTest, ARefusedFreeKeepsTheRecord) {
    auto* const block = static_cast<unsigned char*>(tagged_.allocate(100, files_).value());
    block[100] ^= 1;
    EXPECT_EQ(tagged_.try_free(block).error(), Error::corrupted);
    EXPECT_EQ(tagged_.find(block)->bytes, 100u);
    EXPECT_EQ(report_of([&] { tagged_.free(block); }).error, Error::corrupted);
    block[100] ^= 1;
    EXPECT_EQ(tagged_.try_free(block + 16).error(), Error::misaligned);
    EXPECT_EQ(tagged_.reallocate(block + 16, 10, files_).error(), Error::misaligned);
    EXPECT_EQ(tagged_.reallocate(block, SIZE_MAX, files_).error(), Error::out_of_memory);
    EXPECT_EQ(tagged_.find(block)->bytes, 100u);
    EXPECT_EQ(tagged_.try_free_sized(block, 99).error(), Error::bad_argument);
    EXPECT_EQ(tagged_.use(files_), (TagUse{1, 100}));
    EXPECT_TRUE(tagged_.try_free_sized(block, 100).ok());
    EXPECT_EQ(tagged_.try_free(block).error(), Error::already_free);
    EXPECT_TRUE(tagged_.try_free(nullptr).ok());
    EXPECT_EQ(tagged_.find(nullptr).error(), Error::foreign);
}

TEST_F(TaggedHeapTest, ReportsSayWhoseTheBlockIsAndWhereItCameFrom) {
    auto* const block = static_cast<unsigned char*>(tagged_.allocate(100, files_).value());
    const void* const caller = tagged_.find(block)->caller;
    block[100] ^= 1;
    const Report overrun = report_of([&] { tagged_.free(block); });
    EXPECT_EQ(overrun.block, value_of(block));
    EXPECT_EQ(overrun.block_bytes, 100u);
    EXPECT_STREQ(overrun.tag, files_.name());
    EXPECT_EQ(overrun.allocated_at, caller);
    EXPECT_EQ(overrun.freed_at, nullptr);
    block[100] ^= 1;
    EXPECT_STREQ(report_of([&] { tagged_.free(block + 16); }).tag, files_.name());
    tagged_.free(block);
    const Report twice = report_of([&] { tagged_.free(block); });
    EXPECT_EQ(twice.error, Error::already_free);
    EXPECT_EQ(twice.block_bytes, 100u);
    EXPECT_STREQ(twice.tag, files_.name());
    EXPECT_EQ(twice.allocated_at, caller);
    EXPECT_NE(twice.freed_at, nullptr);
    int local = 0;
    EXPECT_EQ(report_of([&] { tagged_.free(&local); }).tag, nullptr);
    // Only so many are remembered.
    for (int i = 0; i < 16; ++i)
        tagged_.free(tagged_.allocate(30000, files_).value());
    EXPECT_EQ(report_of([&] { tagged_.free(block); }).tag, nullptr);
}

TEST_F(TaggedHeapTest, BlocksOfTheHeapItselfPassThrough) {
    void* const block = heap_.allocate(50).value();
    EXPECT_EQ(tagged_.find(block).error(), Error::foreign);
    void* const moved = tagged_.reallocate(block, 5000, files_).value();
    EXPECT_EQ(tagged_.use(), TagUse{});
    EXPECT_TRUE(tagged_.try_free(moved).ok());
}

TEST_F(TaggedHeapTest, NothingIsAllocatedWithoutARecord) {
    record_pages_.limit_pages(1);
    EXPECT_EQ(tagged_.allocate(10, files_).error(), Error::out_of_nodes);
    EXPECT_EQ(heap_.counters().live_blocks, 0u);
    Tagged not_started(heap_);
    EXPECT_EQ(not_started.allocate(10, nets_).error(), Error::out_of_nodes);
    EXPECT_EQ(heap_.counters().live_blocks, 0u);
    pages_.limit_pages(0);
    EXPECT_EQ(tagged_.allocate(200000, files_).error(), Error::out_of_memory);
    record_pages_.limit_pages(SIZE_MAX);
    EXPECT_EQ(tagged_.use(), TagUse{});
}

TEST_F(TaggedHeapTest, LeaksAreNamedWithSizeTagAndCaller) {
    LoggingPlatform platform;
    EXPECT_EQ(tagged_.report_leaks(platform), 0u);
    EXPECT_TRUE(platform.lines.empty());
    void* const first = tagged_.allocate(100, files_).value();
    void* const second = tagged_.allocate(7, nets_).value();
    char caller[40];
    std::snprintf(caller, sizeof(caller), "%#zx",
                  reinterpret_cast<uintptr_t>(tagged_.find(first)->caller));
    EXPECT_EQ(tagged_.report_leaks(platform), 2u);
    ASSERT_EQ(platform.lines.size(), 3u);
    EXPECT_THAT(platform.lines[0], HasSubstr("100 bytes at 0x"));
    EXPECT_THAT(platform.lines[0], HasSubstr("tag files, allocated from " + std::string(caller)));
    EXPECT_THAT(platform.lines[1], HasSubstr("7 bytes at 0x"));
    EXPECT_THAT(platform.lines[1], HasSubstr("tag nets"));
    EXPECT_EQ(platform.lines[2], "leaked: 2 blocks, 107 bytes in all");
    platform.lines.clear();
    EXPECT_EQ(tagged_.report_leaks(platform, 1), 2u);
    EXPECT_EQ(platform.lines.size(), 2u);
    tagged_.free(first);
    tagged_.free(second);
}

TEST_F(TaggedHeapTest, ObjectsCanHaveATag) {
    HeapOfTag<Tagged> of_nets(tagged_, nets_);
    ObjectCache<uint64_t> cache(of_nets);
    uint64_t* const object = cache.create(uint64_t{5}).value();
    EXPECT_EQ(tagged_.use(nets_), (TagUse{1, sizeof(uint64_t)}));
    EXPECT_EQ(report_of([&] { of_nets.free_sized(object, 99); }).error, Error::bad_argument);
    cache.destroy(object);
    void* const block = of_nets.allocate(3).value();
    of_nets.free(block);
    EXPECT_EQ(tagged_.use(), TagUse{});
}

TEST_F(HeapTest, AWalkShowsEveryLiveBlock) {
    start();
    std::map<void*, size_t> expected;
    for (size_t i = 0; i < 2000; ++i) {
        const size_t bytes = i % 50 == 0 ? 40000 + i : i;
        void* const block = allocate(bytes);
        if (i % 3 == 0) {
            heap_.free(block);
        } else {
            expected[block] = bytes;
        }
    }
    std::map<void*, size_t> shown;
    heap_.for_each_block([&](const LiveBlock& block) {
        EXPECT_TRUE(shown.emplace(block.address, block.bytes).second);
        return true;
    });
    EXPECT_EQ(shown, expected);
    size_t visits = 0;
    heap_.for_each_block([&](const LiveBlock&) { return ++visits < 5; });
    EXPECT_EQ(visits, 5u);
    for (const auto& [block, bytes] : expected)
        heap_.free(block);
    void* const large = allocate(100000);
    visits = 0;
    heap_.for_each_block([&](const LiveBlock&) { return ++visits < 5; });
    EXPECT_EQ(visits, 1u);
    LoggingPlatform platform;
    EXPECT_EQ(report_leaks(heap_, platform), 1u);
    ASSERT_EQ(platform.lines.size(), 2u);
    EXPECT_THAT(platform.lines[0], HasSubstr("leaked: 100000 bytes at 0x"));
    EXPECT_EQ(platform.lines[1], "leaked: 1 block, 100000 bytes in all");
    heap_.free(large);
    platform.lines.clear();
    EXPECT_EQ(report_leaks(heap_, platform), 0u);
    EXPECT_TRUE(platform.lines.empty());
}

// A word of the object that holds the value.
template <class Object>
uintptr_t& word_of(Object& object, uintptr_t value) {
    auto* const words = reinterpret_cast<uintptr_t*>(&object);
    uintptr_t* const found = std::find(words, words + sizeof(object) / sizeof(*words), value);
    EXPECT_NE(found, words + sizeof(object) / sizeof(*words));
    return *found;
}

TEST_F(TaggedHeapTest, ValidateFindsWhatDoesNotAgree) {
    void* const block = tagged_.allocate(12345, files_).value();
    ASSERT_TRUE(tagged_.validate().ok());
    {
        uintptr_t& of_tag = word_of(files_, 12345);
        ++of_tag;
        EXPECT_EQ(tagged_.validate().failure(),
                  (Failure{Error::corrupted, reinterpret_cast<uintptr_t>(&files_)}));
        --of_tag;
    }
    {
        uintptr_t& sum = word_of(tagged_, 12345);
        ++sum;
        EXPECT_EQ(tagged_.validate().failure(), (Failure{Error::corrupted, 12345}));
        --sum;
    }
    BlockRecord* record = nullptr;
    record_pages_.for_each_reservation([&](void* base) {
        auto* const first = static_cast<BlockRecord*>(base);
        if (first->address == block) record = first;
    });
    ASSERT_NE(record, nullptr);
    record->address = pointer(0x1000);  // whose bucket is another
    EXPECT_EQ(tagged_.validate().failure(), Failure{Error::corrupted});
    record->address = block;
    EXPECT_TRUE(tagged_.validate().ok());
    tagged_.free(block);
}

}  // namespace
}  // namespace quire::test
