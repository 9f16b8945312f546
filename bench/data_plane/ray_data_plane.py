"""Ray's side of bench_data_plane: --job rechunk or put, two workers."""

from contextlib import contextmanager

import numpy as np
import ray
from data_plane import check_last_is_one, main


@contextmanager
def start():
    ray.init(num_cpus=2, object_store_memory=8 << 30, include_dashboard=False,
             configure_logging=False, log_to_driver=False)
    yield
    ray.shutdown()


@ray.remote
def row_block(seed, rows, n):
    return np.random.default_rng(seed).random((rows, n))


@ray.remote
def column_block(begin, end, *blocks):
    return np.concatenate([block[:, begin:end] for block in blocks])


def rechunk(_, n):
    side = n // 16
    rows = [row_block.remote(i, side, n) for i in range(16)]
    ray.wait(rows, num_returns=16, fetch_local=False)

    def work():
        columns = [column_block.remote(i * side, (i + 1) * side, *rows) for i in range(16)]
        ray.wait(columns, num_returns=16, fetch_local=False)
        return columns

    def check(columns):
        expected = np.concatenate([ray.get(block) for block in rows])
        for i, found in enumerate(columns):
            assert np.array_equal(ray.get(found), expected[:, i * side:(i + 1) * side]), \
                "wrong columns"

    return work, check


def put(_, n):
    values = np.ones(1 << 27)
    return lambda: ray.get(ray.put(values))[-1], check_last_is_one


if __name__ == "__main__":
    main("ray", __doc__, start, {"rechunk": rechunk, "put": put})
