"""Timing programs side by side, and a table's numbers beside their goals."""

from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from torch.utils.benchmark import Timer
from tqdm.auto import tqdm


@contextmanager
def n_threads(n):
    """Run the body with `n` torch threads, then put the number back."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def race(programs, n_repeats, *, batch, size=32):
    """Images/s of programs side by side: a DataFrame with size (px), batch, program, threads, median and best, one row a program.

    programs: {(name, threads): function of the round's number, which works on `batch` images}. Every round times each once, after
    one call to warm up. The clock is that of `torch.utils.benchmark`. Some of torchvision's transforms draw from the global generator: its state is kept.
    """
    seconds = {key: [] for key in programs}
    statement = "program(number)"
    with torch.random.fork_rng(devices=[]):
        for number in tqdm(range(1 + n_repeats), desc=f"{size} px, batch {batch}"):
            for (name, threads), program in programs.items():
                names = {"program": program, "number": number}
                timer = Timer(statement, globals=names, num_threads=threads)
                seconds[name, threads].append(timer.timeit(1).mean)
    speeds = [
        (size, batch, *key, batch / np.median(times[1:]), batch / min(times[1:]))
        for key, times in seconds.items()
    ]
    return pd.DataFrame(speeds, columns=["size", "batch", "program", "threads", "median", "best"])


def show(table, **digits):
    """Print a table without its index, to two decimals but for speeds; digits: of single columns."""
    table = table.round(2).round({"median": 0, "best": 0} | digits)
    print(table.to_string(index=False), end="\n\n", flush=True)


def goal(what, reached, goal, *, at_most=False, digits=1):
    """A sentence: what was reached beside its goal, and whether that is met. at_most: whether less is better."""
    met = reached <= goal if at_most else reached >= goal
    return f"{'met   ' if met else 'MISSED'}  {what}: {reached:,.{digits}f} (goal: {goal:g} or {'less' if at_most else 'more'})"
