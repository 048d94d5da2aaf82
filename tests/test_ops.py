import bounds
import numpy as np
import pytest
import torch
from reference import SIZES, TORCHVISION, exact, noise, photographs
from torchvision.transforms.v2 import functional as tv

from lmlib.augment.ops import OPS, PAPER, RELEASED, apply_operation, draw_levels
from lmlib.draws import uniforms

N = 40_000  # draws behind every statement on a distribution
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
NAMES = [(ops, name) for ops in OPS for name in OPS[ops]]


def levels(ops, name, magnitude, n=N, size=(32, 32), seed=0):
    """`n` levels of one operation, as the method draws them."""
    table = OPS[ops]
    op = np.full(n, list(table).index(name))
    keys = {"seed": seed, "index": np.arange(n)}
    sign = np.where(uniforms("sign", 1, **keys)[:, 0] < 0.5, 1.0, -1.0)
    return draw_levels(table, op, uniforms("level", 1, **keys)[:, 0], sign, magnitude, size)


def run(name, images, *level):
    """One operation of either set on float images, a level for each."""
    return apply_operation((PAPER | RELEASED)[name], images, level)


def one_dot(size, row, column):
    """A black image with one white pixel, (1, 3, *size)."""
    image = torch.zeros(1, 3, *size)
    image[:, :, row, column] = 1
    return image


def share(condition, expected):
    """Assert that a condition holds in the expected share of N draws, within four standard errors."""
    assert abs(np.mean(condition) - expected) <= 4 * np.sqrt(
        expected * (1 - expected) / len(condition)
    )


# The operations themselves


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ops, name", NAMES)
def test_every_operation_agrees_with_torchvision_at_the_same_level(ops, name, size):
    images = torch.cat([photographs(size), noise(size, 2)]).float() / 255
    drawn = levels(ops, name, 8, len(images), size, seed=5)
    pairs = list(zip(images, drawn.tolist(), strict=True))
    expected = torch.stack([exact(name, *one) for one in pairs])
    theirs = (
        (torch.stack([TORCHVISION[name](*one) for one in pairs]) - expected).square().mean().sqrt()
    )
    ours = run(name, images, *drawn) - expected
    assert ours.abs().max() <= bounds.operation(name, size)
    # As near as torchvision in float32, whose own roundings the processor decides: within a factor of 2.
    assert ours.square().mean().sqrt() <= 2 * theirs + bounds.rounded(1)


@pytest.mark.parametrize("name", ["equalize", "posterize", "posterize_increasing"])
def test_operations_on_8_bit_values_round_a_float_image_first(name):
    bytes_ = photographs((32, 32), 2)
    between = (
        bytes_.float()
        + torch.rand(bytes_.shape, generator=torch.Generator().manual_seed(0)) * 0.9
        - 0.45
    ) / 255
    assert torch.equal(run(name, between.clamp(0, 1), 2, 3), run(name, bytes_.float() / 255, 2, 3))


@pytest.mark.parametrize("bits", range(9))
def test_posterize_agrees_with_torchvision_on_every_value_and_number_of_bits(bits):
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, -1, -1)
    ours = run("posterize", values.float() / 255, bits)
    assert torch.equal((ours * 255).round().to(torch.uint8), tv.posterize(values, bits))


@pytest.mark.parametrize("n_values", [1, 2, 3, 17, 200])
def test_equalize_agrees_with_torchvision_on_few_and_on_many_values(n_values):
    images = noise((20, 31), 4, seed=n_values) % n_values + (256 - n_values) // 2
    ours = run("equalize", images.float() / 255, *[0] * 4)
    assert torch.equal((ours * 255).round().to(torch.uint8), tv.equalize(images))


@pytest.mark.parametrize("name", ["equalize", "autocontrast"])
@pytest.mark.parametrize("value", [0.0, 7 / 255, 0.6, 1.0])
def test_a_flat_channel_stays_as_it_is(name, value):
    image = torch.full((1, 3, 8, 9), value)
    torch.testing.assert_close(run(name, image, 0), image, rtol=0, atol=bounds.rounded(1))


def test_each_channel_is_stretched_by_itself_and_a_flat_one_among_them_stays():
    image = torch.full((1, 3, 2, 2), 0.25)
    image[0, 0, 0], image[0, 2, 1, 1] = torch.tensor([0.5, 0.75]), 0.75
    expected = torch.tensor([[[0.5, 1], [0, 0]], [[0.25, 0.25], [0.25, 0.25]], [[0, 0], [0, 1]]])
    torch.testing.assert_close(run("autocontrast", image, 0)[0], expected)


def test_solarize_inverts_the_values_at_or_above_the_threshold():
    image = torch.tensor([0.25, 0.5, 0.75]).view(1, 3, 1, 1)
    assert run("solarize", image, 0.5).flatten().tolist() == [0.25, 0.5, 0.25]
    assert run("solarize", image, -0.1).flatten().tolist() == [0.75, 0.5, 0.25]


