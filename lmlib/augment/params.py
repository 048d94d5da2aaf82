"""Drawn parameters: what they are, room for them, and what is refused."""

from collections import namedtuple
from collections.abc import Mapping
from dataclasses import Field, dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

Size = tuple[int, ...]  # height, width
Sizes = Mapping[Any, int]  # name in the shape of a drawn parameter -> its number
Limits = Mapping[str, tuple[float, float]]  # name of a drawn parameter -> lowest, highest value
DTYPES = {int: np.int64, float: np.float32, bool: np.bool_}


class Drawn(NamedTuple):
    """One drawn array: (B, *shape) of a dtype; a text in the shape is a size that a method sets."""

    dtype: Any
    shape: tuple

    def empty(self, n: int, sizes: Sizes) -> np.ndarray:
        """An array for `n` samples."""
        return np.empty((n, *[sizes.get(size, size) for size in self.shape]), self.dtype)

    def checked(self, name: str, value: Any, n: int, sizes: Sizes, limits: Limits) -> np.ndarray:
        """A value as compiled functions take it; raises ValueError where it does not fit."""
        value, shape = np.asarray(value), tuple(sizes.get(size, size) for size in self.shape)
        if len(value) != n:
            came = f"one for each image, got {len(value)}"
            raise ValueError(f"expected {name} of {n} samples, {came}")
        if value.shape[1:] != shape:
            raise ValueError(f"expected {name} of shape {(n, *shape)}, got {value.shape}")
        far = 1e6 if self.dtype == np.float32 else np.inf
        low, high = limits.get(name, (-far, far))
        if value.size and not low <= value.min() <= value.max() <= high:
            raise ValueError(
                f"expected {name} from {low} to {high}, got {value.min()} to {value.max()}: "
                "take parameters from the sample() of this method"
            )
        return np.ascontiguousarray(value.astype(self.dtype, casting="same_kind"))


def per_sample(kind: type, *shape: int | str) -> Any:
    """A field of `Params`: an array (B, *shape), see `Drawn`, or other parameters of that kind."""
    return field(metadata={"drawn": Drawn(DTYPES[kind], shape) if kind in DTYPES else kind})


@dataclass(frozen=True)
class Params:
    """Drawn parameters: NumPy arrays whose leading axis is the sample, or other parameters.

    `params[chosen]` are those of some samples. Compiled functions take them as `Arrays`, a named
    tuple of the same fields.
    """

    layout: ClassVar[dict[str, Any]] = {}
    Arrays: ClassVar[Any] = tuple

    def __init_subclass__(cls) -> None:
        fields = ((name, value) for name, value in vars(cls).items() if isinstance(value, Field))
        cls.layout = {name: value.metadata["drawn"] for name, value in fields}
        named: Any = namedtuple
        cls.Arrays = named("Arrays", cls.layout, module=cls.__module__)
        cls.Arrays.__qualname__ = f"{cls.__qualname__}.Arrays"  # where numba's cache looks for it

    @classmethod
    def empty(cls, n: int, sizes: Sizes) -> Any:
        """Arrays for `n` samples, to be drawn into. sizes: those that the shapes name."""
        return cls.Arrays(*[part.empty(n, sizes) for part in cls.layout.values()])

    @classmethod
    def of(cls, arrays: Any) -> Any:
        """The parameters that were drawn into arrays."""
        parts = zip(cls.layout.values(), arrays, strict=True)
        return cls(*[one if isinstance(part, Drawn) else part.of(one) for part, one in parts])

    def __getitem__(self, chosen: Any) -> Any:
        parts = vars(self).items()
        return type(self)(**{name: part[chosen] for name, part in parts if part is not None})

    def arrays(self, n: int, sizes: Sizes, limits: Limits) -> Any:
        """The fields as compiled functions take them.

        Raises ValueError where one is not of `n` samples, of another shape or out of its limits.
        """
        parts = ((name, part, getattr(self, name)) for name, part in self.layout.items())
        return self.Arrays(
            *[part.checked(name, one, n, sizes, limits) for name, part, one in parts]
        )

    @classmethod
    def checked(cls, name: str, value: Any, n: int, sizes: Sizes, limits: Limits) -> Any:
        """The same for a field of other parameters."""
        return value.arrays(n, sizes, limits)
