import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import safetensors.torch
import torch
from torch import nn
from torchvision.models import resnet50

from lmlib.models.networks import (
    NETWORKS,
    build_model,
    check_network,
    initialise,
    last_conv_layer,
    n_parameters,
    plain,
)

SAME = 1e-9  # float64: ten million roundings, of which a chain of 20 layers with 5,000 products each has a hundredth
SMALL = dict(n_classes=10, image_size=32, seed=0)


def images(n, side=32, seed=1):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def same_bytes(model, other):
    pairs = zip(model.state_dict().items(), other.state_dict().items(), strict=True)
    return all(
        name == name2 and torch.equal(value, value2) for (name, value), (name2, value2) in pairs
    )


def last_layer(model):
    return [module for module in model.modules() if isinstance(module, nn.Linear)][-1]


def features(model, given):
    """What `last_conv_layer` puts out, and the logits."""
    seen = []
    hook = last_conv_layer(model).register_forward_hook(
        lambda module, given, output: seen.append(output)
    )
    with torch.no_grad():
        logits = model(given)
    hook.remove()
    return seen[-1], logits


@pytest.mark.parametrize(
    ("name", "n_classes", "millions"),
    [
        ("wrn-40-4", 10, 8.9),
        ("wrn-28-10", 10, 36.5),
        ("resnet-18", 10, 11.2),
        ("resnext-29", 100, 6.9),
    ],
)
def test_parameters_are_as_many_as_the_paper_says(name, n_classes, millions):
    assert round(n_parameters(build_model(name, n_classes=n_classes)) / 1e6, 1) == millions


@pytest.mark.parametrize("name", ["wrn-10-1", "wrn-16-2", "resnet-18", "resnext-29"])
def test_100_classes_add_only_their_rows_of_the_last_layer(name):
    ten, hundred = (build_model(name, n_classes=n) for n in (10, 100))
    n_features = last_layer(ten).in_features
    assert n_parameters(hundred) - n_parameters(ten) == 90 * (n_features + 1)


@pytest.mark.parametrize("depth, widen", [(10, 1), (16, 1), (16, 2), (22, 3)])
def test_wrn_parameters_agree_with_the_count_by_hand(depth, widen):
    per_stage = (depth - 4) // 6
    count, n_in = 3 * 9 * 16, 16
    for width in (16 * widen, 32 * widen, 64 * widen):
        for _ in range(per_stage):
            count += (
                2 * n_in
                + 9 * n_in * width
                + 2 * width
                + 9 * width * width
                + (n_in * width if n_in != width else 0)
            )
            n_in = width
    count += 2 * n_in + 10 * n_in + 10
    assert n_parameters(build_model(f"wrn-{depth}-{widen}", n_classes=10)) == count


def test_resnet_50_is_torchvisions():
    model = build_model("resnet-50", n_classes=200, image_size=224)
    with torch.device("meta"):
        reference = resnet50(num_classes=200)
    assert {k: v.shape for k, v in model.network.state_dict().items()} == {
        k: v.shape for k, v in reference.state_dict().items()
    }


def test_dropout_is_the_papers_in_large_networks_and_absent_in_small_ones():
    def rates(name):
        return {
            module.p
            for module in build_model(name, n_classes=10).modules()
            if isinstance(module, nn.Dropout)
        }

    assert rates("wrn-40-4") == rates("wrn-28-10") == {0.3}
    assert (
        rates("wrn-10-1") == rates("wrn-16-1") == rates("wrn-16-2") == rates("resnet-18") == set()
    )


@pytest.mark.parametrize("name", ["wrn-16-1", "wrn-16-2", "resnet-18", "resnext-29"])
def test_networks_end_at_8_by_8_or_4_by_4(name):
    model = build_model(name, n_classes=7).eval()
    last, logits = features(model, images(2))
    assert logits.shape == (2, 7)
    assert last.shape[2:] == ((4, 4) if name == "resnet-18" else (8, 8))


