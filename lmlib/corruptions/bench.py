"""What each generator costs: milliseconds an image (a sequence for CIFAR-P), beside the reference programs."""

import time

import numpy as np
import pandas as pd
from scipy import ndimage
from tqdm.auto import tqdm

from lmlib.corruptions import NAMES, SEVERITIES
from lmlib.corruptions.files import make
from lmlib.corruptions.recipe import SIZE

REFERENCE_MS = {
    "cifar_c": dict.fromkeys(("gaussian_noise", "speckle_noise", "gaussian_blur", "contrast", "pixelate"), (0.06, 0.4))
    | dict.fromkeys(("shot_noise", "impulse_noise", "defocus_blur", "fog", "spatter"), (0.3, 0.6))
    | {
        "jpeg_compression": (0.06, 0.4),
        "brightness": (0.8, 1.6),
        "saturate": (0.8, 1.6),
        "elastic_transform": (1.2, 1.8),
        "snow": (1.8, 3.8),
        "motion_blur": (1.5, 4),
        "zoom_blur": (4, 11),
        "glass_blur": (10, 25),
        "frost": (15, 21),
    },
    "cifar_c_bar": {
        "sparkles": (95, 170),
        "pinch_and_twirl": (47, 47),
        "ripple": (34, 34),
        "inverse_sparkles": (30, 30),
        "brownish_noise": (24, 24),
        "circular_motion_blur": (18, 18),
        "blue_noise_sample": (8, 8),
        "checkerboard_cutout": (6, 6),
        "lines": (0.5, 2),
        "transverse_chromatic_abberation": (0.45, 0.45),
    },
    "cifar_p": {
        "snow": (85, 85),
        "motion_blur": (65, 65),
        "brightness": (46, 46),
        "zoom_blur": (15, 15),
        "spatter": (13, 13),
        "gaussian_blur": (5.6, 5.6),
        "shear": (5, 5),
        "scale": (3.9, 3.9),
        "rotate": (3.6, 3.6),
        "tilt": (3.6, 3.6),
        "translate": (1.3, 1.3),
    },
}
"""Milliseconds of the reference programs, least and most over severities, one thread, measured elsewhere, once, on another
machine: an order of magnitude. The noises of CIFAR-P were not timed."""


def bench(n=200):
    """Time every generator on `n` smooth pictures (n / 8 sequences) at severities 1 to 5 and print the table.

    Returns a DataFrame: benchmark, name, ms (mean over severities, draws included), reference ms (measured elsewhere).
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
        least, most = REFERENCE_MS[benchmark].get(name, (None, None))
        reference = "not timed" if least is None else f"{least:g}" if least == most else f"{least:g} to {most:g}"
        rows.append({"benchmark": benchmark, "name": name, "ms": ms, "reference ms (measured elsewhere)": reference})
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="{:.3f}".format))
    return table


def milliseconds(images, name, benchmark):
    """Wall-clock milliseconds an image (a sequence for cifar_p), mean over severities, after one call to warm up."""
    sequences = benchmark == "cifar_p"
    images = images[: max(1, len(images) // 8)] if sequences else images
    index, times = np.arange(len(images)), []
    for severity in (None,) if sequences else SEVERITIES:
        make(images[:1], name, severity, benchmark, seed=0, index=index[:1])
        start = time.perf_counter()
        make(images, name, severity, benchmark, seed=0, index=index)
        times.append(time.perf_counter() - start)
    return 1000 * np.mean(times) / len(images)
