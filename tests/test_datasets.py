"""Datasets: what is loaded is what was promised, and a damaged file is named, never loaded, never deleted."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from lmlib.datasets import Split, load_dataset, stratified_subset, validation_split

# --- digits


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def test_digits_are_1297_and_500_images_of_32_pixels(digits):
    assert digits.train.images.shape == (1297, 3, 32, 32) and digits.test.images.shape == (500, 3, 32, 32)
    for split in (digits.train, digits.test):
        assert split.images.dtype == np.uint8 and split.images.flags.c_contiguous
        assert split.labels.dtype == np.int64 and len(split.labels) == len(split.images) == len(split)


def test_digits_declare_crop_without_flip(digits):
    assert (digits.flip, digits.pad, digits.n_classes, digits.image_size, digits.canonical) == (False, 4, 10, 32, True)


def test_digits_splits_hold_every_class_in_its_share(digits):
    in_test, in_train = np.bincount(digits.test.labels), np.bincount(digits.train.labels)
    assert list(in_test + in_train) == list(np.bincount(load_digits().target))
    assert np.abs(in_test - 500 * (in_test + in_train) / 1797).max() < 1


def test_no_digit_is_in_both_splits_or_twice_in_one(digits):
    rows = [image.tobytes() for split in (digits.train, digits.test) for image in split.images]
    assert len(set(rows)) == 1797


def test_digits_are_the_originals_with_their_labels_bilinear_as_in_torch(digits):
    original = load_digits()
    grey = torch.from_numpy(original.images)[:, None] * (255 / 16)
    large = torch.nn.functional.interpolate(grey, size=(32, 32), mode="bilinear", align_corners=False)
    expected = {
        image.numpy().tobytes(): label for image, label in zip((large + 0.5).byte(), original.target, strict=True)
    }
    for split in (digits.train, digits.test):
        assert all((image == image[:1]).all() for image in split.images)
        assert [expected[image[0].tobytes()] for image in split.images] == list(split.labels)


def test_digits_are_the_same_bytes_everywhere(digits):
    assert digits.hash == "1b0d2869dfa80052"


def test_digits_are_easy_but_not_trivial(digits):
    from sklearn.neighbors import KNeighborsClassifier

    flat = [split.images[:, 0].reshape(len(split), -1) / 255 for split in (digits.train, digits.test)]
    error = 1 - KNeighborsClassifier(1).fit(flat[0], digits.train.labels).score(flat[1], digits.test.labels)
    assert 0 < error < 0.05


# --- subsets and splits


def test_a_stratified_subset_gives_each_class_its_share():
    labels = np.repeat(np.arange(10), 30)
    index = stratified_subset(labels, 100, seed=0)
    assert list(np.bincount(labels[index])) == [10] * 10
    assert index.dtype == np.int64 and np.array_equal(index, np.unique(index))


def test_uneven_classes_keep_their_proportion():
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    assert list(np.bincount(labels[stratified_subset(labels, 10, seed=1)])) == [6, 3, 1]


def test_subsets_of_one_seed_are_nested_and_another_seed_is_another_subset():
    labels = np.arange(200) % 7
    assert set(stratified_subset(labels, 20, seed=3)) < set(stratified_subset(labels, 50, seed=3))
    assert not np.array_equal(stratified_subset(labels, 50, seed=3), stratified_subset(labels, 50, seed=4))
    assert np.array_equal(stratified_subset(labels, 200, seed=3), np.arange(200))


def test_leftover_places_go_to_classes_drawn_by_the_key_not_to_the_first():
    labels = np.arange(100) % 10
    taken = np.stack([np.bincount(labels[stratified_subset(labels, 15, seed=s)], minlength=10) for s in range(200)])
    assert set(taken.ravel()) == {1, 2}
    assert np.abs((taken == 2).mean(0) - 0.5).max() < 4 * np.sqrt(0.25 / 200)


def test_every_image_is_taken_equally_often():
    labels = np.arange(40) % 4
    taken = sum(np.bincount(stratified_subset(labels, 8, seed=s), minlength=40) for s in range(500)) / 500
    assert np.abs(taken - 0.2).max() < 5 * np.sqrt(0.2 * 0.8 / 500)


def test_a_validation_split_is_disjoint_complete_and_stratified(digits):
    train, validation = validation_split(digits.train, 200, seed=0)
    assert np.array_equal(np.sort(np.concatenate([train, validation])), np.arange(1297))
    assert len(validation) == 200 and np.abs(np.bincount(digits.train.labels[validation]) - 20).max() <= 1


def test_a_validation_split_is_named_by_its_seed(digits):
    first, again, other = (validation_split(digits.train, 100, seed=seed)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("n", [0, -1, 11])
def test_an_impossible_subset_is_refused(n):
    with pytest.raises(ValueError, match=f"cannot take {n} of 10"):
        stratified_subset(np.zeros(10, int), n, seed=0)


def test_a_validation_split_must_leave_something_to_train_on():
    split = Split(np.zeros((4, 3, 8, 8), np.uint8), np.arange(4))
    with pytest.raises(ValueError, match="nothing to train on"):
        validation_split(split, 4, seed=0)


def test_labels_must_be_integers():
    with pytest.raises(ValueError, match="integer array"):
        stratified_subset(np.zeros(10), 2, seed=0)


def test_a_subset_needs_a_seed():
    with pytest.raises(TypeError, match="seed"):
        stratified_subset(np.zeros(10, int), 2)


def test_an_unknown_dataset_offers_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'cifar10'"):
        load_dataset("cifar-10")
