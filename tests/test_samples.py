import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

from lmlib.analysis.samples import image_samples


def test_a_patch_is_a_piece_of_a_photograph_averaged_over_squares_of_four():
    found = image_samples("digits", 3, seed=1)
    assert {name: tuple(part.shape) for name, part in found.items()} == {
        "digits": (3, 3, 32, 32),
        "photographs": (3, 3, 32, 32),
    }
    photographs = np.stack(load_sample_images().images)[:, :424, :640] / 255
    small = photographs.reshape(2, 106, 4, 160, 4, 3).mean((2, 4)).transpose(0, 3, 1, 2)
    places = [small[k, :, y : y + 32, x : x + 32] for k in (0, 1)
              for y in range(0, 75, 4) for x in range(0, 129, 4)]  # fmt: skip
    for patch in found["photographs"].numpy():
        assert min(np.abs(patch - place).max() for place in places) < 1e-6


def test_the_images_depend_on_the_seed_alone_and_more_of_them_begin_with_the_fewer():
    three, five = (image_samples("digits", n, seed=4) for n in (3, 5))
    assert all(torch.equal(part, five[name][:3]) for name, part in three.items())
    other = image_samples("digits", 3, seed=5)
    assert not any(torch.equal(part, other[name]) for name, part in three.items())


def test_more_images_than_there_are_is_one_sentence():
    with pytest.raises(ValueError, match=r"there are \d+ images of digits and of photographs"):
        image_samples("digits", 10**6, seed=0)
