"""CIFAR-P: every sequence against a slow derivation of its frames, and its traps."""

import cv2
import numpy as np
import pytest
from bounds import assert_same_bytes
from scipy import ndimage, stats
from skimage import color, data, filters

from lmlib.corruptions import PERTURBATIONS, draw, perturb
from lmlib.corruptions.cifar_p import inverse_affine

photograph = data.astronaut()
PICTURES = np.ascontiguousarray(
    np.stack([photograph[0:128:4, 150:278:4], photograph[60:188:4, 190:318:4]])
)
INDEX = np.array([31, 4])
N_FRAMES = {name: {"motion_blur": 21, "translate": 16}.get(name, 31) for name in PERTURBATIONS}


def each(name):
    """Yield (picture, draws, frames (T, 32, 32, 3)) for each image."""
    images = np.ascontiguousarray(PICTURES.transpose(0, 3, 1, 2))
    draws = draw(name, benchmark="cifar_p", seed=6, index=INDEX)
    frames = perturb(images, name, draws=draws)
    assert frames.shape == (2, N_FRAMES[name], 3, 32, 32) and frames.dtype == np.uint8
    for i in range(2):
        yield (
            PICTURES[i],
            {key: array[i] for key, array in draws.items()},
            frames[i].transpose(0, 2, 3, 1),
        )


def truncated(values):
    return np.uint8(np.clip(values, 0, 1) * 255)


def hwc(field):
    return np.moveaxis(field, 0, -1)


def slow_motion(planes, radius, sigma, angle):
    """ImageMagick's motion blur of bytes (32, 32, c): edge repeated, 16 bits, truncated to 8."""
    k = np.arange(2 * radius + 1)
    weights = np.exp(-(k**2) / (2 * sigma**2))
    total = np.zeros(planes.shape)
    for weight, step in zip(weights / weights.sum(), k, strict=True):
        right, down = (int(np.ceil(step * f(np.pi * angle / 180) - 0.5)) for f in (np.cos, np.sin))
        rows, columns = np.clip(np.arange(32) + down, 0, 31), np.clip(np.arange(32) + right, 0, 31)
        total += weight * 257 * planes[rows][:, columns].astype(float)
    return np.floor(np.floor(total + 0.5) / 257)


def slow_warp(picture, forward):
    """Bilinear, black outside, of a forward map (3, 3) about (16.5, 16.5), pixel centres at 1/2."""
    move = np.array([[1, 0, 16.5], [0, 1, 16.5], [0, 0, 1]])
    backward = move @ np.linalg.inv(forward) @ np.linalg.inv(move)
    out = np.zeros(picture.shape)
    for y in range(32):
        for x in range(32):
            sx, sy, _ = backward @ [x + 0.5, y + 0.5, 1]
            if 0 <= sx < 32 and 0 <= sy < 32:
                top, left = int(np.floor(sy - 0.5)), int(np.floor(sx - 0.5))
                b, a = sy - 0.5 - top, sx - 0.5 - left
                rows, columns = np.clip([top, top + 1], 0, 31), np.clip([left, left + 1], 0, 31)
                corner = picture[np.ix_(rows, columns)].astype(float)
                out[y, x] = (corner * (np.array([1 - b, b])[:, None] * [1 - a, a])[..., None]).sum(
                    axis=(0, 1)
                )
    return np.uint8(out + 1e-9)  # Pillow truncates


def degrees(i):
    return np.deg2rad(i)


def rotation(a):
    return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])


# --- frame by frame ------------------------------------------------------------------------------


def test_gaussian_noise_starts_clean_and_then_draws_each_frame():
    for picture, d, frames in each("gaussian_noise"):
        x = np.float32(picture) / np.float32(255)
        expected = [
            picture,
            *(truncated(x + np.float32(0.02) * hwc(noise)) for noise in d["normal"]),
        ]
        assert_same_bytes(frames, expected, roundings=0)


def test_shot_noise_starts_clean_and_then_draws_each_frame():
    for picture, d, frames in each("shot_noise"):
        counts = [stats.poisson.ppf(hwc(u), 700 * (picture / 255)) for u in d["uniform"][:6]]
        assert_same_bytes(
            frames[:7],
            [picture, *(truncated(np.where(picture == 0, 0, k) / 700) for k in counts)],
            roundings=0,
        )


