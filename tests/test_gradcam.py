import matplotlib
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from bounds import map_bound, rounded
from torch import nn

from lmlib.models.gradcam import agreement, gradcam, overlay
from lmlib.models.networks import build_model, last_conv_layer

WEIGHTS = torch.tensor([[2.0, -1.0, 0.0], [-1.0, 3.0, 0.0], [-1.0, -1.0, -1.0]])


def pooled():
    """Images -> a convolution that is the identity -> mean over places -> linear."""
    convolution, linear = nn.Conv2d(3, 3, 1, bias=False), nn.Linear(3, 3)
    convolution.weight.data = torch.eye(3)[:, :, None, None]
    linear.weight.data = WEIGHTS.clone()
    linear.bias.data = torch.tensor([5.0, -5.0, 0.0])
    return nn.Sequential(convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)


def images(n, side=6, seed=0):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def hand_made(images, class_index):
    """What `gradcam` of `pooled()` must be: the gradient is the class's row of weights over the number of places."""
    maps = (images * WEIGHTS[class_index].view(1, 3, 1, 1)).sum(1).relu()
    return maps / maps.amax(dim=(1, 2), keepdim=True)


@pytest.mark.parametrize("class_index", [0, 1])
def test_map_of_a_linear_network_is_its_weighted_channels(class_index):
    model = pooled()
    found, bound = (
        gradcam(model, images(4), class_index, model[0]),
        map_bound(WEIGHTS[class_index], images(4)),
    )
    assert (found - hand_made(images(4), class_index)).abs().max() < bound


def test_one_bright_place_is_where_the_map_is():
    given = torch.zeros(1, 3, 5, 5)
    given[0, 0, 1, 3] = 1  # red, which speaks for class 0
    given[0, 1, 4, 0] = 1  # green, which speaks against it
    expected = torch.zeros(1, 5, 5)
    expected[0, 1, 3] = 1
    model = pooled()
    assert torch.equal(gradcam(model, given, 0, model[0]), expected)


def test_each_image_may_have_its_own_class():
    model = pooled()
    maps = gradcam(model, images(2), torch.tensor([1, 0]), model[0])
    for n, k in enumerate((1, 0)):
        assert (maps[n] - hand_made(images(2), k)[n]).abs().max() < map_bound(
            WEIGHTS[k], images(2)[[n]]
        )


def test_map_without_evidence_is_zero():
    model = pooled()
    assert torch.equal(gradcam(model, images(2), 2, model[0]), torch.zeros(2, 6, 6))


def test_map_of_a_coarse_layer_is_resized_bilinearly():
    coarse = nn.Sequential(nn.AvgPool2d(3), *pooled())
    means = F.avg_pool2d(images(2), 3)
    expected = F.interpolate(
        (means * WEIGHTS[0].view(1, 3, 1, 1)).sum(1, keepdim=True).relu(),
        size=(6, 6),
        mode="bilinear",
    )[:, 0]
    found = gradcam(coarse, images(2), 0, coarse[1])
    assert (found - expected / expected.amax((1, 2), keepdim=True)).abs().max() < map_bound(
        WEIGHTS[0], means
    )


def test_gradient_is_that_of_the_logit_through_later_layers():
    model = build_model("wrn-10-1", n_classes=4, seed=1).double().eval()
    layer = model.network.features[1]
    kept = []
    hook = layer.register_forward_hook(
        lambda module, given, output: kept.append(output) or output.retain_grad()
    )
    model(images(3, 32).double())[:, 2].sum().backward()
    hook.remove()
    weighted = (kept[0].grad.mean((2, 3), keepdim=True) * kept[0]).sum(1).relu().detach()
    expected = weighted / weighted.amax((1, 2), keepdim=True)
    differences = (gradcam(model, images(3, 32), 2, layer) - expected).abs().amax((1, 2))
    for difference, gradient, output in zip(
        differences, kept[0].grad, kept[0].detach(), strict=True
    ):
        assert difference < map_bound(gradient.mean((1, 2)), output[None])


@pytest.mark.parametrize("name", ["wrn-16-1", "resnet-18", "resnext-29"])
def test_maps_of_the_papers_networks_lie_in_zero_to_one(name):
    model = build_model(name, n_classes=10)
    maps = torch.stack([gradcam(model, images(2, 32), k, last_conv_layer(model)) for k in range(4)])
    assert maps.shape == (4, 2, 32, 32) and maps.dtype == torch.float32 and not maps.requires_grad
    assert maps.min() >= 0 and maps.max() == 1


