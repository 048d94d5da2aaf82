"""One value in every layout that memory may have: a function makes the same bytes of each."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

CONTIGUOUS = torch.contiguous_format


class Laid(NamedTuple):
    """A value in a layout, as a function gets it, and the memory that it reaches over, with gaps."""

    layout: str
    value: np.ndarray | torch.Tensor
    memory: np.ndarray | torch.Tensor


def arrays(array: np.ndarray) -> Iterator[Laid]:
    """An array (N, ...) in each layout; in "expanded" every row is the first."""
    for layout, axes in orders(array.ndim).items():
        memory = np.ascontiguousarray(array.transpose(axes))
        yield Laid(layout, memory.transpose(np.argsort(axes)), memory)
    for layout, within in places(array.ndim).items():
        memory = np.zeros([2 * length + 3 for length in array.shape], array.dtype)
        view = memory[within(array.shape)]
        view[...] = array
        yield Laid(layout, view, memory)
    read_only = array.copy()
    read_only.flags.writeable = False
    yield Laid("read-only", read_only, read_only)
    first = array[:1].copy()
    yield Laid("expanded", np.broadcast_to(first, array.shape), first)


def tensors(array: np.ndarray) -> Iterator[Laid]:
    """The same as tensors: of the memory of arrays, of torch's own, of bytes that are neither's."""
    for layout, value, memory in arrays(array):
        if layout == "expanded":
            yield Laid(layout, torch.from_numpy(memory).expand(value.shape), memory)
        elif layout not in ("backwards", "read-only"):
            yield Laid(layout, torch.from_numpy(value), memory)
    if array.ndim == 4:
        laid = torch.from_numpy(array.copy()).to(memory_format=torch.channels_last)
        yield Laid("channels_last", laid, laid)
    memory = bytearray(array.tobytes())
    borrowed = torch.frombuffer(memory, dtype=torch.from_numpy(array[:0].copy()).dtype)
    yield Laid("not its own", borrowed.view(array.shape), borrowed)


def orders(n_axes: int) -> dict[str, list[int]]:
    """The orders of axes in memory."""
    axes = list(range(n_axes))
    return {
        "contiguous": axes,
        "transposed": [0, *axes[2:], *axes[1:2]],
        "Fortran-ordered": axes[::-1],
    }


def places(n_axes: int) -> dict[str, Callable]:
    """Which part of a larger memory is the value, for a shape."""
    return {
        "sliced": lambda shape: tuple(slice(1, 1 + length) for length in shape),
        "strided": lambda shape: tuple(slice(1, 1 + 2 * length, 2) for length in shape),
        "backwards": lambda shape: tuple(slice(length, 0, -1) for length in shape),
    }


def in_memory(result) -> object:
    """Whatever a function returned, as bytes with shapes and types: == compares every bit."""
    if isinstance(result, torch.Tensor):
        values = result.detach().cpu().reshape(-1).view(torch.uint8)
        return str(result.dtype), tuple(result.shape), values.numpy().tobytes()
    if isinstance(result, (np.ndarray, np.generic, float, int)):
        result = np.asarray(result)
        return str(result.dtype), result.shape, result.tobytes()
    if isinstance(result, dict):
        return {name: in_memory(value) for name, value in result.items()}
    if isinstance(result, (tuple, list)):
        return [in_memory(value) for value in result]
    return in_memory(vars(result))


def check(function: Callable, array: np.ndarray, kinds=(arrays, tensors)) -> None:
    """Assert that `function` makes the same bytes of an array in every layout, writing into none.

    kinds: which of `arrays` and `tensors` it takes; a kind is compared with its own contiguous
    value.
    """
    for kind in kinds:
        for layout, value, memory in kind(array):
            plain = value.copy() if kind is arrays else value.clone(memory_format=CONTIGUOUS)
            expected, before = function(plain), in_memory(memory)
            assert in_memory(function(value)) == in_memory(expected), f"{kind.__name__}, {layout}"
            assert in_memory(memory) == before, f"{kind.__name__}, {layout}: written to"
