"""Compiles every header alone: it must include what it uses. Public headers see the public folder
alone. Usage: check_headers.py ROOT COMPILER INCLUDE_FOLDERS, the last separated by semicolons."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


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


def headers(root, folders):
    public = root / "include"
    for header in sorted(public.rglob("*.hpp")):
        yield header, [public]
    for header in sorted((root / "src").rglob("*.hpp")):
        yield header, folders


def faults(root, compiler, folders):
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        tasks = [pool.submit(fault, compiler, *one) for one in headers(root, folders)]
        return [task.result() for task in tasks if task.result()]


if __name__ == "__main__":
    found = faults(Path(sys.argv[1]), sys.argv[2], [f for f in sys.argv[3].split(";") if f])
    print("\n".join(found))
    sys.exit(1 if found else 0)
