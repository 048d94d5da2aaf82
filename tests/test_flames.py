import numpy as np
import pytest
from PIL import Image
from skimage.measure import shannon_entropy

from lmlib.fractals import flames, ifs


@pytest.fixture(scope="module")
def pictures():
    return flames.generate(40, size=36, seed=7)


def rng(seed=0):
    return np.random.default_rng(seed)


def system_of(matrices, offsets, probability):
    """A `System` of plain affine maps."""
    n = len(matrices)
    matrix, offset = np.zeros((n, 3, 3)), np.zeros((n, 3))
    matrix[:, :2, :2], offset[:, :2] = matrices, offsets
    return ifs.System(matrix, offset, np.array(probability), np.zeros(n, int), np.zeros(n))


SIERPINSKI = system_of([np.eye(2) / 2] * 3, [(0, 0), (0.5, 0), (0, 0.5)], [1 / 3] * 3)


def settle(system, n_points=4096, n_steps=12):
    points = np.concatenate([rng(1).uniform(-1, 1, (2, n_points)), np.zeros((1, n_points))])
    for settled in ifs.iterate(system, points, rng(2), n_steps):  # noqa: B007
        pass
    return settled


def test_a_fractal_does_not_depend_on_how_many_are_drawn_with_it(pictures):
    assert np.array_equal(flames.generate(3, size=36, seed=7), pictures[:3])


def test_fractals_of_other_numbers_and_seeds_differ(pictures):
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    assert not np.array_equal(flames.generate(1, size=36, seed=8), pictures[:1])


def test_drawing_reads_and_sets_no_global_generator():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    flames.generate(1, size=16)
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_the_grey_set_is_pillows_l_of_the_coloured_one(pictures):
    coloured = flames.generate(4, size=36, seed=7, colour=True)
    assert coloured.shape == (4, 3, 36, 36) and coloured.dtype == np.uint8
    for grey, picture in zip(pictures, coloured, strict=False):
        assert np.array_equal(
            grey[0], np.asarray(Image.fromarray(picture.transpose(1, 2, 0)).convert("L"))
        )


def test_a_fractal_shows_the_same_scene_at_every_size(pictures):
    large = flames.generate(4, size=108, seed=7)
    small = large.reshape(4, 36, 3, 36, 3).mean((2, 4))
    assert all(np.corrcoef(small[i].ravel(), pictures[i].ravel())[0, 1] > 0.7 for i in range(4))
    assert abs(np.corrcoef(small[0].ravel(), pictures[1].ravel())[0, 1]) < 0.5


def test_every_picture_has_a_wide_grey_range_and_a_filled_frame(pictures):
    for picture in pictures:
        assert shannon_entropy(picture) > 6
        assert np.quantile(picture, 0.99) > 200 and np.quantile(picture, 0.01) < 40
        assert 0.2 < picture.mean() / 255 < 0.7
        assert (picture < 26).mean() < 0.5, "mostly black"


@pytest.mark.parametrize("n_maps", range(2, 9))
def test_singular_values_are_ordered_contractive_and_use_the_whole_sigma_factor(n_maps):
    for seed in range(50):
        total = rng(seed).uniform(5 + n_maps, 6 + n_maps) / 2
        values = ifs.singular_values(rng(seed), n_maps, total)
        first, second = values.T
        assert (
            (first <= 1 + 1e-12).all()
            and (second <= first + 1e-12).all()
            and (second >= -1e-12).all()
        )
        assert np.isclose((first + 2 * second).sum(), total)


def test_sampled_maps_contract():
    for seed in range(30):
        system = ifs.sample_system(rng(seed))
        assert np.linalg.svd(system.matrix[:, :2, :2])[1].max() <= 1 + 1e-12
        assert np.isclose(system.probability.sum(), 1) and np.all(system.matrix[:, 2, 2] == 0.5)


def test_the_chaos_game_reaches_the_cantor_set_with_the_chosen_probabilities():
    cantor = system_of([np.eye(2) / 3] * 2, [(0, 0), (2 / 3, 0)], [0.25, 0.75])
    x = settle(cantor, n_steps=30)[0]
    assert not ((x > 1 / 3 + 1e-9) & (x < 2 / 3 - 1e-9)).any()
    assert np.isclose((x < 0.5).mean(), 0.25, atol=1 / 4096)


