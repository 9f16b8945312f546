"""Ray: one remote call for each task; submitting is within the time, as Ray has no graph of
dynamic tasks that could be kept."""

import os
import tempfile

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import metg
import ray


@ray.remote
def run_task(library, kind, width, step, point, iterations, *inputs):
    return metg.run_task(library, kind, width, step, point, iterations, inputs)


def run(graph, iterations):
    def work():
        above = {}
        for step, point, inputs in graph.tasks:
            if point == 0:
                above, row = (row if step > 0 else {}), {}
            row[point] = run_task.remote(metg.LIBRARY, graph.kind, graph.width, step, point,
                                         iterations, *(above[other] for other in inputs))
        return ray.get([row[point] for point in graph.last])

    return metg.seconds_of(work)


def main():
    options = metg.parse(__doc__)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        ray.init(num_cpus=options.cores, include_dashboard=False, log_to_driver=False,
                 logging_level="ERROR", object_store_memory=1 << 28, _temp_dir=folder,
                 runtime_env={"env_vars": {"PYTHONPATH": os.path.dirname(__file__)}})
        metg.measure_all("ray", options, run)
        ray.shutdown()


if __name__ == "__main__":
    main()
