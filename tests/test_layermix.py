import inspect
import random
from dataclasses import replace

import bounds
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import blend, exact, mixing_image, noise, photographs
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2 as transforms

from lmlib import LayerMix, build_method
from lmlib.augment import METHODS, Baseline, FlipCrop
from lmlib.augment.blend import BLENDS
from lmlib.augment.ops import OPS
from lmlib.fractals import mixing_set

KEYS = {"seed": 1, "epoch": 2}
N = 20_000  # samples behind every statement on a distribution
GREY, COLOUR = (noise((40, 52), 20, seed=c, n_channels=c) for c in (1, 3))


def batch(n=24, size=(32, 32), seed=0):
    """Half photographs, half noise, with black, white and flat images among them: uint8 (n, 3, *size), and their index."""
    images = torch.cat([photographs(size, n - n // 2, seed), noise(size, n // 2, seed)])
    images[0], images[1], images[2] = 0, 255, 77
    return images, np.arange(n) * 7 + 3


def drawn(n=N, **options):
    return LayerMix(GREY, **options).sample((32, 32), **KEYS, index=np.arange(n))


def share(condition, expected):
    """Assert that a condition holds in the expected share of samples, within four standard errors."""
    assert abs(np.mean(condition) - expected) <= 4 * np.sqrt(
        expected * (1 - expected) / len(condition)
    )


# The pipeline against Code Block 1, image by image and step by step


def steps(method, images, params):
    """What LayerMix puts out at each step, asked for by its draws: both views, both blends, the end.

    A view is layer 1, the first blend layer 2; the second blend is layer 3 with an operation that changes
    nothing, solarize above all values.
    """
    n, nothing = len(images), list(method.table).index("solarize")
    level = np.c_[params.level[:, :2], np.full(n, 2, np.float32)]
    op = np.c_[params.op[:, :2], np.full(n, nothing)]
    one, two, three = (replace(params, layer=np.full(n, layer)) for layer in (1, 2, 3))
    again = replace(one, op=params.op[:, [1, 2, 0]], level=params.level[:, [1, 2, 0]])
    asked = one, again, two, replace(three, op=op, level=level), three
    return [method.apply(images, each) for each in asked]


def check_against_code_block_1(method, pictures, images, index):
    """Assert that each step is Code Block 1's of what the step before put out, within its own roundings.

    From its own step before, nothing is undecided: a threshold falls as it does in float64.
    """
    images = images.float() / 255
    size = tuple(images.shape[-2:])
    params = method.sample(size, **KEYS, index=index)
    names, pictures, done = list(method.table), pictures.numpy(), steps(method, images, params)

    def aug_fn(x, put_out, drawn, stage):
        name = names[drawn.op[stage]]
        expected = exact(name, x, float(drawn.level[stage])).numpy()
        np.testing.assert_allclose(put_out, expected, rtol=0, atol=bounds.operation(name, size))

    def blending(x, y, put_out, drawn, n):
        kind, a, b = BLENDS[drawn.blend[n]], drawn.a[n], drawn.b[n]
        x, y = (part.astype(np.float64) for part in (x, y))
        expected = blend(kind, x, y, a, b, drawn.keep[n], drawn.mask_key[n])
        assert np.all(np.abs(put_out - expected) <= bounds.blended(kind, x, y, a, b))

    for k, image in enumerate(images):
        drawn, (first, second, mixed, again, end) = (
            params[k],
            (step[k].double().numpy() for step in done),
        )
        aug_fn(image, first, drawn, 0)
        aug_fn(image, second, drawn, 1)
        blending(first, second, mixed, drawn, 0)
        blending(mixed, mixing_image(pictures, drawn.picture, drawn.window, size), again, drawn, 1)
        aug_fn(done[3][k], end, drawn, 2)
    chosen = torch.stack(
        [done[{1: 0, 2: 2, 3: 4}[layer]][k] for k, layer in enumerate(params.layer)]
    )
    assert torch.equal(method.apply(images, params), chosen)


@pytest.mark.parametrize("pictures", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("ops", OPS)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("size", [(32, 32), (31, 45)])
def test_the_pipeline_agrees_with_code_block_1_written_for_one_image(size, shared, ops, pictures):
    images, index = batch(120, size)
    check_against_code_block_1(LayerMix(pictures, ops=ops, shared=shared), pictures, images, index)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_the_pipeline_agrees_with_code_block_1_at_224_pixels(n_channels):
    images, index = batch(24, (224, 224))
    pictures = noise((230, 250), 4, n_channels=n_channels)
    check_against_code_block_1(LayerMix(pictures), pictures, images, index)


@pytest.mark.parametrize("layer", [1, 2, 3])
@pytest.mark.parametrize("kind", range(4))
def test_each_layer_and_blend_by_itself_agrees_with_code_block_1(layer, kind):
    images, index = batch(44)
    method = LayerMix(GREY, layers=(layer,), probabilities=np.eye(4)[kind])
    check_against_code_block_1(method, GREY, images, index)


# What is drawn


def test_layers_are_uniform():
    layer = drawn().layer
    for each in (1, 2, 3):
        share(layer == each, 1 / 3)


@pytest.mark.parametrize("ops, n", [("paper", 11), ("released", 12)])
def test_operations_are_uniform(ops, n):
    op = drawn(ops=ops).op[:, 0]
    for each in range(n):
        share(op == each, 1 / n)


def test_blends_come_with_the_probabilities_of_table_1_at_both_stages():
    kind = drawn().blend
    for stage in (0, 1):
        for each, expected in enumerate((1 / 3, 1 / 3, 1 / 6, 1 / 6)):
            share(kind[:, stage] == each, expected)
    share(kind[:, 0] == kind[:, 1], 2 / 9 + 2 / 36)  # the stages are independent


def test_keep_probabilities_of_masks_are_uniform():
    keep = drawn().keep.ravel()
    assert keep.min() >= 0
    assert keep.max() <= 1
    for quarter in (0.25, 0.5, 0.75):
        share(keep < quarter, quarter)


def test_the_stages_share_the_operation_and_have_levels_of_their_own():
    params = drawn()
    assert np.all(params.op == params.op[:, :1])
    rotated = params.level[params.op[:, 0] == list(OPS["paper"]).index("rotate")]
    assert np.all(rotated[:, 0] != rotated[:, 1])
    assert abs(np.corrcoef(rotated.T)[0, 1:]).max() < 4 / np.sqrt(len(rotated))


def test_without_sharing_each_stage_draws_its_own_operation():
    op = drawn(shared=False).op
    for first, second in ((0, 1), (0, 2), (1, 2)):
        share(op[:, first] == op[:, second], 1 / 11)


def test_sharing_changes_no_other_draw():
    shared, apart = drawn(100), drawn(100, shared=False)
    assert np.array_equal(shared.op[:, 0], apart.op[:, 0])
    for name in ("layer", "blend", "a", "b", "keep", "mask_key", "picture"):
        assert np.array_equal(getattr(shared, name), getattr(apart, name))


@pytest.mark.parametrize("layers", [(1,), (2,), (1, 3), (1, 2, 3)])
def test_only_the_layers_asked_for_are_drawn(layers):
    assert set(drawn(500, layers=layers).layer.tolist()) == set(layers)


def test_only_the_blends_with_a_probability_are_drawn():
    params = drawn(probabilities=(0.75, 0, 0, 0.25))
    share(params.blend.ravel() == 0, 0.75)
    assert set(params.blend.ravel().tolist()) == {0, 3}


def test_the_first_layer_is_the_operation_alone():
    images, index = batch()
    method = LayerMix(GREY, layers=(1,))
    others = LayerMix(COLOUR, layers=(1,), beta=0.5, probabilities=(0, 0, 0, 1))
    assert torch.equal(method(images, **KEYS, index=index), others(images, **KEYS, index=index))


def test_mixing_images_are_flipped_in_both_directions_or_not_at_all():
    window = drawn().window
    share(window.flip_x, 0.5)
    share(window.flip_y, 0.5)
    never = drawn(flips=False).window
    assert not never.flip_x.any()
    assert not never.flip_y.any()
    assert np.array_equal(never.top, window.top)


def test_every_picture_and_every_place_of_the_window_is_drawn():
    params = drawn()
    for values, n in (
        (params.picture, 20),
        (params.window.top, 40 - 32 + 1),
        (params.window.left, 52 - 32 + 1),
    ):
        for each in range(n):
            share(values == each, 1 / n)


def test_the_mixing_image_depends_on_neither_the_view_nor_the_method():
    first = drawn(50)
    methods = [(LayerMix(GREY, ops="released", magnitude=3, shared=False), 1), (LayerMix(GREY), 2)]
    for method, view in methods:
        other = method.sample((32, 32), **KEYS, index=np.arange(50), view=view)
        assert np.array_equal(first.picture, other.picture)
        assert np.array_equal(first.window.top, other.window.top)
        assert np.array_equal(first.window.flip_x, other.window.flip_x)


@pytest.mark.parametrize("change", [{"seed": 5}, {"epoch": 5}, {"view": 1}])
def test_another_seed_epoch_or_view_gives_other_draws(change):
    images, index = batch()
    method = LayerMix(GREY)
    assert not torch.equal(
        method(images, **KEYS, index=index), method(images, **{**KEYS, **change}, index=index)
    )
    params = method.sample((32, 32), **{**KEYS, **change}, index=np.arange(100))
    assert np.all(
        np.any(params.level != drawn(100).level, axis=1) | np.isin(params.op[:, 0], (0, 1, 2, 4))
    )


def test_another_index_gives_other_draws():
    images = batch()[0][5:6].expand(100, -1, -1, -1)
    done = LayerMix(GREY)(images, **KEYS, index=np.arange(100))
    assert (
        len(done.flatten(1).unique(dim=0)) > 90
    )  # equalize, grayscale and autocontrast have no level


# Byte-identical


@pytest.mark.parametrize("size", [(32, 32), (31, 45), (7, 5)])
@pytest.mark.parametrize("ops", OPS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("shared", [True, False])
def test_same_keys_same_bytes_for_any_batch_size_and_order(size, ops, dtype, shared):
    images, index = batch(61, size)
    images = images if dtype == torch.uint8 else images.float() / 255
    method = LayerMix(COLOUR, ops=ops, shared=shared)
    together = method(images, **KEYS, index=index)
    for n in (1, 2, 7, 16):
        parts = [method(images[k : k + n], **KEYS, index=index[k : k + n]) for k in range(0, 61, n)]
        assert torch.equal(torch.cat(parts), together)
    order = np.random.default_rng(0).permutation(61)
    assert torch.equal(method(images[order], **KEYS, index=index[order]), together[order])


def test_same_keys_same_bytes_in_a_batch_larger_than_what_is_worked_on_at_once():
    images, index = batch(300)
    images = images.float() / 255
    method = LayerMix(GREY)
    together = method(images, **KEYS, index=index)
    assert torch.equal(
        torch.cat([method(images[k::2], **KEYS, index=index[k::2]) for k in (0, 1)]),
        together[np.r_[0:300:2, 1:300:2]],
    )


@pytest.mark.parametrize("size", [(32, 32), (31, 45), (224, 224)])
def test_same_keys_same_bytes_for_one_and_two_threads(size):
    images, index = batch(64 if size[0] < 224 else 8, size)
    images, method = images.float() / 255, LayerMix(noise((224, 224), 4))
    before, done = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            done.append(method(images, **KEYS, index=index))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*done)


def test_the_layout_of_the_images_in_memory_does_not_matter():
    images, index = batch()
    images, method = images.float() / 255, LayerMix(GREY)
    expected = method(images, **KEYS, index=index)
    assert torch.equal(
        method(images.to(memory_format=torch.channels_last), **KEYS, index=index), expected
    )
    assert torch.equal(
        method(images.flip(3).flip(3)[:, :, ::1], **KEYS, index=torch.from_numpy(index)), expected
    )


def test_a_call_is_sample_and_apply():
    images, index = batch()
    method = LayerMix(GREY)
    params = method.sample((32, 32), **KEYS, index=index)
    assert torch.equal(method.apply(images, params), method(images, **KEYS, index=index))


def test_a_call_leaves_the_global_generators_alone():
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002

    before = states()
    images, index = batch()
    LayerMix(GREY)(images, **KEYS, index=index)
    assert states() == before


# What goes in and what comes out


@pytest.mark.parametrize("ops", OPS)
def test_8_bit_images_give_the_rounded_result_of_float_images(ops):
    images, index = batch(80)
    method = LayerMix(GREY, ops=ops)
    exact = method(images.float() / 255, **KEYS, index=index)
    assert torch.equal(method(images, **KEYS, index=index), (exact * 255).round().to(torch.uint8))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_float_types_are_kept(dtype):
    images, index = batch(12)
    method = LayerMix(GREY, layers=(1,), ops="paper")
    images = images.to(dtype) / 255
    done = method(images, **KEYS, index=index)
    assert done.dtype == dtype
    assert torch.equal(done, method(images.float(), **KEYS, index=index).to(dtype))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_the_input_is_never_written_to(dtype):
    images, index = batch()
    images = images if dtype == torch.uint8 else images.to(dtype) / 255
    before = images.clone()
    for method in (LayerMix(GREY), LayerMix(GREY, ops="released"), FlipCrop(), Baseline()):
        done = method(images, **KEYS, index=index)
        assert done.data_ptr() != images.data_ptr()
        done.zero_()
        assert torch.equal(images, before)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(
    "method", [LayerMix(GREY), FlipCrop(), Baseline()], ids=lambda method: type(method).__name__
)
def test_an_empty_batch_stays_one(method, dtype):
    done = method(torch.zeros(0, 3, 32, 32, dtype=dtype), **KEYS, index=np.zeros(0, np.int64))
    assert done.shape == (0, 3, 32, 32)
    assert done.dtype == dtype


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1),
    magnitude=st.floats(0, 10),
    beta=st.floats(1e-3, 1000),
    ops=st.sampled_from(sorted(OPS)),
    shared=st.booleans(),
    side=st.integers(1, 40),
)
@example(
    seed=27463319, magnitude=0.0, beta=0.015625, ops="paper", shared=False, side=1
)  # autocontrast of 1e-38: was NaN
@example(
    seed=2**46 - 1, magnitude=0.5354100002321772, beta=1.0, ops="paper", shared=False, side=15
)  # was 1 + 1e-7
def test_black_white_and_flat_images_give_finite_values_between_0_and_1(
    seed, magnitude, beta, ops, shared, side
):
    values = torch.tensor([0, 1, 0.5, 1e-30, 1 - 1e-7, 1 / 255])
    images = values[:, None, None, None].expand(-1, 3, side, 40 - side + 1)
    pictures = torch.tensor([0, 255, 1], dtype=torch.uint8)[:, None, None, None].expand(
        -1, 1, 40, 40
    )
    done = LayerMix(pictures, magnitude, beta, ops=ops, shared=shared)(
        images, seed=seed, epoch=0, index=np.arange(6)
    )
    assert torch.all((done >= 0) & (done <= 1))  # false for NaN


# Bad input


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"magnitude": -0.1}, r"magnitude must lie in \[0, 10\], got -0.1"),
        ({"magnitude": 10.5}, r"magnitude must lie in \[0, 10\], got 10.5"),
        ({"magnitude": float("nan")}, "magnitude must lie .* got nan"),
        ({"magnitude": "8"}, "magnitude must lie"),
        ({"beta": 0}, r"beta must lie in \(0, .* got 0"),
        ({"beta": -3}, "beta must lie .* got -3"),
        ({"beta": float("nan")}, "beta must lie .* got nan"),
        ({"beta": float("inf")}, "beta must lie .* got inf"),
        ({"ops": "papers"}, "unknown ops 'papers': did you mean 'paper'"),
        ({"layers": (1, 4)}, "unknown layer '4'"),
        ({"layers": ()}, "layers"),
        ({"probabilities": (0.5, 0.5)}, "expected 4 blend probabilities that sum to 1"),
        ({"probabilities": (0.5, 0.5, 0.5, 0.5)}, "expected 4 blend probabilities that sum to 1"),
        ({"probabilities": (1.5, -0.5, 0, 0)}, "expected 4 blend probabilities that sum to 1"),
    ],
)
def test_an_option_out_of_range_is_named_with_what_came(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        LayerMix(GREY, **options)


@pytest.mark.parametrize(
    "mixing_set, came",
    [
        (np.zeros((0, 1, 40, 40), np.uint8), r"\(0, 1, 40, 40\) torch.uint8"),
        (np.zeros((4, 1, 40, 40), np.float32), r"\(4, 1, 40, 40\) torch.float32"),
        (np.zeros((4, 2, 40, 40), np.uint8), r"\(4, 2, 40, 40\)"),
        (np.zeros((4, 40, 40), np.uint8), r"\(4, 40, 40\)"),
        ("fractals", "str"),
    ],
)
def test_a_mixing_set_of_the_wrong_kind_is_refused(mixing_set, came):
    with pytest.raises(ValueError, match=f"expected a mixing set of uint8 .* got {came}"):
        LayerMix(mixing_set)


def test_without_a_mixing_set_it_mixes_with_500_generated_fractals(monkeypatch):
    monkeypatch.setattr("lmlib.fractals.mixing_sets.mixing_set", lambda: GREY)
    images, keys = photographs((32, 32), 8), {"seed": 1, "epoch": 2, "index": np.arange(8)}
    assert torch.equal(LayerMix()(images, **keys), LayerMix(GREY)(images, **keys))
    default = inspect.signature(mixing_set).parameters
    assert [default[name].default for name in ("n_fractals", "size", "seed")] == [500, 36, 0]


@pytest.mark.parametrize("size", [(41, 40), (32, 53), (224, 224)])
def test_a_mixing_set_smaller_than_the_images_is_refused(size):
    with pytest.raises(
        ValueError,
        match=rf"mixing set of 40 x 52 pixels is smaller than the images of {size[0]} x {size[1]}",
    ):
        LayerMix(GREY)(torch.zeros(1, 3, *size), **KEYS, index=[0])


@pytest.mark.parametrize(
    "method", [LayerMix(GREY), FlipCrop(), Baseline()], ids=lambda method: type(method).__name__
)
@pytest.mark.parametrize(
    "images, came",
    [
        (torch.zeros(3, 32, 32), r"\(3, 32, 32\)"),
        (torch.zeros(2, 1, 32, 32), r"\(2, 1, 32, 32\)"),
        (torch.zeros(2, 32, 32, 3), r"\(2, 32, 32, 3\)"),
        (torch.zeros(2, 3, 0, 32), r"\(2, 3, 0, 32\)"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.int64), "int64"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.bool), "bool"),
        (torch.full((2, 3, 32, 32), 1.5), "values from 1.5 to 1.5"),
        (torch.full((2, 3, 32, 32), -0.1), "values from -0.1"),
        (torch.full((2, 3, 32, 32), 255.0), "values from 255 to 255"),
        (torch.full((2, 3, 32, 32), float("nan")), "nan"),
        (np.zeros((2, 3, 32, 32), np.uint8), r"\(2, 3, 32, 32\) uint8"),
    ],
)
def test_images_of_another_shape_dtype_or_range_are_refused(method, images, came):
    with pytest.raises(ValueError, match=f"expected images as a tensor .* got .*{came}"):
        method(images, **KEYS, index=np.arange(len(images)))


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf, -2e-5, 1.00002, -0.1, 255])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_bad_value_among_good_pixels_is_found(value, dtype):
    images = torch.rand(2, 3, 32, 32, dtype=dtype)
    images[1, 2, 3, 4] = float(value)
    with pytest.raises(ValueError, match="got values from"):
        LayerMix(GREY)(images, **KEYS, index=[0, 1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends_of_the_range_and_a_negative_zero_are_taken(dtype):
    images = torch.rand(2, 3, 32, 32, dtype=dtype)
    images[1, 2, 3, :4] = torch.tensor([0.0, -0.0, 1.0, 1e-45], dtype=dtype)
    assert torch.isfinite(LayerMix(GREY)(images, **KEYS, index=[0, 1])).all()


@pytest.mark.parametrize(
    "method", [LayerMix(GREY), FlipCrop(), Baseline()], ids=lambda method: type(method).__name__
)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_what_a_rounding_took_out_of_the_range_is_clamped(dtype, method):
    inside = batch(6)[0].to(dtype) / 255
    inside[2], inside[3, 0] = 0, 1
    outside = inside.clone()
    outside[2], outside[3, 0] = -1e-7, 1 + max(1e-5, torch.finfo(dtype).eps)
    assert torch.equal(
        method(outside, **KEYS, index=np.arange(6)), method(inside, **KEYS, index=np.arange(6))
    )
    assert outside.amin() < 0  # and the input stays
    assert outside.amax() > 1


@pytest.mark.parametrize(
    "images, came",
    [
        (torch.tensor([0.23, 1.00002]), r"values from 0.23 to 1.00002: clamp\(0, 1\)"),
        (torch.tensor([-0.0312, 1.0437]), r"values from -0.0312 to 1.0437: clamp\(0, 1\)"),
        (torch.tensor([0.5, 1.0001], dtype=torch.float64), "values from 0.5 to 1.0001"),
    ],
)
def test_values_out_of_the_range_are_told_with_the_digits_that_show_it(images, came):
    with pytest.raises(ValueError, match=came):
        LayerMix(GREY)(images.repeat(3 * 16).view(1, 3, 4, 8), **KEYS, index=[0])


def test_a_sharp_edge_that_a_bicubic_resize_took_out_is_told_with_what_to_do():
    edge = torch.zeros(3, 64, 64, dtype=torch.uint8)
    edge[:, :, 32:] = 255
    resized = [
        transforms.ToDtype(torch.float32, scale=True),
        transforms.Resize(32, InterpolationMode.BICUBIC),
    ]
    with pytest.raises(
        ValueError, match=r"got values from -0\.\d+ to 1\.\d+: clamp\(0, 1\) what a resize took out"
    ):
        transforms.Compose([*resized, LayerMix(GREY).as_transform()])(edge)
    clamped = transforms.Compose(
        [*resized, lambda image: image.clamp(0, 1), LayerMix(GREY).as_transform()]
    )(edge)
    assert clamped.shape == (3, 32, 32)


@pytest.mark.parametrize("missing", ["seed", "epoch", "index"])
def test_a_call_without_keys_says_which_and_why(missing):
    keys = {**KEYS, "index": [0]}
    del keys[missing]
    with pytest.raises(ValueError, match=f"missing {missing}: .*as_transform"):
        LayerMix(GREY)(torch.zeros(1, 3, 32, 32), **keys)


@pytest.mark.parametrize(
    "index, sentence",
    [([0], "shape"), ([[0, 1]], "shape"), ([0.5, 1], "integer"), ([-1, 0], "0 ..")],
)
def test_an_index_that_does_not_fit_is_refused(index, sentence):
    with pytest.raises(ValueError, match=f"index.*{sentence}"):
        LayerMix(GREY)(torch.zeros(2, 3, 32, 32), **KEYS, index=index)


@pytest.mark.parametrize("keys", [{"seed": -1}, {"epoch": -1}, {"epoch": 2**32}, {"view": 2**16}])
def test_a_key_out_of_range_is_refused(keys):
    with pytest.raises(ValueError, match=r"(seed|epoch|view) must be a whole number from 0"):
        LayerMix(GREY)(torch.zeros(1, 3, 32, 32), **{**KEYS, **keys}, index=[0])


# Methods by name


def test_methods_are_built_by_name_with_their_parameters():
    assert build_method("layermix_released", mixing_set=GREY, magnitude=3).magnitude == 3
    assert list(build_method("layermix_released", mixing_set=GREY).table) == list(OPS["released"])
    assert not build_method("layermix_iid", mixing_set=GREY).shared
    assert METHODS["layermix"].settings["beta"] == 3


def test_a_wrong_method_or_parameter_gets_the_nearest_name():
    with pytest.raises(ValueError, match="did you mean 'layermix'"):
        build_method("layermx", mixing_set=GREY)
    with pytest.raises(ValueError, match="did you mean 'magnitude'"):
        build_method("layermix", mixing_set=GREY, magnitud=3)
    with pytest.raises(ValueError, match="pass mixing_set"):
        build_method("layermix")


# Flip and crop


@pytest.mark.parametrize("pad", [0, 4, 7])
@pytest.mark.parametrize("size", [(32, 32), (31, 45)])
def test_flip_and_crop_agree_with_a_loop_that_pads_cuts_and_flips(size, pad):
    images, index = batch(40, size)
    method = FlipCrop(pad)
    window = method.sample(size, **KEYS, index=index)
    done = method(images, **KEYS, index=index).numpy()
    for k, image in enumerate(images.numpy()):
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
        expected = padded[
            :, window.top[k] : window.top[k] + size[0], window.left[k] : window.left[k] + size[1]
        ]
        assert np.array_equal(done[k], expected[:, :, ::-1] if window.flip_x[k] else expected)


def test_flip_and_crop_draw_every_place_and_flip_half_of_the_images_sideways_only():
    window = FlipCrop().sample((32, 32), **KEYS, index=np.arange(N))
    share(window.flip_x, 0.5)
    assert not window.flip_y.any()
    for place in range(9):
        share(window.top == place, 1 / 9)
        share(window.left == place, 1 / 9)


def test_digits_are_cropped_and_never_flipped():
    window = FlipCrop(flip=False).sample((32, 32), **KEYS, index=np.arange(N))
    assert not window.flip_x.any()
    assert not window.flip_y.any()
    assert np.array_equal(window.top, FlipCrop().sample((32, 32), **KEYS, index=np.arange(N)).top)


def test_the_baseline_adds_nothing():
    images, index = batch()
    assert torch.equal(Baseline()(images, **KEYS, index=index), images)


def test_parameters_of_another_number_of_samples_are_refused():
    images, index = batch()
    params = LayerMix(GREY).sample((32, 32), **KEYS, index=index)
    with pytest.raises(
        ValueError, match="expected layer of 24 samples, one for each image, got 12"
    ):
        LayerMix(GREY).apply(images, params[:12])


def test_parameters_may_be_of_any_width_and_layout():
    images, index = batch()
    method = LayerMix(GREY)
    params = method.sample((32, 32), **KEYS, index=index)
    others = {
        "op": np.asfortranarray(params.op.astype(np.uint8)),
        "level": params.level.astype(float),
    }
    assert torch.equal(
        method.apply(images, replace(params, **others)), method.apply(images, params)
    )


@pytest.mark.parametrize("name, place", [("op", 11), ("op", -1), ("picture", 20)])
def test_a_position_beyond_the_operations_or_the_pictures_is_refused(name, place):
    images, index = batch()
    params = LayerMix(GREY).sample((32, 32), **KEYS, index=index)
    places = getattr(params, name).copy()
    places[5] = place
    with pytest.raises(ValueError, match=f"expected {name} from 0 to (10|19), got .*{place}"):
        LayerMix(GREY).apply(images, replace(params, **{name: places}))
