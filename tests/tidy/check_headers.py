"""Compiles headers alone: each must include what it uses. Public headers see the public folder
alone, but for the adapters to other libraries. A header that some file of its own name includes
first is left out: the build has shown it already.
Usage: check_headers.py ROOT COMPILER FILE, where FILE has an include folder a line."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from check_tree import ADAPTERS

FIRST_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]', re.MULTILINE)


def fault(compiler, header, folders):
    command = [compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
    command += [f"-I{folder}" for folder in folders]
    # Included rather than compiled, so that "#pragma once" is in a header as it should be.
    result = subprocess.run(
        command + ["-x", "c++", "-"],
        input=f'#include "{header}"\n',
        capture_output=True,
        text=True,
    )
    return f"{header}:\n{result.stderr}" if result.returncode else None


def is_shown_by_build(root, header):
    source = header.with_suffix(".cpp")
    if not source.exists():
        return False
    first = FIRST_INCLUDE.search(source.read_text(encoding="utf-8"))
    return first is not None and root / "src" / first.group(1) == header


def headers(root, folders):
    public = root / "include"
    for header in sorted(public.rglob("*.hpp")):
        is_adapter = header.relative_to(root).as_posix() in ADAPTERS
        yield header, [public] + (folders if is_adapter else [])
    for header in sorted((root / "src").rglob("*.hpp")):
        if not is_shown_by_build(root, header):
            yield header, folders


def faults(root, compiler, folders):
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        tasks = [pool.submit(fault, compiler, *one) for one in headers(root, folders)]
        return [task.result() for task in tasks if task.result()]


if __name__ == "__main__":
    found = faults(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).read_text().split())
    print("\n".join(found))
    sys.exit(1 if found else 0)
