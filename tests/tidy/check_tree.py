"""Reads every include, file length and word of the tree against the rules of
docs/architecture.md. Usage: check_tree.py ROOT. Prints each fault; ends with 1 if there is one."""

import re
import sys
from pathlib import Path

LEVELS = [
    ["base"],
    ["graph", "array", "protocol"],
    ["scheduler", "worker", "driver"],
    ["wire", "net", "store", "kernels", "telemetry"],
    ["runtime", "simulate"],
    ["session", "cuda"],
    ["apps"],
]
LEVEL = {module: level for level, modules in enumerate(LEVELS) for module in modules}
# Within one level, only these arrows.
SIDEWAYS = {("array", "graph"), ("protocol", "graph"), ("kernels", "store")}

PURE = {"base", "graph", "array", "protocol", "scheduler", "worker", "driver", "simulate"}
# What pure code may include of the standard library: nothing with a clock, a thread, a file, a
# random device, or an order that depends on hashes.
PURE_HEADERS = set(
    """algorithm any array bit bitset cassert cctype cerrno charconv cinttypes climits cmath
    compare complex concepts cstddef cstdint cstring deque exception functional initializer_list
    iomanip iosfwd iterator limits list map memory memory_resource new numbers numeric optional
    ostream queue ranges ratio set source_location span sstream stack stdexcept string string_view
    system_error tuple type_traits typeindex typeinfo utility valarray variant vector
    version""".split()
)
# aligned_alloc for arrays; the last words of a broken check.
PURE_EXCEPTIONS = {
    "src/base/check.cpp": {"cstdio", "cstdlib"},
    "src/base/host_array.cpp": {"cstdlib"},
}

# Packages that live in few places. Prefix of the include: folders of src/.
HOMES = {
    "boost/asio": {"net", "runtime"},
    "boost/beast": {"net", "runtime"},
    "ucp/": {"net"},
    "ucs/": {"net"},
    "ucm/": {"net"},
    "capnp/": {"wire"},
    "kj/": {"wire"},
    "spdlog/": {"telemetry"},
    "fmt/": {"telemetry"},
    "CLI/": {"apps"},
    "toml++/": {"apps"},
    "Eigen/": {"kernels"},
    "cblas.h": {"kernels"},
    "cereal/": set(),
}
ADAPTERS = {"include/ashlar/eigen.hpp": "Eigen/", "include/ashlar/cereal.hpp": "cereal/"}

STANDARD = PURE_HEADERS | set(
    """atomic barrier cfenv chrono codecvt condition_variable coroutine csetjmp csignal cstdarg
    cstdio cstdlib ctime cuchar cwchar cwctype execution expected filesystem format forward_list
    fstream future generator iostream istream latch locale mdspan mutex print random regex
    scoped_allocator semaphore shared_mutex stacktrace stdfloat stop_token streambuf syncstream
    thread unordered_map unordered_set""".split()
)

LINES_MAX = 600
SOURCE_ENDINGS = {".hpp", ".cpp", ".cu", ".h", ".py", ".sh", ".cmake", ".capnp"}
FOLDERS = ["include", "src", "cuda", "tests", "bench", "examples", "cmake", "scripts"]
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def sources(root):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            is_source = path.suffix in SOURCE_ENDINGS or path.name == "CMakeLists.txt"
            is_script = folder == "scripts" and path.is_file()
            if path.is_file() and (is_source or is_script) and "build" not in path.parts:
                yield path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")


def includes(text):
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start(2)) + 1, match.group(1) == "<", match.group(2)


def arrow_fault(module, other):
    """Why `module` may not include `other`, or None."""
    if module == other:
        return None
    if LEVEL[other] > LEVEL[module]:
        return f"{module} (level {LEVEL[module]}) includes {other} (level {LEVEL[other]})"
    if LEVEL[other] == LEVEL[module] and (module, other) not in SIDEWAYS:
        return f"{module} includes {other} of its own level"
    if module in PURE and other not in PURE:
        return f"{module} is pure and includes {other}, which is not"
    return None


def module_faults(name, module, line, is_angled, included):
    """Faults of one include in a file of src/."""
    other = included.split("/")[0]
    if not is_angled:
        if other not in LEVEL:
            if "/" not in included or not included.endswith(".capnp.h"):
                yield f'{name}:{line}: "{included}" is not written as "module/file.hpp"'
        elif fault := arrow_fault(module, other):
            yield f"{name}:{line}: {fault}"
        return
    if module in PURE and not included.startswith("ashlar/"):
        if included not in PURE_HEADERS | PURE_EXCEPTIONS.get(name, set()):
            yield f"{name}:{line}: {module} is pure and includes <{included}>"
    for prefix, homes in HOMES.items():
        if included.startswith(prefix) and module not in homes:
            yield f"{name}:{line}: <{included}> is for {sorted(homes) or 'adapters'} alone"


def public_faults(name, line, is_angled, included):
    """Faults of one include in a public header."""
    if not is_angled:
        yield f'{name}:{line}: "{included}": public headers include <ashlar/...> and the standard'
    elif included.startswith("ashlar/") or included in STANDARD:
        return
    elif not (name in ADAPTERS and included.startswith(ADAPTERS[name])):
        yield f"{name}:{line}: <{included}> is not of the standard library"


def pure_test_module(name):
    """The module whose tests these are, when they may see only pure modules; else None."""
    parts = name.split("/")
    if parts[:2] == ["tests", "unit"] and len(parts) > 3 and parts[2] in PURE:
        return parts[2]
    if parts[:2] in (["tests", "machine"], ["tests", "simulate"]):
        return parts[1]
    return None


def include_faults(name, text):
    parts = name.split("/")
    for line, is_angled, included in includes(text):
        other = included.split("/")[0]
        if parts[0] == "src" and len(parts) > 2:
            yield from module_faults(name, parts[1], line, is_angled, included)
        elif parts[0] == "include":
            yield from public_faults(name, line, is_angled, included)
        elif parts[0] == "examples":
            if other in LEVEL and not is_angled and "/" in included:
                yield f"{name}:{line}: examples see the public headers alone"
        elif pure_test_module(name) and not is_angled and other in LEVEL and other not in PURE:
            yield f"{name}:{line}: tests of pure modules include pure modules alone, not {other}"


def faults(root):
    for name, text in sources(root):
        count = text.count("\n")
        if count > LINES_MAX:
            yield f"{name}: {count} lines; a file stays below {LINES_MAX}"
        for match in UNFINISHED.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{name}:{line}: unfinished: {match.group()}"
        if name.endswith((".hpp", ".cpp", ".cu", ".h")):
            yield from include_faults(name, text)
            if name.endswith(".hpp") and "#pragma once" not in text:
                yield f"{name}: no #pragma once"
    for folder in sorted((root / "src").iterdir()):
        if folder.is_dir() and folder.name not in LEVEL:
            yield f"src/{folder.name}: a module without a level"


if __name__ == "__main__":
    found = list(faults(Path(sys.argv[1])))
    print("\n".join(found))
    sys.exit(1 if found else 0)
