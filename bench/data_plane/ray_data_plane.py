"""Ray's side of bench_data_plane: --job rechunk or put, two workers."""

import argparse
import statistics
import time

import numpy as np
import ray


@ray.remote
def row_block(rows, n):
    return np.random.default_rng(1).random((rows, n))


@ray.remote
def column_block(begin, end, *blocks):
    return np.concatenate([block[:, begin:end] for block in blocks])


def rechunk(n, repeats):
    side = n // 16
    rows = [row_block.remote(side, n) for _ in range(16)]
    ray.wait(rows, num_returns=16, fetch_local=False)

    def work():
        columns = [column_block.remote(i * side, (i + 1) * side, *rows) for i in range(16)]
        ray.wait(columns, num_returns=16, fetch_local=False)
        return columns

    return measure(work, repeats)


def put(repeats):
    values = np.ones(1 << 27)
    return measure(lambda: ray.get(ray.put(values))[-1], repeats)


def measure(work, repeats):
    seconds = []
    for i in range(-1, repeats):
        begin = time.perf_counter()
        result = work()
        end = time.perf_counter()
        del result
        time.sleep(0.5)  # the store forgets it
        if i >= 0:
            seconds.append(end - begin)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", choices=["rechunk", "put"], default="rechunk")
    parser.add_argument("--n", type=int, default=16384)
    parser.add_argument("--repeats", type=int, default=5)
    o = parser.parse_args()
    ray.init(num_cpus=2, object_store_memory=8 << 30, include_dashboard=False,
             configure_logging=False, log_to_driver=False)
    seconds = rechunk(o.n, o.repeats) if o.job == "rechunk" else put(o.repeats)
    print(f"ray {o.job}: {statistics.median(seconds):.3f} s "
          f"[{min(seconds):.3f} … {max(seconds):.3f}] of {len(seconds)}")
    ray.shutdown()


if __name__ == "__main__":
    main()
