import numpy as np
import pytest
import torch
from torch import nn

from lmlib.models.networks import build_model
from lmlib.models.prediction import eval_mode, predict

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), np.uint8)


class Means(nn.Module):
    """Logits known by hand: the mean of each channel. Notes in which type and mode it is asked."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.seen = []

    def forward(self, images):
        self.seen.append((len(images), images.dtype, self.training, torch.is_grad_enabled()))
        return images.mean((2, 3)) * self.weight


def by_hand(pixels):
    return pixels.astype(np.float64).mean((2, 3)) / 255


def error_of_means(dtype):
    """A bound on the error of a mean of 64 values in [0, 1]: 64 additions, a division and a product, each rounded once."""
    return 70 * torch.finfo(dtype).eps


@pytest.mark.parametrize(
    "images",
    [
        PIXELS,
        torch.from_numpy(PIXELS),
        PIXELS.astype(np.float32) / 255,
        PIXELS / 255,
        torch.from_numpy(PIXELS / 255),
        (PIXELS / 255).astype(">f4"),
        np.asfortranarray(PIXELS),
        PIXELS[:, :, ::-1, ::-1][:, :, ::-1, ::-1],
        PIXELS.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2),
        torch.from_numpy(PIXELS).contiguous(memory_format=torch.channels_last),
        list(PIXELS),
    ],
    ids=[
        "uint8",
        "tensor",
        "float32",
        "float64",
        "double-tensor",
        "big-endian",
        "fortran",
        "reversed",
        "transposed",
        "channels-last",
        "list",
    ],
)
def test_every_form_of_the_same_images_gives_the_same_logits(images):
    logits = predict(Means(), images)
    assert logits.dtype == torch.float32 and torch.equal(
        logits, predict(Means(), torch.from_numpy(PIXELS))
    )
    assert np.abs(logits.numpy() - by_hand(PIXELS)).max() < error_of_means(torch.float32)


@pytest.mark.filterwarnings("error")
def test_an_array_that_may_not_be_written_to_is_read_without_a_word():
    pixels = PIXELS.copy()
    pixels.flags.writeable = False
    assert torch.equal(predict(Means(), pixels), predict(Means(), PIXELS))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (PIXELS.astype(np.int64), "uint8 or float in .*got dtype torch.int64"),
        (PIXELS.astype(np.uint16), "got dtype torch.uint16"),
        (PIXELS.astype(bool), "got dtype torch.bool"),
        (PIXELS.astype(np.float32), r"got values from 0 to 255"),
        (PIXELS / 255 - 0.5, r"got values from -0\.5"),
        (np.full((1, 3, 8, 8), np.nan), "got values from nan"),
        (PIXELS.transpose(0, 2, 3, 1), r"a tensor \(B, 3, H, W\).* got \(5, 8, 8, 3\)"),
        (PIXELS[0], r"got \(3, 8, 8\)"),
        (PIXELS.astype(object), "images must be an array or tensor of numbers, got dtype object"),
        ("images", "got dtype <U6"),
        (torch.zeros(1, 3, 8, 8).to_sparse(), r"sparse \(torch.sparse_coo\): call to_dense\(\)"),
        (torch.zeros(1, 3, 8, 8, device="meta"), "meta device"),
        (
            torch.nested.nested_tensor([torch.zeros(3, 8, 8)] * 2, layout=torch.jagged),
            "nested: pad or stack",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_images_of_another_kind_are_refused_before_the_model_is_asked(images, words):
    model = Means()
    with pytest.raises(ValueError, match=words):
        predict(model, images)
    assert not model.seen


def test_images_inside_vmap_are_refused_in_a_sentence():
    with pytest.raises(
        ValueError, match=r"inside a transform as torch\.func\.vmap: call on the whole batch"
    ):
        torch.func.vmap(lambda images: predict(Means(), images))(torch.zeros(2, 4, 3, 8, 8))


@pytest.mark.parametrize("images", [PIXELS[:0], np.zeros((0, 3, 8, 8)), torch.zeros(0, 3, 8, 8)])
def test_no_image_has_no_logits(images):
    logits = predict(Means(), images)
    assert logits.shape == (0, 3) and logits.dtype == torch.float32


def test_no_image_has_no_logits_of_a_network_of_the_paper():
    assert predict(
        build_model("wrn-10-1", n_classes=7), np.zeros((0, 3, 32, 32), np.uint8)
    ).shape == (0, 7)


def test_every_module_is_in_the_mode_that_it_was_in_even_after_a_failure():
    model = nn.Sequential(
        nn.BatchNorm2d(3), nn.Sequential(nn.BatchNorm2d(3), nn.Dropout()), Means()
    ).train()
    model[1][0].eval()  # frozen, as in fine-tuning
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    predict(model, PIXELS)
    with pytest.raises(ValueError):
        predict(model, PIXELS.astype(np.float32))
    model[2] = nn.Linear(1, 1)
    with pytest.raises(RuntimeError):
        predict(model, PIXELS)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model[:2].state_dict().items())


def test_the_model_is_asked_in_eval_mode_without_gradients_batch_by_batch():
    model = Means().train()
    predict(model, PIXELS, batch_size=np.int64(2))
    assert model.seen == [(n, torch.float32, False, False) for n in (2, 2, 1)] and model.training


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_model_of_another_float_type_gets_the_images_in_it(dtype):
    model = Means().to(dtype)
    logits = predict(model, PIXELS)
    assert model.seen[0][1] == dtype and logits.dtype == torch.float32
    assert np.abs(logits.numpy() - by_hand(PIXELS)).max() < error_of_means(
        max(dtype, torch.float32, key=eps)
    )


def eps(dtype):
    return torch.finfo(dtype).eps


def test_a_network_of_the_paper_in_half_precision_predicts_nearly_the_same():
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), np.uint8)
    model = build_model("wrn-10-1", n_classes=10).eval()
    expected = predict(model, images)
    found = predict(model.bfloat16(), images)
    # about a dozen layers one after the other, each rounded to 8 bits: relative to the spread of the logits
    assert (found - expected).square().mean().sqrt() < 12 * 2**-8 * expected.std()


@pytest.mark.parametrize(
    "context", [torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)]
)
def test_the_callers_mode_of_torch_changes_nothing(context):
    model = build_model("wrn-10-1", n_classes=10)
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), np.uint8)
    expected = predict(model, images)
    with context():
        assert torch.equal(predict(model, images), expected)


def test_a_compiled_model_predicts_the_same():
    model = Means()
    assert torch.equal(
        predict(torch.compile(model, backend="eager"), PIXELS), predict(model, PIXELS)
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            lambda images: (images.mean((2, 3)), images),
            "got tuple: wrap it in a module that returns them alone",
        ),
        (lambda images: {"logits": images.mean((2, 3))}, "got dict"),
        (
            lambda images: images.mean((1, 2, 3)),
            r"returns logits \(5, K\), got \(5,\) torch.float32",
        ),
        (lambda images: images, r"got \(5, 3, 8, 8\)"),
        (lambda images: images.mean((2, 3))[:2], r"got \(2, 3\)"),
    ],
)
def test_a_model_that_returns_no_logits_is_named(answer, words):
    class Odd(nn.Module):
        def forward(self, images):
            return answer(images)

    with pytest.raises(ValueError, match=words):
        predict(Odd(), PIXELS)


def test_a_function_is_no_model():
    with pytest.raises(
        ValueError, match=r"expected a torch.nn.Module that returns logits, got function: wrap it"
    ):
        predict(lambda images: images, PIXELS)
    with pytest.raises(ValueError, match="got NoneType"), eval_mode(None):
        pass


def test_a_model_without_weights_is_refused():
    with torch.device("meta"):
        model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    with pytest.raises(ValueError, match="on the meta device and has no weights: load them first"):
        predict(model, PIXELS)


@pytest.mark.parametrize("wrong", [0, True, 2.5, -1])
def test_a_batch_size_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        predict(Means(), PIXELS, batch_size=wrong)


def test_an_unknown_precision_gets_the_nearest_word():
    with pytest.raises(ValueError, match="unknown precision 'bf32': did you mean"):
        predict(Means(), PIXELS, "bf32")
