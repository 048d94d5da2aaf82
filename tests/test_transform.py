"""Augmentations in somebody else's pipeline: torchvision's, a DataLoader's workers, torch.compile."""

import pickle
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import torch
from reference import noise, photographs
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from lmlib import LayerMix
from lmlib.augment import METHODS, FlipCrop, build_method
from lmlib.corruptions import corrupt, perturb

GREY = noise((40, 52), 20, n_channels=1)
IMAGE = photographs((32, 32), 1)[0]
PICTURE = PIL.Image.fromarray(IMAGE.permute(1, 2, 0).numpy())
TRANSFORM = LayerMix(GREY).as_transform()
ALONE = [name for name, method in METHODS.items() if not method.build.mixes_labels]


@pytest.fixture(autouse=True)
def generator():
    """Torch's generator as it was before the test."""
    with torch.random.fork_rng(devices=[]):
        yield


def seeded(transform, *sample, seed=4):
    torch.manual_seed(seed)
    return transform(*sample)


def plain(image):
    """An image of any kind as a tensor."""
    return (
        v2.functional.pil_to_tensor(image)
        if isinstance(image, PIL.Image.Image)
        else image.as_subclass(torch.Tensor)
    )


# One key a call


def test_a_call_reads_torchs_generator_once():
    torch.manual_seed(3)
    torch.randint(2**62, ())
    expected = torch.get_rng_state()
    for sample in (IMAGE, (IMAGE, 3), {"image": PICTURE}, IMAGE.expand(5, -1, -1, -1)):
        seeded(TRANSFORM, sample, seed=3)
        assert torch.equal(torch.get_rng_state(), expected)


def test_a_seed_repeats_the_images_and_each_call_has_another():
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        runs.append(torch.stack([TRANSFORM(IMAGE) for _ in range(20)]))
    assert torch.equal(*runs)
    assert len(runs[0].flatten(1).unique(dim=0)) > 15


def test_the_image_is_the_methods_with_the_drawn_number_as_seed():
    torch.manual_seed(9)
    seed = int(torch.randint(2**62, ()))
    expected = LayerMix(GREY)(IMAGE[None], seed=seed, epoch=0, index=[0])[0]
    assert torch.equal(seeded(TRANSFORM, IMAGE, seed=9), expected)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (0,)])
def test_each_image_of_a_batch_has_its_own_draw_and_the_first_is_that_of_a_lone_one(shape):
    done = seeded(TRANSFORM, IMAGE.expand(*shape, -1, -1, -1))
    assert done.shape == (*shape, 3, 32, 32)
    if done.numel():
        images = done.flatten(0, -4)
        assert torch.equal(images[0], seeded(TRANSFORM, IMAGE))
        assert len(images.flatten(1).unique(dim=0)) > 3


# What goes in comes out


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize(
    "image",
    [IMAGE, IMAGE / 255, tv_tensors.Image(IMAGE), PICTURE],
    ids=["uint8", "float", "tv_tensor", "PIL"],
)
def test_an_image_comes_out_as_what_it_was(image, name):
    transform = build_method(name, mixing_set=GREY).as_transform()
    done = seeded(transform, image)
    assert type(done) is (PIL.Image.Image if image is PICTURE else type(image))
    assert plain(done).dtype == plain(image).dtype
    if plain(image).dtype == torch.uint8:
        assert torch.equal(plain(done), seeded(transform, IMAGE))


@pytest.mark.parametrize(
    "image", [IMAGE, tv_tensors.Image(IMAGE), PICTURE], ids=["tensor", "tv_tensor", "PIL"]
)
def test_whatever_else_a_sample_holds_passes_by(image):
    expected, label, more = seeded(TRANSFORM, IMAGE), torch.tensor([1.5, 2]), np.zeros((2, 2))
    done = seeded(TRANSFORM, image, label)
    assert torch.equal(plain(done[0]), expected)
    assert done[1] is label
    done = seeded(TRANSFORM, {"image": image, "label": 3, "more": [label, ("name", None, more)]})
    assert torch.equal(plain(done["image"]), expected)
    assert done["label"] == 3
    assert done["more"][0] is label
    assert done["more"][1][2] is more


def test_images_of_one_sample_share_the_draw():
    left, right = seeded(TRANSFORM, tv_tensors.Image(IMAGE), PICTURE)
    assert torch.equal(plain(left), plain(right))


