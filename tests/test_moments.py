import numpy as np
import pandas as pd
import pytest
import torch
from bounds import rounded
from reference import noise, photographs

from lmlib.analysis import moments
from lmlib.analysis.moments import MOMENTS, cluster_mean, moments_table, sample_moments
from lmlib.augment import METHODS, build_method

GREY, COLOUR = (noise((36, 36), 6, seed=c, n_channels=c) for c in (1, 3))
SETS = {"grey": GREY, "colour": COLOUR}
IMAGES = photographs((32, 32), 10)


def test_the_moments_of_a_hand_made_pair():
    image = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    changed = image.clone()
    changed[0, 0, 0, 0] = 255  # one of twelve values, in one of four pixels
    row = moments.moments(image, changed).iloc[0]
    assert row["mean_absolute_change"] == pytest.approx(1 / 12)
    assert row["share_changed"] == 1 / 4
    assert row["mean"] == pytest.approx(1 / 12)
    assert row["spread"] == pytest.approx(np.sqrt(1 / 12 * 11 / 12))


def test_a_pixel_counts_once_however_many_of_its_channels_change_and_in_either_direction():
    image = torch.full((1, 3, 1, 2), 100, dtype=torch.uint8)
    changed = image.clone()
    changed[0, :, 0, 0] = torch.tensor([99, 101, 100])
    row = moments.moments(image, changed).iloc[0]
    assert row["share_changed"] == 0.5
    assert row["mean_absolute_change"] == pytest.approx(2 / 6 / 255)
    assert row["mean"] == pytest.approx(100 / 255)


def test_the_moments_are_numpys_image_by_image():
    images, changed = noise((32, 32), 5, seed=1), noise((32, 32), 5, seed=2)
    table = moments.moments(images, changed)
    for row, image, other in zip(
        table.itertuples(), images.double().numpy(), changed.double().numpy(), strict=True
    ):
        expected = (
            np.abs(other - image).mean() / 255,
            (other != image).any(0).mean(),
            other.mean() / 255,
            other.std() / 255,
        )
        # sums of 3,072 levels are whole numbers below 2**24, exact in float32 in whatever order;
        # torch adds up a spread in float64: what is rounded is the quotient, the root and the
        # division by 255
        assert row[1:] == pytest.approx(expected, rel=rounded(4), abs=0)


def test_single_values_have_the_usual_standard_error():
    values = np.array([1.0, 2, 4, 9])
    mean, error = cluster_mean(values, np.arange(4))
    assert mean == 4
    assert error == pytest.approx(values.std(ddof=1) / 2)


def test_clusters_of_equal_size_have_the_standard_error_of_their_means():
    values, clusters = np.array([1.0, 3, 5, 5, 0, 4]), np.array([7, 7, 2, 2, 9, 9])
    mean, error = cluster_mean(values, clusters)
    assert mean == 3
    assert error == pytest.approx(np.std([2, 5, 2], ddof=1) / np.sqrt(3))


def test_copies_of_a_sample_do_not_make_its_mean_more_certain():
    values = np.array([1.0, 2, 4, 9])
    assert cluster_mean(np.tile(values, 5), np.tile(np.arange(4), 5)) == pytest.approx(
        cluster_mean(values, np.arange(4))
    )


def test_clusters_of_unequal_size_by_hand():
    mean, error = cluster_mean([0, 0, 3], [0, 0, 1])  # mean 1; sums about it -2 and 2
    assert mean == 1
    assert error == pytest.approx(np.sqrt(2 / 1 * (4 + 4)) / 3)


def test_one_cluster_has_no_standard_error():
    mean, error = cluster_mean([1, 3], [5, 5])
    assert mean == 2 and np.isnan(error)


def test_the_standard_error_is_the_spread_of_the_mean_over_repetitions():
    random = np.random.default_rng(0)
    clusters = np.repeat(np.arange(40), 5)
    values = random.normal(size=(2000, 40)).repeat(5, axis=1) + random.normal(size=(2000, 200))
    means, errors = np.array([cluster_mean(row, clusters) for row in values]).T
    assert np.sqrt((errors**2).mean()) == pytest.approx(means.std(), rel=4 / np.sqrt(2 * 2000))


def test_samples_go_through_the_images_epoch_by_epoch_with_their_keys():
    samples = sample_moments("cutout", IMAGES, SETS, n_samples=24, seed=3)
    assert samples["image"].tolist() == [*range(10), *range(10), *range(4)]
    changed = build_method("cutout")(IMAGES[:4], seed=3, epoch=2, index=np.arange(4))
    pd.testing.assert_frame_equal(
        samples.loc[20:, list(MOMENTS)].reset_index(drop=True), moments.moments(IMAGES[:4], changed)
    )


def test_pieces_change_nothing(monkeypatch):
    whole = sample_moments("layermix", IMAGES, SETS, n_samples=10, seed=0)
    monkeypatch.setattr(moments, "PIECE", 3)
    pieces = sample_moments("layermix", IMAGES, SETS, n_samples=10, seed=0)
    pd.testing.assert_frame_equal(whole, pieces, rtol=2 * rounded(4), atol=0)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_moments_and_only_the_baseline_and_oe_change_nothing(name):
    samples = sample_moments(name, IMAGES, SETS, n_samples=10, seed=0)
    assert len(samples) == 10 and samples[list(MOMENTS)].stack().between(0, 1).all()
    assert (samples["mean_absolute_change"].mean() == 0) == (name in ("baseline", "oe"))
    assert ("layer" in samples) == name.startswith("layermix")


def test_layer_and_operation_are_those_that_were_drawn():
    samples = sample_moments("layermix", IMAGES, SETS, n_samples=20, seed=5)
    method = build_method("layermix", mixing_set=GREY)
    params = method.sample((32, 32), seed=5, epoch=1, index=np.arange(10))
    assert samples["layer"].tolist()[10:] == params.layer.tolist()
    assert samples["operation"].tolist()[10:] == [list(method.table)[k] for k in params.op[:, 0]]


def test_the_table_has_a_mean_and_an_error_for_each_group_in_the_order_given():
    samples = pd.DataFrame(
        {name: [1.0, 2, 4, 8] for name in MOMENTS} | {"image": [0, 0, 1, 1], "layer": [3, 1, 3, 1]}
    )
    table = moments_table(samples, "layer")
    assert table.index.tolist() == [3, 1] and table.index.name == "layer"
    assert table["mean"].tolist() == [2.5, 5]
    assert table["mean_se"].tolist() == [1.5, 3]
    assert table["n_samples"].tolist() == table["n_images"].tolist() == [2, 2]
