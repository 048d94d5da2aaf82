"""LayerMix and what it is compared with: the vocabulary of the notebooks in `notebooks/`."""

from .augment import METHODS, LayerMix, build_method

__all__ = ["METHODS", "LayerMix", "build_method"]
