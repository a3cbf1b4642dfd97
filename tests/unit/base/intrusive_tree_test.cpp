// SPDX-License-Identifier: MIT
#include "quire/base/intrusive_tree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>
#include <random>
#include <set>
#include <vector>

namespace quire {

// Breaks links behind the tree's back.
struct TreeLinkDamage {
    template <class T, class Summary>
    static void set_parent(TreeLink<T, Summary>& link, T* parent) {
        link.parent_ = parent;
    }
    template <class T, class Summary>
    static void set_left(TreeLink<T, Summary>& link, T* left) {
        link.left_ = left;
    }
    template <class T, class Summary>
    static void set_height(TreeLink<T, Summary>& link, unsigned height) {
        link.height_ = static_cast<uint8_t>(height);
    }
    template <class T, class Summary>
    static unsigned height(const TreeLink<T, Summary>& link) {
        return link.height_;
    }
};

namespace {

// Ordered by key; a subtree's summary is how many elements it has and the largest weight in it.
struct Tally {
    size_t elements = 0;
    int heaviest = -1;
    friend bool operator==(const Tally&, const Tally&) = default;
};
struct Item {
    int key = 0;
    int weight = 0;
    TreeLink<Item, Tally> link;
};
struct ByKey {
    using Summary = Tally;
    static bool before(const Item& a, const Item& b) { return a.key < b.key; }
    static bool before(const Item& a, int key) { return a.key < key; }
    static Tally summarise(const Item& item, const Tally& left, const Tally& right) {
        return {1 + left.elements + right.elements,
                std::max({item.weight, left.heaviest, right.heaviest})};
    }
};
using Tree = IntrusiveTree<Item, ByKey, &Item::link>;

struct Plain {
    int key = 0;
    TreeLink<Plain, NoSummary> link;
};
struct PlainOrder : Unsummarised {
    static bool before(const Plain& a, const Plain& b) { return a.key < b.key; }
};
using PlainTree = IntrusiveTree<Plain, PlainOrder, &Plain::link>;

std::vector<int> keys_of(const Tree& tree) {
    std::vector<int> keys;
    for (Item* item = tree.first(); item != nullptr; item = Tree::next(*item))
        keys.push_back(item->key);
    return keys;
}
std::vector<int> keys_backwards(const Tree& tree) {
    std::vector<int> keys;
    for (Item* item = tree.last(); item != nullptr; item = Tree::previous(*item))
        keys.push_back(item->key);
    return keys;
}

TEST(IntrusiveTree, EmptyTreeHasNothing) {
    Tree tree;
    EXPECT_TRUE(tree.empty());
    EXPECT_EQ(tree.size(), 0u);
    EXPECT_EQ(tree.first(), nullptr);
    EXPECT_EQ(tree.last(), nullptr);
    EXPECT_EQ(tree.root(), nullptr);
    EXPECT_EQ(tree.lower_bound(1), nullptr);
    EXPECT_TRUE(tree.validate().ok());
}

// Inserts the items in one order, removes them in another, and checks everything at each step.
void check_orders(const std::vector<size_t>& in, const std::vector<size_t>& out) {
    std::deque<Item> items(in.size());
    Tree tree;
    std::set<int> expected;
    for (const size_t index : in) {
        items[index].key = static_cast<int>(index);
        items[index].weight = static_cast<int>((index * 5) % in.size());
        tree.insert(items[index]);
        expected.insert(static_cast<int>(index));
        ASSERT_TRUE(tree.validate().ok());
    }
    for (const size_t index : out) {
        ASSERT_EQ(keys_of(tree), std::vector<int>(expected.begin(), expected.end()));
        ASSERT_EQ(keys_backwards(tree), std::vector<int>(expected.rbegin(), expected.rend()));
        tree.remove(items[index]);
        expected.erase(static_cast<int>(index));
        ASSERT_FALSE(items[index].link.linked());
        ASSERT_TRUE(tree.validate().ok());
    }
    ASSERT_TRUE(tree.empty());
}
std::vector<size_t> ascending(size_t count) {
    std::vector<size_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    return order;
}

TEST(IntrusiveTree, EveryOrderOfInsertionAndRemovalOfFiveKeepsItSound) {
    for (size_t count = 1; count <= 5; ++count) {
        auto in = ascending(count);
        do {
            auto out = ascending(count);
            do {
                check_orders(in, out);
                ASSERT_FALSE(HasFatalFailure());
            } while (std::next_permutation(out.begin(), out.end()));
        } while (std::next_permutation(in.begin(), in.end()));
    }
}

TEST(IntrusiveTree, EveryOrderOfInsertionOfSevenKeepsItSound) {
    auto in = ascending(7);
    std::mt19937 random(7);
    do {
        auto out = ascending(7);
        std::shuffle(out.begin(), out.end(), random);
        check_orders(in, out);
        ASSERT_FALSE(HasFatalFailure());
    } while (std::next_permutation(in.begin(), in.end()));
}

TEST(IntrusiveTree, RandomOperationsAgreeWithASet) {
    std::mt19937 random(20240607);
    std::deque<Item> items(600);
    for (size_t i = 0; i < items.size(); ++i) {
        items[i].key = static_cast<int>(i * 3);
        items[i].weight = static_cast<int>(random() % 1000);
    }
    Tree tree;
    std::set<int> expected;
    for (int step = 0; step < 100000; ++step) {
        Item& item = items[random() % items.size()];
        // Drifts between nearly empty and nearly full.
        const bool grow = random() % 100 < ((step / 5000) % 2 == 0 ? 70u : 30u);
        if (item.link.linked() && !grow) {
            tree.remove(item);
            expected.erase(item.key);
        } else if (!item.link.linked() && grow) {
            tree.insert(item);
            expected.insert(item.key);
        } else if (item.link.linked()) {
            item.weight = static_cast<int>(random() % 1000);
            tree.refresh(item);
        }
        const int key = static_cast<int>(random() % 1900) - 50;
        const auto bound = expected.lower_bound(key);
        const Item* found = tree.lower_bound(key);
        ASSERT_EQ(found == nullptr, bound == expected.end());
        if (found != nullptr) {
            ASSERT_EQ(found->key, *bound);
            const Item* previous = Tree::previous(*found);
            ASSERT_EQ(previous == nullptr, bound == expected.begin());
            if (previous != nullptr) {
                ASSERT_EQ(previous->key, *std::prev(bound));
            }
        }
        ASSERT_EQ(tree.size(), expected.size());
        if (step % 64 == 0) {
            ASSERT_TRUE(tree.validate().ok());
            ASSERT_EQ(keys_of(tree), std::vector<int>(expected.begin(), expected.end()));
            int heaviest = -1;
            for (const Item& each : items)
                if (each.link.linked()) heaviest = std::max(heaviest, each.weight);
            ASSERT_EQ(Tree::summary_of(tree.root()), (Tally{expected.size(), heaviest}));
        }
    }
}

TEST(IntrusiveTree, AscendingInsertionStaysShallow) {
    std::deque<Item> items(10000);
    Tree tree;
    int key = 0;
    for (Item& item : items) {
        item.key = key++;
        tree.insert(item);
    }
    ASSERT_TRUE(tree.validate().ok());
    const double bound = 1.4405 * std::log2(static_cast<double>(items.size()) + 2);
    EXPECT_LE(TreeLinkDamage::height(tree.root()->link), bound);
}

TEST(IntrusiveTree, EqualElementsStandInOrderOfInsertion) {
    std::deque<Item> items(5);
    Tree tree;
    for (Item& item : items) {
        item.key = 7;
        tree.insert(item);
    }
    Item* found = tree.lower_bound(7);
    for (Item& item : items) {
        EXPECT_EQ(found, &item);
        found = Tree::next(*found);
    }
    EXPECT_TRUE(tree.validate().ok());
}

TEST(IntrusiveTree, RefreshCarriesAChangeToTheRoot) {
    std::deque<Item> items(31);
    Tree tree;
    for (size_t i = 0; i < items.size(); ++i) {
        items[i].key = static_cast<int>(i);
        tree.insert(items[i]);
    }
    items[0].weight = 99;
    EXPECT_FALSE(tree.validate().ok());  // summaries above it still tell the old weight
    tree.refresh(items[0]);
    EXPECT_TRUE(tree.validate().ok());
    EXPECT_EQ(Tree::summary(*tree.root()).heaviest, 99);
}

TEST(IntrusiveTree, WorksWithoutSummary) {
    static_assert(sizeof(TreeLink<Plain, NoSummary>) <= 4 * sizeof(void*));
    Plain a{.key = 2, .link = {}};
    Plain b{.key = 1, .link = {}};
    PlainTree tree;
    tree.insert(a);
    tree.insert(b);
    EXPECT_EQ(tree.first(), &b);
    EXPECT_EQ(PlainTree::next(b), &a);
    EXPECT_TRUE(tree.validate().ok());
    tree.remove(a);
    tree.remove(b);
    EXPECT_TRUE(tree.empty());
}

TEST(IntrusiveTreeDeathTest, InsertingTwiceAndRemovingAStrangerTrap) {
    Tree tree;
    Item item;
    EXPECT_DEATH(tree.remove(item), "");
    EXPECT_DEATH(tree.refresh(item), "");
    tree.insert(item);
    EXPECT_DEATH(tree.insert(item), "");
}

class IntrusiveTreeValidate : public ::testing::Test {
  protected:
    IntrusiveTreeValidate() : items(20) {
        for (size_t i = 0; i < items.size(); ++i) {
            items[i].key = static_cast<int>(i);
            tree.insert(items[i]);
        }
        EXPECT_TRUE(tree.validate().ok());
    }
    void expect_damaged() {
        const Status status = tree.validate();
        ASSERT_FALSE(status.ok());
        EXPECT_EQ(status.error(), Error::corrupted);
    }
    std::deque<Item> items;
    Tree tree;
};

TEST_F(IntrusiveTreeValidate, FindsAWrongParent) {
    TreeLinkDamage::set_parent(items[0].link, &items[19]);
    expect_damaged();
}
TEST_F(IntrusiveTreeValidate, FindsALostSubtree) {
    TreeLinkDamage::set_left(tree.root()->link, static_cast<Item*>(nullptr));
    expect_damaged();
}
TEST_F(IntrusiveTreeValidate, FindsACircle) {
    Item* leaf = tree.first();
    TreeLinkDamage::set_left(leaf->link, tree.root());
    expect_damaged();
}
TEST_F(IntrusiveTreeValidate, FindsAWrongHeight) {
    TreeLinkDamage::set_height(tree.first()->link, 2);
    expect_damaged();
}
TEST_F(IntrusiveTreeValidate, FindsDisorder) {
    items[3].key = 12;
    expect_damaged();
}
TEST_F(IntrusiveTreeValidate, FindsAnOutdatedSummary) {
    items[5].weight = 1000;
    const Status status = tree.validate();
    ASSERT_FALSE(status.ok());
}

TEST(IntrusiveTreeValidateCount, FindsAnElementLostWithoutATrace) {
    Plain a{.key = 2, .link = {}};
    Plain b{.key = 1, .link = {}};
    PlainTree tree;
    tree.insert(a);
    tree.insert(b);
    TreeLinkDamage::set_left(a.link, static_cast<Plain*>(nullptr));
    TreeLinkDamage::set_height(a.link, 1);
    EXPECT_FALSE(tree.validate().ok());
}

}  // namespace
}  // namespace quire
