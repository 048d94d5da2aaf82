"""P, of CIFAR and ImageNet: every sequence against a slow derivation of its frames; traps."""

import cv2
import numpy as np
import pytest
from bounds import assert_same_bytes
from PIL import Image
from scipy import ndimage, stats
from skimage import color, data, filters
from torchvision.transforms import CenterCrop

from lmlib.corruptions import NAMES, PERTURBATIONS, draw, perturb, recipe
from lmlib.corruptions.sequences import inverse_affine

photograph = data.astronaut()
PICTURES = np.ascontiguousarray(
    np.stack([photograph[0:128:4, 150:278:4], photograph[60:188:4, 190:318:4]])
)
INDEX = np.array([31, 4])
WHOLE = np.ascontiguousarray(photograph[:512:2, 85:426])
"""A picture of ImageNet, whole: 256 x 341 pixels, whose middle begins at row 16 and column 58."""
BOTH = pytest.mark.parametrize("benchmark", ["cifar_p", "imagenet_p"])
N_FRAMES = {name: {"motion_blur": 21, "translate": 16}.get(name, 31) for name in PERTURBATIONS}


def each(name, benchmark="cifar_p"):
    """Yield (picture, draws, frames (T, side, side, 3)) for each image."""
    pictures = PICTURES if benchmark == "cifar_p" else middle(WHOLE)[None]
    images = PICTURES if benchmark == "cifar_p" else WHOLE[None]
    images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    draws = draw(name, benchmark=benchmark, seed=6, index=INDEX[: len(images)])
    frames = perturb(images, name, benchmark=benchmark, draws=draws)
    n_frames = N_FRAMES[name]
    if benchmark == "imagenet_p":
        n_frames = 41 if name == "translate" else 31
    side = pictures.shape[1]
    assert frames.shape == (len(images), n_frames, 3, side, side) and frames.dtype == np.uint8
    for i in range(len(images)):
        yield (
            pictures[i],
            {key: array[i] for key, array in draws.items()},
            frames[i].transpose(0, 2, 3, 1),
        )


def middle(picture):
    """torchvision's."""
    return np.asarray(CenterCrop(224)(Image.fromarray(picture)))


def constants(name, benchmark):
    return recipe(name, benchmark)[1]


def truncated(values):
    return np.uint8(np.clip(values, 0, 1) * 255)


def hwc(field):
    return np.moveaxis(field, 0, -1)


def slow_motion(planes, radius, sigma, angle):
    """ImageMagick's motion blur of bytes (side, side, c): 16 bits, truncated to 8."""
    k, place = np.arange(2 * radius + 1), np.arange(len(planes))
    weights = np.exp(-(k**2) / (2 * sigma**2))
    total = np.zeros(planes.shape)
    for weight, step in zip(weights / weights.sum(), k, strict=True):
        right, down = (int(np.ceil(step * f(np.pi * angle / 180) - 0.5)) for f in (np.cos, np.sin))
        rows, columns = (np.clip(place + by, 0, len(planes) - 1) for by in (down, right))
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


@BOTH
def test_gaussian_noise_starts_clean_and_then_draws_each_frame(benchmark):
    for picture, d, frames in each("gaussian_noise", benchmark):
        x = np.float32(picture) / np.float32(255)
        expected = [
            picture,
            *(
                truncated(x + np.float32(constants("gaussian_noise", benchmark)) * hwc(noise))
                for noise in d["normal"]
            ),
        ]
        assert_same_bytes(frames, expected, roundings=0)


@BOTH
def test_shot_noise_starts_clean_and_then_draws_each_frame(benchmark):
    photons = constants("shot_noise", benchmark)
    for picture, d, frames in each("shot_noise", benchmark):
        counts = [stats.poisson.ppf(hwc(u), photons * (picture / 255)) for u in d["uniform"][:2]]
        assert_same_bytes(
            frames[:3],
            [picture, *(truncated(np.where(picture == 0, 0, k) / photons) for k in counts)],
            roundings=0,
        )


@BOTH
def test_speckle_noise_starts_clean_and_then_draws_each_frame(benchmark):
    for picture, d, frames in each("speckle_noise", benchmark):
        x = picture / 255
        assert_same_bytes(
            frames,
            [picture, *(truncated(x + x * (0.05 * hwc(z))) for z in d["normal"])],
            roundings=0,
        )


