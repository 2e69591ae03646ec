// Reads the files named on stdin with generated C++ parsers, and writes what they give.
#include <cstdio>
#include <cstring>
#include <cxxabi.h>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include "meta.h"
#include "metrics.h"
#include "probe.h"

static std::string hex(const std::string& data) {
    std::string out = "x";
    char digits[3];
    for (unsigned char byte : data) {
        std::snprintf(digits, sizeof digits, "%02x", byte);
        out += digits;
    }
    return out;
}

template <typename T>
static std::string text(T* read) {
    return read ? hex(read->value()) : "-";
}

static void read(const std::string& kind, kaitai::kstream& stream) {
    if (kind == "meta") {
        meta_t m(&stream);
        std::cout << "value " << int(m.version()) << " " << m.timestamp() << " " << text(m.commit_id())
                  << " " << text(m.job_name()) << " " << text(m.user()) << "\n";
    } else if (kind == "probe") {
        probe_t p(&stream);
        std::cout << "value " << p.magic() << " " << p.serial() << " " << text(p.note()) << " "
                  << int(p.default_field()) << "\n";
    }
    while (kind == "metrics" && !stream.is_eof()) {
        metrics_t::record_t r(&stream);
        double number = r.value();
        uint64_t bits;
        std::memcpy(&bits, &number, sizeof bits);
        char digits[17];
        std::snprintf(digits, sizeof digits, "%016llx", (unsigned long long)bits);
        std::cout << "value " << r.timestamp() << " " << r.step() << " " << digits << " "
                  << text(r.name()) << "\n";
    }
}

int main() {
    std::string kind, path;
    while (std::cin >> kind >> path) {
        std::ifstream file(path, std::ios::binary);
        try {
            kaitai::kstream stream(&file);
            read(kind, stream);
            std::cout << "end\n";
        } catch (const std::exception& error) {
            int status;
            std::unique_ptr<char, void (*)(void*)> name(
                abi::__cxa_demangle(typeid(error).name(), 0, 0, &status), std::free);
            std::string shown = name.get();
            shown = shown.substr(0, shown.find('<'));
            std::cout << "end " << shown.substr(shown.rfind(':') + 1) << "\n";
        }
    }
}
