"""Dask + distributed: LocalCluster with one thread in each worker process.

small: da.from_array of NumPy matrices, (a @ b).compute() into a NumPy matrix, cluster warm.
large: persisted random matrices, (a @ b).persist(), the product stays on the workers.
micro: submit(...).result() of a trivial function, and many of them by map.
"""

import time

import dask
import dask.array as da
import peer
from distributed import Client, LocalCluster, wait


def increment(x):
    return x + 1


def settle():
    """Lets the cluster forget the former product: its keys are those of the next one."""
    time.sleep(0.5)


def small(options):
    a, b = peer.host_matrices(options.n)
    chunks = (options.chunk, options.chunk)

    def work():
        left = da.from_array(a, chunks=chunks)
        right = da.from_array(b, chunks=chunks)
        return (left @ right).compute()

    seconds, product = peer.measure(work, options.repeats, options.warmups, settle)
    peer.check(a[options.n // 2], b, product[options.n // 2], options.n)
    return seconds


def large(options):
    shape, chunks = (options.n, options.n), (options.chunk, options.chunk)
    random = da.random.default_rng(1)
    a = (random.random(shape, chunks=chunks) - 0.5).persist()
    b = (random.random(shape, chunks=chunks) - 0.5).persist()
    wait([a, b])

    def work():
        product = (a @ b).persist()
        wait(product)
        return product

    seconds, product = peer.measure(work, options.repeats, options.warmups, settle)
    middle = options.n // 2
    rows = slice(middle, middle + 1)
    columns = slice(0, min(options.n, options.chunk))
    left, right, found = dask.compute(a[rows], b[:, columns], product[rows, columns])
    peer.check(left, right, found, options.n)
    return seconds


def micro(options, client):
    round_trips, _ = peer.measure(
        lambda: client.submit(increment, 1, pure=False).result(), 200, 50)
    many = 2000
    batches, _ = peer.measure(
        lambda: wait(client.map(increment, range(many), pure=False)), options.repeats)
    options.job = "round trip"
    peer.report(options, round_trips)
    options.job = "empty tasks"
    peer.report(options, batches, tasks=many)


def main():
    options = peer.parse(__doc__)
    dask.config.set({"distributed.worker.memory.target": False,
                     "distributed.worker.memory.spill": False})
    for key, value in (setting.split("=", 1) for setting in options.setting):
        dask.config.set({key: value})
    with LocalCluster(n_workers=options.workers, threads_per_worker=1, processes=True,
                      memory_limit=0, dashboard_address=None) as cluster, Client(cluster) as client:
        if options.job == "micro":
            micro(options, client)
        else:
            seconds = small(options) if options.job == "small" else large(options)
            on_worker = client.submit(peer.blas).result()
            peer.report(options, seconds, on_worker)


if __name__ == "__main__":
    main()