@BOTH
def test_motion_blur_turns_by_nine_degrees_a_frame_or_by_four(benchmark):
    for picture, _, frames in each("motion_blur", benchmark):
        radius, sigma, step = (6, 1.8, 9) if benchmark == "cifar_p" else (10, 3, 4)
        for i in range(0, len(frames), 3):
            angle = step * (i - len(frames) + 1)
            assert_same_bytes(frames[i], slow_motion(picture, radius, sigma, angle))


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


@BOTH
def test_snow_moves_one_layer(benchmark):
    for picture, d, frames in each("snow", benchmark):
        zoom, radius, sigma = (2, 10, 2) if benchmark == "cifar_p" else (3, 14, 4)
        side = len(picture)
        crop = -(-side // zoom)
        start = (side - crop) // 2
        field = (0.05 + 0.3 * d["normal"])[start : start + crop, start : start + crop]
        layer = ndimage.zoom(field, zoom, order=1)[:side, :side]
        layer = truncated(np.where(layer < 0.5, 0, layer))
        x = picture / 255
        grey = cv2.cvtColor(np.float32(x), cv2.COLOR_RGB2GRAY)[..., None]
        white = 0.85 * x + (1 - 0.85) * np.maximum(x, 1.5 * grey + 0.5)
        for i in range(1, 31, 7):  # -150, -90 and -30 degrees have taps halfway between two pixels
            flakes = slow_motion(layer[..., None], radius, sigma, 4 * i - 150) / 255
            assert_same_bytes(frames[i], truncated(white + flakes + np.rot90(flakes, 2)))


@BOTH
def test_brightness_moves_the_value_both_ways(benchmark):
    for picture, _, frames in each("brightness", benchmark):
        step = 1.5 if benchmark == "cifar_p" else 2
        for i in range(0, 31, 5):
            hsv = color.rgb2hsv(picture / 255)
            hsv[..., 2] = np.clip(hsv[..., 2] + (i - 15) * step / 100, 0, 1)
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
    a, b, c, d, e, f = inverse_affine(32, 32, angle=30)
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


@BOTH
def test_gaussian_blur_grows_and_is_cut_at_seven_sigma_or_six(benchmark):
    for picture, _, frames in each("gaussian_blur", benchmark):
        first, step, cut = (0.3, 0.015, 7.0) if benchmark == "cifar_p" else (0.25, 0.035, 6.0)
        for i in range(0, 31, 5):
            blurred = filters.gaussian(
                picture / 255, first + step * i, channel_axis=-1, truncate=cut
            )
            assert_same_bytes(frames[i], truncated(blurred))


@BOTH
def test_spatter_runs_down(benchmark):
    for picture, d, frames in each("spatter", benchmark):
        p = (0.6, 0.265, 1.75, 0.7), (0.2, 0.8)
        if benchmark == "imagenet_p":
            p = (0.65, 0.27, 3.7, 0.69), (0.05, 0.1, 0.15, 0.7)
        (mean, std, sigma, threshold), run = p
        layer = filters.gaussian(mean + std * d["normal"], sigma)
        layer = np.where(layer < threshold, 0, layer)
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
            layer = np.stack([np.convolve(column, run, mode="same") for column in layer.T], axis=1)


# --- whole pictures of ImageNet ------------------------------------------------------------------


def old_map(name, i):
    """Forward, (2, 2): angle and shear in degrees as torchvision 0.2 had them."""
    angle = np.deg2rad(i - 15)
    if name == "rotate":
        return rotation(angle)[:2, :2]
    if name == "shear":
        return np.array([[1, -np.sin(angle)], [0, np.cos(angle)]])
    return np.eye(2) * (0.4 + 0.025 * i if name == "scale" else 1 + 0.004 * i)


def pillow_frame(name, i):
    """Pillow's transform of the whole picture about the middle and half a pixel, cropped."""
    picture = Image.fromarray(WHOLE)
    centre = np.array(picture.size) / 2 + 0.5
    inverse = np.linalg.inv(old_map(name, i))
    offset = centre - inverse @ centre
    numbers = [*inverse[0], offset[0], *inverse[1], offset[1]]
    affine, bilinear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return middle(np.asarray(picture.transform(picture.size, affine, numbers, bilinear)))


@pytest.mark.parametrize("name", ["rotate", "scale", "shear"])
def test_geometry_acts_on_the_whole_picture_and_is_cropped_afterwards(name):
    for _, _, frames in each(name, "imagenet_p"):
        for i in (0, 7, 15, 24, 30):
            assert_same_bytes(frames[i], pillow_frame(name, i), ties=0.001)


def test_zooms_of_the_whole_picture_add_up():
    for picture, _, frames in each("zoom_blur", "imagenet_p"):
        total = np.float32(picture) / np.float32(255)
        for i in range(1, 31):
            total = total + np.float32(pillow_frame("zoom_blur", i)) / np.float32(255)
            if i in (1, 11, 30):
                assert_same_bytes(frames[i], np.uint8(total / (i + 1) * 255), ties=0.001)


def test_a_picture_that_moves_shows_what_was_beyond_its_crop():
    for picture, _, frames in each("translate", "imagenet_p"):
        assert np.array_equal(frames[20], picture)
        for i in (0, 13, 40):
            assert np.array_equal(frames[i], WHOLE[16:240, 58 - (i - 20) :][:, :224])
    images = np.ascontiguousarray(middle(WHOLE)[None].transpose(0, 3, 1, 2))
    frames = perturb(images, "translate", benchmark="imagenet_p")  # a crop has nothing beyond it
    assert not frames[0, 0, :, :, -20:].any() and not frames[0, 40, :, :, :20].any()


def test_tilt_turns_the_whole_picture_by_one_degree_a_frame():
    height, width = WHOLE.shape[:2]
    f = np.hypot(width, height)
    for _, _, frames in each("tilt", "imagenet_p"):
        for i in (0, 11, 30):
            c, s = np.cos(degrees(i - 15)), np.sin(degrees(i - 15))
            columns = []
            for x, y, one in np.eye(3):
                px, py, pz = x - width / 2 * one, y - height / 2 * one, one
                px, pz = c * px - s * pz, s * px + c * pz
                py, pz = c * py - s * pz, s * py + c * pz
                depth = pz + f * one
                columns.append([f * px + width / 2 * depth, f * py + height / 2 * depth, depth])
            y, x = np.mgrid[16:240, 58:282]
            at = np.tensordot(np.linalg.inv(np.transpose(columns)), [x, y, np.ones_like(x)], 1)
            place = at[1] / at[2] + 1, at[0] / at[2] + 1
            padded = np.pad(WHOLE.astype(float), ((1, 1), (1, 1), (0, 0)))
            planes = [ndimage.map_coordinates(padded[..., k], place, order=1) for k in range(3)]
            assert np.abs(frames[i] - np.stack(planes, axis=-1)).max() <= 0.51  # OpenCV rounds


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("gaussian_noise", (0.03, 0.05, 0.08)),
        ("shot_noise", (300, 120, 60)),
        ("speckle_noise", (0.05, 0.1, 0.15)),
    ],
)
def test_the_noises_of_imagenet_have_three_difficulties_with_draws_of_their_own(name, levels):
    names = [name, f"{name}_2", f"{name}_3"]
    assert tuple(constants(one, "imagenet_p") for one in names) == levels
    image = np.ascontiguousarray(middle(WHOLE)[None].transpose(0, 3, 1, 2))
    frames = [perturb(image, one, benchmark="imagenet_p", seed=0, index=[3])[0] for one in names]
    strength = [(one[1:] - image.astype(float)).std() for one in frames]
    assert strength[0] < strength[1] < strength[2]
    draws = [draw(one, benchmark="imagenet_p", seed=0, index=[3]) for one in names[:2]]
    first, second = (next(iter(one.values())).ravel() for one in draws)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.01


@pytest.mark.parametrize("name", NAMES["imagenet_p"])
def test_a_sequence_of_224_pixels_depends_on_its_key_alone(name):
    images = np.ascontiguousarray(np.tile(WHOLE, (2, 1, 1, 1)).transpose(0, 3, 1, 2))
    both = perturb(images, name, benchmark="imagenet_p", seed=2, index=[49_999, 7])
    again = perturb(images[1:], name, benchmark="imagenet_p", seed=2, index=[7])
    assert np.array_equal(both[1:], again)
    is_random = bool(recipe(name, "imagenet_p")[0].draws)
    assert (both[0] != both[1]).any() == is_random


def test_a_whole_picture_must_hold_its_crop():
    with pytest.raises(ValueError, match="224 and more pixels a side for imagenet_p"):
        perturb(np.zeros((1, 3, 223, 300), np.uint8), "rotate", benchmark="imagenet_p")
    with pytest.raises(ValueError, match="did you mean 'imagenet_p'"):
        perturb(np.zeros((1, 3, 224, 224), np.uint8), "rotate", benchmark="imagenet_c")


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
