import bounds
import numpy as np
import pytest
import torch
from reference import noise, photographs
from scipy.stats import beta, ks_2samp, kstest
from torchvision.transforms import v2 as transforms

from lmlib.augment import CutMix, Mixup
from lmlib.draws import check_key

KEYS = {"seed": 1, "epoch": 2}
N = 20_000
METHODS = (Mixup(), CutMix())


def pair(size=(32, 32), n=12):
    """Images, their partners (each the one before it, as torchvision pairs a batch) and an index."""
    images = torch.cat([photographs(size, n // 2), noise(size, n - n // 2)]).float() / 255
    return images, images.roll(1, 0), np.arange(n) * 3


@pytest.mark.parametrize("size", [(32, 32), (31, 45), (224, 224)])
def test_mixup_agrees_with_torchvisions_transform_at_the_same_weight(size):
    images, partners, index = pair(size)
    mixed, weight = Mixup()(images, partners, **KEYS, index=index)
    for k in range(len(images)):
        params = {"labels": None, "lam": float(weight[k]), "batch_size": len(images)}
        expected = transforms.MixUp(num_classes=2).transform(images, params)[k]
        # Each of the two rounds 1 - w, two products and a sum.
        torch.testing.assert_close(mixed[k], expected, rtol=0, atol=bounds.rounded(8))


@pytest.mark.parametrize("size", [(32, 32), (31, 45), (224, 224)])
def test_cutmix_agrees_with_torchvisions_transform_for_the_same_box(size):
    images, partners, index = pair(size)
    method = CutMix()
    mixed, weight = method(images, partners, **KEYS, index=index)
    boxes = method.sample(size, **KEYS, index=index).box
    for k in range(len(images)):
        box = boxes[k]
        params = {
            "labels": None,
            "box": (box.left, box.top, box.right, box.bottom),
            "batch_size": len(images),
        }
        assert torch.equal(mixed[k], transforms.CutMix(num_classes=2).transform(images, params)[k])
        assert weight[k] == np.float32(1 - box.area / (size[0] * size[1]))


def test_cutmix_keeps_exactly_the_share_of_the_pixels_that_the_label_says():
    images, index = torch.zeros(200, 3, 32, 32), np.arange(200)
    mixed, weight = CutMix()(images, torch.ones_like(images), **KEYS, index=index)
    assert torch.equal(1 - mixed.mean((1, 2, 3)), weight)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_partners_are_parameters_and_a_call_is_sample_and_apply(method, dtype):
    images, partners, index = pair()
    if dtype == torch.uint8:
        images, partners = ((part * 255).round().to(torch.uint8) for part in (images, partners))
    mixed, weight = method(images, partners, **KEYS, index=index)
    params = method.sample((32, 32), **KEYS, index=index)
    with pytest.raises(ValueError, match="the parameters have no partners: pass"):
        method.apply(images, params)
    params = method.with_partners(params, partners)
    assert torch.equal(method.apply(images, params), mixed)
    assert torch.equal(method.apply(images[3:5], params[3:5]), mixed[3:5])
    assert np.array_equal(params.weight, weight)


@pytest.mark.parametrize("alpha", [1.0, 0.2, 3])
def test_mixups_weights_are_distributed_as_its_beta(alpha):
    method = Mixup(alpha)
    share = method.draw_share(check_key(*KEYS.values(), np.arange(N), 0))
    assert kstest(share, beta(alpha, alpha).cdf).pvalue > 1e-4
    assert np.array_equal(
        method.sample((32, 32), **KEYS, index=np.arange(N)).weight, share.astype(np.float32)
    )


def test_cutmixs_boxes_are_distributed_as_torchvisions():
    params = CutMix().sample((24, 48), **KEYS, index=np.arange(N))
    reference, images = transforms.CutMix(num_classes=2), torch.zeros(1, 3, 24, 48)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = [reference.make_params([images]) for _ in range(4000)]
    box = params.box
    for k, ours in enumerate((box.left, box.top, box.right, box.bottom)):
        assert ks_2samp(ours, [drawn["box"][k] for drawn in theirs]).pvalue > 1e-4
    assert ks_2samp(params.weight, [drawn["lam_adjusted"] for drawn in theirs]).pvalue > 1e-4


def test_partners_are_uniform_over_the_training_set_and_the_same_for_both_methods():
    partners = [method.partner_index(10, **KEYS, index=np.arange(N)) for method in METHODS]
    assert np.array_equal(*partners)
    share = np.bincount(partners[0], minlength=10) / N
    assert np.abs(share - 0.1).max() < 4.5 * np.sqrt(0.09 / N)
    again = METHODS[0].partner_index(10, **KEYS, index=np.array([7, 3]))
    assert np.array_equal(again, partners[0][[7, 3]])


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_8_bit_images_stay_8_bit(method):
    images, _, index = pair()
    images = (images * 255).round().to(torch.uint8)
    mixed, weight = method(images, images.roll(1, 0), **KEYS, index=index)
    exact, _ = method(images.float() / 255, images.roll(1, 0).float() / 255, **KEYS, index=index)
    assert torch.equal(mixed, (exact * 255).round().to(torch.uint8))
    assert weight.dtype == torch.float32


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
@pytest.mark.parametrize(
    "partners",
    [
        None,
        torch.zeros(11, 3, 32, 32),
        torch.zeros(12, 3, 32, 32, dtype=torch.uint8),
        np.zeros((12, 3, 32, 32)),
    ],
)
def test_partners_unlike_the_images_are_refused(method, partners):
    images, _, index = pair()
    with pytest.raises(
        ValueError, match=r"expected partners like the images, .* got .*: pass the training images"
    ):
        method(images, partners, **KEYS, index=index)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_keys_are_required_and_a_transform_of_one_image_is_refused(method):
    images, partners, _ = pair()
    with pytest.raises(ValueError, match="missing seed, epoch, index"):
        method(images, partners)
    with pytest.raises(ValueError, match="no partner to mix with"):
        method.as_transform()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_partners_that_a_rounding_took_out_of_the_range_are_clamped(method):
    images, partners, index = pair()
    expected = method(images, partners, **KEYS, index=index)
    off = 1e-6 * (2 * partners.round() - 1) * ((partners == 0) | (partners == 1))
    assert torch.equal(method(images, partners + off, **KEYS, index=index)[0], expected[0])
    assert torch.equal(
        method(partners + off, images, **KEYS, index=index)[0],
        method(partners, images, **KEYS, index=index)[0],
    )
    with pytest.raises(ValueError, match=r"got values from 0 to 1\.5: clamp"):
        method(images, partners * 1.5, **KEYS, index=index)


def test_alpha_must_be_above_0():
    with pytest.raises(ValueError, match=r"alpha must lie in \(0"):
        Mixup(0)
