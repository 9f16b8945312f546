"""Dask + distributed: LocalCluster with one thread in each worker process. A graph is a plain dict,
made outside of the time because its keys must be new in each run; client.get is within."""

import itertools

import metg
from distributed import Client, LocalCluster


def main():
    options = metg.parse(__doc__)
    runs = itertools.count()

    def run(graph, iterations):
        tag = f"run{next(runs)}"
        tasks = {(tag, step, point): (
            metg.run_task, metg.LIBRARY, graph.kind, graph.width, step, point, iterations,
            [(tag, step - 1, other) for other in inputs]) for step, point, inputs in graph.tasks}
        wanted = [(tag, graph.steps - 1, point) for point in graph.last]
        return metg.seconds_of(lambda: client.get(tasks, wanted))

    with LocalCluster(n_workers=options.cores, threads_per_worker=1, processes=True,
                      memory_limit=0, dashboard_address=None) as cluster, Client(cluster) as client:
        metg.measure_all("dask", options, run)


if __name__ == "__main__":
    main()
