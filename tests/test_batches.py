"""Batches of pictures that worker processes decode, cut and augment."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_imagenet import CLASSES

from lmlib.augment import METHODS, build_method
from lmlib.datasets.load import load_photographs
from lmlib.draws import permutation
from lmlib.images import as_float
from lmlib.models.batches import DecodedBatches
from lmlib.models.ranks import Ranks

KEYS = {"seed": 3, "epoch": 1}


@pytest.fixture(scope="module")
def mixing_set():
    return np.random.default_rng(0).integers(0, 256, (5, 1, 36, 36), dtype=np.uint8)


def decoded(dataset, method, *, loss="ce", batch_size=5, drop_last=False, rank=Ranks()):  # noqa: B008
    """Batches of all training pictures of a dataset of 32 px."""
    settings = SimpleNamespace(
        training_index=lambda data: np.arange(len(data.train)),
        loss=loss, batch_size=batch_size, seed=KEYS["seed"],
    )  # fmt: skip
    found = DecodedBatches(settings, dataset, method, drop_last=drop_last)
    found.ranks = rank
    return found


def views_of(found, loss="ce", epoch=1, first=0):
    """Each sample's views in the order of the epoch, (n, views, 3, H, W), and targets."""
    n_views, inputs, targets = 3 if loss == "jsd" else 1, [], []
    for batch in found.epoch(epoch, first):
        inputs.append(torch.stack(batch.inputs.chunk(n_views), 1))
        targets.append(batch.targets)
    return torch.cat(inputs), torch.cat(targets)


@pytest.mark.parametrize("name, loss", [("layermix", "ce"), ("layermix", "jsd"), ("mixup", "ce")])
def test_a_sample_is_the_crop_and_the_method_under_its_key(photos, mixing_set, name, loss):
    dataset, method = load_photographs(photos, 32), build_method(name, mixing_set=mixing_set)
    images, targets = views_of(decoded(dataset, method, loss=loss), loss)
    order = permutation("training order", 12, **KEYS)
    crops = [dataset.train.images.training_image(k, **KEYS) for k in range(12)]
    crops = torch.from_numpy(np.stack(crops))
    keys = KEYS | {"index": order}
    if name == "mixup":
        expected, weight = method(crops[order], crops[method.partner_index(12, **keys)], **keys)
        assert torch.equal(images[:, 0], expected)
        own = targets[np.arange(12), dataset.train.labels[order]]
        assert (own >= weight - 1e-6).all() and torch.allclose(targets.sum(1), torch.ones(12))
        return
    expected = [method(crops[order], **keys)]
    if loss == "jsd":
        expected = [crops[order], *expected, method(crops[order], **keys, view=1)]
    assert images.dtype == torch.uint8 and torch.equal(images, torch.stack(expected, 1))
    assert targets.tolist() == dataset.train.labels[order].tolist()


def test_a_method_on_bytes_is_the_method_on_floats_rounded_once(photos, mixing_set):
    method = build_method("layermix", mixing_set=mixing_set)
    dataset = load_photographs(photos, 32)
    crops = np.stack([dataset.train.images.training_image(k, **KEYS) for k in range(12)])
    keys = KEYS | {"index": np.arange(12)}
    bytes_, floats = (
        method(one, **keys) for one in (torch.from_numpy(crops), as_float(torch.from_numpy(crops)))
    )
    assert torch.equal(bytes_, (floats * 255).round().to(torch.uint8))


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_the_pictures_of_a_step_are_the_same_for_any_number_of_ranks(photos, mixing_set, world):
    dataset = load_photographs(photos, 32)
    method = build_method("layermix", mixing_set=mixing_set)
    together = decoded(dataset, method)
    ranks = [decoded(dataset, method, rank=Ranks(rank, world)) for rank in range(world)]
    for step in range(3):  # of 5, 5 and 2 pictures
        images, targets, _, _ = together[1, step]
        parts = [rank[1, step] for rank in ranks]
        assert torch.equal(torch.cat([part[0] for part in parts]), images)
        assert torch.equal(torch.cat([part[1] for part in parts]), targets)
        assert max(len(part[1]) for part in parts) - min(len(part[1]) for part in parts) <= 1


