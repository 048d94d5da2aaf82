"""CIFAR-C-bar: each of the ten against a slow derivation pixel by pixel, given its draws."""

import numpy as np
import pytest
from bounds import assert_same_bytes
from scipy import ndimage
from skimage import data
from skimage.draw import line_aa

from lmlib.corruptions import C_BAR_CORRUPTIONS, SEVERITIES, corrupt, draw

photograph = data.astronaut()
PICTURES = np.stack(
    [
        photograph[0:128:4, 150:278:4],
        photograph[300:428:4, 40:168:4],
        np.full((32, 32, 3), 255, np.uint8),
    ]
)
INDEX = np.array([8, 2, 5])
LEVELS = {
    "blue_noise_sample": (0.7, 1.4, 2.1, 3.5, 4.2),
    "brownish_noise": (2.5, 4.0, 5.5, 6.5, 7.0),
    "checkerboard_cutout": (1, 2, 3, 4, 5),
    "inverse_sparkles": (1.0, 1.5, 2.5, 4.5, 5.0),
    "sparkles": (0.7, 3.5, 5.6, 6.3, 7.0),
    "pinch_and_twirl": (5.5, 6.0, 6.5, 8.5, 10),
    "ripple": (5.5, 6.0, 6.5, 7.5, 8.0),
    "circular_motion_blur": (2.8, 3.6, 4.4, 5.2, 6.0),
    "lines": (0.5, 1.0, 1.5, 2.0, 2.5),
    "transverse_chromatic_abberation": (1, 2, 5, 9, 10),
}


def each(name, severity):
    """Yield (picture, draws, result) for each image, HWC."""
    images = np.ascontiguousarray(PICTURES.transpose(0, 3, 1, 2))
    draws = draw(name, severity=severity, benchmark="cifar_c_bar", seed=9, index=INDEX)
    result = corrupt(
        images, name, severity=severity, benchmark="cifar_c_bar", draws=draws
    ).transpose(0, 2, 3, 1)
    for i in range(3):
        yield PICTURES[i], {key: array[i] for key, array in draws.items()}, result[i]


def truncated(values):
    return np.uint8(np.clip(values, 0, 255))


def slow_noise(phases, power):
    """Sum of the waves one by one: the inverse Fourier transform, frequency 0 at (16, 16)."""
    full = np.concatenate([phases, np.rot90(phases, 2)], axis=1)
    k = np.arange(32)
    wave = np.exp(2j * np.pi * np.outer(k, k - 16) / 32)  # (place, frequency)
    amplitudes = np.array([[power(np.hypot(u - 16, v - 16)) for v in range(32)] for u in range(32)])
    noise = (wave @ (amplitudes * np.exp(1j * full)) @ wave.T).real
    return noise / noise.std()


def star(y, x, centre, lengths, exponent):
    """Weight of a star at one pixel, from its distance and the two rays beside it."""
    down, right = y - centre[0], x - centre[1]
    turn = (np.arctan2(right, down) + np.pi) / (2 * np.pi) * len(lengths)
    ray, place = int(turn), turn - int(turn)
    a, b = lengths[ray % len(lengths)], lengths[(ray + 1) % len(lengths)]
    glow = ((a + place * (b - a)) ** 2 / (down**2 + right**2 + 1e-4)) ** exponent
    return min(max((1 - (place - 0.5) ** 2) * glow, 0), 1)


def sample(picture, y, x):
    """Bilinear, black outside."""
    top, left, total = int(np.floor(y)), int(np.floor(x)), np.zeros(3)
    for row, a in ((top, 1.0 - y + top), (top + 1, 1.0 - (top + 1) + y)):
        line = np.zeros(3)
        for column, b in ((left, 1.0 - x + left), (left + 1, 1.0 - (left + 1) + x)):
            if 0 <= row < 32 and 0 <= column < 32:
                line += picture[row, column] * b
        total += line * a
    return total


@pytest.mark.parametrize("severity", SEVERITIES)
def test_blue_noise_sample_blackens_pixels_where_the_noise_is_low(severity):
    for picture, d, out in each("blue_noise_sample", severity):
        kept = (
            slow_noise(d["phases"], lambda f: f)
            > 0.3 * LEVELS["blue_noise_sample"][severity - 1] - 2.5
        )
        assert np.array_equal(out, np.where(kept[..., None], picture, 0))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_brownish_noise_adds_an_own_noise_to_each_channel(severity):
    for picture, d, out in each("brownish_noise", severity):
        noise = np.stack(
            [slow_noise(phases, lambda f: 1 / (f**2 + 1)) for phases in d["phases"]], axis=2
        )
        assert_same_bytes(
            out, truncated(picture + 6.4 * LEVELS["brownish_noise"][severity - 1] * noise)
        )


