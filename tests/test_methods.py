"""What every method keeps, whatever it does."""

import pickle
import random

import numpy as np
import pytest
import torch
from reference import noise, photographs

from lmlib.augment import METHODS, build_method
from lmlib.augment.pillow_ops import OVERLAPS
from lmlib.models.losses import LOSSES

KEYS = {"seed": 1, "epoch": 2}
SIZES = [(32, 32), (224, 224)]
GREY, COLOUR = (noise((230, 240), 6, seed=c, n_channels=c) for c in (1, 3))
MIXING = [name for name, method in METHODS.items() if method.needs_mixing_set and name != "oe"]
every_method = pytest.mark.parametrize("name", METHODS)


def build(name, **parameters):
    return build_method(name, mixing_set=COLOUR, **parameters)


def batch(n=40, size=(32, 32)):
    """Photographs and noise with black, white and flat images among them, float, and their index."""
    images = torch.cat([photographs(size, n - n // 2), noise(size, n // 2)])
    images[0], images[1], images[2] = 0, 255, 77
    return images.float() / 255, np.arange(n) * 7 + 3


def run(method, images, index, view=0):
    """The method's images. Label mixing takes partners from a small training set, by key."""
    if not method.mixes_labels:
        return method(images, **KEYS, index=index, view=view)
    others, _ = batch(8, tuple(images.shape[-2:]))
    others = others if images.is_floating_point() else (others * 255).round().to(torch.uint8)
    partner = method.partner_index(len(others), **KEYS, index=index)
    return method(images, others[partner].to(images.dtype), **KEYS, index=index, view=view)[0]


@every_method
@pytest.mark.parametrize("size", SIZES)
def test_same_keys_same_bytes_for_any_batch_size_and_order(name, size):
    images, index = batch(40 if size[0] < 224 else 9, size)
    method = build(name)
    together = run(method, images, index)
    for n in (1, 7):
        parts = [run(method, images[k : k + n], index[k : k + n]) for k in range(0, len(images), n)]
        assert torch.equal(torch.cat(parts), together)
    order = np.random.default_rng(0).permutation(len(images))
    assert torch.equal(run(method, images[order], index[order]), together[order])


@every_method
@pytest.mark.parametrize("size", SIZES)
def test_same_keys_same_bytes_for_one_and_two_threads(name, size):
    images, index = batch(40 if size[0] < 224 else 6, size)
    method, before, done = build(name), torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            done.append(run(method, images, index))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*done)


@every_method
@pytest.mark.parametrize("size", SIZES)
def test_8_bit_images_give_the_rounded_result_of_float_images(name, size):
    images, index = batch(40 if size[0] < 224 else 6, size)
    method, images = build(name), (images * 255).round().to(torch.uint8)
    done, exact = run(method, images, index), run(method, images.float() / 255, index)
    assert done.dtype == torch.uint8
    assert done.shape == images.shape
    assert torch.equal(done, (exact * 255).round().to(torch.uint8))


@every_method
def test_black_white_and_flat_images_stay_finite_and_between_0_and_1(name):
    values = torch.tensor([0, 1, 0.5, 1e-30, 1 - 1e-7, 1 / 255]).repeat(50)
    images = values[:, None, None, None].expand(-1, 3, 32, 32)
    done = run(build(name), images, np.arange(len(images)))
    assert torch.isfinite(done).all()
    assert 0 <= done.min() <= done.max() <= 1


def test_ipmix_that_wraps_stays_finite_and_between_0_and_1():
    images = torch.tensor([0.0, 1, 1e-30]).repeat(200)[:, None, None, None].expand(-1, 3, 32, 32)
    done = run(build("ipmix", wrap=True), images, np.arange(len(images)))
    assert torch.isfinite(done).all()
    assert 0 <= done.min() <= done.max() <= 1


@every_method
def test_the_global_generators_and_the_input_stay_as_they_were(name):
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002

    images, index = batch()
    before, copy = states(), images.clone()
    done = run(build(name), images, index)
    assert states() == before
    done.zero_()
    assert torch.equal(images, copy)


@every_method
def test_an_empty_batch_stays_one(name):
    done = run(build(name), torch.zeros(0, 3, 32, 32), np.zeros(0, np.int64))
    assert done.shape == (0, 3, 32, 32)


@every_method
def test_an_empty_batch_may_have_an_empty_list_for_its_index(name):
    assert run(build(name), torch.zeros(0, 3, 32, 32), []).shape == (0, 3, 32, 32)


@every_method
@pytest.mark.parametrize(
    "wrong",
    [{"seed": True}, {"seed": 0.5}, {"epoch": torch.tensor(0.5)}, {"index": [True]}],
    ids=str,
)
def test_a_key_of_another_type_is_refused_by_each_method(name, wrong):
    images, method = torch.zeros(1, 3, 32, 32), build(name)
    keys = {"seed": 0, "epoch": 0, "index": [0]} | wrong
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}.* must be"):
        method(images, images, **keys) if method.mixes_labels else method(images, **keys)


@every_method
def test_images_that_hold_no_values_are_refused_by_each_method(name):
    method, keys = build(name), {"seed": 0, "epoch": 0, "index": [0, 1]}

    def call(images):
        return method(images, images, **keys) if method.mixes_labels else method(images, **keys)

    images = torch.zeros(2, 3, 32, 32)
    for wrong, words in ((images.to_sparse(), "sparse"), (images.to("meta"), "meta device")):
        with pytest.raises(ValueError, match=f"holds its values, got one that is .*{words}"):
            call(wrong)
    for vectorised in (images, images[None], images.byte()[None]):
        with pytest.raises(ValueError, match="vmap: call on the whole batch outside of it"):
            torch.func.vmap(call)(vectorised)


@pytest.mark.parametrize("wrong", [True, np.True_, torch.tensor(True), "8", None], ids=repr)
def test_a_magnitude_that_is_no_number_is_refused(wrong):
    with pytest.raises(ValueError, match=r"magnitude must lie in \[0, 10\], got"):
        build("layermix", magnitude=wrong)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("baseline", "oe")])
