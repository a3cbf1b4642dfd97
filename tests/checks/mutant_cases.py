# SPDX-License-Identifier: MIT
"""What ./quire mutants must find in C++ text, and what it must leave alone."""

import mutant_sites

TEXT = r"""
namespace quire {
namespace {
constexpr int table[] = {1, 2, 3};
Status check(int a) {
    // if (a) return Failure{Error::bad_argument, 1};
    if (a == '{') return Failure{Error::bad_argument, 1};
    if (const auto s = f(); !s.ok()) {
        return Failure{Error::overflow, a};
    }
    if (a > 3 &&
        b < 4) {
        return Failure{Error::overflow,  // why
                       a};
    } else if (a)
        return Error::misaligned;
    if (q) { log("if (x) return Failure{}"); return Failure{Error::zero_size}; }
    if (!z.ok()) return z.failure();
    return {};
}
}  // namespace
template <class T>
    requires(sizeof(T) > 3)
class Table : public Base<T> {
  public:
    Table(int a) : a_(a), b_{3} { flush_all(); }
    explicit Table(Foo f)
        : f_{f}, g_(1) {
        if (x) flush_page(1); else invalidate_page(3);
    }
    void invalidate(int x) override;
    void flush_page(VirtualAddress a) const { asm("x"); }
    Result<int> get(size_t n) const {
        for (auto x : y) table_.undo_map(x, 3);
        switch (x) { case A::b: flush_tlb(x); break; default: undo_x(); }
        each([&](Page p) { flush_page(p); return true; });
        std::move(batch).spend(tlb_);
        batch->spend(tlb_);
        batch->spend(tlb_);
        auto r = undo_y();
        return invalidate_z();
    }
    struct Inner { void f() { undo_k(); } };
    static constexpr uintptr_t full_flush_pages = 64;
};
template <class T>
Result<T> Table<T>::map(Range<T> range, Foo<int, Bar<T>> foo) {
    if (range.empty()) return Failure{Error::zero_size, 0};
    (void)undo_b(1, "a;b");
    if (x) { if (y) return Failure{Error::overflow}; } else { flush_b(); }
}
}
"""

SITES = [
    ("check", "check", "if (a == '{') return Failure{Error::bad_argument, 1};", 1),
    ("check", "check", "if (const auto s = f(); !s.ok()) { return Failure{Error::overflow, a};", 1),
    ("check", "check", "if (a > 3 && b < 4) { return Failure{Error::overflow, a};", 1),
    ("check", "check", "if (a) return Error::misaligned;", 1),
    ("flush", "Table::Table", "flush_all();", 1),
    ("flush", "Table::Table", "flush_page(1);", 1),
    ("flush", "Table::Table", "invalidate_page(3);", 1),
    ("rollback", "Table::get", "table_.undo_map(x, 3);", 1),
    ("flush", "Table::get", "flush_tlb(x);", 1),
    ("rollback", "Table::get", "undo_x();", 1),
    ("flush", "Table::get", "flush_page(p);", 1),
    ("flush", "Table::get", "std::move(batch).spend(tlb_);", 1),
    ("flush", "Table::get", "batch->spend(tlb_);", 1),
    ("flush", "Table::get", "batch->spend(tlb_);", 2),
    ("rollback", "Table::Inner::f", "undo_k();", 1),
    ("check", "Table::map", "if (range.empty()) return Failure{Error::zero_size, 0};", 1),
    ("rollback", "Table::map", '(void)undo_b(1, "a;b");', 1),
    ("check", "Table::map", "if (y) return Failure{Error::overflow};", 1),
    ("flush", "Table::map", "flush_b();", 1),
]
UNCLEAR = ["auto r = undo_y();", "return invalidate_z();"]

MUTATED = [
    "if ((!quire_mutant(0u)) && (a == '{')) return",
    "if (const auto s = f();(!quire_mutant(1u)) && ( !s.ok())) {",
    "} else if ((!quire_mutant(3u)) && (a))",
    "if (x) { if (!quire_mutant(5u)) { flush_page(1); } } else { if (!quire_mutant(6u)) { inv",
    "case A::b: { if (!quire_mutant(8u)) { flush_tlb(x); } } break; default: { if (!quire_mut",
]


def problems():
    """What is found otherwise than it should be, a line each."""
    sites, unclear = mutant_sites.find_sites(TEXT, "sample.cpp")
    found = [(s.kind, s.function, s.text, s.occurrence) for s in sites]
    wrong = [f"mutants: not found: {site}" for site in SITES if site not in found]
    wrong += [f"mutants: found, but no site: {site}" for site in found if site not in SITES]
    if [odd.text for odd in unclear] != UNCLEAR:
        wrong.append(f"mutants: calls whose value is used: {[odd.text for odd in unclear]}")
    for number, site in enumerate(sites):
        site.number = number
    mutated = mutant_sites.mutate(TEXT, sites)
    return wrong + [f"mutants: not in the copy: {m}" for m in MUTATED if m not in mutated]