def test_speckle_noise_starts_clean_and_then_draws_each_frame():
    for picture, d, frames in each("speckle_noise"):
        x = picture / 255
        assert_same_bytes(
            frames,
            [picture, *(truncated(x + x * (0.05 * hwc(z))) for z in d["normal"])],
            roundings=0,
        )


def test_motion_blur_turns_by_nine_degrees_a_frame():
    for picture, _, frames in each("motion_blur"):
        assert_same_bytes(frames, [slow_motion(picture, 6, 1.8, 9 * (i - 20)) for i in range(21)])


def test_zoom_blur_is_the_running_mean_of_the_zooms_so_far():
    for picture, _, frames in each("zoom_blur"):
        total = np.float32(picture) / 255
        assert np.array_equal(frames[0], picture)
        for i in range(1, 13):
            total = (
                total
                + np.float32(slow_warp(picture, np.diag([1 + 0.004 * i, 1 + 0.004 * i, 1]))) / 255
            )
            if i in (1, 5, 12):
                assert_same_bytes(
                    frames[i], np.uint8(total / (i + 1) * 255), ties=0.01
                )  # of the zooms


def test_snow_moves_one_layer():
    for picture, d, frames in each("snow"):
        layer = ndimage.zoom((0.05 + 0.3 * d["normal"])[8:24, 8:24], 2, order=1)
        layer = truncated(np.where(layer < 0.5, 0, layer))
        x = picture / 255
        grey = cv2.cvtColor(np.float32(x), cv2.COLOR_RGB2GRAY)[..., None]
        white = 0.85 * x + (1 - 0.85) * np.maximum(x, 1.5 * grey + 0.5)
        for i in range(1, 31, 7):  # -150, -90 and -30 degrees have taps halfway between two pixels
            flakes = slow_motion(layer[..., None], 10, 2, 4 * i - 150) / 255
            assert_same_bytes(frames[i], truncated(white + flakes + np.rot90(flakes, 2)))


def test_brightness_moves_the_value_both_ways():
    for picture, _, frames in each("brightness"):
        for i in range(31):
            hsv = color.rgb2hsv(picture / 255)
            hsv[..., 2] = np.clip(hsv[..., 2] + (i - 15) * 1.5 / 100, 0, 1)
            assert_same_bytes(frames[i], truncated(color.hsv2rgb(hsv)), roundings=0)


def test_translate_moves_whole_pixels_and_leaves_black():
    for picture, _, frames in each("translate"):
        for i in range(16):
            expected = np.zeros_like(picture)
            for x in range(32):
                if 0 <= x - (i - 7) < 32:
                    expected[:, x] = picture[:, x - (i - 7)]
            assert np.array_equal(frames[i], expected)


@pytest.mark.parametrize(
    ("name", "forward"),
    [
        ("rotate", lambda i: rotation(degrees(i - 15))),
        ("scale", lambda i: np.diag([0.70 + 0.02 * i, 0.70 + 0.02 * i, 1])),
        (
            "shear",
            lambda i: np.array(
                [[1, -np.sin(degrees(i - 15)), 0], [0, np.cos(degrees(i - 15)), 0], [0, 0, 1]]
            ),
        ),
    ],
)
def test_geometry_is_a_bilinear_map_about_the_centre_of_2018(name, forward):
    for picture, _, frames in each(name):
        for i in (0, 7, 15, 22, 30):
            assert_same_bytes(
                frames[i], slow_warp(picture, forward(i)), ties=0.02
            )  # at exact grey levels


def test_the_centre_is_sixteen_and_a_half():
    a, b, c, d, e, f = inverse_affine(angle=30)
    assert np.allclose([a * 16.5 + b * 16.5 + c, d * 16.5 + e * 16.5 + f], 16.5)


