"""Dask's side of bench_data_plane: --job rechunk or put, two worker processes of one thread."""

import argparse
import statistics
import time

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, wait


def rechunk(client, n, repeats):
    rows = da.random.default_rng(1).random((n, n), chunks=(n // 16, n)).persist()
    wait(rows)

    def work():
        columns = rows.rechunk((n, n // 16)).persist()
        wait(columns)
        return columns

    return measure(work, repeats)


def put(client, repeats):
    values = np.ones(1 << 27)
    return measure(lambda: client.scatter(values, hash=False).result()[-1], repeats)


def measure(work, repeats):
    seconds = []
    for i in range(-1, repeats):
        begin = time.perf_counter()
        result = work()
        end = time.perf_counter()
        del result
        time.sleep(0.5)  # the cluster forgets it
        if i >= 0:
            seconds.append(end - begin)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", choices=["rechunk", "put"], default="rechunk")
    parser.add_argument("--n", type=int, default=16384)
    parser.add_argument("--repeats", type=int, default=5)
    o = parser.parse_args()
    with LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0,
                      dashboard_address=None) as cluster, Client(cluster) as client:
        seconds = rechunk(client, o.n, o.repeats) if o.job == "rechunk" else put(client, o.repeats)
    print(f"dask {o.job}: {statistics.median(seconds):.3f} s "
          f"[{min(seconds):.3f} … {max(seconds):.3f}] of {len(seconds)}")


if __name__ == "__main__":
    main()
