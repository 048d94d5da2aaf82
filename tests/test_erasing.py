import numpy as np
import pytest
import torch
from reference import photographs
from scipy.stats import ks_2samp
from torchvision.transforms import v2 as transforms
from torchvision.transforms.v2 import functional as tv

from lmlib.augment import Cutout, RandomErasing
from lmlib.draws import integers, uniforms

KEYS = {"seed": 1, "epoch": 2}
N = 20_000


@pytest.mark.parametrize("size", [(32, 32), (20, 45), (224, 224)])
@pytest.mark.parametrize(
    "method", [Cutout(), Cutout(7, fill=1), RandomErasing(), RandomErasing(fill=0.2)], ids=repr
)
def test_a_box_is_filled_as_a_loop_and_torchvisions_erase_fill_it(method, size):
    images, index = photographs(size, 12).float() / 255, np.arange(12)
    params = method.sample(size, **KEYS, index=index)
    done = method(images, **KEYS, index=index)
    for k, image in enumerate(images):
        box = params[k]
        expected = image.clone()
        expected[:, box.top : box.bottom, box.left : box.right] = method.fill
        assert torch.equal(done[k], expected)
        fill = torch.full((3, 1, 1), float(method.fill))
        size_of_box = (box.bottom - box.top, box.right - box.left)
        assert torch.equal(tv.erase(image, box.top, box.left, *size_of_box, fill), expected)


@pytest.mark.parametrize("length", [8, 16, 7, 1])
def test_the_square_is_around_a_uniform_pixel_and_cut_off_at_the_border(length):
    box = Cutout(length).sample((32, 24), **KEYS, index=np.arange(N))
    for low, high, n in ((box.top, box.bottom, 32), (box.left, box.right, 24)):
        centre = np.arange(n)
        expected = {}
        start = centre - length // 2
        for pair in zip(np.maximum(start, 0), np.minimum(start + length, n), strict=True):
            expected[pair] = expected.get(pair, 0) + 1 / n
        for (start, end), share in expected.items():
            seen = np.mean((low == start) & (high == end))
            assert abs(seen - share) <= 4.5 * np.sqrt(share * (1 - share) / N)


@pytest.mark.parametrize("length", [1, 2, 5, 16])
def test_a_square_inside_the_image_erases_length_squared_pixels_and_an_odd_one_is_centred(length):
    images, index = torch.zeros(200, 3, 32, 32), np.arange(200)
    erased = Cutout(length, fill=1)(images, **KEYS, index=index)[:, 0]
    assert (erased.sum((1, 2)) <= length**2).all()
    box = Cutout(length).sample((32, 32), **KEYS, index=index)
    inside = (box.top > 0) & (box.left > 0) & (box.bottom < 32) & (box.right < 32)
    assert inside.sum() > 20
    assert (erased[inside].sum((1, 2)) == length**2).all()


@pytest.mark.parametrize("length", [2, 8, 16])
def test_an_even_square_is_the_papers_half_a_side_on_either_side_of_the_pixel(length):
    index = np.arange(N)
    box = Cutout(length).sample((32, 24), **KEYS, index=index)
    for column, (low, high, n) in enumerate(((box.top, box.bottom, 32), (box.left, box.right, 24))):
        centre = integers(uniforms("cutout", 2, **KEYS, index=index)[:, column], n)
        assert np.array_equal(low, np.clip(centre - length // 2, 0, n))
        assert np.array_equal(high, np.clip(centre + length // 2, 0, n))


@pytest.mark.parametrize("size, area", [((32, 32), (0.0005, 0.002)), ((5, 4), (0.02, 0.33))])
def test_a_rectangle_that_is_drawn_has_pixels(size, area):
    box = RandomErasing(probability=1, area=area).sample(size, **KEYS, index=np.arange(N))
    assert ((box.bottom > box.top) == (box.right > box.left)).all()
    assert (box.area > 0).mean() > 0.99  # all ten attempts of the others are too small or too large


@pytest.mark.parametrize("size", [(32, 32), (16, 48)])
def test_erased_rectangles_are_distributed_as_torchvisions(size):
    box = RandomErasing().sample(size, **KEYS, index=np.arange(N))
    erased = box.area > 0
    assert abs(erased.mean() - 0.5) < 4 * np.sqrt(0.25 / N)
    reference, image = transforms.RandomErasing(p=1), torch.zeros(3, *size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = [reference.make_params([image]) for _ in range(4000)]
    for ours, name in (
        (box.top, "i"),
        (box.left, "j"),
        (box.bottom - box.top, "h"),
        (box.right - box.left, "w"),
    ):
        assert ks_2samp(ours[erased], [params[name] for params in theirs]).pvalue > 1e-4
    assert (
        ks_2samp(box.area[erased], [params["h"] * params["w"] for params in theirs]).pvalue > 1e-4
    )


def test_an_area_that_never_fits_leaves_the_image_as_it_is():
    images = photographs((32, 32), 8)
    method = RandomErasing(probability=1, area=(1, 1))
    assert torch.equal(method(images, **KEYS, index=np.arange(8)), images)


def test_a_patch_larger_than_the_image_is_refused():
    with pytest.raises(
        ValueError, match="a patch of 40 pixels does not fit into images of 32 x 48: choose 1 to 32"
    ):
        Cutout(40).sample((32, 48), **KEYS, index=np.arange(0))


@pytest.mark.parametrize(
    "build, sentence",
    [
        (lambda: Cutout(0), "length must be a whole number"),
        (lambda: Cutout(2.5), "length must be a whole number"),
        (lambda: Cutout(fill=2), "fill must lie"),
        (lambda: RandomErasing(probability=1.5), "probability must lie"),
        (lambda: RandomErasing(area=(0.5, 0.2)), "area must be a range"),
        (lambda: RandomErasing(aspect=(0, 1)), "aspect one above 0"),
    ],
)
def test_an_option_out_of_range_is_refused(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()
