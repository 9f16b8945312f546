"""What the peers of bench_data_plane share: arguments, timing, and the line that is printed."""

import argparse
import statistics
import time


def measure(work, check, repeats):
    """Seconds of each repetition but the first, which warms up; the last result is checked."""
    seconds = []
    for i in range(-1, repeats):
        begin = time.perf_counter()
        result = work()
        end = time.perf_counter()
        if i == repeats - 1:
            check(result)
        del result
        time.sleep(0.5)  # the system forgets it
        if i >= 0:
            seconds.append(end - begin)
    return seconds


def main(name, description, start, jobs):
    """`start` gives a context with a client; a job takes that and n, and returns what is timed and
    what checks its result."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--job", choices=list(jobs), default="rechunk")
    parser.add_argument("--n", type=int, default=16384)
    parser.add_argument("--repeats", type=int, default=5)
    o = parser.parse_args()
    with start() as client:
        work, check = jobs[o.job](client, o.n)
        seconds = measure(work, check, o.repeats)
    print(f"{name} {o.job}: {statistics.median(seconds):.3f} s "
          f"[{min(seconds):.3f} … {max(seconds):.3f}] of {len(seconds)}")


def check_last_is_one(last):
    assert last == 1, "what came back is wrong"
