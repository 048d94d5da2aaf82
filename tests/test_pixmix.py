import bounds
import numpy as np
import pytest
import torch
from reference import blend, mixing_image, noise, photographs

from lmlib.augment import METHODS, PixMix, build_method
from lmlib.augment.ops import RELEASED, apply_operation
from lmlib.augment.pillow_ops import AUGMIX_OPS, OVERLAPS

KEYS = {"seed": 1, "epoch": 2}
N = 20_000
GREY, COLOUR = (noise((40, 52), 20, seed=c, n_channels=c) for c in (1, 3))


def pixmix(image, pictures, params, table):
    """PixMix's pseudo-code for one float32 image (3, H, W) and its drawn parameters: float64, and the bound of each value."""
    functions = list(table.values())

    def augment(n):
        return (
            apply_operation(functions[params.op[n]], image[None], params.level[n])[0]
            .double()
            .numpy()
        )

    mixed, error = augment(0) if params.augmented[0] else image.double().numpy(), 0.0
    for n in range(params.rounds):
        picture = mixing_image(pictures, params.picture, params.window, image.shape[1:]).astype(
            np.float64
        )
        other = augment(1 + n) if params.augmented[1 + n] else picture
        kind = ("add", "multiply")[params.blend[n]]
        error = bounds.blended(kind, mixed, other, params.a[n], params.b[n], error)
        mixed = blend(kind, mixed, other, params.a[n], params.b[n], None, None)  # clipped
    return mixed, np.broadcast_to(error, mixed.shape)


def drawn(**options):
    return PixMix(GREY, **options).sample((32, 32), **KEYS, index=np.arange(N))


def uniform(values, n):
    """Assert that integers 0 .. n - 1 are as likely."""
    share = np.bincount(np.ravel(values), minlength=n) / np.size(values)
    assert len(share) == n
    assert np.abs(share - 1 / n).max() < 4.5 * np.sqrt(1 / n / np.size(values))


@pytest.mark.parametrize("size", [(32, 32), (31, 45), (224, 224)])
@pytest.mark.parametrize("ops", ["all", "nine", "released"])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_a_batch_agrees_with_the_pseudo_code_image_by_image(size, ops, n_channels):
    n = 60 if size[0] < 224 else 4
    images, index = photographs(size, n).float() / 255, np.arange(n) * 3
    images[:2] = torch.tensor([0.0, 1.0])[:, None, None, None]
    pictures = noise((size[0] + 8, size[1] + 7), 5, n_channels=n_channels)
    method = PixMix(pictures, ops=ops, flips=True)
    params = method.sample(size, **KEYS, index=index)
    loop = [
        pixmix(image, pictures.numpy(), params[k], method.table) for k, image in enumerate(images)
    ]
    expected, error = map(np.stack, zip(*loop, strict=True))
    assert np.all(np.abs(method(images, **KEYS, index=index).numpy() - expected) <= error)
    assert np.quantile(error, 0.99) < 1 / 255 / 100  # the bound says something


@pytest.mark.parametrize("k", [1, 3, 4])
def test_rounds_operations_and_blends_are_uniform(k):
    params = drawn(k=k)
    uniform(params.rounds, k + 1)
    uniform(params.op, 13)
    uniform(params.blend, 2)
    uniform(params.augmented.astype(int), 2)


def test_blend_weights_have_mean_1_and_0():
    params = drawn()
    assert abs(params.a.mean() - 1) < 4 * params.a.std() / np.sqrt(params.a.size)
    assert abs(params.b.mean()) < 4 * params.b.std() / np.sqrt(params.b.size)


def test_mixing_images_are_not_flipped_by_default():
    window = drawn().window
    assert not window.flip_x.any()
    assert not window.flip_y.any()
    assert drawn(flips=True).window.flip_x.any()


def test_the_three_readings_differ_in_rounds_and_operations_alone():
    readings = [
        build_method(name, mixing_set=GREY) for name in ("pixmix", "pixmix_k3", "pixmix_released")
    ]
    assert [method.k for method in readings] == [4, 3, 4]
    assert [list(method.table) for method in readings] == [[*AUGMIX_OPS, *OVERLAPS]] * 2 + [
        list(RELEASED)
    ]
    assert {(method.beta, method.magnitude) for method in readings} == {(3, 3)}


def test_the_released_posterize_is_black_in_82_percent_of_its_calls_at_magnitude_3():
    params = drawn(ops="released")
    bits = params.level[params.op == list(RELEASED).index("posterize")]
    expected = 0.9 / 1.1
    assert abs((bits == 0).mean() - expected) < 4.5 * np.sqrt(expected * (1 - expected) / len(bits))


def test_settings_for_imagenet_can_be_given_by_name():
    method = build_method("pixmix", mixing_set=GREY, k=4, beta=4, magnitude=1)
    assert (method.k, method.beta, method.magnitude) == (4, 4, 1)
    assert METHODS["pixmix_k3"].settings["k"] == 3


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"k": 0}, "k must be a whole number from 1"),
        ({"k": 2.5}, "k must be a whole number"),
        ({"beta": 0}, r"beta must lie in \(0"),
        ({"magnitude": 11}, "magnitude must lie"),
        ({"ops": "al"}, "unknown ops 'al': did you mean 'all'"),
    ],
)
def test_an_option_out_of_range_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        PixMix(COLOUR, **options)
