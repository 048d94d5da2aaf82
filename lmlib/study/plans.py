"""Which runs each notebook needs, as a function of a profile's name.

A run's settings are plain values, as `05-train` takes them; runs that several notebooks want are
one run. `PLANS` holds the plans; a notebook's metadata names the one that it needs. `ABLATIONS` are
what the paper argues with but does not show: variants of a method, compared in pairs.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from ..checks import as_json
from .profiles import MIXERS, PROFILES, get_profile

Settings = dict[str, Any]


class Ablation(NamedTuple):
    """Runs that differ in one thing.

    variants: label -> what differs, as `run_settings` takes it; pairs: (ours, reference).
    """

    title: str
    variants: dict[str, Settings]
    pairs: tuple[tuple[str, str], ...]


def against_first(title: str, variants: dict[str, Settings]) -> Ablation:
    """An `Ablation` whose first variant is the reference of all others."""
    first, *others = variants
    return Ablation(title, variants, tuple((other, first) for other in others))


def layermix(fractals: str | None = None, **parameters: Any) -> Settings:
    """A variant of LayerMix: its parameters, and the colour of its mixing set."""
    variant = {"method": "layermix", "parameters": parameters, "fractals": fractals}
    return {key: value for key, value in variant.items() if value}


SHARED = {f"shared, m = {m}": layermix(magnitude=m) for m in (3, 5, 8)}
IID = {f"IID, m = {m}": layermix(magnitude=m) | {"method": "layermix_iid"} for m in (3, 5, 8)}
DEFAULT = {"LayerMix": layermix()}

ABLATIONS = {
    "shared": Ablation(
        "Shared or IID operation (C10)", SHARED | IID, tuple(zip(SHARED, IID, strict=True))
    ),
    "layers": against_first(
        "Layers (C11)",
        DEFAULT
        | {f"layer {layer} alone": layermix(layers=[layer]) for layer in (1, 2, 3)}
        | {"layers 1 and 2, no fractal": layermix(layers=[1, 2])},
    ),
    "blends": against_first(
        "Blend weights (C12)",
        {"1/3, 1/3, 1/6, 1/6": layermix()}
        | {"1/4 each": layermix(probabilities=[0.25] * 4)}
        | {"add and multiply alone": layermix(probabilities=[0.5, 0.5, 0, 0])}
        | {"pixels and elements alone": layermix(probabilities=[0, 0, 0.5, 0.5])},
    ),
    "fractals": against_first(
        "Mixing set: grey x flips",
        {"grey, flips": layermix()}
        | {"grey, no flips": layermix(flips=False)}
        | {"colour, flips": layermix(fractals="colour")}
        | {"colour, no flips": layermix(fractals="colour", flips=False)},
    ),
    "operations": against_first(
        "Operations of the paper or of the release",
        DEFAULT | {"released operations": {"method": "layermix_released"}},
    ),
    "pixmix": against_first(
        "PixMix in three readings",
        {"PixMix": {"method": "pixmix"}}
        | {"k = 3": {"method": "pixmix_k3"}}
        | {"released": {"method": "pixmix_released"}},
    ),
}


def datasets_of(profile: str) -> tuple[str, ...]:
    """The datasets of a profile. Raises ValueError for one that trains nothing, as of photographs.

    So does every plan of runs that such a profile does not have.
    """
    if not (datasets := get_profile(profile).datasets):
        training = ", ".join(one.name for one in PROFILES.values() if one.datasets)
        raise ValueError(f"the profile {profile} trains nothing: choose one of {training}")
    return datasets


def run_settings(profile: str, **changes: Any) -> Settings:
    """The settings of one run of a profile, as `05-train` takes them: `changes` over its own."""
    sizes = get_profile(profile)
    settings = {
        "profile": sizes.name,
        "dataset": datasets_of(profile)[0],
        "method": "layermix",
        "network": sizes.network,
        "epochs": sizes.epochs,
        "seed": sizes.seeds[0],
    }
    return as_json(settings | changes)


def with_seeds(
    profile: str, variants: Iterable[Mapping[str, Any]], seeds: Sequence[int] = ()
) -> list[Settings]:
    """The settings of variants, which say what differs from the profile's own run.

    Each has `seeds`; without them every seed of the profile where its method is replicated there,
    else the first seed alone.
    """
    sizes, settings = get_profile(profile), []
    for variant in variants:
        own = sizes.seeds if variant["method"] in sizes.replicated else sizes.seeds[:1]
        settings += [run_settings(profile, **variant, seed=seed) for seed in seeds or own]
    return settings


def one_run(profile: str) -> list[Settings]:
    """Notebooks 05 and 06: LayerMix on the first dataset with the first seed."""
    return [run_settings(profile)]


def comparison(profile: str) -> list[Settings]:
    """Notebooks 07 and 08: baseline and LayerMix with every seed, on the first dataset."""
    return with_seeds(profile, [{"method": "baseline"}, {"method": "layermix"}])


def every_method(profile: str) -> list[Settings]:
    """Tables 3 and 4, Figures 3, 5 and 9: all methods on the first dataset, `few` on the others.

    The others have seeds of their own, unless `few` are all methods.
    """
    sizes, (first, *others) = get_profile(profile), datasets_of(profile)
    full = [{"dataset": first, "method": method} for method in sizes.methods]
    further = [{"dataset": dataset, "method": method} for dataset in others for method in sizes.few]
    seeds = () if sizes.is_full else sizes.few_seeds
    return with_seeds(profile, full) + with_seeds(profile, further, seeds)


def table_dataset(profile: str) -> str:
    """The dataset of Tables 5 to 7.

    It is CIFAR-100 as in the paper where the profile gives it all methods, else the first one.
    """
    return datasets_of(profile)[-1 if get_profile(profile).is_full else 0]


def table_5(profile: str) -> list[Settings]:
    """With JSD or not, grey or colour, for PixMix, IPMix and LayerMix; LayerMix for longer."""
    sizes = get_profile(profile)
    dataset: Settings = {"dataset": table_dataset(profile)}
    variants = [dataset | {"method": "baseline"}]
    if sizes.long_epochs is None:
        plain = [dataset | {"method": method} for method in MIXERS]
        consistent = [one | {"loss": "jsd"} for one in plain if sizes.jsd]
        return with_seeds(profile, variants + plain) + with_seeds(
            profile, consistent, sizes.seeds[:1]
        )
    losses_and_sets = [
        dataset | {"loss": loss, "fractals": fractals}
        for loss, fractals in product(("ce", "jsd"), ("colour", "grey"))
    ]
    variants += [one | {"method": method} for method in MIXERS for one in losses_and_sets]
    long = {"method": "layermix", "epochs": sizes.long_epochs}
    variants += [one | long for one in losses_and_sets]
    # JSD trains on three views: plain training for three times as long costs as much.
    variants += [dataset | {"method": "layermix", "epochs": 3 * sizes.epochs}]
    return with_seeds(profile, variants)


def table_6(profile: str) -> list[Settings]:
    """Magnitude x beta.

    The cell of the defaults gets every seed, as its spread is what the others are judged by; the
    others get them where every method does. That cell is LayerMix's own run.
    """
    sizes, settings = get_profile(profile), []
    every_cell = sizes.replicated == sizes.methods
    shared: Settings = {"method": "layermix", "dataset": table_dataset(profile)}
    for m, b in product(sizes.magnitudes, sizes.betas):
        cell = shared | {"parameters": {"magnitude": m, "beta": b}}
        seeds = sizes.seeds if every_cell or (m, b) == (8, 3) else sizes.seeds[:1]
        settings += with_seeds(profile, [cell], seeds)
    return settings


def table_7(profile: str) -> list[Settings]:
    """Networks, each with its own schedule."""
    sizes, dataset, settings = get_profile(profile), table_dataset(profile), []
    for network, epochs in sizes.networks:
        shared = {"dataset": dataset, "network": network, "epochs": epochs}
        variants = [shared | {"method": method} for method in sizes.network_methods]
        seeds = sizes.seeds[:1] if (network, epochs) in sizes.single else ()
        settings += with_seeds(profile, variants, seeds)
    return settings


def ablations(profile: str) -> list[Settings]:
    """The baseline and every variant of `ABLATIONS`.

    In a profile without them: those of its methods, each once and as it is by default.
    """
    sizes, dataset = get_profile(profile), {"dataset": table_dataset(profile)}
    variants = [one for ablation in ABLATIONS.values() for one in ablation.variants.values()]
    variants = [{"method": "baseline"}, *variants]
    if not sizes.ablation_seeds:
        methods = dict.fromkeys(variant["method"] for variant in variants)
        variants = [{"method": method} for method in methods if method in sizes.methods]
    seeds = sizes.ablation_seeds or sizes.seeds[:1]
    return with_seeds(profile, [dataset | variant for variant in variants], seeds)


ON_IMAGENET: dict[str, Settings] = {
    "mixup": {"alpha": 0.2},
    "pixmix": {"k": 4, "beta": 4, "magnitude": 1},
    "ipmix": {"k": 4, "beta": 4, "magnitude": 1, "patch_sizes": [4, 8, 16, 32, 64, 224]},
}
"""Parameters for ImageNet, of the paper's Section 4.3.1 and of Mixup's own paper; the sizes of
IPMix's patches are those of its released program for ImageNet."""