def test_julia_takes_both_square_roots():
    x, y = np.array([3.0, 3.0]), np.array([4.0, 4.0])
    u, v = ifs._julia(x, y, x**2 + y**2)
    assert (
        np.allclose((u + 1j * v) ** 2, 4 + 3j) and u[0] == -u[1]
    )  # the angle is taken from the y axis, as in the flame algorithm


def test_the_sierpinski_triangle_is_accepted():
    assert ifs.why_degenerate(settle(SIERPINSKI)) is None


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (np.zeros((2, 4096)), "a point, a line"),
        (np.stack([np.linspace(0, 1, 4096), np.zeros(4096)]), "a point, a line"),
        (np.stack([np.linspace(0, 1, 4096), np.linspace(0, 1, 4096) ** 2]), "a curve"),
        (rng().random((2, 4096)), "nearly uniform"),
        (np.where(rng().random((2, 4096)) < 0.1, np.nan, 1.0), "diverges"),
        (
            np.where(
                rng().random(4096) < 0.6,
                0.31 + 1e-3 * rng(1).random((2, 4096)),
                rng(2).random((2, 4096)),
            ),
            "four cells",
        ),
    ],
)
def test_a_degenerate_attractor_is_refused_with_the_reason(points, reason):
    assert reason in ifs.why_degenerate(points)


def test_a_refused_system_is_replaced_by_the_next_draw(monkeypatch):
    point = system_of([np.eye(2) / 2] * 2, [(0, 0), (0, 0)], [0.5, 0.5])
    drawn = iter([point, point, SIERPINSKI])
    monkeypatch.setattr(ifs, "sample_system", lambda rng: next(drawn))
    assert ifs.attractor(rng())[0] is SIERPINSKI


def test_a_bare_frame_is_drawn_again():
    points = np.stack([np.full(100, 0.5), np.full(100, 0.5)])
    view = np.array([0.5, 0.5]), 1.0, np.eye(2)
    assert flames.coverage(points, view) == 1 / 64
    assert flames.coverage(rng().uniform(-1, 2, (2, 9000)), view) == 1


def test_density_counts_each_point_of_the_frame_once():
    view = np.array([0.25, 0.25]), 2.0, np.eye(2)  # the frame holds the whole triangle
    counts, colours = flames.density(
        SIERPINSKI, settle(SIERPINSKI), view, rng(), 40, 30_000, n_fold=1
    )
    assert counts.sum() % (2 * 4096) == 0 and counts.sum() >= 30_000 and np.all(colours == 0)


def test_smoothing_keeps_a_constant_and_blurs_only_where_points_are_few():
    constant = np.full((2, 32, 32), 3.0)
    assert np.allclose(flames.smooth(constant, (0.6, 2, 4)), 3)
    for weight, kept in ((1e6, 0.9), (1, 0.1)):
        field = np.zeros((2, 32, 32))
        field[0, 16, 16] = weight
        peak = (
            flames.smooth(field, (0.6, 2, 4))[0, 16, 16] / flames.smooth(field, (0.6,))[0, 16, 16]
        )
        assert (peak > kept) == (weight > 1)


def test_tone_mapping_sets_the_range_and_keeps_grey_grey():
    picture = rng().random((64, 64, 1)) ** 3 * np.ones(3) * 5
    mapped = flames.tone_map(picture, 0.1, 0.9, 0.4)
    assert np.allclose(np.quantile(mapped[..., 0], [0, 0.5, 1]), [0.1, 0.4, 0.9], atol=0.01)
    assert np.allclose(mapped, mapped[..., :1])


def test_tone_mapping_pales_a_colour_instead_of_clipping_its_grey():
    picture = np.zeros((8, 8, 3))
    picture[..., 2] = np.linspace(0, 1, 8)
    grey = flames.tone_map(picture, 0.0, 1.0, 0.5) @ flames.LUMA
    assert np.isclose(grey.max(), 1) and np.isclose(np.median(grey), 0.5, atol=0.05)


@pytest.mark.parametrize("arguments", [{"n": 0}, {"n": 1, "size": 4}])
def test_no_pictures_and_tiny_pictures_are_refused(arguments):
    with pytest.raises(ValueError, match="expected n of at least 1 and size of at least 8"):
        flames.generate(**arguments)