def test_tilt_looks_at_a_turned_plane_one_pixel_behind_its_place():
    for picture, _, frames in each("tilt"):
        for i in (0, 11, 15, 30):
            c, s, f = (
                np.cos(degrees(0.75 * (i - 15))),
                np.sin(degrees(0.75 * (i - 15))),
                32 * np.sqrt(2),
            )
            columns = []
            for x, y, one in np.eye(
                3
            ):  # images of (x, y, 1) under turn about y, turn about x, perspective
                px, py, pz = x - 16 * one, y - 16 * one, one
                px, pz = c * px - s * pz, s * px + c * pz
                py, pz = c * py - s * pz, s * py + c * pz
                depth = pz + f * one
                columns.append([f * px + 16 * depth, f * py + 16 * depth, depth])
            backward = np.linalg.inv(np.transpose(columns))
            y, x = np.mgrid[:32, :32]
            sx, sy, w = np.tensordot(backward, np.stack([x, y, np.ones((32, 32))]), axes=1)
            padded = np.pad(picture.astype(float), ((1, 1), (1, 1), (0, 0)))
            at = (sy / w + 1, sx / w + 1)
            exact = np.stack(
                [ndimage.map_coordinates(padded[..., k], at, order=1) for k in range(3)], axis=-1
            )
            assert np.abs(frames[i] - exact)[1:-1, 1:-1].max() <= 0.51  # OpenCV rounds


def test_gaussian_blur_grows_and_is_cut_at_seven_sigma():
    for picture, _, frames in each("gaussian_blur"):
        expected = [
            truncated(
                filters.gaussian(picture / 255, 0.3 + 0.015 * i, channel_axis=-1, truncate=7.0)
            )
            for i in range(31)
        ]
        assert_same_bytes(frames, expected)


def test_spatter_runs_down():
    for picture, d, frames in each("spatter"):
        layer = filters.gaussian(0.6 + 0.265 * d["normal"], 1.75)
        layer = np.where(layer < 0.7, 0, layer)
        for frame in frames:
            drops = np.uint8(255 * layer)
            far = cv2.distanceTransform(255 - cv2.Canny(drops, 50, 150), cv2.DIST_L2, 5)
            near = cv2.equalizeHist(np.uint8(cv2.blur(np.minimum(far, 20), (3, 3))))
            kernel = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
            relief = (
                ndimage.correlate(near.astype(int), kernel, mode="mirror")
                .clip(0, 255)
                .astype(np.uint8)
            )
            m = drops * np.float32(cv2.blur(relief, (3, 3)))
            if m.max() == 0:
                assert not frame.any()
            else:
                water = (m / m.max() * np.float32(0.6))[..., None] * (
                    np.float32([175, 238, 238]) / 255
                )
                assert_same_bytes(frame, truncated(np.float32(picture) / 255 + water))
            layer = np.stack(
                [np.convolve(column, [0.2, 0.8], mode="same") for column in layer.T], axis=1
            )


# --- traps ---------------------------------------------------------------------------------------


def test_some_spatter_frames_are_black_and_more_of_them_later():
    grey = np.full((96, 3, 32, 32), 128, np.uint8)
    frames = perturb(grey, "spatter", seed=0, index=np.arange(96))
    black = ~frames.any(axis=(2, 3, 4))
    assert 0.02 < black.mean() < 0.10  # 5.5 % measured for the reference, 200 draws
    assert black[:, 0].mean() < black[:, 30].mean()


@pytest.mark.parametrize(
    ("name", "clean"),
    [("rotate", 15), ("scale", 15), ("shear", 15), ("translate", 7), ("zoom_blur", 0)]
    + [(name, 0) for name in ("gaussian_noise", "shot_noise", "speckle_noise")],
)
def test_the_clean_frame_is_where_the_reference_has_it(name, clean):
    for picture, _, frames in each(name):
        assert [i for i, frame in enumerate(frames) if np.array_equal(frame, picture)] == [clean]


@pytest.mark.parametrize(
    "name", ["motion_blur", "brightness", "tilt", "gaussian_blur", "snow", "spatter"]
)
def test_some_sequences_have_no_clean_frame(name):
    for picture, _, frames in each(name):
        assert not any(np.array_equal(frame, picture) for frame in frames)


def test_the_layers_of_snow_and_spatter_differ_from_those_of_cifar_c():
    p = draw("snow", benchmark="cifar_p", seed=0, index=[0])["normal"]
    c = draw("snow", severity=1, seed=0, index=[0])["normal"]
    assert not np.allclose(p, c)
