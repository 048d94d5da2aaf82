"""How arrays and tensors lie in memory changes nothing: same bytes out, and the input as it was."""

import warnings

import numpy as np
import PIL.Image
import pytest
import torch
from layouts import arrays, check, tensors
from reference import noise, photographs

from lmlib import draws as random
from lmlib import metrics
from lmlib.analysis import moments
from lmlib.analysis import textures as fractal
from lmlib.analysis.covariance import decompose, pipeline_covariance
from lmlib.augment import METHODS, FlipCrop, LayerMix, build_method
from lmlib.augment.by_name import draw as draw_method
from lmlib.augment.windows import MixingImages
from lmlib.corruptions import NAMES, corrupt, draw, perturb, weather
from lmlib.images import as_tensor
from lmlib.metrics import intervals as statistics
from lmlib.models.attacks import pgd
from lmlib.models.gradcam import agreement, gradcam, overlay
from lmlib.models.losses import cross_entropy, jsd_consistency, outlier_exposure_loss
from lmlib.models.networks import build_model, last_conv_layer
from lmlib.models.training import predict
from lmlib.report import plots

KEYS = {"seed": 1, "epoch": 2}
N = 6
BYTES = torch.cat([photographs((32, 32), N // 2), noise((32, 32), N // 2)]).numpy()
FLOATS = BYTES.astype(np.float32) / 255
INDEX, LABELS = np.arange(N) * 7 + 3, np.arange(N) % 3
COLOUR = noise((40, 52), 20)
RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(N, 3)).astype(np.float32)
CORRUPTIONS = [
    (benchmark, name) for benchmark in ("cifar_c", "cifar_c_bar") for name in NAMES[benchmark]
]

pytestmark = pytest.mark.filterwarnings("error:The given NumPy array is not writable")


@pytest.fixture(autouse=True)
def textures(monkeypatch):
    """Invented frost photographs."""
    monkeypatch.setattr(
        weather, "textures", lambda size: [noise((40, 50), 1, seed=k)[0].numpy() for k in range(5)]
    )


@pytest.fixture(scope="module")
def model():
    """A small network as the package trains and loads it."""
    return build_model("wrn-10-1", n_classes=3).to(memory_format=torch.channels_last).eval()


@pytest.mark.parametrize("images", [BYTES, FLOATS], ids=["uint8", "float"])
@pytest.mark.parametrize("name", METHODS)
def test_a_method_makes_the_same_images(name, images):
    method = build_method(name, mixing_set=COLOUR)
    if method.mixes_labels:
        partners = torch.from_numpy(images[::-1].copy())
        check(lambda images: method(images, partners, **KEYS, index=INDEX), images, [tensors])
        check(
            lambda partners: method(torch.from_numpy(images), partners, **KEYS, index=INDEX),
            images,
            [tensors],
        )
    else:
        check(lambda images: method(images, **KEYS, index=INDEX), images, [tensors])


@pytest.mark.parametrize("images", [BYTES, FLOATS], ids=["uint8", "float"])
def test_flip_and_crop_and_a_transform_make_the_same_images(images):
    transform = LayerMix(COLOUR).as_transform()

    def seeded(image):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            return transform(image)

    check(lambda images: FlipCrop()(images, **KEYS, index=INDEX), images, [tensors])
    check(seeded, images, [tensors])
    check(seeded, images[0], [tensors])


def test_an_index_gives_the_same_draws():
    check(lambda index: LayerMix(COLOUR)(torch.from_numpy(BYTES), **KEYS, index=index), INDEX)
    check(lambda index: random.uniforms("purpose", 5, seed=0, index=index), INDEX)
    check(lambda index: draw("fog", severity=2, seed=0, index=index), INDEX, [arrays])


def test_drawn_parameters_make_the_same_images():
    method = LayerMix(COLOUR)
    params = method.sample((32, 32), **KEYS, index=INDEX)
    for name, value in vars(params).items():
        if isinstance(value, np.ndarray):
            changed = vars(params) | {name: value}
            check(
                lambda value, name=name, changed=changed: method.apply(
                    torch.from_numpy(BYTES), type(params)(**{**changed, name: value})
                ),
                value,
                [arrays],
            )


def test_a_mixing_set_makes_the_same_images():
    def mixed(pictures):
        return LayerMix(pictures)(torch.from_numpy(BYTES), **KEYS, index=INDEX)

    check(mixed, COLOUR.numpy())
    check(mixed, COLOUR.numpy()[:, :1])
    check(lambda pictures: MixingImages(pictures).pictures, COLOUR.numpy())


@pytest.mark.parametrize("benchmark, name", CORRUPTIONS)
def test_a_corruption_makes_the_same_images(benchmark, name):
    options = {"severity": 3, "benchmark": benchmark}
    check(lambda images: corrupt(images, name, seed=0, index=INDEX, **options), BYTES)
    drawn = draw(name, seed=0, index=INDEX, **options)
    for what, field in drawn.items():
        check(
            lambda field, what=what: corrupt(BYTES, name, draws={**drawn, what: field}, **options),
            field,
            [arrays],
        )


@pytest.mark.parametrize("name", NAMES["cifar_p"])
def test_a_perturbation_makes_the_same_frames(name):
    check(lambda images: perturb(images, name, seed=0, index=INDEX), BYTES)


def test_flat_images_in_torchvisions_layout_stay_as_they_are():
    photos = np.full((2, 32, 32, 3), 200, np.uint8)
    key = {"benchmark": "cifar_c_bar", "seed": 0, "index": [0, 1]}
    corrupt(photos.transpose(0, 3, 1, 2), "lines", severity=3, **key)
    assert (photos == 200).all()
    zoomed = corrupt(
        photos.transpose(0, 3, 1, 2), "transverse_chromatic_abberation", severity=1, **key
    )
    assert zoomed.std() == 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("images", [BYTES, FLOATS], ids=["uint8", "float"])
def test_predictions_are_the_same(images, precision, model):
    check(lambda images: predict(model, images, precision), images)


def test_a_model_puts_out_the_same_logits(model):
    with torch.no_grad():
        check(model, BYTES, [tensors])
        check(model, FLOATS, [tensors])


def test_attacks_and_maps_are_the_same(model):
    layer = last_conv_layer(model)
    check(lambda images: pgd(model, images, LABELS, steps=2, seed=0, index=INDEX), FLOATS)
    check(lambda labels: pgd(model, FLOATS, labels, steps=2, seed=0, index=INDEX), LABELS)
    check(lambda images: gradcam(model, images, 1, layer), FLOATS, [tensors])
    check(lambda classes: gradcam(model, torch.from_numpy(FLOATS), classes, layer), LABELS)
    check(
        lambda maps: agreement(maps, torch.from_numpy(FLOATS[::-1, 0].copy())),
        FLOATS[:, 0],
        [tensors],
    )
    check(lambda images: overlay(images, torch.from_numpy(FLOATS[:, 0].copy())), FLOATS, [tensors])


OF_LOGITS = [metrics.error, metrics.nll, metrics.brier, metrics.confidence_and_correct]
OF_CONFIDENCE = [
    metrics.rms_calibration_error,
    metrics.mad_calibration_error,
    metrics.reliability,
    metrics.ece,
    metrics.aurra,
]


@pytest.mark.parametrize("measure", OF_LOGITS, ids=lambda measure: measure.__name__)
def test_a_measure_of_logits_is_the_same(measure):
    check(lambda logits: measure(logits, LABELS), LOGITS)
    check(lambda labels: measure(LOGITS, labels), LABELS)


@pytest.mark.parametrize("measure", OF_CONFIDENCE, ids=lambda measure: measure.__name__)
def test_a_measure_of_confidence_is_the_same(measure):
    confidence, correct = RANDOM.random(250), RANDOM.random(250) < 0.5
    check(lambda confidence: measure(confidence, correct), confidence)
    check(lambda correct: measure(confidence, correct), correct)


def test_measures_of_sequences_and_means_are_the_same():
    sequences = RANDOM.normal(size=(N, 7, 10))
    check(lambda logits: metrics.top5_distances(logits, noise=True), sequences)
    check(metrics.flips, sequences.argmax(2))
    check(
        lambda confidence: metrics.rms_noise_floor(confidence, seed=0, n_draws=3),
        RANDOM.random(250),
    )
    check(
        lambda values: statistics.bootstrap_interval(values, seed=0, n_resamples=20),
        sequences,
        [arrays],
    )
    check(statistics.summary, sequences[0, 0], [arrays])
    check(statistics.holm, RANDOM.random(8), [arrays])
    check(
        lambda drawn: decompose([drawn, drawn + 1]),
        RANDOM.normal(size=(2, N, 3, 40)).astype(np.float32),
        [arrays],
    )


def test_losses_are_the_same():
    others = torch.from_numpy(LOGITS[::-1].copy())
    check(lambda logits: cross_entropy(logits, torch.from_numpy(LABELS)), LOGITS, [tensors])
    check(lambda logits: jsd_consistency(logits, others, others), LOGITS, [tensors])
    check(
        lambda logits: outlier_exposure_loss(logits, torch.from_numpy(LABELS), others),
        LOGITS,
        [tensors],
    )


def test_what_is_said_and_shown_of_images_is_the_same():
    changed = torch.from_numpy(BYTES[::-1].copy())
    check(lambda images: moments.moments(images, changed).to_numpy(), BYTES, [tensors])
    check(
        lambda images: moments.sample_moments(
            "cutout", images, SETS, n_samples=9, seed=0
        ).to_numpy(),
        BYTES,
    )
    check(
        lambda images: draw_method("layermix", images, images, SETS, seed=0, index=INDEX).images,
        BYTES,
        [tensors],
    )
    check(lambda images: plots.tiles(images, 3), BYTES)
    check(
        lambda images: pipeline_covariance(LayerMix(COLOUR), images, n_draws=2, seed=0),
        FLOATS[:2],
        [tensors],
    )
    for function in (fractal.radial_power_spectrum, fractal.spectrum_slope, fractal.contour):
        check(function, BYTES[0, 0], [arrays])
    check(fractal.box_counting_dimension, BYTES[0, 0] > 128, [arrays])


SETS = {"grey": noise((40, 52), 4, n_channels=1), "colour": COLOUR}


def test_a_picture_is_prepared_the_same():
    from lmlib.fractals.mixing_sets import prepare

    picture = np.ascontiguousarray(COLOUR[0].permute(1, 2, 0).numpy())
    check(
        lambda array: prepare(PIL.Image.fromarray(np.asarray(array)), colour=True),
        picture,
        [arrays],
    )


def test_a_tensor_shares_the_memory_of_an_array_where_it_can():
    array = np.zeros(3)
    assert as_tensor(array).data_ptr() == array.ctypes.data
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert as_tensor(np.broadcast_to(array, (2, 3))).shape == (2, 3)
        assert as_tensor(np.arange(3)[::-1]).tolist() == [2, 1, 0]
