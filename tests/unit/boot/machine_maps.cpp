// SPDX-License-Identifier: MIT
#include "machine_maps.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace quire::test {

namespace {

MachineMap load(const std::filesystem::path& path) {
    MachineMap map;
    map.name = path.stem().string();
    std::ifstream file(path);
    std::string line;
    while (std::getline(file, line)) {
        if (line.empty() || line[0] == '#') continue;
        std::istringstream fields(line);
        E820Entry entry;
        fields >> std::hex >> entry.base >> entry.bytes >> std::dec >> entry.type;
        if (fields.fail() || !(fields >> std::ws).eof()) {
            throw std::runtime_error(map.name + ": " + line);
        }
        map.entries.push_back(entry);
    }
    if (map.entries.empty()) throw std::runtime_error(map.name + " is empty");
    return map;
}

std::vector<MachineMap> load_all() {
    const auto folder = std::filesystem::path(__FILE__).parent_path() / "../../data/memory-maps";
    std::vector<MachineMap> maps;
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
        if (file.path().extension() == ".txt") maps.push_back(load(file.path()));
    }
    std::sort(maps.begin(), maps.end(),
              [](const MachineMap& a, const MachineMap& b) { return a.name < b.name; });
    return maps;
}

}  // namespace

const std::vector<MachineMap>& machine_maps() {
    static const std::vector<MachineMap> maps = load_all();
    return maps;
}

const MachineMap& machine_map(const std::string& name) {
    for (const MachineMap& map : machine_maps()) {
        if (map.name == name) return map;
    }
    throw std::runtime_error("no machine map named " + name);
}

}  // namespace quire::test
