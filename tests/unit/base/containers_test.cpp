// SPDX-License-Identifier: MIT
// Spans, intrusive lists and node pools.
#include <gtest/gtest.h>

#include <list>
#include <random>
#include <set>
#include <vector>

#include "quire/base/intrusive_list.hpp"
#include "quire/base/node_pool.hpp"
#include "quire/base/span.hpp"

namespace quire::test {
namespace {

TEST(Spans, ShowWhatOthersOwn) {
    int numbers[] = {1, 2, 3, 4};
    const Span<int> span(numbers);
    EXPECT_EQ(span.size(), 4u);
    EXPECT_EQ(span.data(), numbers);
    EXPECT_FALSE(span.empty());
    span[2] = 9;
    EXPECT_EQ(numbers[2], 9);
    int sum = 0;
    for (int number : span)
        sum += number;
    EXPECT_EQ(sum, 16);
    const Span<const int> constant = span;
    EXPECT_EQ(constant[3], 4);
    EXPECT_EQ(span.subspan(1, 2)[1], 9);
    EXPECT_EQ(span.first(1).size(), 1u);
    EXPECT_TRUE(span.subspan(4, 0).empty());
    EXPECT_TRUE(Span<int>().empty());
    EXPECT_EQ(Span<int>(numbers, 2).size(), 2u);
}

TEST(SpansDeathTest, EndWhereTheyEnd) {
    int numbers[] = {1, 2, 3, 4};
    const Span<int> span(numbers);
    EXPECT_DEATH((void)span[4], "");
    EXPECT_DEATH((void)span[SIZE_MAX], "");
    EXPECT_DEATH((void)span.subspan(5, 0), "");
    EXPECT_DEATH((void)span.subspan(2, 3), "");
    EXPECT_DEATH((void)span.subspan(2, SIZE_MAX), "");
    EXPECT_DEATH((void)span.first(5), "");
    EXPECT_DEATH((void)Span<int>()[0], "");
}

template <class From, class To>
concept convertible = requires(void (&take)(To), From from) { take(from); };
static_assert(convertible<Span<int>, Span<const int>>);
static_assert(!convertible<Span<const int>, Span<int>>);

struct Item {
    int number = 0;
    ListLink<Item> link;
    ListLink<Item> other_link;
};
using Items = IntrusiveList<Item, &Item::link>;
using OtherItems = IntrusiveList<Item, &Item::other_link>;

std::vector<int> numbers(const Items& items) {
    std::vector<int> result;
    for (const Item& item : items)
        result.push_back(item.number);
    // Backwards it is the same list.
    std::vector<int> backwards;
    for (const Item* item = items.back(); item != nullptr; item = Items::previous(*item))
        backwards.insert(backwards.begin(), item->number);
    EXPECT_EQ(result, backwards);
    EXPECT_EQ(result.size(), items.size());
    EXPECT_EQ(items.empty(), result.empty());
    return result;
}

TEST(Lists, KeepTheirElementsInOrder) {
    Item a{1, {}, {}}, b{2, {}, {}}, c{3, {}, {}}, d{4, {}, {}};
    Items items;
    EXPECT_TRUE(items.empty());
    EXPECT_EQ(items.front(), nullptr);
    EXPECT_EQ(items.back(), nullptr);
    EXPECT_EQ(items.pop_front(), nullptr);
    items.push_back(b);
    items.push_front(a);
    items.push_back(d);
    items.insert_before(d, c);
    EXPECT_EQ(numbers(items), (std::vector<int>{1, 2, 3, 4}));
    EXPECT_TRUE(c.link.linked());
    EXPECT_FALSE(c.other_link.linked());
    items.remove(c);
    EXPECT_FALSE(c.link.linked());
    EXPECT_EQ(Items::next(c), nullptr);
    EXPECT_EQ(Items::previous(c), nullptr);
    EXPECT_EQ(numbers(items), (std::vector<int>{1, 2, 4}));
    items.remove(a);
    items.remove(d);
    EXPECT_EQ(numbers(items), (std::vector<int>{2}));
    items.insert_before(b, a);
    EXPECT_EQ(items.front(), &a);
    EXPECT_EQ(Items::next(a), &b);
    EXPECT_EQ(items.pop_front(), &a);
    EXPECT_EQ(items.pop_front(), &b);
    EXPECT_TRUE(items.empty());
    EXPECT_EQ(items.begin(), items.end());
}

TEST(Lists, ShareElementsThroughDifferentLinks) {
    Item a{1, {}, {}}, b{2, {}, {}};
    Items items;
    OtherItems others;
    items.push_back(a);
    items.push_back(b);
    others.push_front(a);
    others.push_front(b);
    EXPECT_EQ(numbers(items), (std::vector<int>{1, 2}));
    EXPECT_EQ(others.front()->number, 2);
    items.remove(b);
    EXPECT_EQ(others.size(), 2u);
}

TEST(ListsDeathTest, RefuseWhatIsLinkedAlreadyAndWhatIsNot) {
    Item a{1, {}, {}}, b{2, {}, {}};
    Items items;
    items.push_back(a);
    EXPECT_DEATH(items.push_back(a), "");
    EXPECT_DEATH(items.push_front(a), "");
    EXPECT_DEATH(items.insert_before(a, a), "");
    EXPECT_DEATH(items.remove(b), "");
    items.remove(a);
    EXPECT_DEATH(items.remove(a), "");
}

TEST(Lists, AgreeWithTheStandardOneOverRandomOperations) {
    std::mt19937 random(1);
    std::vector<Item> pool(16);
    for (size_t i = 0; i < pool.size(); ++i)
        pool[i].number = static_cast<int>(i);
    Items items;
    std::list<int> model;
    for (int step = 0; step < 5000; ++step) {
        Item& item = pool[random() % pool.size()];
        if (item.link.linked()) {
            items.remove(item);
            model.remove(item.number);
        } else if (random() % 3 == 0) {
            items.push_front(item);
            model.push_front(item.number);
        } else if (random() % 2 == 0 && items.front() != nullptr) {
            Item& position = *items.back();
            items.insert_before(position, item);
            model.insert(std::prev(model.end()), item.number);
        } else {
            items.push_back(item);
            model.push_back(item.number);
        }
        ASSERT_EQ(numbers(items), std::vector<int>(model.begin(), model.end()));
    }
}

struct Node {
    static int living;
    uint64_t value = 17;
    Node() { ++living; }
    ~Node() { --living; }
};
int Node::living = 0;

TEST(NodePools, HandOutWhatTheirStorageHolds) {
    alignas(Node) unsigned char storage[10 * sizeof(Node)];
    NodePool<Node> pool;
    EXPECT_EQ(pool.allocate().failure(), (Failure{Error::out_of_nodes, 0}));
    EXPECT_EQ(pool.add_storage(Span(storage)), 10u);
    EXPECT_EQ(pool.total(), 10u);
    EXPECT_EQ(pool.available(), 10u);
    std::set<Node*> nodes;
    for (int i = 0; i < 10; ++i) {
        const auto node = pool.allocate();
        ASSERT_TRUE(node.ok());
        EXPECT_EQ((*node)->value, 17u);
        (*node)->value = 99;
        nodes.insert(*node);
    }
    EXPECT_EQ(nodes.size(), 10u);
    EXPECT_EQ(Node::living, 10);
    EXPECT_EQ(pool.available(), 0u);
    EXPECT_EQ(pool.allocate().failure(), (Failure{Error::out_of_nodes, 10}));
    for (Node* node : nodes)
        pool.free(node);
    EXPECT_EQ(Node::living, 0);
    EXPECT_EQ(pool.available(), 10u);
    Node* again = *pool.allocate();
    EXPECT_EQ(again->value, 17u);  // constructed afresh
    EXPECT_EQ(nodes.count(again), 1u);
    pool.free(again);
}

// At every offset and size, nodes are aligned, apart, and inside.
template <class T>
void check_storage() {
    alignas(64) unsigned char storage[256];
    for (size_t offset = 0; offset < 64; ++offset) {
        for (size_t size = 0; size <= 160; ++size) {
            NodePool<T> pool;
            const size_t added = pool.add_storage(Span<unsigned char>(storage + offset, size));
            std::set<uintptr_t> seen;
            for (size_t i = 0; i < added; ++i) {
                const auto at = reinterpret_cast<uintptr_t>(*pool.allocate());
                EXPECT_EQ(at % alignof(T), 0u);
                EXPECT_GE(at, reinterpret_cast<uintptr_t>(storage + offset));
                EXPECT_LE(at + sizeof(T), reinterpret_cast<uintptr_t>(storage + offset + size));
                for (uintptr_t other : seen)
                    EXPECT_GE(at > other ? at - other : other - at, sizeof(T));
                seen.insert(at);
            }
            EXPECT_FALSE(pool.allocate().ok());
            // What is left over at both ends is less than a node and its alignment.
            constexpr size_t unit = max(alignof(T), alignof(void*));
            constexpr size_t node = (max(sizeof(T), sizeof(void*)) + unit - 1) / unit * unit;
            EXPECT_GT((added + 1) * node + unit, size);
        }
    }
}

struct Odd {
    unsigned char bytes[13];
};
struct alignas(32) Wide {
    unsigned char bytes[40];
};

TEST(NodePools, TakeStorageOfAnySizeAtAnyAddress) {
    check_storage<char>();  // smaller than what links free nodes
    check_storage<uint64_t>();
    check_storage<Odd>();
    check_storage<Wide>();
}

TEST(NodePools, TakeMoreStorageLater) {
    alignas(Node) unsigned char first[2 * sizeof(Node)];
    alignas(Node) unsigned char second[3 * sizeof(Node)];
    NodePool<Node> pool;
    EXPECT_EQ(pool.add_storage(Span(first)), 2u);
    Node* node = *pool.allocate();
    EXPECT_EQ(pool.add_storage(Span(second)), 3u);
    EXPECT_EQ(pool.total(), 5u);
    EXPECT_EQ(pool.available(), 4u);
    pool.free(node);
    EXPECT_EQ(pool.available(), 5u);
    EXPECT_EQ(pool.add_storage(Span<unsigned char>()), 0u);
}

}  // namespace
}  // namespace quire::test
