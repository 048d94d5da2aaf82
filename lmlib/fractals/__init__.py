"""The mixing set: fractals, generated or the user's own pictures, prepared as the paper does.

from lmlib.fractals import mixing_set

fractals = mixing_set("generated", n_fractals=500, size=36)
"""

from .mixing_sets import MixingSet, mixing_set, prepare

__all__ = ["MixingSet", "mixing_set", "prepare"]