def test_it_works_inside_a_compose_of_torchvision():
    steps = [
        v2.ToImage(),
        v2.RandomHorizontalFlip(1.0),
        TRANSFORM,
        v2.ToDtype(torch.float32, scale=True),
    ]
    image, label = v2.Compose(steps)(PICTURE, 3)
    assert isinstance(image, tv_tensors.Image)
    assert image.shape == (3, 32, 32)
    assert image.dtype == torch.float32
    assert label == 3
    assert isinstance(TRANSFORM, v2.Transform)


# What it says


@pytest.mark.parametrize("name", ALONE)
def test_it_prints_the_method_and_every_setting(name):
    method = METHODS[name]
    text = repr(build_method(name, mixing_set=GREY).as_transform())
    assert text.startswith(f"AugmentationTransform({method.build.__name__}(")
    for parameter, value in method.settings.items():
        assert f"{parameter}={list(value) if parameter == 'patch_sizes' else value!r}" in text
    assert ("mixing_set=20 pictures of 1 x 40 x 52" in text) == method.needs_mixing_set


BOXES = tv_tensors.BoundingBoxes(torch.zeros(1, 4), format="XYXY", canvas_size=(32, 32))


@pytest.mark.parametrize(
    "beside",
    [BOXES, tv_tensors.Mask(torch.zeros(32, 32)), tv_tensors.Video(IMAGE.expand(4, -1, -1, -1))],
)
def test_what_an_augmented_image_would_leave_behind_is_refused(beside):
    with pytest.raises(
        ValueError,
        match=f"got {type(beside).__name__} beside it, which would not follow .*: leave it out",
    ):
        TRANSFORM({"image": tv_tensors.Image(IMAGE), "target": [beside]})


@pytest.mark.parametrize(
    "sample, sentence",
    [
        (
            np.zeros((32, 32, 3), np.uint8),
            r"expected an image tensor .* got \(32, 32, 3\) uint8: put ToImage\(\)",
        ),
        ((3, "name"), "expected an image tensor .* got int, str"),
        ({}, "expected an image tensor .* got nothing"),
        (
            (torch.tensor(3), IMAGE),
            r"expected an image tensor .* got \(\) torch.int64: put the image before",
        ),
        (IMAGE[0], r"expected an image tensor .* got \(32, 32\) torch.uint8"),
        (IMAGE[:1], r"expected an image tensor .* got \(1, 32, 32\) torch.uint8"),
        (IMAGE[:, :0], r"expected images .* got \(1, 3, 0, 32\)"),
        (
            IMAGE.float(),
            "expected images .* got values from 0 to 1..: .* divide what goes up to 255",
        ),
        (
            PICTURE.convert("L"),
            r"expected an RGB picture, got one of mode L: put RGB\(\) before this",
        ),
        (PICTURE.convert("P"), "expected an RGB picture, got one of mode P"),
        (PICTURE.convert("RGBA"), "expected an RGB picture, got one of mode RGBA"),
    ],
)
def test_a_sample_without_an_image_that_it_takes_gets_a_sentence(sample, sentence):
    with pytest.raises(ValueError, match=sentence):
        TRANSFORM(sample)


# Workers and compilers


class Pictures(Dataset):
    """A dataset as somebody else writes it: a sample and its transform."""

    def __init__(self, images, transform):
        self.images, self.transform = images, transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, k):
        return self.transform(self.images[k], k)


def test_it_works_in_workers_after_pickling_and_repeats_under_a_generator():
    transform, same = pickle.loads(pickle.dumps(TRANSFORM)), IMAGE.expand(16, -1, -1, -1)
    runs = []
    for _ in range(2):
        generator = torch.Generator().manual_seed(0)
        batches = DataLoader(Pictures(same, transform), 4, num_workers=2, generator=generator)
        images, labels = zip(*batches, strict=True)
        assert torch.cat(labels).tolist() == list(range(16))
        runs.append(torch.cat(images))
    assert torch.equal(*runs)
    assert len(runs[0].flatten(1).unique(dim=0)) > 12  # neither worker repeats the other


@pytest.fixture
def compiled():
    """A function that compiles, without what earlier tests left in the compiler."""
    torch.compiler.reset()
    return lambda function: torch.compile(function, backend="eager")


