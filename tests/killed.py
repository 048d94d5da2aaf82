"""Train a run undisturbed, and again with deaths on the way: `python killed.py FOLDER SETTINGS DEATHS` (JSON).

Everything is imported once and each life is a fork. A death is ["after", epochs] (SIGKILL from outside, that many epochs' time
after the life began), ["saved", epochs] (the same after it saved its first epoch), ["step", n] (before the n-th step of that
life) or ["rename", n, "before" or "after"] (about the n-th rename that commits a checkpoint). Prints a line of JSON: how each
life ended (its signal, 0 for a normal end).
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from lmlib import paths
from lmlib.models import training
from lmlib.study import runs


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def arm(death):
    """Prepare this process to die at a step or about a rename."""
    kind, n, *when = death
    real_step, real_replace, count = training.Trainer.step, os.replace, iter(range(1, 10**6))

    def step(self, *arguments):
        if next(count) == n:
            die()
        return real_step(self, *arguments)

    def replace(source, target, **options):
        last = Path(target).name == "checkpoint.safetensors" and next(count) == n
        if last and when == ["before"]:
            die()
        real_replace(source, target, **options)
        if last:
            die()

    if kind == "step":
        training.Trainer.step = step
    if kind == "rename":
        os.replace = replace


def live(folder, settings, death=None, seconds=0.0):
    """One process that trains until it is done or dead: the signal that ended it, or 0. seconds: of an epoch."""
    seen = saved(folder)
    pid = os.fork()
    if pid == 0:
        try:
            if death:
                arm(death)
            paths.RUNS = folder
            runs.train(*runs.resolve(**settings))
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    if death and death[0] in ("after", "saved"):
        while death[0] == "saved" and saved(folder) == seen:
            time.sleep(0.005)
        time.sleep(death[1] * seconds)
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit("a life ended with an error")
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def saved(folder):
    """When the checkpoint below a folder was written."""
    return [path.stat().st_mtime_ns for path in folder.glob("*/checkpoint.safetensors")]


def main(folder, settings, deaths):
    folder, settings = Path(folder), json.loads(settings)
    runs.resolve(**settings)  # data and mixing set are in memory before the forks
    live(folder / "undisturbed", settings)
    (checkpoint,) = folder.glob("undisturbed/*/checkpoint.safetensors")
    history = runs.load_checkpoint(checkpoint)[1]["history"]
    seconds = sorted(entry["seconds"] for entry in history)[len(history) // 2]
    ends = [live(folder / "killed", settings, death, seconds) for death in json.loads(deaths)]
    print(json.dumps([*ends, live(folder / "killed", settings)]))


main(*sys.argv[1:])
