"""Class folders of pictures of several shapes: pieces of a photograph."""

from pathlib import Path

import numpy as np
from PIL import Image
from reference import photographs

CLASSES = "n01443537", "n01484850", "n01494475"
SIDES = (120, 90), (80, 110), (64, 64), (200, 70)


def picture(k, sides=None):
    """A piece of a photograph, as PIL has it: (width, height)."""
    width, height = sides or SIDES[k % 4]
    pixels = photographs((height, width), k % 7 + 1)[-1]
    return Image.fromarray((pixels.permute(1, 2, 0).numpy()).astype(np.uint8))


def make(folder: Path):
    """Three classes with four pictures to train on and two to test on, of four shapes."""
    for part, n in (("train", 4), ("val", 2)):
        for label, name in enumerate(CLASSES):
            (folder / part / name).mkdir(parents=True)
            for k in range(n):
                picture(4 * label + k).save(folder / part / name / f"{k}.JPEG", quality=95)
    return folder