@pytest.mark.parametrize("name", METHODS)
def test_a_compiled_method_makes_the_same_images(name, compiled):
    method, images = build_method(name, mixing_set=GREY), photographs((32, 32), 5).float() / 255

    def augmented(images, epoch):
        keys = {"seed": 0, "epoch": epoch, "index": np.arange(len(images))}
        if method.mixes_labels:
            return (
                method(images * 0.5, images[method.partner_index(len(images), **keys)], **keys)[0]
                + 1
            )
        return method(images * 0.5, **keys) + 1

    fast = compiled(augmented)
    for epoch in range(3):
        assert torch.equal(fast(images, epoch), augmented(images, epoch))


def test_draws_and_changes_apart_are_compiled_to_the_same_bytes(compiled):
    images, index = photographs((32, 32), 5), np.arange(5)
    layermix, outliers, crop = LayerMix(GREY), build_method("oe", mixing_set=GREY), FlipCrop()

    def parts(images):
        params = layermix.sample((32, 32), seed=0, epoch=0, index=index)
        keys = {"seed": 0, "epoch": 1, "index": index}
        return (
            layermix.apply(images, params),
            outliers.outliers((32, 32), **keys),
            crop(images, **keys),
        )

    for ours, expected in zip(compiled(parts)(images), parts(images), strict=True):
        assert torch.equal(ours, expected)


def test_corruptions_and_sequences_are_compiled_to_the_same_bytes(compiled):
    images, keys = photographs((32, 32), 3), {"seed": 0, "index": np.arange(3)}
    fog = compiled(lambda images: corrupt(images, "fog", severity=2, **keys))
    assert torch.equal(fog(images), corrupt(images, "fog", severity=2, **keys))
    moved = compiled(lambda images: perturb(images, "translate", **keys))
    assert torch.equal(moved(images), perturb(images, "translate", **keys))


@pytest.mark.parametrize("name", ALONE)
def test_a_compiled_transform_makes_the_same_image(name, compiled):
    transform = build_method(name, mixing_set=GREY).as_transform()
    assert torch.equal(seeded(compiled(transform), IMAGE), seeded(transform, IMAGE))
    pipeline = v2.Compose([transform, v2.ToDtype(torch.float32, scale=True)])
    assert torch.equal(seeded(compiled(pipeline), IMAGE), seeded(pipeline, IMAGE))


def test_neither_torchvision_nor_the_compiler_is_imported_before_it_is_asked_for():
    code = "import sys; from lmlib import LayerMix; print({'torchvision', 'torch._dynamo'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# Whole batches in a DataLoader


def samples(n=6):
    return [(image, {"label": k}, k) for k, image in enumerate(photographs((32, 32), n))]


def test_a_collated_batch_is_the_call_under_one_key_and_the_rest_is_put_together():
    layermix = LayerMix(GREY)
    torch.manual_seed(4)
    images, others, labels = layermix.collate(samples())
    torch.manual_seed(4)
    key = int(torch.randint(2**62, ()))
    stacked = torch.stack([image for image, *_ in samples()])
    expected = layermix(stacked, seed=key, epoch=0, index=np.arange(6))
    assert torch.equal(images, expected) and not torch.equal(images, stacked)
    assert labels.tolist() == others["label"].tolist() == [0, 1, 2, 3, 4, 5]
    (alone,) = layermix.collate([image for image, *_ in samples()])
    assert alone.shape == images.shape


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_that_collates_repeats_its_batches_and_never_an_epoch(workers):
    def epochs():
        torch.manual_seed(1)
        collate = LayerMix(GREY).collate
        loader = DataLoader(samples(), batch_size=3, collate_fn=collate, num_workers=workers)
        return [torch.cat([images for images, *_ in loader]) for _ in range(2)]

    first, second = epochs()
    assert torch.equal(first, epochs()[0]) and not torch.equal(first, second)
    assert not torch.equal(first[:3], first[3:])


def test_what_cannot_be_collated_is_one_sentence():
    with pytest.raises(ValueError, match="got Image in front: let the dataset end with ToImage"):
        LayerMix(GREY).collate([(PICTURE, 1)])
    with pytest.raises(ValueError, match="Mixup mixes labels, too"):
        build_method("mixup").collate(samples())


def test_tab_finds_what_the_package_gives():
    import lmlib

    assert {"LayerMix", "METHODS", "build_method"} <= set(dir(lmlib))
