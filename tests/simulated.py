"""A study of sleeping runs on the real scheduler: `python tests/simulated.py [RUNS WORKERS DEAD]`.

A run sleeps for ten epochs and records each; a worker that dies loses the epoch that it is in.
Workers are threads of this process that the scheduler knows as any others.
"""

import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from distributed import LocalCluster, get_worker
from distributed.core import Status

from lmlib import paths
from lmlib.study import grid

EPOCHS = 10
finished = Counter()  # epochs by run
seconds = {}  # of an epoch, by run


class Died(Exception):
    """The worker of a run is closed."""


def sleep_run(profile, name, settings, report):
    """Stands for `grid.train_one`."""
    while finished[name] < EPOCHS:
        time.sleep(seconds[name])
        if get_worker().status is not Status.running:
            raise Died
        finished[name] += 1
    report(f"{name}: done")


def simulate(n_runs, n_workers, n_deaths, mean=4.0, seed=0):
    """The makespan, its lower bound in seconds, and how often each epoch was finished."""
    chance = random.Random(seed)
    names = [f"run-{n:03}" for n in range(n_runs)]
    finished.clear()
    seconds.update({name: mean / EPOCHS * chance.lognormvariate(-0.125, 0.5) for name in names})
    options = {"processes": False, "protocol": "tcp", "dashboard_address": None, "memory_limit": 0}
    sizes = {"n_workers": n_workers, "threads_per_worker": 1}
    with LocalCluster(**sizes, **options, resources={"run": 1}) as cluster:
        ideal = EPOCHS * sum(seconds[name] for name in names) / n_workers

        def kill():
            for worker in chance.sample(sorted(cluster.workers), n_deaths):
                time.sleep(chance.uniform(0, 1.5 * ideal / n_deaths))
                cluster.sync(cluster.workers[worker].close, executor_wait=False)

        killer, original = threading.Thread(target=kill, daemon=True), grid.train_one
        grid.train_one = sleep_run
        start = time.time()
        try:
            killer.start()
            missing = {name: {"dataset": "digits"} for name in names}
            grid.train_missing("quick", missing, 1, cluster.scheduler_address)
        finally:
            grid.train_one = original
        makespan = time.time() - start
        killer.join()
    return makespan, ideal, {name: finished[name] for name in names}


if __name__ == "__main__":
    sizes = [int(word) for word in sys.argv[1:]] or [250, 64, 8]
    with tempfile.TemporaryDirectory() as folder:
        paths.RUNS = Path(folder)
        import simulated  # of `__main__` each worker would have a copy of its own

        makespan, ideal, epochs = simulated.simulate(*sizes)
    assert set(epochs.values()) == {EPOCHS}
    text = "{} runs on {} workers, {} of which died".format(*sizes)
    print(f"{text}: {makespan:.1f} s, the work divided by the workers {ideal:.1f} s")
