"""The methods: every row of the paper's tables by name, each a keyed augmentation, compiled.

method = build_method("layermix", mixing_set=mixing_set, magnitude=8)
images = method(images, seed=0, epoch=0, index=index)
"""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..checks import check_name
from .augmix import AugMix
from .base import Augmentation, Baseline
from .erasing import Cutout, RandomErasing
from .ipmix import IPMix
from .layermix import LayerMix
from .mixup import CutMix, Mixup
from .outlier_exposure import OutlierExposure
from .pixmix import PixMix
from .policies import AutoAugment, RandAugment, TrivialAugment
from .windows import FlipCrop

__all__ = [
    "METHODS",
    "Augmentation",
    "Baseline",
    "FlipCrop",
    "LayerMix",
    "Method",
    "build_method",
    "check_method",
]


VERSION = 2  # raised by hand when the images of a method change


@dataclass(frozen=True)
class Method:
    """A row of the tables: what builds it, with which parameters, and its loss.

    loss: that of a training, unless a run says otherwise; published_loss: of the paper's rows, None
    where it has no row or does not say; fractals: the mixing set of its published rows.
    """

    build: type[Augmentation]
    parameters: dict[str, Any] = field(default_factory=dict)
    loss: str = "ce"
    published_loss: str | None = None
    fractals: str = "grey"  # or "colour"

    @property
    def settings(self) -> dict[str, Any]:
        """The parameters that a run may set, with their defaults."""
        own = inspect.signature(self.build).parameters
        return {name: own[name].default for name in own if name != "mixing_set"} | self.parameters

    @property
    def needs_mixing_set(self) -> bool:
        """Whether it mixes with pictures."""
        return "mixing_set" in inspect.signature(self.build).parameters


COLOUR: dict[str, Any] = {"published_loss": "ce", "fractals": "colour"}
METHODS = {
    "baseline": Method(Baseline, published_loss="ce"),
    "cutout": Method(Cutout, published_loss="ce"),
    "random_erasing": Method(RandomErasing),
    "mixup": Method(Mixup, published_loss="ce"),
    "cutmix": Method(CutMix, published_loss="ce"),
    "autoaugment": Method(AutoAugment, published_loss="ce"),
    "randaugment": Method(RandAugment),
    "trivialaugment": Method(TrivialAugment),
    # As in its paper; the row is quoted from PixMix's, which does not say.
    "augmix": Method(AugMix, loss="jsd"),
    "oe": Method(OutlierExposure, loss="oe", published_loss="oe", fractals="colour"),
    "pixmix": Method(PixMix, **COLOUR),
    "pixmix_k3": Method(PixMix, {"k": 3}, **COLOUR),
    "pixmix_released": Method(PixMix, {"ops": "released"}, **COLOUR),
    "ipmix": Method(IPMix, **COLOUR),  # the main tables; its own code trains with jsd
    "layermix": Method(LayerMix, published_loss="ce"),
    "layermix_released": Method(LayerMix, {"ops": "released"}, published_loss="ce"),
    "layermix_iid": Method(LayerMix, {"shared": False}),
}
"""Name -> `Method`. Table 5 also has rows of PixMix, IPMix and LayerMix with the loss `jsd`."""


def check_method(name: str, parameters: Iterable[str]) -> Method:
    """Return the `Method`; raise ValueError for an unknown name or parameter, with the nearest."""
    method = METHODS[check_name("method", name, METHODS)]
    for parameter in parameters:
        check_name(f"parameter of {name}", parameter, method.settings)
    return method


def build_method(name: str, *, mixing_set: Any = None, **parameters: Any) -> Any:
    """The augmentation of that name.

    mixing_set: for the methods that mix with pictures; parameters: over the defaults. Raises
    ValueError for an unknown name or parameter, a value out of range, or a missing mixing set.
    """
    method = check_method(name, parameters)
    settings = method.parameters | parameters
    if not method.needs_mixing_set:
        return method.build(**settings)
    if mixing_set is None:
        raise ValueError(
            f"{name} mixes with pictures and got none: pass mixing_set "
            "(lmlib.fractals.mixing_set makes one)"
        )
    return method.build(mixing_set, **settings)  # type: ignore[call-arg]
