"""What workers bring on this machine, and what a run costs: `python tests/scaling.py [RUNS]`.

Equal short trainings on digits, which differ in their seeds, and then as many runs that do nothing,
are given to one and two threads and to one and two workers of a Dask scheduler on this machine.
"""

import os
import subprocess
import sys
import tempfile
import time

WAYS = {"1 thread": (1, None), "2 threads": (2, None), "1 worker": (1, "local")}
WAYS |= {"2 workers": (2, "local")}


def nothing(profile, name, settings, report):
    """Stands for `grid.train_one`."""


def measure(n_runs, jobs, scheduler, empty):
    """Print the seconds that a grid takes for runs that are not there."""
    from lmlib.study import grid, plans

    if empty:
        import scaling  # of `__main__` each worker would have a copy of its own

        grid.train_one = scaling.nothing
    settings = [plans.run_settings("quick", method="baseline", seed=seed) for seed in range(n_runs)]
    named = grid.named_settings(settings)
    start = time.time()
    grid.train_missing("quick", named, jobs, scheduler)
    print(time.time() - start)


def main(n_runs):
    """Measure each way in a process and a folder of its own, and print a table."""
    code = "import scaling; scaling.measure({}, {}, {!r}, {})"
    print(f"{n_runs} runs: seconds of all, runs a minute; seconds of all when they do nothing")
    for name, way in WAYS.items():
        seconds = []
        for empty in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-c", code.format(n_runs, *way, empty)]
                settings = {"LMLIB_ROOT": folder, "PYTHONPATH": os.pathsep.join(sys.path)}
                call = {"env": os.environ | settings, "text": True, "check": True}
                out = subprocess.run(command, stdout=subprocess.PIPE, **call).stdout
            seconds.append(float(out.split()[-1]))
        trained, idle = seconds
        print(f"{name:10} {trained:7.1f} {60 * n_runs / trained:6.2f} {idle:7.2f}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
