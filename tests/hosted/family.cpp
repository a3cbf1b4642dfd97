// SPDX-License-Identifier: MIT
// The malloc family as a program sees it. Run with libquire-malloc.so preloaded.
#include <gtest/gtest.h>

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace {

bool is_aligned(const void* block, size_t alignment) {
    return reinterpret_cast<uintptr_t>(block) % alignment == 0;
}

TEST(MallocFamily, IsQuires) {
    Dl_info info{};
    ASSERT_NE(dladdr(reinterpret_cast<void*>(&malloc), &info), 0);
    EXPECT_NE(std::string(info.dli_fname).find("libquire-malloc"), std::string::npos)
        << info.dli_fname;
}

TEST(MallocFamily, EverySizeIsUsableAndAligned) {
    for (size_t bytes = 0; bytes < 300000; bytes += bytes < 3000 ? 1 : bytes / 9) {
        auto* block = static_cast<unsigned char*>(malloc(bytes));
        ASSERT_NE(block, nullptr);
        ASSERT_TRUE(is_aligned(block, 16));
        const size_t usable = malloc_usable_size(block);
        ASSERT_GE(usable, bytes);
        memset(block, 0xaa, usable);
        free(block);
    }
    EXPECT_EQ(malloc_usable_size(nullptr), 0u);
}

TEST(MallocFamily, TooMuchIsRefusedAndSaid) {
    for (const size_t bytes : {SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX / 2 + 1}) {
        errno = 0;
        EXPECT_EQ(malloc(bytes), nullptr);
        EXPECT_EQ(errno, ENOMEM);
        errno = 0;
        EXPECT_EQ(calloc(bytes, 3), nullptr);
        EXPECT_EQ(errno, ENOMEM);
        void* block = malloc(10);
        errno = 0;
        EXPECT_EQ(realloc(block, bytes), nullptr);
        EXPECT_EQ(errno, ENOMEM);
        errno = 0;
        EXPECT_EQ(reallocarray(block, bytes, 3), nullptr);
        EXPECT_EQ(errno, ENOMEM);
        free(block);
        errno = 0;
        EXPECT_EQ(pvalloc(bytes), nullptr);
        EXPECT_EQ(errno, ENOMEM);
        EXPECT_EQ(new (std::nothrow) char[bytes / 2], nullptr);
    }
    EXPECT_THROW(operator delete(operator new(SIZE_MAX / 2)), std::bad_alloc);
}

TEST(MallocFamily, FreeLeavesErrnoAlone) {
    for (const size_t bytes : {size_t{10}, size_t{100000}, size_t{50} << 20}) {
        void* block = malloc(bytes);
        errno = 77;
        free(block);
        EXPECT_EQ(errno, 77);
    }
}

TEST(MallocFamily, CallocZeroesWhatWasUsedBefore) {
    for (const size_t bytes :
         {size_t{1}, size_t{100}, size_t{5000}, size_t{70000}, size_t{3} << 20}) {
        void* used = malloc(bytes);
        memset(used, 0xff, bytes);
        free(used);
        auto* block = static_cast<unsigned char*>(calloc(1, bytes));
        for (size_t i = 0; i < bytes; ++i)
            ASSERT_EQ(block[i], 0) << bytes;
        free(block);
    }
}

TEST(MallocFamily, ReallocKeepsContents) {
    unsigned char* block = nullptr;
    size_t held = 0;
    for (const size_t bytes :
         {1, 15, 16, 17, 100, 1000, 5000, 40000, 70000, 3000000, 80000, 20, 9}) {
        block = static_cast<unsigned char*>(realloc(block, bytes));
        for (size_t i = 0; i < std::min(held, bytes); ++i)
            ASSERT_EQ(block[i], i % 251) << bytes;
        for (size_t i = 0; i < bytes; ++i)
            block[i] = static_cast<unsigned char>(i % 251);
        held = bytes;
    }
    EXPECT_EQ(realloc(block, 0), nullptr);
}

TEST(MallocFamily, ReallocLeavesRoomForMore) {
    void* block = malloc(1);
    unsigned moves = 0;
    for (size_t bytes = 64; bytes <= 900000; bytes += 64) {
        void* const before = block;
        block = realloc(block, bytes);
        ASSERT_NE(block, nullptr);
        moves += block != before ? 1 : 0;
        static_cast<unsigned char*>(block)[bytes - 64] = static_cast<unsigned char>(bytes / 64);
    }
    EXPECT_LE(moves, 44u);
    for (size_t bytes = 64; bytes <= 900000; bytes += 64)
        ASSERT_EQ(static_cast<unsigned char*>(block)[bytes - 64],
                  static_cast<unsigned char>(bytes / 64));
    ::operator delete(block, 900000 / 64 * 64);
    block = realloc(realloc(malloc(60), 200), 300);
    ::operator delete(block, size_t{300});
}

TEST(MallocFamily, AlignedForms) {
    for (size_t alignment = 8; alignment <= size_t{1} << 21; alignment *= 2) {
        for (const size_t bytes : {size_t{1}, size_t{100}, size_t{5000}, size_t{100000}}) {
            void* block = nullptr;
            ASSERT_EQ(posix_memalign(&block, alignment, bytes), 0);
            void* others[] = {block, aligned_alloc(alignment, bytes), memalign(alignment, bytes)};
            for (void* other : others) {
                ASSERT_NE(other, nullptr);
                ASSERT_TRUE(is_aligned(other, alignment));
                memset(other, 1, bytes);
            }
            for (void* other : others)
                free(other);
        }
    }
    void* block = &block;
    EXPECT_EQ(posix_memalign(&block, 24, 8), EINVAL);
    EXPECT_EQ(posix_memalign(&block, 4, 8), EINVAL);
    EXPECT_EQ(posix_memalign(&block, 8, SIZE_MAX / 2), ENOMEM);
    EXPECT_EQ(block, &block);
    errno = 0;
    EXPECT_EQ(aligned_alloc(24, 8), nullptr);
    EXPECT_EQ(errno, EINVAL);
    void* pages[] = {valloc(100), pvalloc(100)};
    EXPECT_TRUE(is_aligned(pages[0], 4096));
    EXPECT_TRUE(is_aligned(pages[1], 4096));
    EXPECT_GE(malloc_usable_size(pages[1]), 4096u);
    for (void* each : pages)
        free(each);
}

TEST(MallocFamily, NewAndDeleteInAllTheirForms) {
    const auto alignment = std::align_val_t{128};
    for (const size_t bytes : {size_t{8}, size_t{200}, size_t{4000}, size_t{60000}}) {
        operator delete(operator new(bytes));
        operator delete[](operator new[](bytes));
        operator delete(operator new(bytes), bytes);
        operator delete[](operator new[](bytes), bytes);
        operator delete(operator new(bytes, std::nothrow), std::nothrow);
        operator delete[](operator new[](bytes, std::nothrow), std::nothrow);
        void* block = operator new(bytes, alignment);
        EXPECT_TRUE(is_aligned(block, 128));
        operator delete(block, alignment);
        operator delete[](operator new[](bytes, alignment), alignment);
        operator delete(operator new(bytes, alignment), bytes, alignment);
        operator delete[](operator new[](bytes, alignment), bytes, alignment);
        operator delete(operator new(bytes, alignment, std::nothrow), alignment, std::nothrow);
        operator delete[](operator new[](bytes, alignment, std::nothrow), alignment, std::nothrow);
    }
}

TEST(MallocFamily, ThreadsGiveBackWhatTheyKept) {
    const auto once = [] {
        std::thread([] {
            std::vector<void*> blocks;
            for (size_t i = 0; i < 2000; ++i)
                blocks.push_back(malloc(i));
            for (void* block : blocks)
                free(block);
        }).join();
    };
    once();
    malloc_trim(0);
    const size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 50; ++i)
        once();
    malloc_trim(0);
    EXPECT_LE(mallinfo2().uordblks, before + 20000);
}

