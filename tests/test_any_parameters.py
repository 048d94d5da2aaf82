"""What holds for any parameters of the augmentations and the corruptions at all (hypothesis)."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lmlib import paths
from lmlib.augment import METHODS, build_method
from lmlib.augment.layermix import OPS
from lmlib.augment.pixmix import OPS as PIXMIX_OPS
from lmlib.augment.policies import POLICIES
from lmlib.corruptions import NAMES, corrupt, perturb

A_THOUSAND = settings(max_examples=1000, deadline=None)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Photographs for frost in the place of a user's own."""
    folder = tmp_path_factory.mktemp("raw")
    (folder / "frost").mkdir()
    for i in range(1, 6):
        picture = np.random.default_rng(i).integers(0, 256, (180, 200, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / "frost" / f"frost{i}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "RAW", folder)
        yield


SEEDS, SIDES, SHARES = st.integers(0, 2**64 - 1), st.integers(8, 64), st.floats(0, 1)
BETAS, PEERS = st.floats(1e-3, 1000), st.floats(0.1, 10)
KINDS = "black", "white", "flat", "noise", "one pixel", "ramp", "halves"


def pictures(kinds, shape, seed):
    """One uint8 picture a kind: (len(kinds), 3, *shape)."""
    draws, made = np.random.default_rng(seed), []
    for kind in kinds:
        image = np.zeros((3, *shape), np.uint8)
        if kind in ("white", "flat", "noise"):
            image[:] = {
                "white": 255,
                "flat": draws.integers(256),
                "noise": draws.integers(256, size=image.shape),
            }[kind]
        elif kind == "one pixel":
            image[:, draws.integers(shape[0]), draws.integers(shape[1])] = draws.integers(1, 256)
        elif kind == "ramp":
            image[:] = np.linspace(0, 255, shape[1]).astype(np.uint8)
        elif kind == "halves":
            image[:, : shape[0] // 2] = 255
        made.append(image)
    return np.stack(made)


MIXING = np.concatenate(
    [pictures(("black", "white", "one pixel"), (64, 70), 0), pictures(["noise"] * 3, (64, 70), 1)]
)


def pairs(low, high):
    return st.tuples(st.floats(low, high), st.floats(low, high)).map(sorted)


def probabilities(n):
    """n shares that sum to 1, some of them 0."""
    return (
        st.lists(st.integers(0, 9), min_size=n, max_size=n)
        .filter(any)
        .map(lambda w: [k / sum(w) for k in w])
    )


def settings_of(name, side):
    """Any parameters of a method for images whose shorter side is `side`: a strategy of dicts."""
    mixer = {"beta": BETAS, "magnitude": PEERS, "flips": st.booleans()}
    layers = st.lists(st.sampled_from((1, 2, 3)), min_size=1, max_size=3, unique=True)
    layermix = {
        "beta": BETAS,
        "magnitude": st.floats(0, 10),
        "ops": st.sampled_from(sorted(OPS)),
        "shared": st.booleans(),
    }
    ranges = {
        "Cutout": {"length": st.integers(1, side), "fill": SHARES},
        "RandomErasing": {
            "probability": SHARES,
            "area": pairs(0, 1),
            "aspect": pairs(0.01, 100),
            "fill": SHARES,
        },
        "Mixup": {"alpha": BETAS},
        "CutMix": {"alpha": BETAS},
        "AutoAugment": {"policy": st.sampled_from(sorted(POLICIES))},
        "RandAugment": {"n_operations": st.integers(1, 5), "magnitude": st.floats(0, 30)},
        "AugMix": {"magnitude": PEERS},
        "OutlierExposure": {"flips": st.booleans()},
        "PixMix": mixer | {"k": st.integers(1, 6), "ops": st.sampled_from(sorted(PIXMIX_OPS))},
        "IPMix": mixer
        | {"k": st.integers(1, 4), "t": st.integers(1, 4), "wrap": st.booleans()}
        | {"patch_sizes": st.lists(st.integers(2, side), min_size=1, max_size=4)},
        "LayerMix": layermix
        | {"layers": layers, "probabilities": probabilities(4), "flips": st.booleans()},
    }
    found = ranges.get(METHODS[name].build.__name__, {})
    patches = {
        key: found.pop(key) for key in ("length", "patch_sizes") if key in found
    }  # the defaults are for 32 pixels
    return st.fixed_dictionaries(patches, optional=found)


@st.composite
def augmentations(draw):
    """A method, its parameters, a batch of 1 to 5 images of any size, type and content, keys."""
    name, size = draw(st.sampled_from(sorted(METHODS))), (draw(SIDES), draw(SIDES))
    keys = {
        "seed": draw(SEEDS),
        "epoch": draw(st.integers(0, 10**6)),
        "view": draw(st.integers(0, 2)),
    }
    return {
        "name": name,
        "parameters": draw(settings_of(name, min(size))),
        "grey": draw(st.booleans()),
        "size": size,
        "kinds": draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5)),
        "dtype": draw(st.sampled_from((torch.uint8, torch.float32, torch.float64, torch.float16))),
        "scale": draw(st.sampled_from((1, 1, 1 - 1e-7, 1e-30))),
        "first": draw(st.integers(0, 2**31)),
        "keys": keys,
    }


@A_THOUSAND
@given(augmentations())
def test_any_parameters_of_any_augmentation_keep_shape_type_and_range(case):
    """No error, no NaN; shape, dtype and range stay, and the input; a label's share in [0, 1]."""
    images = torch.from_numpy(pictures(case["kinds"], case["size"], case["first"]))
    if case["dtype"] != torch.uint8:
        images = (images.double() / 255 * case["scale"]).to(case["dtype"])
    mixing = torch.from_numpy(MIXING[:, :1] if case["grey"] else MIXING)
    method = build_method(case["name"], mixing_set=mixing, **case["parameters"])
    index, before = case["first"] + np.arange(len(images)), images.clone()
    arguments = (images, images.flip(0)) if method.mixes_labels else (images,)
    done = method(*arguments, index=index, **case["keys"])
    if method.mixes_labels:
        done, share = done
        assert share.shape == (len(images),) and ((share >= 0) & (share <= 1)).all()
    assert done.shape == images.shape and done.dtype == images.dtype
    assert (
        (done >= 0) & (done <= (255 if done.dtype == torch.uint8 else 1))
    ).all()  # false for NaN
    assert torch.equal(images, before)


CIFAR = "cifar_c", "cifar_c_bar", "cifar_p"


@st.composite
def corruptions(draw):
    """A corruption or sequence of CIFAR's, a severity, 1 to 3 images of any content, keys."""
    benchmark, name = draw(
        st.sampled_from([(benchmark, name) for benchmark in CIFAR for name in NAMES[benchmark]])
    )
    return {
        "benchmark": benchmark,
        "name": name,
        "severity": None if benchmark == "cifar_p" else draw(st.integers(1, 5)),
        "kinds": draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3)),
        "seed": draw(SEEDS),
        "first": draw(st.integers(0, 2**31)),
    }


@A_THOUSAND
@given(corruptions())
def test_any_corruption_of_any_images_keeps_shape_and_type(photographs, case):
    """No error, no NaN on the way to bytes (NumPy would warn); shape, dtype and input stay."""
    images = pictures(case["kinds"], (32, 32), case["first"])
    keys, before = (
        {"seed": case["seed"], "index": case["first"] + np.arange(len(images))},
        images.copy(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        if case["benchmark"] == "cifar_p":
            done = perturb(images, case["name"], **keys)
        else:
            done = corrupt(
                images, case["name"], severity=case["severity"], benchmark=case["benchmark"], **keys
            )
    assert done.dtype == np.uint8 and (done.shape[0], *done.shape[-3:]) == images.shape
    assert done.ndim == (5 if case["benchmark"] == "cifar_p" else 4) and np.array_equal(
        images, before
    )
