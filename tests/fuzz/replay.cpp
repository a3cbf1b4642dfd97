// SPDX-License-Identifier: MIT
// Runs a fuzzer's function once for each file of a corpus, and for every shorter piece of it, where
// no fuzzing engine is to be had.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

std::vector<uint8_t> read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void run(const std::vector<uint8_t>& input, size_t size) {
    // A block of exactly this size, so that the address sanitizer sees its end.
    const std::vector<uint8_t> piece(input.begin(), input.begin() + static_cast<ptrdiff_t>(size));
    LLVMFuzzerTestOneInput(piece.data(), piece.size());
}

}  // namespace

int main(int count, char** arguments) {
    constexpr size_t shorter_pieces = 2048;
    size_t files = 0;
    size_t inputs = 0;
    for (int i = 1; i < count; ++i) {
        for (const auto& file : std::filesystem::directory_iterator(arguments[i])) {
            const std::vector<uint8_t> input = read(file.path());
            const size_t step = input.size() / shorter_pieces + 1;
            for (size_t size = 0; size < input.size(); size += step, ++inputs)
                run(input, size);
            run(input, input.size());
            ++inputs;
            ++files;
        }
    }
    std::printf("%zu inputs of %zu files\n", inputs, files);
    if (files == 0) {
        std::fprintf(stderr, "the corpus is empty\n");
        return 1;
    }
    return 0;
}