TEST(MallocFamily, TrimGivesMemoryBack) {
    std::vector<void*> blocks;
    for (int i = 0; i < 50000; ++i)
        blocks.push_back(malloc(1000));
    for (void* block : blocks)
        free(block);
    malloc_trim(0);
    EXPECT_LT(mallinfo2().arena, size_t{16} << 20);
}

// Nobody asks: what no thread wanted for a second goes back while others allocate.
TEST(MallocFamily, MemoryGoesBackByItself) {
    std::vector<void*> blocks;
    for (int i = 0; i < 50000; ++i)
        blocks.push_back(malloc(1000));
    const size_t most = mallinfo2().arena;
    for (void* block : blocks)
        free(block);
    // It comes at some call of those that find nothing at hand, and must come within a minute.
    for (int tenths = 0; tenths < 600 && mallinfo2().arena > most / 4; ++tenths) {
        usleep(100000);
        std::vector<void*> others;
        for (size_t bytes = 20; bytes < 20000; bytes += bytes / 4)
            for (int i = 0; i < 50; ++i)
                others.push_back(malloc(bytes));
        for (void* block : others)
            free(block);
    }
    EXPECT_LE(mallinfo2().arena, most / 4);
}

// What the process says and how it ends, when it does this.
template <class Misuse>
std::string last_words(Misuse misuse) {
    int ends[2];
    if (pipe(ends) != 0) return "no pipe";
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        misuse();
        _exit(0);
    }
    close(ends[1]);
    std::string said;
    char buffer[256];
    for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
        said.append(buffer, static_cast<size_t>(n));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? said : "not aborted: " + said;
}