def imagenet(profile: str) -> list[Settings]:
    """Tables 8 and 9, Figures 4, 5 and 9: the methods of a profile of ImageNet, else nothing.

    For Table 9 also LayerMix with the settings of PixMix; for Table 8 once more plain training and
    LayerMix as the released program trains, with its magnitude, first seed alone.
    """
    sizes = get_profile(profile)
    if not sizes.is_imagenet:
        return []
    variants = [{"method": one, "parameters": ON_IMAGENET.get(one, {})} for one in sizes.methods]
    if sizes.datasets == ("imagenet-1k",):
        return with_seeds(profile, [*variants, layermix(magnitude=1, beta=4)])
    released = {"method": "layermix_released", "parameters": {"magnitude": 3}}
    as_released = [
        one | {"recipe": "imagenet_released"} for one in ({"method": "baseline"}, released)
    ]
    return with_seeds(profile, variants) + with_seeds(profile, as_released, sizes.seeds[:1])


def variants_of(ablation: Ablation, profile: str) -> dict[str, list[Settings]]:
    """The runs of each variant of an ablation in a profile: label -> settings, one per seed."""
    sizes, dataset = get_profile(profile), table_dataset(profile)
    seeds = sizes.ablation_seeds or sizes.seeds
    return {
        label: [run_settings(profile, dataset=dataset, **variant, seed=seed) for seed in seeds]
        for label, variant in ablation.variants.items()
    }


def whole_study(profile: str) -> list[Settings]:
    """The settings of every run that a notebook needs; some may name the same run."""
    wanted = get_profile(profile).plans
    plans = [plan for plan in PARTS if not wanted or plan.__name__ in wanted]
    return [settings for plan in plans for settings in plan(profile)]


PARTS = (one_run, comparison, every_method, table_5, table_6, table_7, ablations, imagenet)
PLANS = {plan.__name__: plan for plan in (*PARTS, whole_study)}
"""Name -> plan, as the metadata of the notebooks names it."""
