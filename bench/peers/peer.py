"""What the Python peers share: options, the BLAS in use, the line that ./run reads."""

import argparse
import ctypes
import glob
import json
import os
import sys
import time

import numpy as np


def parse(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--job", choices=["small", "large", "micro"], default="large")
    parser.add_argument("--n", type=int, default=8192)
    parser.add_argument("--chunk", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--warmups", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--name", default=os.path.basename(sys.argv[0]).removesuffix("_peer.py"))
    parser.add_argument("--setting", action="append", default=[], metavar="KEY=VALUE",
                        help="Dask configuration; for Ray, task=product")
    return parser.parse_args()


def blas():
    """(version, core type, threads) of the BLAS behind NumPy in this process."""
    library, suffix = ctypes.CDLL(None), ""
    prefix = "openblas_get_"
    if not hasattr(library, prefix + "config"):  # no libnumpy_blas.so preloaded: NumPy's own
        folder = os.path.join(os.path.dirname(np.__file__), os.pardir, "numpy.libs")
        bundled = glob.glob(os.path.join(folder, "libscipy_openblas64_*.so"))
        if not bundled:
            return "unknown", "unknown", 0
        library, prefix, suffix = ctypes.CDLL(bundled[0]), "scipy_openblas_get_", "64_"
    config = getattr(library, prefix + "config" + suffix)
    corename = getattr(library, prefix + "corename" + suffix)
    config.restype = corename.restype = ctypes.c_char_p
    threads = getattr(library, prefix + "num_threads" + suffix)
    return " ".join(config().decode().split()[:2]), corename().decode(), threads()


def report(options, seconds, blas_in_use=None, **more):
    line = {"name": options.name, "job": options.job, "n": options.n, "chunk": options.chunk}
    if blas_in_use:
        line |= dict(zip(("blas", "core", "blas_threads"), blas_in_use))
    print(json.dumps(line | more | {"seconds": seconds}), flush=True)


def measure(work, repeats, warmups=1, between=lambda: None):
    """Seconds of each repetition of `work`; `between` runs after each, outside of the time."""
    seconds = []
    for i in range(-warmups, repeats):
        start = time.perf_counter()
        result = work()
        end = time.perf_counter()
        if i >= 0:
            seconds.append(round(end - start, 9))
        if i < repeats - 1:
            result = None
            between()
    return seconds, result


def host_matrices(n):
    random = np.random.default_rng(1)
    return random.random((n, n)) - 0.5, random.random((n, n)) - 0.5


def check(row, rights, found, n):
    """Stops the program unless `found` is the row `row` times the columns `rights`."""
    if not np.allclose(found, row @ rights, rtol=0, atol=n * 2.3e-16):
        sys.exit("peer: the product is wrong")