def test_an_epoch_goes_on_from_any_step_and_may_leave_the_last_batch_out(photos):
    dataset, method = load_photographs(photos, 32), build_method("baseline")
    found = decoded(dataset, method)
    whole, targets = views_of(found)
    later, _ = views_of(found, first=2)
    assert torch.equal(later, whole[10:]) and (found.n_steps, found.n_images) == (3, 12)
    full = decoded(dataset, method, drop_last=True)
    assert torch.equal(views_of(full)[0], whole[:10]) and (full.n_steps, full.n_images) == (2, 10)
    others, _ = views_of(found, epoch=2)
    assert (
        not torch.equal(others, whole) and sorted(targets.tolist()) == [0] * 4 + [1] * 4 + [2] * 4
    )


@pytest.mark.parametrize("name", ["layermix", "mixup", "oe"])
def test_batches_can_be_handed_to_a_process_that_starts_anew(photos, mixing_set, name):
    colour = np.repeat(mixing_set, 3, axis=1)
    method = build_method(name, mixing_set=colour if name == "oe" else mixing_set)
    loss = METHODS[name].loss
    found = decoded(load_photographs(photos, 32), method, loss=loss)
    copied = pickle.loads(pickle.dumps(found))
    for one, other in zip(found[1, 0][:3], copied[1, 0][:3], strict=True):
        assert one is other is None or torch.equal(one, other)


def test_a_picture_that_cannot_be_decoded_is_named_counted_and_left_out(own_photos, logs):
    dataset, method = load_photographs(own_photos, 32), build_method("baseline")
    whole, targets = views_of(decoded(dataset, method, batch_size=4))
    file = own_photos / "train" / CLASSES[1] / "2.JPEG"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    found = decoded(dataset, method, batch_size=4)
    with logs(r"1/2.JPEG|n01484850/2.JPEG cannot be decoded: .*; it is left out of the training"):
        images, rest = views_of(found)
    assert list(found.skipped) == [str(file)]
    place = permutation("training order", 12, **KEYS).tolist().index(6)
    kept = [k for k in range(12) if k != place]
    assert torch.equal(images, whole[kept]) and torch.equal(rest, targets[kept])


def test_a_sample_whose_partner_cannot_be_decoded_is_left_out_too(own_photos):
    dataset, method = load_photographs(own_photos, 32), build_method("cutmix")
    file = own_photos / "train" / CLASSES[1] / "2.JPEG"
    file.write_bytes(b"\xff\xd8")
    found = decoded(dataset, method, batch_size=12)
    order = permutation("training order", 12, **KEYS)
    partner = method.partner_index(12, **KEYS, index=order)
    images, targets, _, skipped = found[1, 0]
    assert list(skipped) == [str(file)]
    assert len(images) == len(targets) == ((order != 6) & (partner != 6)).sum()


def test_a_disk_that_goes_away_ends_the_training_instead_of_leaving_pictures_out(own_photos):
    found = decoded(load_photographs(own_photos, 32), build_method("baseline"))
    (own_photos / "train").rename(own_photos / "away")
    with pytest.raises(OSError, match=r"^\S+JPEG cannot be read: .*No such file") as caught:
        list(found.epoch(0))
    assert "\n" not in str(caught.value) and not found.skipped


def test_a_batch_of_nothing_that_can_be_decoded_is_empty(own_photos):
    for file in (own_photos / "train").rglob("*.JPEG"):
        file.write_bytes(b"")
    found = decoded(load_photographs(own_photos, 32), build_method("baseline"), loss="jsd")
    (batch, *_) = found.epoch(0)
    assert batch.inputs.shape == (0, 3, 32, 32) and len(batch.targets) == 0
    assert len(found.skipped) >= 5
