"""Dask's side of bench_data_plane: --job rechunk or put, two worker processes of one thread."""

from contextlib import contextmanager

import dask.array as da
import numpy as np
from data_plane import check_last_is_one, main
from distributed import Client, LocalCluster, wait


@contextmanager
def start():
    with LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0,
                      dashboard_address=None) as cluster, Client(cluster) as client:
        yield client


def rechunk(client, n):
    side = n // 16
    rows = da.random.default_rng(1).random((n, n), chunks=(side, n)).persist()
    wait(rows)
    expected = rows.compute()

    def work():
        columns = rows.rechunk((n, side)).persist()
        wait(columns)
        return columns

    def check(columns):
        for i in range(16):
            found = columns.blocks[0, i].compute()
            assert np.array_equal(found, expected[:, i * side:(i + 1) * side]), "wrong columns"

    return work, check


def put(client, n):
    values = np.ones(1 << 27)
    return lambda: client.scatter(values, hash=False).result()[-1], check_last_is_one


if __name__ == "__main__":
    main("dask", __doc__, start, {"rechunk": rechunk, "put": put})
