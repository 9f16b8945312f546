"""Plants one fault after the other in a small tree and demands that the checks report it."""

import shutil
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import check_headers
import check_links
import check_tree

SOUND = {
    "include/ashlar/array.hpp": "#pragma once\n#include <vector>\n#include <ashlar/dtype.hpp>\n",
    "include/ashlar/dtype.hpp": "#pragma once\n#include <cstdint>\nusing Small = std::int8_t;\n",
    "include/ashlar/eigen.hpp": "#pragma once\n#include <Eigen/Core>\n",
    "src/base/ids.hpp": "#pragma once\n#include <ashlar/dtype.hpp>\n#include <map>\n",
    "src/array/lower.cpp": '#include "base/ids.hpp"\n#include "graph/g.hpp"\n#include <vector>\n',
    "src/graph/g.hpp": '#pragma once\n#include "base/ids.hpp"\n',
    "src/net/link.cpp": '#include <boost/asio.hpp>\n#include "protocol/messages.hpp"\n',
    "src/kernels/gemm.cpp": '#include "store/buffer.hpp"\n#include <thread>\n',
    "src/wire/codec.cpp": '#include <capnp/message.h>\n#include "wire/wire.capnp.h"\n',
    "tests/unit/graph/g_test.cpp": '#include "graph/g.hpp"\n#include <thread>\n',
    "docs/a.md": "# First part\n[b](b.md#the-end) [c](#first-part) `[x](y.md)`\n",
    "docs/b.md": "## The end\n[home](https://example.org/x)\n```\n[x](nowhere.md)\n```\n",
}

# Each: the file that is changed, and its text.
TREE_FAULTS = [
    ("src/base/x.hpp", '#pragma once\n#include "graph/g.hpp"\n'),
    ("src/scheduler/x.cpp", '#include "worker/w.hpp"\n'),
    ("src/net/x.cpp", '#include "wire/codec.hpp"\n'),
    ("src/store/x.cpp", '#include "kernels/k.hpp"\n'),
    ("src/runtime/x.cpp", '#include "simulate/s.hpp"\n'),
    ("src/simulate/x.cpp", '#include "runtime/r.hpp"\n'),
    ("src/simulate/x.cpp", '#include "net/link.hpp"\n'),
    ("src/session/x.cpp", '#include "apps/a.hpp"\n'),
    ("src/scheduler/x.cpp", "#include <chrono>\n"),
    ("src/worker/x.cpp", "#include <unordered_map>\n"),
    ("src/driver/x.cpp", "#  include <random>\n"),
    ("src/base/x.cpp", "#include <cstdlib>\n"),
    ("src/base/x.cpp", "#include <sys/mman.h>\n"),
    ("src/session/x.cpp", "#include <boost/asio/post.hpp>\n"),
    ("src/runtime/x.cpp", "#include <spdlog/spdlog.h>\n"),
    ("src/runtime/x.cpp", "#include <capnp/message.h>\n"),
    ("src/base/x.cpp", '#include "ids.hpp"\n'),
    ("src/helper/x.cpp", "int x;\n"),
    ("include/ashlar/x.hpp", "#pragma once\n#include <boost/version.hpp>\n"),
    ("include/ashlar/x.hpp", '#pragma once\n#include "base/ids.hpp"\n'),
    ("include/ashlar/x.hpp", "#pragma once\n#include <Eigen/Core>\n"),
    ("include/ashlar/x.hpp", "#include <vector>\n"),
    ("tests/unit/graph/x_test.cpp", '#include "net/link.hpp"\n'),
    ("tests/machine/x_test.cpp", '#include "runtime/r.hpp"\n'),
    ("examples/01_x/main.cpp", '#include "session/s.hpp"\n'),
    ("src/base/long.cpp", "// line\n" * (check_tree.LINES_MAX + 1)),
    ("src/base/x.cpp", "// TO" + "DO later\n"),
    ("scripts/go", "# FIX" + "ME\n"),
]

LINK_FAULTS = ["[x](missing.md)", "[x](b.md#no-such-heading)", "[x](../../../etc/passwd)"]


class Checks(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="ashlar-tidy-"))
        self.addCleanup(shutil.rmtree, self.root)
        for name, text in SOUND.items():
            self.plant(name, text)

    def plant(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def test_a_sound_tree_has_no_faults(self):
        self.assertEqual(list(check_tree.faults(self.root)), [])
        self.assertEqual(list(check_links.faults(self.root)), [])

    def test_each_planted_fault_of_the_tree_is_found(self):
        for name, text in TREE_FAULTS:
            with self.subTest(name=name, text=text[:80]):
                path = self.plant(name, text)
                found = list(check_tree.faults(self.root))
                self.assertEqual(len(found), 1, found)
                module = "/".join(name.split("/")[:2])
                self.assertTrue(found[0].startswith(module), found)
                path.unlink()
                if path.parent.name == "helper":
                    path.parent.rmdir()

    def test_each_broken_link_is_found(self):
        for link in LINK_FAULTS:
            with self.subTest(link=link):
                self.plant("docs/x.md", link)
                self.assertEqual(len(list(check_links.faults(self.root))), 1)

    def test_a_header_that_needs_another_is_found(self):
        for name in ("include/ashlar/eigen.hpp", "src/graph/g.hpp"):
            (self.root / name).unlink()
        folders = [self.root / "src", self.root / "include"]
        self.assertEqual(check_headers.faults(self.root, "c++", folders), [])
        for name in ("include/ashlar/x.hpp", "src/base/x.hpp"):
            path = self.plant(name, "#pragma once\ninline std::string name;\n")
            found = check_headers.faults(self.root, "c++", folders)
            self.assertEqual(len(found), 1, found)
            path.unlink()

    def test_only_headers_that_the_build_compiled_alone_are_left_out(self):
        header = self.plant("src/base/x.hpp", "#pragma once\n")
        self.plant("src/base/x.cpp", '#include "base/x.hpp"\n#include "base/ids.hpp"\n')
        self.assertTrue(check_headers.is_shown_by_build(self.root, header))
        self.plant("src/base/x.cpp", '#include "base/ids.hpp"\n#include "base/x.hpp"\n')
        self.assertFalse(check_headers.is_shown_by_build(self.root, header))


if __name__ == "__main__":
    unittest.main()
