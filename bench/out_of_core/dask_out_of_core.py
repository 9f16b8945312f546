"""The product of bench_out_of_core on Dask: two worker processes with as much memory."""

import argparse
import time

import dask.array as da
from distributed import Client, LocalCluster, wait


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=8192)
    parser.add_argument("--chunk", type=int, default=1024)
    parser.add_argument("--memory", default="512MiB", help="limit of each worker")
    parser.add_argument("--spill-dir", default=None)
    o = parser.parse_args()
    with LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=o.memory,
                      local_directory=o.spill_dir,
                      dashboard_address=None) as cluster, Client(cluster) as client:
        random = da.random.default_rng(1)
        shape, chunks = (o.n, o.n), (o.chunk, o.chunk)
        a = random.random(shape, chunks=chunks).persist()
        b = random.random(shape, chunks=chunks).persist()
        wait([a, b])
        print("the factors are there", flush=True)
        begin = time.perf_counter()
        product = (a @ b).persist()
        wait(product)
        seconds = time.perf_counter() - begin
        left, right = float(product.sum().compute()), float((a.sum(0) @ b.sum(1)).compute())
        print(f"dask: {seconds:.1f} s, sums differ by {abs(left / right - 1):.1e}")


if __name__ == "__main__":
    main()
