import pickle

import numpy as np
import pytest
import torch
from bounds import map_bound
from PIL import Image

from lmlib.models.gradcam import gradcam
from lmlib.models.pretrained import (
    CATEGORIES,
    PHOTOGRAPHS,
    imagenet_network,
    photograph,
    read_weights,
)


@pytest.fixture(scope="module")
def network():
    return imagenet_network()


def test_photographs_are_recognised(network):
    model, _ = network
    logits = model(torch.stack([photograph(name) for name in PHOTOGRAPHS]))
    assert logits.shape == (2, len(CATEGORIES)) == (2, 1000)
    assert [CATEGORIES[k] for k in logits.argmax(1)] == ["palace", "daisy"]


def test_normalisation_is_that_of_its_training_to_one_step(network):
    model, _ = network
    image = photograph("china")[None]
    exact = model.network((image.float() - 127) / 128).softmax(1)
    assert (
        model(image).softmax(1) - exact
    ).abs().max() < 0.01  # of probability: the images differ by 1/128, no rounding


def test_loading_draws_nothing_from_the_global_generator():
    before = torch.get_rng_state()
    imagenet_network()
    assert torch.equal(torch.get_rng_state(), before)


def test_gradcam_of_the_layer_is_the_weighted_sum_of_the_pooled_features(network):
    model, layer = network
    image, k = photograph("flower")[None], CATEGORIES.index("daisy")
    model.double()  # whose roundings are too small to be seen
    features = model.network.extract_features(image.double() / 127.5 - 1)
    weight = model.network._fc.weight[k]
    weighted = (
        (features * weight.view(1, -1, 1, 1)).sum(1, keepdim=True).relu()
    )  # a mean and then a line
    maps = torch.nn.functional.interpolate(weighted, size=(224, 224), mode="bilinear")[:, 0]
    difference = (gradcam(model, image, k, layer) - maps / maps.max()).abs().max()
    model.float()
    assert difference < map_bound(weight, features) < 1e-3


def test_foreign_weights_are_refused_before_they_are_unpickled(tmp_path):
    file, trace = tmp_path / "weights.pth", tmp_path / "ran"

    class Harm:
        def __reduce__(self):
            return open, (str(trace), "w")

    file.write_bytes(pickle.dumps(Harm()))
    with pytest.raises(ValueError, match=r"SHA256 .* expected 579344248a93e230"):
        read_weights(file)
    assert not trace.exists()


def test_photograph_keeps_the_middle_square(tmp_path):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 8:22] = 200  # the middle square and what its interpolation reaches
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    middle = photograph(tmp_path / "wide.png", size=20)
    assert middle.shape == (3, 20, 20) and middle.dtype == torch.uint8
    assert (middle == 200).all()


def test_grey_picture_gets_three_channels(tmp_path):
    Image.fromarray(np.full((8, 8), 7, np.uint8)).save(tmp_path / "grey.png")
    assert (photograph(tmp_path / "grey.png", size=4) == 7).all()


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_what_is_no_picture_is_refused(tmp_path, content):
    if content:
        (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ValueError, match="china or flower or the path of a picture"):
        photograph(tmp_path / "a.jpg")