def test_wide_block_is_preactivation_with_dropout_between_the_convolutions():
    block = build_model("wrn-40-4", n_classes=10).network.features[1]
    kinds = [type(module).__name__ for module in [*block.activate, *block.branch]]
    assert kinds == ["BatchNorm2d", "ReLU", "Conv2d", "BatchNorm2d", "ReLU", "Dropout", "Conv2d"]


def test_normalisation_maps_zero_and_one_to_minus_one_and_one():
    model = build_model("wrn-10-1", **SMALL)
    model.network = nn.Identity()
    given = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)
    assert model(given).flatten().tolist() == [-1, 0, 1]


def test_uint8_and_float_images_give_the_same_logits():
    model = build_model("wrn-10-1", **SMALL).eval()
    pixels = (images(3) * 255).to(torch.uint8)
    assert torch.equal(model(pixels), model(pixels.float() / 255))


def test_integer_images_other_than_uint8_are_refused():
    with pytest.raises(ValueError, match=r"uint8 or float in \[0, 1\], got torch.int64"):
        build_model("wrn-10-1", **SMALL)(torch.zeros(1, 3, 32, 32, dtype=torch.int64))


def test_same_seed_same_bytes_and_another_seed_other_weights():
    first, again, other = (build_model("wrn-16-2", n_classes=10, seed=seed) for seed in (3, 3, 4))
    assert same_bytes(first, again)
    for layer, layer2 in zip(first.modules(), other.modules(), strict=True):
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            assert not torch.equal(layer.weight, layer2.weight)


@pytest.mark.parametrize("name", ["wrn-40-4", "resnet-18", "resnext-29", "resnet-50"])
def test_global_generator_is_neither_read_nor_set(name):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = build_model(name, n_classes=10, image_size=NETWORKS[name])
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(6)
    assert same_bytes(first, build_model(name, n_classes=10, image_size=NETWORKS[name]))


def test_weights_are_the_same_whatever_other_threads_build():
    alone = build_model("wrn-10-1", n_classes=10, seed=1)
    with ThreadPoolExecutor(4) as pool:
        built = list(
            pool.map(lambda seed: build_model("wrn-10-1", n_classes=10, seed=seed), [0, 1, 2, 1])
        )
    assert same_bytes(alone, built[1]) and same_bytes(alone, built[3])


@pytest.mark.parametrize("name", ["wrn-16-2", "resnext-29", "resnet-50"])
def test_convolutions_start_normal_with_variance_2_over_fan_out(name):
    model = build_model(name, n_classes=10, image_size=NETWORKS[name])
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            n = layer.weight.numel()
            z = layer.weight.detach() * math.sqrt(
                layer.out_channels * layer.kernel_size[0] ** 2 / 2
            )
            # within 5 standard errors of the mean and of the variance
            assert abs(z.mean()) < 5 / math.sqrt(n)
            assert abs((z**2).mean() - 1) < 5 * math.sqrt(2 / n)


def test_batch_norm_and_last_layer_start_as_published():
    model = build_model("resnet-18", n_classes=100)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all() and (layer.bias == 0).all()
            assert (layer.running_mean == 0).all() and (layer.running_var == 1).all()
            assert layer.num_batches_tracked == 0
    linear = last_layer(model)
    bound, n = 1 / math.sqrt(512), linear.weight.numel()
    assert (linear.bias == 0).all() and linear.weight.abs().max() <= bound
    assert abs(linear.weight.var() * 3 / bound**2 - 1) < 5 * math.sqrt(
        0.8 / n
    )  # var of u**2 over its squared mean


@pytest.mark.parametrize(
    "name", ["wrn-10-1", "wrn-40-4", "resnet-18", "resnext-29", "resnet-50", "airbench-16"]
)
def test_initialisation_leaves_nothing_of_the_memory_it_got(name):
    model = build_model(name, n_classes=10, image_size=NETWORKS[name], seed=2)
    spoilt = build_model(name, n_classes=10, image_size=NETWORKS[name], seed=3)
    for value in spoilt.state_dict().values():
        value.fill_(99)
    initialise(spoilt, seed=2)
    assert same_bytes(model, spoilt)