def test_map_does_not_depend_on_the_batch():
    model = (
        build_model("wrn-10-1", n_classes=10).double().eval()
    )  # the network's own roundings are then too small to be seen
    together = gradcam(model, images(5, 32), 3, last_conv_layer(model))
    alone = [gradcam(model, image[None], 3, last_conv_layer(model))[0] for image in images(5, 32)]
    features = model.network.features(images(5, 32).double() * 2 - 1).detach()
    bound = map_bound(model.network.linear.weight[3].detach(), features)
    assert (together - torch.stack(alone)).abs().max() < bound < 1e-3


def test_uint8_images_give_the_map_of_their_floats():
    model = build_model("wrn-10-1", n_classes=10)
    pixels = (images(2, 32) * 255).to(torch.uint8)
    layer = last_conv_layer(model)
    assert torch.equal(
        gradcam(model, pixels, 0, layer), gradcam(model, pixels.float() / 255, 0, layer)
    )


def test_frozen_network_gives_the_same_map_even_without_grad():
    model = build_model("wrn-10-1", n_classes=10)
    expected = gradcam(model, images(2, 32), 1, last_conv_layer(model))
    model.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(gradcam(model, images(2, 32), 1, last_conv_layer(model)), expected)


@pytest.mark.parametrize(
    "context", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)]
)
def test_the_callers_mode_of_torch_changes_nothing(context):
    model = build_model("wrn-10-1", n_classes=10)
    expected = gradcam(model, images(2, 32), torch.tensor([1, 2]), last_conv_layer(model))
    with context():
        assert torch.equal(
            gradcam(model, images(2, 32), torch.tensor([1, 2]), last_conv_layer(model)), expected
        )


def test_a_model_whose_weights_were_made_in_inference_mode_is_named():
    with torch.inference_mode():
        model = pooled()
    with pytest.raises(
        ValueError, match=r"made under torch\.inference_mode\(\), .*make or load it outside"
    ):
        gradcam(model, images(1), 0, model[0])


def test_no_image_has_no_map():
    model = pooled()
    assert (
        gradcam(model, images(0), 0, model[0]).shape
        == gradcam(model, images(0), [], model[0]).shape
        == (0, 6, 6)
    )


def test_arrays_are_taken_as_tensors_are():
    model = pooled()
    expected = gradcam(model, images(2), torch.tensor([1, 0]), model[0])
    assert torch.equal(
        gradcam(model, images(2).numpy(), np.array([1, 0], np.uint8), model[0]), expected
    )
    assert torch.equal(gradcam(model, images(2).double(), [1, 0], model[0]), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_model_of_another_float_type_has_a_map(dtype):
    model = pooled().to(dtype)
    found = gradcam(model, images(3), 1, model[0])
    assert found.dtype == torch.float32
    coarse = torch.finfo(max_eps(dtype)).eps / torch.finfo(torch.float32).eps
    assert (found - hand_made(images(3), 1)).abs().max() < coarse * map_bound(WEIGHTS[1], images(3))


def max_eps(dtype):
    """The coarser of a type and float32, in which maps are made."""
    return max(dtype, torch.float32, key=lambda one: torch.finfo(one).eps)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (torch.zeros(1, 3, 6, 6, dtype=torch.int64), "got dtype torch.int64"),
        (torch.full((1, 3, 6, 6), 255.0), "got values from 255 to 255"),
        (torch.zeros(1, 5, 6, 6), r"got \(1, 5, 6, 6\)"),
        (torch.zeros(1, 3, 6, 6).to_sparse(), "sparse"),
        (torch.zeros(1, 3, 6, 6, device="meta"), "meta device"),
    ],
)
def test_images_of_another_kind_are_refused(given, words):
    model = pooled()
    with pytest.raises(ValueError, match=words):
        gradcam(model, given, 0, model[0])


def test_a_diverged_network_is_named_and_has_no_blank_map():
    model = pooled()
    model[3].bias.data[0] = float("nan")
    with pytest.raises(ValueError, match="NaN: the network diverged"):
        gradcam(model, images(1), 0, model[0])


def test_layer_followed_by_an_in_place_operation_works():
    model = pooled()
    in_place = nn.Sequential(model[0], nn.ReLU(inplace=True), *model[1:])
    found = gradcam(in_place, images(2), 0, in_place[0])
    assert (found - hand_made(images(2), 0)).abs().max() < map_bound(WEIGHTS[0], images(2))


