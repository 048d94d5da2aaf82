"""LayerMix and what it is compared with: the vocabulary of the notebooks in `notebooks/`.

The names below are imported when they are asked for, so that the command line can check its words
before torch is loaded.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .augment import METHODS, LayerMix, build_method

__all__ = ["METHODS", "LayerMix", "build_method"]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'lmlib' has no attribute '{name}'")
    from . import augment

    return getattr(augment, name)