@pytest.mark.parametrize("name", ["wrn-10-1", "resnext-29", "airbench-16"])
def test_channels_last_gives_the_same_logits(name):
    model = build_model(name, n_classes=10).double().eval()
    with torch.no_grad():
        expected = model(images(2).double())
        model.to(memory_format=torch.channels_last)
        given = images(2).double().to(memory_format=torch.channels_last)
        torch.testing.assert_close(model(given), expected, atol=SAME, rtol=SAME)


@pytest.mark.parametrize("name", ["wrn-10-1", "resnet-18", "airbench-8"])
def test_compiles_as_one_graph_with_the_same_logits_and_gradients(name):
    model, reference = (build_model(name, n_classes=10).double() for _ in range(2))
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    for one in (compiled, reference):
        one(images(4).double()).square().sum().backward()
    for parameter, expected in zip(model.parameters(), reference.parameters(), strict=True):
        if not expected.requires_grad:
            continue
        bound = SAME * float(expected.grad.abs().max())
        torch.testing.assert_close(parameter.grad, expected.grad, atol=bound, rtol=0)


def test_checkpoint_has_the_same_names_compiled_or_not(tmp_path):
    model, other = (
        build_model("wrn-10-1", n_classes=10, seed=0),
        build_model("wrn-10-1", n_classes=10, seed=1),
    )
    compiled, compiled_other = (torch.compile(one, backend="eager") for one in (model, other))
    safetensors.torch.save_file(plain(compiled).state_dict(), tmp_path / "weights.safetensors")
    state = safetensors.torch.load_file(tmp_path / "weights.safetensors")
    assert set(state) == set(plain(model).state_dict())
    plain(compiled_other).load_state_dict(state)
    assert same_bytes(model, other)


@pytest.mark.parametrize("name", ["wrn-10-1", "resnet-18", "resnext-29"])
def test_a_step_learns_and_every_weight_takes_part(name):
    model = build_model(name, n_classes=3)
    labels = torch.tensor([0, 1, 2])
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for _ in range(4):
        loss = nn.functional.cross_entropy(model(images(3)), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters())


@pytest.mark.parametrize("name", ["wrn-16-1", "resnext-29"])
def test_last_conv_layer_is_what_the_classifier_pools(name):
    model = build_model(name, n_classes=10).double().eval()
    pooled, logits = features(model, images(2).double())
    torch.testing.assert_close(last_layer(model)(pooled.mean((2, 3))), logits, atol=SAME, rtol=SAME)


def test_last_conv_layer_of_resnet_50_is_its_last_stage():
    model = build_model("resnet-50", n_classes=10, image_size=224)
    assert last_conv_layer(model) is model.network.layer4


def test_unknown_network_gets_the_nearest_name():
    with pytest.raises(ValueError, match="unknown network 'resnet18': did you mean 'resnet-18'"):
        build_model("resnet18", n_classes=10)


@pytest.mark.parametrize("name", ["wrn-12-1", "wrn-4-1", "wrn-41-4", "wrn-10-0"])
def test_impossible_wide_network_is_named(name):
    with pytest.raises(ValueError, match=rf"6 n \+ 4.*got '{name}'"):
        build_model(name, n_classes=10)


@pytest.mark.parametrize(
    ("name", "side", "right"), [("resnet-50", 32, 224), ("wrn-40-4", 224, 32), ("wrn-22-3", 28, 32)]
)
def test_images_of_another_size_are_refused_before_anything_is_built(name, side, right):
    with pytest.raises(ValueError, match=f"{name} takes images of {right} px, got {side} px"):
        check_network(name, side)
    with pytest.raises(ValueError, match=f"{name} takes images of {right} px, got {side} px"):
        build_model(name, n_classes=10, image_size=side)


def test_fewer_than_two_classes_are_refused():
    with pytest.raises(ValueError, match="n_classes must be at least 2, got 1"):
        build_model("wrn-10-1", n_classes=1)