def test_rotation_is_counter_clockwise_for_positive_degrees():
    right_of_the_centre = one_dot((9, 9), 4, 8)
    torch.testing.assert_close(
        run("rotate", right_of_the_centre, 90),
        one_dot((9, 9), 0, 4),
        rtol=0,
        atol=bounds.sampled((9, 9)),
    )


@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y"])
@pytest.mark.parametrize("size", [(9, 9), (9, 13)])
def test_rotation_and_shear_leave_the_centre_where_it_is(name, size):
    middle = one_dot(size, size[0] // 2, size[1] // 2)
    assert run(name, middle, 0.2)[0, 0, size[0] // 2, size[1] // 2] > 0.999 - 0.2 * (
        name != "rotate"
    )
    assert run(name, middle, 0.2).flatten(2).argmax() == middle.flatten(2).argmax()


def test_translation_goes_right_and_down_for_positive_pixels():
    assert torch.equal(run("translate_x", one_dot((6, 8), 2, 3), 2), one_dot((6, 8), 2, 5))
    assert torch.equal(run("translate_y", one_dot((6, 8), 2, 3), 2), one_dot((6, 8), 4, 3))


def test_translation_by_part_of_a_pixel_is_bilinear():
    moved = run("translate_x", one_dot((5, 8), 2, 3), 0.25)
    assert moved[0, 0, 2, 3:5].tolist() == pytest.approx(
        [0.75, 0.25], rel=0, abs=bounds.sampled((5, 8))
    )


def test_what_a_translation_uncovers_is_black():
    white = torch.ones(1, 3, 8, 8)
    assert run("translate_x", white, 3)[0, 0, 0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert run("translate_y", white, -3)[0, 0, :, 0].tolist() == [1, 1, 1, 1, 1, 0, 0, 0]


def test_positive_shear_moves_the_rows_above_the_centre_to_the_right():
    # torchvision's sign: x_in = x + level * y, with y downwards from the centre.
    sheared = run("shear_x", one_dot((9, 9), 0, 4), 0.25)
    torch.testing.assert_close(sheared, one_dot((9, 9), 0, 5), rtol=0, atol=bounds.sampled((9, 9)))
    sheared = run("shear_y", one_dot((9, 9), 4, 0), 0.25)
    torch.testing.assert_close(sheared, one_dot((9, 9), 5, 0), rtol=0, atol=bounds.sampled((9, 9)))


@pytest.mark.parametrize("ops", OPS)
def test_no_operation_writes_into_its_input(ops):
    images = photographs((17, 32)).float() / 255
    before = images.clone()
    for name, operation in OPS[ops].items():
        apply_operation(operation, images, levels(ops, name, 8, len(images), (17, 32)))
        assert torch.equal(images, before), name


def test_one_level_serves_all_images():
    images = photographs((16, 20), 3).float() / 255
    assert torch.equal(
        apply_operation(PAPER["rotate"], images, 7.5), run("rotate", images, 7.5, 7.5, 7.5)
    )


# The levels: paper


def test_the_paper_has_the_eleven_operations_of_table_2():
    assert set(PAPER) == set(TORCHVISION) - {"posterize_increasing", "solarize_increasing"}


@pytest.mark.parametrize("magnitude", [0, 1, 3, 8, 10])
@pytest.mark.parametrize("name, maximum", [("rotate", 30), ("shear_x", 0.3), ("shear_y", 0.3)])
def test_geometric_levels_are_uniform_up_to_a_tenth_of_the_maximum_per_magnitude(
    name, maximum, magnitude
):
    drawn, top = levels("paper", name, magnitude), maximum * magnitude / 10
    assert np.abs(drawn).max() <= top * (1 + bounds.ROUNDING)
    assert np.abs(drawn).max() >= top * 0.999
    assert abs(drawn.mean()) <= 4 * top / np.sqrt(3 * N)
    if magnitude:
        share(np.abs(drawn) < top / 4, 0.25)
        share(drawn < 0, 0.5)


@pytest.mark.parametrize("name, side", [("translate_x", 45), ("translate_y", 31)])
def test_translation_goes_up_to_a_third_of_the_side_along_its_own_axis(name, side):
    drawn = levels("paper", name, 10, size=(31, 45))
    assert 0.33 * side * 0.999 <= np.abs(drawn).max() <= 0.33 * side * (1 + bounds.ROUNDING)
    share(drawn < 0, 0.5)


def test_translation_at_32_pixels_goes_up_to_10_56():
    assert np.abs(levels("paper", "translate_x", 10)).max() == pytest.approx(10.56, rel=1e-3)


@pytest.mark.parametrize("magnitude", [0, 5, 10])
def test_brightness_factors_are_uniform_around_one(magnitude):
    drawn = levels("paper", "brightness", magnitude)
    top = 0.09 * magnitude
    assert (
        (1 - top - bounds.rounded(2)) <= drawn.min() <= drawn.max() <= (1 + top + bounds.rounded(2))
    )
    assert abs(drawn.mean() - 1) <= 4 * top / np.sqrt(3 * N) + bounds.rounded(2)
    if magnitude:
        share(drawn < 1 - top / 2, 0.25)
        assert drawn.min() < 1 - 0.999 * top
        assert drawn.max() > 1 + 0.999 * top


@pytest.mark.parametrize(
    "magnitude, shares",
    [(0, {4: 1}), (5, {4: 1 / 2, 3: 1 / 2}), (10, dict.fromkeys([1, 2, 3, 4], 1 / 4))],
)
def test_paper_posterize_keeps_fewer_bits_at_larger_magnitude_and_never_none(magnitude, shares):
    drawn = levels("paper", "posterize", magnitude)
    assert set(drawn.tolist()) == set(shares)
    for bits, expected in shares.items():
        share(drawn == bits, expected)


@pytest.mark.parametrize("magnitude", [0, 3, 8, 10])
def test_paper_solarize_lowers_its_threshold_from_one_at_larger_magnitude(magnitude):
    drawn = levels("paper", "solarize", magnitude)
    assert 1 - magnitude / 10 - bounds.rounded(1) <= drawn.min() <= 1 - 0.999 * magnitude / 10
    assert drawn.max() <= 1
    if magnitude:
        share(drawn > 1 - magnitude / 20, 0.5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", [*GEOMETRIC, "brightness"])
def test_in_the_paper_geometry_and_brightness_are_the_identity_at_magnitude_0(name, size):
    images = photographs(size)
    changed = run(name, images.float() / 255, *levels("paper", name, 0, len(images), size))
    # Positions are float32, as torchvision has them, and nothing of it shows in 8 bits.
    torch.testing.assert_close(
        changed, images.float() / 255, rtol=0, atol=bounds.operation(name, size)
    )
    assert torch.equal((changed * 255).round().to(torch.uint8), images)


# The levels: released


def test_the_released_program_has_twelve_functions_and_no_brightness():
    assert set(RELEASED) == set(TORCHVISION) - {"brightness"}


@pytest.mark.parametrize(
    "magnitude, black", [(8, 0.9 / 3.1), (5, 0.9 / 1.9), (3, 0.9 / 1.1), (2.5, 1), (1, 1), (0, 1)]
)
def test_released_posterize_leaves_a_black_image_more_often_at_smaller_magnitude(magnitude, black):
    drawn = levels("released", "posterize", magnitude)
    share(drawn == 0, black)
    assert not np.any(run("posterize", torch.ones(1, 3, 2, 2), 0).numpy())


def test_the_known_shares_of_black_images_are_29_47_and_82_percent():
    known = {8: 0.29, 5: 0.47, 3: 0.82}
    drawn = {m: np.mean(levels("released", "posterize", m) == 0) for m in known}
    assert drawn == pytest.approx(known, abs=0.5e-2 + 4 * np.sqrt(0.25 / N))


@pytest.mark.parametrize("magnitude", [0, 3, 8, 10])
def test_posterize_increasing_counts_from_four_bits_down(magnitude):
    down, up = (
        levels("released", name, magnitude) for name in ("posterize", "posterize_increasing")
    )
    assert np.array_equal(up, 4 - down)


@pytest.mark.parametrize("magnitude", [1, 3, 8, 10])
def test_released_solarize_has_a_threshold_between_a_tenth_and_a_tenth_of_the_magnitude(magnitude):
    drawn, top = levels("released", "solarize", magnitude), magnitude / 10
    assert 0.1 - bounds.rounded(1) <= drawn.min() <= 0.1 + 1e-3 * top
    assert drawn.max() == pytest.approx(top, rel=1e-3)
    if magnitude > 1:
        share(drawn < (0.1 + top) / 2, 0.5)


def test_released_solarize_increasing_inverts_the_whole_image_in_seven_of_eight_calls_at_magnitude_8():
    drawn = levels("released", "solarize_increasing", 8)
    share(drawn <= 0, 7 / 8)
    assert -0.7 - bounds.rounded(1) <= drawn.min() <= drawn.max() <= 0.1 + bounds.rounded(1)


@pytest.mark.parametrize(
    "magnitude, low, high", [(8, 0.1, 0.24), (10, 0.1, 0.3), (2, 0.06, 0.1), (0, 0, 0.1)]
)
def test_released_shear_is_never_nearer_to_zero_than_a_tenth_and_swaps_its_ends_below_magnitude_3_34(
    magnitude, low, high
):
    drawn = levels("released", "shear_x", magnitude)
    assert [np.abs(drawn).min(), np.abs(drawn).max()] == pytest.approx([low, high], abs=1e-4)
    share(np.abs(drawn) < (low + high) / 2, 0.5)
    share(drawn < 0, 0.5)


def test_released_rotation_starts_at_a_tenth_of_a_degree():
    drawn = np.abs(levels("released", "rotate", 8))
    assert [drawn.min(), drawn.max()] == pytest.approx([0.1, 24], abs=24e-4)


@pytest.mark.parametrize("name, pixels", [("translate_x", 14), ("translate_y", 10)])
def test_released_translation_rounds_its_maximum_down_to_whole_pixels(name, pixels):
    drawn = np.abs(levels("released", name, 10, size=(31, 45)))
    assert [drawn.min(), drawn.max()] == pytest.approx([0.1, pixels], abs=14e-4)
    assert np.any(drawn % 1 > 0.1)