def test_another_seed_epoch_index_or_view_gives_other_images(name):
    image = batch()[0][5:6].expand(60, -1, -1, -1)
    method, index = build(name), np.arange(60)
    others = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).expand(
        60, -1, -1, -1
    )
    arguments = (image, others) if method.mixes_labels else (image,)

    def call(**keys):
        done = method(*arguments, **{**KEYS, "index": index, **keys})
        return done[0] if method.mixes_labels else done

    for keys in ({"seed": 9}, {"epoch": 9}, {"index": index + 100}, {"view": 1}):
        assert (call() != call(**keys)).flatten(1).any(1).float().mean() > 0.2


@pytest.mark.parametrize("name", MIXING)
def test_two_views_and_all_methods_mix_with_the_same_picture(name):
    index = np.arange(200)
    expected = build("pixmix").sample((32, 32), **KEYS, index=index)
    for view in (0, 1, 2):
        params = build(name).sample((32, 32), **KEYS, index=index, view=view)
        assert np.array_equal(params.picture, expected.picture)
        assert np.array_equal(params.window.top, expected.window.top)
        assert np.array_equal(params.window.left, expected.window.left)


@every_method
def test_a_method_can_be_pickled_for_workers(name):
    images, index = batch(8)
    method = build(name)
    assert torch.equal(
        run(pickle.loads(pickle.dumps(method)), images, index), run(method, images, index)
    )


@pytest.mark.parametrize(
    "name", [name for name, method in METHODS.items() if not method.build.mixes_labels]
)
def test_a_method_is_a_transform_of_one_image(name):
    done = build(name).as_transform()(batch()[0][5])
    assert done.shape == (3, 32, 32)


@every_method
def test_parameters_are_named_and_have_defaults_and_the_losses_exist(name):
    method = METHODS[name]
    assert not {"args", "kwargs", "self", "mixing_set"} & set(method.settings)
    assert method.loss in LOSSES
    assert method.published_loss in (None, *LOSSES)
    build_method(name, mixing_set=GREY, **method.settings)
    with pytest.raises(ValueError, match="unknown parameter"):
        build_method(name, mixing_set=GREY, strength=3)


@pytest.mark.parametrize("name", [*MIXING, "oe"])
def test_a_method_that_mixes_says_when_it_has_no_pictures_or_too_small_ones(name):
    with pytest.raises(
        ValueError, match=f"{name} mixes with pictures and got none: pass mixing_set"
    ):
        build_method(name)
    method = build_method(name, mixing_set=noise((16, 16), 2))
    with pytest.raises(
        ValueError, match="mixing set of 16 x 16 pixels is smaller than the images of 32 x 32"
    ):
        method.sample((32, 32), **KEYS, index=np.arange(0))


def test_the_rows_of_the_papers_tables_are_there():
    table_4 = "baseline cutout mixup cutmix autoaugment augmix oe pixmix ipmix layermix"
    named_as_ancestors = "random_erasing randaugment trivialaugment"
    assert set(METHODS) > {
        *table_4.split(),
        *named_as_ancestors.split(),
        "pixmix_k3",
        "pixmix_released",
    }


def test_default_losses_are_jsd_for_augmix_oe_for_outlier_exposure_and_ce_elsewhere():
    assert {name: method.loss for name, method in METHODS.items() if method.loss != "ce"} == {
        "augmix": "jsd",
        "oe": "oe",
    }


def test_methods_that_train_on_operations_of_the_test_are_known_by_their_tables():
    overlapping = {
        name for name in METHODS if set(getattr(build(name), "table", ())) & set(OVERLAPS)
    }
    assert overlapping == {
        "autoaugment",
        "randaugment",
        "trivialaugment",
        "pixmix",
        "pixmix_k3",
        "layermix",
        "layermix_iid",
    }


# Outlier exposure


@pytest.mark.parametrize("pictures", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("size", SIZES)
def test_outliers_are_keyed_crops_of_the_mixing_set(pictures, size):
    method, index = build_method("oe", mixing_set=pictures), np.arange(12)
    outliers = method.outliers(size, **KEYS, index=index)
    assert outliers.shape == (12, 3, *size)
    picture, window = method.mixing.sample(size, **KEYS, index=index)
    for k in range(12):
        cut = pictures[
            picture[k],
            :,
            window.top[k] : window.top[k] + size[0],
            window.left[k] : window.left[k] + size[1],
        ]
        cut = cut.flip(
            [axis for axis, flip in ((1, window.flip_y[k]), (2, window.flip_x[k])) if flip]
        )
        assert torch.equal(outliers[k], (cut.float() / 255).expand(3, -1, -1))
    assert torch.equal(method.outliers(size, **KEYS, index=index[5:7]), outliers[5:7])


def test_the_images_of_outlier_exposure_are_the_baselines():
    images, index = batch()
    assert torch.equal(build("oe")(images, **KEYS, index=index), images)