TEST(MallocFamily, AnyAlignmentWillDoForMemalign) {
    for (const size_t alignment : {size_t{0}, size_t{1}, size_t{24}, size_t{100}, size_t{5000}}) {
        void* const block = memalign(alignment, 40);
        ASSERT_NE(block, nullptr) << alignment;
        size_t least = 16;
        while (least < alignment)
            least *= 2;
        EXPECT_TRUE(is_aligned(block, least)) << alignment;
        free(block);
    }
    errno = 0;
    const volatile size_t absurd = SIZE_MAX / 2 + 2;  // nor is it to be told by the compiler
    EXPECT_EQ(memalign(absurd, 40), nullptr);
    EXPECT_EQ(errno, EINVAL);
}

// C23's, which the host's C library does not declare.
TEST(MallocFamily, SizedFreesKnowTheSize) {
    using FreeSized = void (*)(void*, size_t);
    using FreeAlignedSized = void (*)(void*, size_t, size_t);
    const auto free_sized = reinterpret_cast<FreeSized>(dlsym(RTLD_DEFAULT, "free_sized"));
    const auto free_aligned_sized =
        reinterpret_cast<FreeAlignedSized>(dlsym(RTLD_DEFAULT, "free_aligned_sized"));
    ASSERT_TRUE(free_sized != nullptr && free_aligned_sized != nullptr);
    const size_t before = mallinfo2().uordblks;
    for (const size_t bytes : {size_t{24}, size_t{1000}, size_t{200000}}) {
        free_sized(malloc(bytes), bytes);
        free_aligned_sized(aligned_alloc(256, bytes), 256, bytes);
        const auto wrong = last_words([=] { free_sized(malloc(bytes), 3 * bytes); });
        EXPECT_NE(wrong.find("another size"), std::string::npos) << wrong;
    }
    free_sized(nullptr, 10);
    EXPECT_LE(mallinfo2().uordblks, before + 1000);
}

TEST(MallocFamily, WhatIsUsedIsToldInEveryForm) {
    void* const block = malloc(size_t{30} << 20);
    const struct mallinfo2 wide = mallinfo2();
    EXPECT_GE(wide.uordblks, size_t{30} << 20);
    EXPECT_GE(wide.arena, wide.uordblks);
    const struct mallinfo narrow = mallinfo();
    EXPECT_GE(narrow.uordblks, 30 << 20);
    EXPECT_EQ(mallopt(M_MMAP_THRESHOLD, 1 << 20), 0);
    char text[400] = {};
    FILE* const file = fmemopen(text, sizeof text, "w");
    EXPECT_EQ(malloc_info(1, file), EINVAL);
    EXPECT_EQ(malloc_info(0, file), 0);
    fclose(file);
    EXPECT_EQ(std::string(text).find("<malloc version=\"quire\">"), 0u) << text;
    const std::string said = last_words([] {
        malloc_stats();
        abort();
    });
    EXPECT_EQ(said.find("quire: "), 0u) << said;
    free(block);
}

TEST(MallocFamily, BadFreesAreReportedAndAbort) {
    for (const size_t bytes : {size_t{24}, size_t{1000}, size_t{30000}, size_t{200000}}) {
        const auto twice = last_words([bytes] {
            void* block = malloc(bytes);
            free(block);
            free(block);
        });
        EXPECT_NE(twice.find("heap: a block was freed twice"), std::string::npos) << twice;
        const auto inside = last_words([bytes] { free(static_cast<char*>(malloc(bytes)) + 16); });
        EXPECT_NE(inside.find("middle of a block"), std::string::npos) << inside;
        const auto resized = last_words([bytes] {
            void* block = malloc(bytes);
            free(block);
            block = realloc(block, 3 * bytes);
        });
        EXPECT_NE(resized.find("freed twice"), std::string::npos) << resized;
        const auto sized = last_words([bytes] { operator delete(operator new(bytes), 2 * bytes); });
        EXPECT_NE(sized.find("another size"), std::string::npos) << sized;
    }
    int local = 0;
    const auto foreign = last_words([&local] { free(&local); });
    EXPECT_NE(foreign.find("never gave out"), std::string::npos) << foreign;
    const auto wild = last_words([] { free(reinterpret_cast<void*>(0x4141414141414141)); });
    EXPECT_NE(wild.find("never gave out"), std::string::npos) << wild;
}

TEST(MallocFamily, ForksWhileOthersAllocate) {
    std::atomic<bool> stop{false};
    std::thread other([&stop] {
        while (!stop.load()) {
            std::vector<void*> blocks;
            for (size_t i = 0; i < 200; ++i)
                blocks.push_back(malloc(i * 10));
            for (void* block : blocks)
                free(block);
        }
    });
    for (int i = 0; i < 50; ++i) {
        const pid_t child = fork();
        if (child == 0) {
            for (size_t n = 0; n < 2000; ++n)
                free(malloc(n * 20));
            _exit(7);
        }
        int status = 0;
        waitpid(child, &status, 0);
        ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    }
    stop = true;
    other.join();
}

}  // namespace
