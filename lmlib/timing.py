"""Timing programs side by side, and a table's numbers beside their goals."""

import time
from contextlib import contextmanager

import numpy as np
import torch
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


def round_robin(programs, n_repeats, title):
    """Seconds of each program: {(name, threads): (n_repeats,)}, every round timing each once, after one call to warm up.

    programs: {(name, threads): function of the round's number}. torchvision's AugMix draws from the global generator: it is kept.
    """
    seconds = {key: np.zeros(n_repeats) for key in programs}
    with torch.random.fork_rng(devices=[]):
        for repeat in tqdm(range(-1, n_repeats), desc=title):
            for (name, threads), program in programs.items():
                with n_threads(threads):
                    start = time.perf_counter()
                    program(repeat + 1)
                    if repeat >= 0:
                        seconds[name, threads][repeat] = time.perf_counter() - start
    return seconds


def speed(batch, seconds):
    """Median and best images/s of repeated calls on `batch` images."""
    return {"median": batch / np.median(seconds), "best": batch / seconds.min()}


def show(table, **digits):
    """Print a table without its index, to two decimals but for speeds; digits: of single columns."""
    table = table.round(2).round({"median": 0, "best": 0} | digits)
    print(table.to_string(index=False), end="\n\n", flush=True)


def goal(what, reached, goal, *, at_most=False, digits=1):
    """A sentence: what was reached beside its goal, and whether that is met. at_most: whether less is better."""
    met = reached <= goal if at_most else reached >= goal
    return f"{'met   ' if met else 'MISSED'}  {what}: {reached:,.{digits}f} (goal: {goal:g} or {'less' if at_most else 'more'})"
