"""What `torch.compile` leaves alone."""

import functools
from collections.abc import Callable

import torch


def outside_graphs(function: Callable) -> Callable:
    """`function` as `torch.compile` leaves it: called as it is, between two graphs.

    Draws are NumPy's, whose integers no graph has. `torch.compiler.disable` comes with the call: as
    a decorator it would import the compiler, for a second or two, where nobody compiles.
    """

    @functools.wraps(function)
    def called(*args, **kwargs):
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*args, **kwargs)
        return function(*args, **kwargs)

    return called