@pytest.mark.parametrize("severity", SEVERITIES)
def test_checkerboard_cutout_greys_chosen_cells_with_indices_that_wrap(severity):
    for picture, d, out in each("checkerboard_cutout", severity):
        expected, m, a, s = picture.copy(), int(128 // d["cell"]), d["angle"], d["cell"]
        grid = d["grid"][:m, :m] < severity / 10
        for y in range(32):
            for x in range(32):
                u, v = (np.cos(a) * y + np.sin(a) * x) / s, (-np.sin(a) * y + np.cos(a) * x) / s
                if int(u % 2) == int(v % 2) and grid[int(u), int(v)]:
                    expected[y, x] = 128
        assert np.array_equal(out, expected)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_inverse_sparkles_is_white_outside_one_star(severity):
    level = LEVELS["inverse_sparkles"][severity - 1]
    for picture, d, out in each("inverse_sparkles", severity):
        lengths = [8 * (1 + 0.25 * z) for z in d["lengths"][: d["rays"]]]
        expected = np.zeros(picture.shape)
        for y in range(32):
            for x in range(32):
                expected[y, x] = 255 + star(y, x, d["centre"], lengths, 0.13 * level) * (
                    picture[y, x] - 255.0
                )
        assert_same_bytes(out, truncated(expected))


@pytest.mark.parametrize("severity", [1, 5])
def test_sparkles_adds_five_stars_one_after_another(severity):
    radius = 0.32 * LEVELS["sparkles"][severity - 1]
    for picture, d, out in each("sparkles", severity):
        x_now = picture.astype(np.float32)
        for centre, rays, normal in zip(d["centre"], d["rays"], d["lengths"], strict=True):
            lengths = [max(1, radius * (1 + 0.25 * z)) for z in normal[:rays]]
            weight = np.array(
                [[star(y, x, centre, lengths, 1) for x in range(32)] for y in range(32)]
            )[..., None]
            x_now = np.float32(x_now + weight * (255 - np.float64(x_now)))
        assert_same_bytes(out, truncated(x_now), roundings=66)


@pytest.mark.parametrize("severity", [1, 5])
def test_pinch_and_twirl_turns_nine_discs_and_leaves_the_last_two_lines(severity):
    level = LEVELS["pinch_and_twirl"][severity - 1]
    for picture, d, out in each("pinch_and_twirl", severity):
        now = picture.astype(np.float32)  # written in place, cell by cell, as the reference does
        for i in range(3):
            for j in range(3):
                turn = (2 * d["clockwise"][i, j] - 1) * level * np.pi / 20
                cell = now.copy()
                for y in range(10):
                    for x in range(10):
                        dy, dx = y - 5, x - 5
                        q = np.hypot(dy, dx) / 5
                        if 0 < q <= 1:
                            t, a = (
                                np.sin(np.pi * q / 2) ** -(0.04 * level + 0.1),
                                turn * (1 - q) ** 2,
                            )
                            dy, dx = (
                                t * (dy * np.cos(a) - dx * np.sin(a)),
                                t * (dy * np.sin(a) + dx * np.cos(a)),
                            )
                        cell[10 * j + y, 10 * i + x] = sample(now, 10 * j + 5 + dy, 10 * i + 5 + dx)
                now = cell
        assert_same_bytes(out, truncated(now))
        assert np.array_equal(out[30:], picture[30:]) and np.array_equal(
            out[:, 30:], picture[:, 30:]
        )


@pytest.mark.parametrize("severity", [1, 5])
def test_ripple_shifts_by_sine_waves_with_black_outside(severity):
    amplitude = (
        LEVELS["ripple"][severity - 1] * 0.025 / 10 * 32
    )  # in this order: white stays 255 or becomes 254 by the last bit
    for picture, d, out in each("ripple", severity):
        (wy, wx), (py, px) = d["wavelength"], d["phase"]
        expected = np.zeros(picture.shape)
        for y in range(32):
            for x in range(32):
                down = y + amplitude * np.sin(2 * np.pi * y / wy + py)
                expected[y, x] = sample(
                    picture, down, x + amplitude * np.sin(2 * np.pi * x / wx + px)
                )
        assert_same_bytes(out, truncated(expected))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_circular_motion_blur_is_a_weighted_mean_of_scipy_rotations(severity):
    turns = np.arange(-10, 11) / 10
    weights = np.exp(-2 * turns**2)
    for picture, _, out in each("circular_motion_blur", severity):
        x, total = np.float32(picture) / 255, np.zeros(picture.shape, np.float32)
        for weight, turn in zip(weights, turns, strict=True):
            angle = turn * 1.5 * LEVELS["circular_motion_blur"][severity - 1]
            total += weight * ndimage.rotate(x, angle, reshape=False)
        assert_same_bytes(out, truncated(total / np.float32(weights.sum()) * 255), roundings=66)


@pytest.mark.parametrize(
    ("severity", "n_lines"), list(zip(SEVERITIES, (1, 3, 4, 6, 8), strict=True))
)
def test_lines_truncate_after_every_line(severity, n_lines):
    for picture, d, out in each("lines", severity):
        expected = picture.copy()
        assert d["line"].shape == (n_lines, 3)
        for u, v, w in d["line"]:
            a = d["angle"] + 2 * np.pi * d["variation"] * (w - 0.5)
            y, x = 32 * u, 32 * v
            pixels = line_aa(
                int(y - 32 * np.cos(a)),
                int(x - 32 * np.sin(a)),
                int(y + 32 * np.cos(a)),
                int(x + 32 * np.sin(a)),
            )
            for row, column, weight in zip(*pixels, strict=True):
                if 0 <= row < 32 and 0 <= column < 32:
                    expected[row, column] = np.uint8(
                        (1 - weight) * expected[row, column].astype(float) + weight * 128
                    )
        assert_same_bytes(out, expected)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_transverse_chromatic_abberation_zooms_channels_without_the_prefilter(severity):
    h = LEVELS["transverse_chromatic_abberation"][severity - 1] / 20
    for picture, d, out in each("transverse_chromatic_abberation", severity):
        for channel, scale in enumerate(np.array([1, 1 + h / 2, 1 + h])[d["order"]]):
            n = round(32 * scale)
            at = (np.arange(n) * (31 / (n - 1)))[(n - 32) // 2 :][:32]
            weights = np.array([[max(0, cubic(abs(p - k))) for k in range(-2, 34)] for p in at])
            padded = np.pad(picture[..., channel].astype(float), 2, mode="reflect")
            exact = weights @ padded @ weights.T
            assert (
                np.abs(out[..., channel] - exact).max() <= 0.5 + 1e-9
            )  # rounded; ties may go either way


def cubic(t):
    """The cubic B-spline."""
    return 2 / 3 - t**2 + t**3 / 2 if t < 1 else max(2 - t, 0) ** 3 / 6


def test_scale_one_is_smoothed_too():
    impulse = np.zeros((1, 3, 32, 32), np.uint8)
    impulse[:, :, 16, 16] = 252
    out = corrupt(
        impulse,
        "transverse_chromatic_abberation",
        severity=1,
        benchmark="cifar_c_bar",
        draws={"order": np.array([[0, 1, 2]])},
    )
    assert out[0, 0, 15:18, 15:18].tolist() == [[7, 28, 7], [28, 112, 28], [7, 28, 7]]


def test_the_ranges_of_the_draws_are_those_of_the_reference():
    index = np.arange(1500)

    def drawn(name):
        return draw(name, severity=1, benchmark="cifar_c_bar", seed=0, index=index)

    for name, key, low, high in (
        ("checkerboard_cutout", "cell", 3.2, 8),
        ("inverse_sparkles", "centre", 8, 24),
        ("sparkles", "centre", 0, 32),
        ("ripple", "wavelength", 3.2, 9.6),
        ("lines", "variation", 0.1, 1),
        ("blue_noise_sample", "phases", 0, 2 * np.pi),
    ):
        values = drawn(name)[key]
        span = high - low
        assert low <= values.min() < low + 0.01 * span and high - 0.01 * span < values.max() < high
    assert set(np.unique(drawn("inverse_sparkles")["rays"])) == set(range(50, 200))
    orders, counts = np.unique(
        drawn("transverse_chromatic_abberation")["order"], axis=0, return_counts=True
    )
    assert len(orders) == 6 and abs(counts / 1500 - 1 / 6).max() < 0.05


def test_severity_changes_every_corruption():
    image = np.ascontiguousarray(PICTURES[:1].transpose(0, 3, 1, 2))
    for name in C_BAR_CORRUPTIONS:
        a, b = (
            corrupt(image, name, severity=s, benchmark="cifar_c_bar", seed=0, index=[0])
            for s in (1, 5)
        )
        assert (a != b).any()
