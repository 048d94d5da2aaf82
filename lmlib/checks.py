"""One sentence for a wrong word or number: what was expected, what came, the nearest name."""

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any


def check_name(kind: str, name: Any, allowed: Iterable) -> Any:
    """Return `name` if it is one of `allowed`.

    Otherwise raise ValueError with the nearest valid name and the list.
    """
    allowed = list(allowed)
    if name in allowed:
        return name
    nearest = difflib.get_close_matches(str(name), [str(word) for word in allowed], n=1, cutoff=0.4)
    hint = f": did you mean '{nearest[0]}'?" if nearest else "."
    raise ValueError(f"unknown {kind} '{name}'{hint} Known: {', '.join(map(str, allowed))}.")


def as_json(value: Any) -> Any:
    """A value as JSON takes it, within dicts and lists, too.

    NumPy's and torch's numbers and arrays become Python's, tuples become lists.
    """
    if isinstance(value, dict):
        return {key: as_json(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(one) for one in value]
    return value.tolist() if hasattr(value, "tolist") else value


def check_whole(name: str, value: Any, low: float, high: float = math.inf) -> int:
    """Return `value` as an int if it is a whole number, low .. high; else raise ValueError.

    NumPy's integers, and arrays and tensors that hold one without a dimension, are whole numbers; a
    bool is none.
    """
    whole = as_json(value)
    if isinstance(whole, bool) or not isinstance(whole, Integral) or not low <= int(whole) <= high:
        bounds = f"at least {low}, got {value} (a whole number is expected)"
        if high < math.inf:
            bounds = f"a whole number from {low} to {high}, got {value}"
        raise ValueError(f"{name} must be {bounds}")
    return int(whole)


def check_range(
    name: str, value: Any, low: float, high: float, low_open: bool = False
) -> int | float:
    """Return `value` as an int or float if low <= value <= high; else raise ValueError.

    low_open: whether `low` itself is refused. Numbers are those of `check_whole`, and any real one.
    """
    number = as_json(value)
    real = isinstance(number, Real) and not isinstance(number, bool)
    if not (real and (low < number if low_open else low <= number) and number <= high):
        raise ValueError(
            f"{name} must lie in {'(' if low_open else '['}{low}, {high}], got {value}"
        )
    return int(number) if isinstance(number, Integral) else float(number)


def check_dense(tensor: Any) -> None:
    """Raise ValueError unless a torch tensor holds its values.

    Sparse, nested and meta tensors do not, and none does inside `vmap`.
    """
    problem = ""
    if tensor.is_nested:
        problem = "nested: pad or stack its parts"
    elif str(tensor.layout) != "torch.strided":
        problem = f"sparse ({tensor.layout}): call to_dense() on it"
    elif tensor.is_meta:
        problem = "on the meta device: it has a shape and no values"
    else:
        try:
            tensor.data_ptr()
        except RuntimeError:
            problem = "inside a transform as torch.func.vmap: call on the whole batch outside of it"
    if problem:
        raise ValueError(f"expected a tensor that holds its values, got one that is {problem}")
