"""C-bar, of CIFAR and ImageNet: each against a slow derivation pixel by pixel, given its draws."""

import numpy as np
import pytest
from bounds import assert_same_bytes
from scipy import ndimage
from skimage import data
from skimage.draw import line_aa

from lmlib.corruptions import NAMES, SEVERITIES, corrupt, draw, recipe
from lmlib.corruptions.patterns import gradient_noise

photograph = data.astronaut()
PICTURES = np.stack(
    [
        photograph[0:128:4, 150:278:4],
        photograph[300:428:4, 40:168:4],
        np.full((32, 32, 3), 255, np.uint8),
    ]
)
INDEX = np.array([8, 2, 5])
PHOTOGRAPH = np.ascontiguousarray(photograph[:448:2, 20:468:2])[None]
BOTH = pytest.mark.parametrize("benchmark", ["cifar_c_bar", "imagenet_c_bar"])
IMAGENET_LEVELS = {
    "blue_noise_sample": (0.8, 1.6, 2.4, 4.0, 5.6),
    "brownish_noise": (1, 2, 3, 4, 5),
    "checkerboard_cutout": (2, 3, 4, 5, 6),
    "inverse_sparkles": (1, 2, 4, 9, 10),
    "sparkles": (1, 2, 3, 5, 6),
    "caustic_refraction": (2.35, 3.2, 4.9, 6.6, 9.15),
    "perlin_noise": (4.6, 5.2, 5.8, 7.6, 8.8),
    "plasma_noise": (4.75, 7.0, 8.5, 9.25, 10),
    "cocentric_sine_waves": (3, 5, 8, 9, 10),
    "single_frequency_greyscale": (1, 1.5, 2, 4.5, 5),
}
CIFAR_LEVELS = {
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


LEVELS = {"cifar_c_bar": CIFAR_LEVELS, "imagenet_c_bar": IMAGENET_LEVELS}


def each(name, severity, benchmark="cifar_c_bar"):
    """Yield (picture, draws, result) for each image, HWC."""
    pictures = PHOTOGRAPH if benchmark == "imagenet_c_bar" else PICTURES
    images = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    key = {"severity": severity, "benchmark": benchmark}
    draws = draw(name, **key, seed=9, index=INDEX[: len(images)])
    result = corrupt(images, name, **key, draws=draws, jpeg85=False).transpose(0, 2, 3, 1)
    for i in range(len(images)):
        yield pictures[i], {key: array[i] for key, array in draws.items()}, result[i]


def truncated(values):
    return np.uint8(np.clip(values, 0, 255))


def slow_noise(phases, power):
    """Sum of the waves one by one: the inverse Fourier transform, frequency 0 in the middle."""
    full = np.concatenate([phases, np.rot90(phases, 2)], axis=1)
    side = len(full)
    k, half = np.arange(side), side // 2
    wave = np.exp(2j * np.pi * np.outer(k, k - half) / side)  # (place, frequency)
    amplitudes = np.array([[power(np.hypot(u - half, v - half)) for v in k] for u in k])
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
            if 0 <= row < len(picture) and 0 <= column < len(picture):
                line += picture[row, column] * b
        total += line * a
    return total


@BOTH
@pytest.mark.parametrize("severity", SEVERITIES)
def test_blue_noise_sample_blackens_pixels_where_the_noise_is_low(severity, benchmark):
    for picture, d, out in each("blue_noise_sample", severity, benchmark):
        kept = (
            slow_noise(d["phases"], lambda f: f)
            > 0.3 * LEVELS[benchmark]["blue_noise_sample"][severity - 1] - 2.5
        )
        assert np.array_equal(out, np.where(kept[..., None], picture, 0))


@BOTH
@pytest.mark.parametrize("severity", SEVERITIES)
def test_brownish_noise_adds_an_own_noise_to_each_channel(severity, benchmark):
    for picture, d, out in each("brownish_noise", severity, benchmark):
        noise = np.stack(
            [slow_noise(phases, lambda f: 1 / (f**2 + 1)) for phases in d["phases"]], axis=2
        )
        assert_same_bytes(
            out,
            truncated(picture + 6.4 * LEVELS[benchmark]["brownish_noise"][severity - 1] * noise),
        )


@BOTH
@pytest.mark.parametrize("severity", SEVERITIES)
def test_checkerboard_cutout_greys_chosen_cells_with_indices_that_wrap(severity, benchmark):
    for picture, d, out in each("checkerboard_cutout", severity, benchmark):
        side, a, s = len(picture), d["angle"], d["cell"]
        expected, m = picture.copy(), int(4 * side // s)
        grid = d["grid"][:m, :m] < LEVELS[benchmark]["checkerboard_cutout"][severity - 1] / 10
        for y in range(side):
            for x in range(side):
                u, v = (np.cos(a) * y + np.sin(a) * x) / s, (-np.sin(a) * y + np.cos(a) * x) / s
                if int(u % 2) == int(v % 2) and grid[int(u), int(v)]:
                    expected[y, x] = 128
        assert np.array_equal(out, expected)


@BOTH
@pytest.mark.parametrize("severity", SEVERITIES)
def test_inverse_sparkles_is_white_outside_one_star(severity, benchmark):
    level = LEVELS[benchmark]["inverse_sparkles"][severity - 1]
    for picture, d, out in each("inverse_sparkles", severity, benchmark):
        side = len(picture)
        lengths = [side / 4 * (1 + 0.25 * z) for z in d["lengths"][: d["rays"]]]
        expected = np.zeros(picture.shape)
        for y in range(side):
            for x in range(side):
                expected[y, x] = 255 + star(y, x, d["centre"], lengths, 0.13 * level) * (
                    picture[y, x] - 255.0
                )
        assert_same_bytes(out, truncated(expected))


@BOTH
@pytest.mark.parametrize("severity", [1, 5])
def test_sparkles_adds_five_stars_one_after_another(severity, benchmark):
    for picture, d, out in each("sparkles", severity, benchmark):
        side = len(picture)
        radius = side * 0.01 * LEVELS[benchmark]["sparkles"][severity - 1]
        x_now = picture.astype(np.float32)
        for centre, rays, normal in zip(d["centre"], d["rays"], d["lengths"], strict=True):
            lengths = [max(1, radius * (1 + 0.25 * z)) for z in normal[:rays]]
            weight = np.array(
                [[star(y, x, centre, lengths, 1) for x in range(side)] for y in range(side)]
            )[..., None]
            x_now = np.float32(x_now + weight * (255 - np.float64(x_now)))
        assert_same_bytes(out, truncated(x_now), roundings=66)


@pytest.mark.parametrize("severity", [1, 5])
def test_pinch_and_twirl_turns_nine_discs_and_leaves_the_last_two_lines(severity):
    level = LEVELS["cifar_c_bar"]["pinch_and_twirl"][severity - 1]
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
        LEVELS["cifar_c_bar"]["ripple"][severity - 1] * 0.025 / 10 * 32
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
            angle = turn * 1.5 * LEVELS["cifar_c_bar"]["circular_motion_blur"][severity - 1]
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
    h = LEVELS["cifar_c_bar"]["transverse_chromatic_abberation"][severity - 1] / 20
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


# --- ImageNet's own five, pixel by pixel ---------------------------------------------------------

PIXELS = [(y, x) for y in range(0, 224, 5) for x in range(0, 224, 5)]
"""Every fifth row and column: the slow forms take a tenth of a millisecond a pixel."""


def assert_pixels(picture, out, pixel, ties=0.0):
    """Each of PIXELS is as `pixel(y, x, its three floats)` has it, on the scale of bytes."""
    expected = [truncated(pixel(y, x, picture[y, x].astype(float))) for y, x in PIXELS]
    assert_same_bytes([out[y, x] for y, x in PIXELS], expected, ties=ties)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_the_levels_are_those_of_the_authors(severity):
    for benchmark, levels in LEVELS.items():
        assert set(levels) == set(NAMES[benchmark])
        for name, values in levels.items():
            assert recipe(name, benchmark, severity)[1] == values[severity - 1], name


@pytest.mark.parametrize("severity", [1, 5])
def test_single_frequency_greyscale_adds_one_wave_to_all_channels(severity):
    amount = 19.6 * LEVELS["imagenet_c_bar"]["single_frequency_greyscale"][severity - 1]
    ((picture, d, out),) = each("single_frequency_greyscale", severity, "imagenet_c_bar")
    (a, b), phase = d["frequency"], d["phase"]
    assert_pixels(picture, out, lambda y, x, rgb: rgb + amount * np.sin(a * x + b * y + phase))


@pytest.mark.parametrize("severity", [1, 5])
def test_cocentric_sine_waves_are_saw_teeth_about_a_centre(severity):
    amount = 12.8 * LEVELS["imagenet_c_bar"]["cocentric_sine_waves"][severity - 1]
    ((picture, d, out),) = each("cocentric_sine_waves", severity, "imagenet_c_bar")

    def pixel(y, x, rgb):
        right, down = x - d["centre"][0], y - d["centre"][1]
        wave = d["amplitude"] * np.sin(np.arctan2(right, down) * d["petals"])
        return rgb + amount * (((np.hypot(right, down) + wave) % d["width"]) / d["width"] - 0.5)

    assert_pixels(picture, out, pixel)


@pytest.mark.parametrize("severity", [1, 5])
def test_plasma_noise_folds_the_plane_and_darkens(severity):
    share = 6.4 * LEVELS["imagenet_c_bar"]["plasma_noise"][severity - 1]
    ((picture, d, out),) = each("plasma_noise", severity, "imagenet_c_bar")
    t = d["time"]

    def pixel(y, x, rgb):
        x, y = x / d["scale"], y / d["scale"]
        for k in range(d["iterations"]):
            size = (2.25 - d["sharpness"]) ** k
            right = np.cos(y * 1.93**k + t / 1.15**k) / size
            down = np.sin(x * 1.93**k + t / 1.15**k) / size
            x, y = x + right - 0.3 * down, y + down + 0.3 * right
        plasma = [np.sin(x - t), np.sin((x + y + np.sin(t)) / 2), np.sin(y + t)]
        return (1 - share / 255) * rgb + share * np.array(plasma)

    assert_pixels(picture, out, pixel)
    assert out.mean() < picture.mean()


def slow_perlin(x, y, slopes, places):
    """Noise of 1985: a weighted mean of four planes, each through 0 at a corner of the cell."""
    left, top, total = int(x), int(y), 0.0
    for right, weight_x in ((0, 1 - smooth(x - left)), (1, smooth(x - left))):
        for down, weight_y in ((0, 1 - smooth(y - top)), (1, smooth(y - top))):
            slope = slopes[places[(places[(left + right) % 256] + (top + down) % 256) % 256]]
            rise = (x - left - right) * slope[0] + (y - top - down) * slope[1]
            total += weight_x * weight_y * rise
    return 1.5 * total


def smooth(t):
    return 3 * t**2 - 2 * t**3


@pytest.mark.parametrize("severity", [1, 5])
def test_perlin_noise_blends_with_five_octaves(severity):
    share = 0.05 * LEVELS["imagenet_c_bar"]["perlin_noise"][severity - 1]
    ((picture, d, out),) = each("perlin_noise", severity, "imagenet_c_bar")
    slopes = d["gradient"] / np.linalg.norm(d["gradient"], axis=1, keepdims=True)
    places = list(range(256))
    for k, other in enumerate(d["partner"].tolist()):
        places[255 - k], places[other] = places[other], places[255 - k]

    def pixel(y, x, rgb):
        octaves = [
            abs(slow_perlin(y * f / 32, x * f / 32, slopes, places)) / f for f in (1, 2, 4, 8, 16)
        ]
        return (1 - share) * rgb + 255 * share * min(0.5 + sum(octaves) / 2, 1)

    assert_pixels(picture, out, pixel, ties=0.001)  # of the float32 product


def test_a_cloud_without_a_direction_is_black_about_its_point():
    key = {"severity": 1, "benchmark": "imagenet_c_bar"}
    draws = dict(draw("perlin_noise", **key, seed=1, index=[0]))
    white = np.full((1, 3, 224, 224), 255, np.uint8)
    assert corrupt(white, "perlin_noise", **key, draws=draws, jpeg85=False).min() > 0
    draws["gradient"][0, 3] = 0
    black = corrupt(white, "perlin_noise", **key, draws=draws, jpeg85=False) == 0
    assert 0.02 < black.mean() < 0.15  # four of 256 cells in each of five octaves: 8 %


def test_noise_is_zero_at_the_points_of_its_lattice():
    slopes, places = np.ones((256, 2)), np.arange(256)
    assert gradient_noise(slopes, places, 3.0, 7.0) == 0
    assert gradient_noise(slopes, places, 3.5, 7.5) == 0  # up and down from the corners alike
    assert gradient_noise(slopes, places, 3.25, 7.0) > 0


@pytest.mark.parametrize("severity", [1, 5])
def test_caustic_refraction_bends_and_lights(severity):
    level = LEVELS["imagenet_c_bar"]["caustic_refraction"][severity - 1]
    ((picture, d, out),) = each("caustic_refraction", severity, "imagenet_c_bar")
    field = np.array(
        [[caustic(y, x, d["time"], d["wavelength"]) for x in range(224)] for y in range(224)]
    )
    luma = np.pad(ndimage.gaussian_filter(field, 1), 1)

    def pixel(y, x, rgb):
        down = luma[y + 2, x + 1] - luma[y, x + 1]
        right = luma[y + 1, x + 2] - luma[y + 1, x]
        normal = np.array([down, right, 1]) / np.sqrt(down**2 + right**2 + 1)
        shift = np.zeros(2)
        if normal[2] < 0.999:
            a = np.arccos(normal[2])
            # The ray bends towards the normal, in the plane of both.
            b = a - np.arcsin(np.sin(a) / 4)
            shift = np.round(normal[:2] / np.sin(a) * np.sin(b) * 11.2 * level, 3)
        seen = sample(np.float32(picture) / np.float32(255), y + shift[0], x + shift[1])
        return 255 * np.clip(seen - 0.2 * level * right + 0.2 * level * down, 0, 1)

    assert_pixels(picture, out, pixel, ties=0.001)


def caustic(y, x, time, size):
    """The light on the ground at a pixel."""
    at = np.array([y, x]) / size % 1 * 6.28318530718 - 250
    i, total = at, 1.0
    for k in range(1, 6):
        t = time * (1 - 3.5 / k)
        y, x = np.cos(t - i[0]) + np.sin(t + i[1]), np.sin(t - i[1]) + np.cos(t + i[0])
        i = at[0] + y, at[1] + x
        total += 1 / np.hypot(at[0] / (200 * np.sin(i[0] + t)), at[1] / (200 * np.cos(i[1] + t)))
    return min(abs(1.17 - (total / 5) ** 1.4) ** 8, 1)


# --- draws ---------------------------------------------------------------------------------------


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


@BOTH
def test_severity_changes_every_corruption(benchmark):
    pictures = PHOTOGRAPH if benchmark == "imagenet_c_bar" else PICTURES[:1]
    image = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    for name in NAMES[benchmark]:
        a, b = (
            corrupt(image, name, severity=s, benchmark=benchmark, seed=0, index=[0]) for s in (1, 5)
        )
        assert (a != b).any()


def test_the_draws_for_224_pixels_are_in_the_ranges_of_the_reference():
    index = np.arange(400)
    for name, key, low, high in (
        ("cocentric_sine_waves", "centre", 0, 224),
        ("cocentric_sine_waves", "width", 0, 22.4),
        ("cocentric_sine_waves", "petals", 0, 10),
        ("plasma_noise", "scale", 16.8, 44.8),
        ("plasma_noise", "time", 0, 6 * np.pi),
        ("caustic_refraction", "wavelength", 168, 280),
        ("caustic_refraction", "time", 0.5, 2),
        ("perlin_noise", "gradient", -256, 256),
        ("checkerboard_cutout", "cell", 22.4, 56),
        ("inverse_sparkles", "centre", 56, 168),
    ):
        key_of = {"severity": 2, "benchmark": "imagenet_c_bar"}
        values = draw(name, **key_of, seed=0, index=index)[key]
        span = high - low
        assert low <= values.min() < low + 0.03 * span and high - 0.03 * span < values.max() < high
    frequency = draw(
        "single_frequency_greyscale", severity=1, benchmark="imagenet_c_bar", seed=0, index=index
    )["frequency"]
    larger = np.abs(frequency).argmax(axis=1)
    assert abs(larger.mean() - 0.5) < 5 * 0.5 / np.sqrt(400) and np.abs(frequency).max() < np.pi


@pytest.mark.parametrize("name", NAMES["imagenet_c_bar"])
def test_a_picture_of_224_pixels_depends_on_its_key_alone(name):
    images = np.ascontiguousarray(np.tile(PHOTOGRAPH, (2, 1, 1, 1)).transpose(0, 3, 1, 2))
    key = {"severity": 4, "benchmark": "imagenet_c_bar"}
    both = corrupt(images, name, **key, seed=2, index=[49_999, 7])
    again = corrupt(images[1:], name, **key, seed=2, index=[7])
    other = corrupt(images[1:], name, **key, seed=3, index=[7])
    assert np.array_equal(both[1:], again)
    assert (both[0] != both[1]).any() and (again != other).any()
