"""What the paper argues with but does not show: variants of a method, and which of them are compared, paired by seed."""

from typing import NamedTuple


class Ablation(NamedTuple):
    """Runs that differ in one thing. variants: label -> what differs, as `run_settings` takes it; pairs: (ours, reference)."""

    title: str
    variants: dict
    pairs: tuple


def against_first(title, variants):
    """An `Ablation` whose first variant is the reference of all others."""
    first, *others = variants
    return Ablation(title, variants, tuple((other, first) for other in others))


def layermix(**changes):
    """A variant of LayerMix: its parameters, or the run's `fractals`."""
    fractals = {"fractals": changes.pop("fractals")} if "fractals" in changes else {}
    return {"method": "layermix"} | ({"parameters": changes} if changes else {}) | fractals


SHARED = {
    f"shared, m = {m}": {"method": "layermix", "parameters": {"magnitude": m}} for m in (3, 5, 8)
}
IID = {
    f"IID, m = {m}": {"method": "layermix_iid", "parameters": {"magnitude": m}} for m in (3, 5, 8)
}
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
        {
            "PixMix": {"method": "pixmix"},
            "k = 3": {"method": "pixmix_k3"},
            "released": {"method": "pixmix_released"},
        },
    ),
}