def test_gradients_modes_and_hooks_are_left_as_found():
    model = build_model("wrn-10-1", n_classes=10).train()
    model.network.linear.eval()
    model(images(2, 32)).sum().backward()
    modes = [module.training for module in model.modules()]
    before = [parameter.grad.clone() for parameter in model.parameters()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    layer = last_conv_layer(model)
    gradcam(model, images(2, 32), 0, layer)
    assert [module.training for module in model.modules()] == modes
    assert all(
        torch.equal(p.grad, grad) for p, grad in zip(model.parameters(), before, strict=True)
    )
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not layer._forward_hooks


def test_hooks_and_modes_are_restored_after_a_failure():
    model = build_model("wrn-10-1", n_classes=10).train()
    layer, model.network.linear = (
        last_conv_layer(model),
        nn.Linear(5, 10),
    )  # of another size: fails in its pass
    with pytest.raises(RuntimeError):
        gradcam(model, images(2, 32), 0, layer)
    assert not layer._forward_hooks and all(module.training for module in model.modules())


def test_compiled_network_gives_the_same_map():
    model = build_model("wrn-10-1", n_classes=10)
    compiled = torch.compile(model, backend="eager")
    layer = last_conv_layer(compiled)
    assert torch.equal(
        gradcam(compiled, images(2, 32), 0, layer), gradcam(model, images(2, 32), 0, layer)
    )


def test_layer_of_another_network_is_refused():
    with pytest.raises(ValueError, match="layer must be a module inside the model"):
        gradcam(pooled(), images(1), 0, pooled()[0])


def test_layer_behind_the_pooling_is_refused():
    model = pooled()
    with pytest.raises(ValueError, match="choose one before the pooling"):
        gradcam(model, images(1), 0, model[3])


def test_layer_that_is_not_run_is_refused():
    model = pooled()
    model[1].unused = nn.Conv2d(3, 3, 1)
    with pytest.raises(ValueError, match="did not run this layer"):
        gradcam(model, images(1), 0, model[1].unused)


@pytest.mark.parametrize("class_index", [3, -1, 0.5, True, torch.tensor(3)])
def test_class_that_is_not_there_is_refused(class_index):
    model = pooled()
    with pytest.raises(ValueError, match=r"integers in 0 \.\. 2, got"):
        gradcam(model, images(1), class_index, model[0])


def test_classes_of_other_images_are_refused():
    model = pooled()
    with pytest.raises(ValueError, match=r"class_index must be one or \(2,\), got \(3,\)"):
        gradcam(model, images(2), [0, 1, 2], model[0])


def test_agreement_is_the_correlation_over_pixels():
    maps, others = (
        torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(0)),
        images(3, 4)[:, 0].repeat(1, 2, 1)[:, :5],
    )
    expected = [
        np.corrcoef(a.ravel(), b.ravel())[0, 1]
        for a, b in zip(maps.numpy(), others.numpy(), strict=True)
    ]
    np.testing.assert_allclose(agreement(maps, others), expected, atol=200 * 2**-53)  # 20 pixels


def test_maps_agree_with_themselves_and_disagree_with_their_negative():
    maps = images(2)[:, 0]
    torch.testing.assert_close(agreement(maps, 0.5 * maps), torch.ones(2).double())
    torch.testing.assert_close(agreement(maps, 1 - maps), -torch.ones(2).double())


def test_map_without_evidence_agrees_with_nothing():
    maps, blank = images(1)[:, 0], torch.zeros(1, 6, 6)
    assert (
        agreement(maps, blank)
        == agreement(blank, blank)
        == agreement(maps, torch.full((1, 6, 6), 0.1))
        == 0
    )


def test_overlay_is_the_dim_image_without_evidence_and_the_colour_with_it():
    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    maps = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])
    drawn = overlay(white, maps)
    assert drawn.shape == (1, 3, 2, 2) and drawn.min() >= 0 and drawn.max() <= 1
    torch.testing.assert_close(
        drawn[0, :, 0, 0], torch.full((3,), 0.7).double(), atol=rounded(6), rtol=0
    )  # grey is float32
    bright = torch.tensor(matplotlib.colormaps["inferno"](1.0)[:3])
    torch.testing.assert_close(
        drawn[0, :, 0, 1], 0.2 * 0.7 + 0.8 * bright.double(), atol=rounded(6), rtol=0
    )
