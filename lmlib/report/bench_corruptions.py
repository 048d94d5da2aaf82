"""What each generator costs: milliseconds an image (a sequence for CIFAR-P), beside the reference programs."""

from functools import partial
from timeit import timeit

import numpy as np
import pandas as pd
from scipy import ndimage
from tqdm.auto import tqdm

from .. import paths
from ..corruptions import LEVELS, NAMES, make
from ..corruptions.recipe import SIZE

REFERENCE = {end: f"reference's {end} ms (measured elsewhere)" for end in ("least", "most")}
"""Columns: milliseconds of the reference programs, over severities, one thread, measured once on another machine: an order of
magnitude. The noises of CIFAR-P were not timed: NaN."""


def bench(n=200):
    """Time every generator on `n` smooth pictures (n / 8 sequences) at severities 1 to 5 and print the table.

    Returns a DataFrame: benchmark, name, ms (mean over severities, draws included), and those of `REFERENCE`.
    Frost is left out, with a word, where its photographs are absent.
    """
    noise = np.random.default_rng(0).uniform(size=(n, 3, SIZE, SIZE))
    smooth = ndimage.gaussian_filter(noise, (0, 0, 3, 3))
    images = (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    rows = []
    generators = [(benchmark, name) for benchmark, names in NAMES.items() for name in names]
    for benchmark, name in tqdm(generators, desc="bench"):
        try:
            ms = milliseconds(images, name, benchmark)
        except FileNotFoundError as error:
            print(f"{name} is left out: {error}")
            continue
        rows.append({"benchmark": benchmark, "name": name, "ms": ms})
    reference = pd.read_csv(paths.PUBLISHED / "generator_ms.csv").rename(columns=REFERENCE)
    table = pd.DataFrame(rows).merge(reference, how="left")
    print(table.to_string(index=False, float_format="{:.3f}".format))
    return table


def milliseconds(images, name, benchmark):
    """Wall-clock milliseconds an image (a sequence for cifar_p), mean over severities, after one call to warm up."""
    images = images[: max(1, len(images) // 8)] if benchmark == "cifar_p" else images
    index, times = np.arange(len(images)), []
    for severity in LEVELS[benchmark]:
        make(images[:1], name, severity, benchmark, seed=0, index=index[:1])
        times.append(
            timeit(partial(make, images, name, severity, benchmark, seed=0, index=index), number=1)
        )
    return 1000 * np.mean(times) / len(images)
