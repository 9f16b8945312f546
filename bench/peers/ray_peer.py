"""Ray: one task per output block, reading its row and column of blocks in place in shared memory;
with --setting task=product one task per product of two blocks, as in Dask.

small: ray.put of every block of NumPy matrices, one task per block, ray.get into a NumPy matrix.
large: blocks made by tasks and kept in the object store, and the product is left there.
micro: ray.get(f.remote()) of a trivial function, and many of them at once.
"""

import os
import tempfile

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import numpy as np
import peer
import ray


@ray.remote
def random_block(rows, columns, seed):
    return np.random.default_rng(seed).random((rows, columns)) - 0.5


@ray.remote
def multiply_blocks(count, *blocks):
    lefts, rights = blocks[:count], blocks[count:]
    result = lefts[0] @ rights[0]
    partial = np.empty_like(result)
    for left, right in zip(lefts[1:], rights[1:]):
        np.matmul(left, right, out=partial)
        result += partial
    return result


@ray.remote
def multiply_add(left, right, sum_so_far):
    product = left @ right
    if sum_so_far is not None:
        product += sum_so_far
    return product


@ray.remote
def increment(x):
    return x + 1


@ray.remote
def blas_on_worker():
    return peer.blas()


def multiply_block(options, row, column):
    if "task=product" not in options.setting:
        return multiply_blocks.remote(len(row), *row, *column)
    result = None
    for left, right in zip(row, column):
        result = multiply_add.remote(left, right, result)
    return result


def multiply(options, left, right):
    """Grid of references to the product's blocks."""
    columns = list(zip(*right))
    return [[multiply_block(options, row, column) for column in columns] for row in left]


def spans(options):
    return [slice(i, min(i + options.chunk, options.n))
            for i in range(0, options.n, options.chunk)]


def small(options):
    a, b = peer.host_matrices(options.n)
    cuts = spans(options)

    def put_blocks(matrix):
        return [[ray.put(matrix[rows, columns]) for columns in cuts] for rows in cuts]

    def work():
        grid = multiply(options, put_blocks(a), put_blocks(b))
        product = np.empty_like(a)
        blocks = iter(ray.get([block for row in grid for block in row]))
        for rows in cuts:
            for columns in cuts:
                product[rows, columns] = next(blocks)
        return product

    seconds, product = peer.measure(work, options.repeats, options.warmups)
    peer.check(a[options.n // 2], b, product[options.n // 2], options.n)
    return seconds


def large(options):
    sizes = [cut.stop - cut.start for cut in spans(options)]
    seeds = iter(range(2 * len(sizes) ** 2))

    def random_matrix():
        return [[random_block.remote(rows, columns, next(seeds)) for columns in sizes]
                for rows in sizes]

    def wait_for(grid):
        blocks = [block for row in grid for block in row]
        ray.wait(blocks, num_returns=len(blocks), fetch_local=False)

    a, b = random_matrix(), random_matrix()
    wait_for(a + b)

    def work():
        grid = multiply(options, a, b)
        wait_for(grid)
        return grid

    seconds, product = peer.measure(work, options.repeats, options.warmups)
    left = np.hstack(ray.get(a[0]))[:1]
    right = np.vstack(ray.get([row[0] for row in b]))
    peer.check(left, right, ray.get(product[0][0])[:1], options.n)
    return seconds


def micro(options):
    round_trips, _ = peer.measure(lambda: ray.get(increment.remote(1)), 200, 50)
    many = 5000
    batches, _ = peer.measure(
        lambda: ray.get([increment.remote(i) for i in range(many)]), options.repeats)
    options.job = "round trip"
    peer.report(options, round_trips)
    options.job = "empty tasks"
    peer.report(options, batches, tasks=many)


def run(options, folder):
    room = 8 * options.n ** 2 * 8 + (1 << 28)  # inputs, former and new product, sums under way
    ray.init(num_cpus=options.workers, include_dashboard=False, log_to_driver=False,
             logging_level="ERROR", object_store_memory=room,
             _temp_dir=folder)
    ray.get([increment.remote(i) for i in range(100)])  # the worker processes are there
    if options.job == "micro":
        micro(options)
    else:
        seconds = small(options) if options.job == "small" else large(options)
        peer.report(options, seconds, ray.get(blas_on_worker.remote()))
    ray.shutdown()


def main():
    options = peer.parse(__doc__)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        run(options, folder)


if __name__ == "__main__":
    main()
