import json
from fractions import Fraction

import numpy as np
import pytest
import torch

from lmlib.checks import as_json, check_range, check_whole

ONES = [
    1,
    np.int64(1),
    np.uint8(1),
    np.array(1),
    torch.tensor(1),
    torch.tensor(1, dtype=torch.int16),
]
BOOLS = [True, False, np.True_, np.array(True), torch.tensor(True)]


@pytest.mark.parametrize("one", ONES, ids=repr)
def test_a_whole_number_of_any_library_is_pythons(one):
    assert check_whole("n", one, 0, 3) == 1 and type(check_whole("n", one, 0, 3)) is int
    assert type(check_range("n", one, 0, 3)) is int


@pytest.mark.parametrize(
    "half", [0.5, np.float32(0.5), np.float64(0.5), torch.tensor(0.5), Fraction(1, 2)], ids=repr
)
def test_a_fraction_of_any_library_is_pythons_and_no_whole_number(half):
    assert check_range("x", half, 0, 1) == 0.5 and type(check_range("x", half, 0, 1)) is float
    with pytest.raises(ValueError, match="n must be a whole number from 0 to 3, got"):
        check_whole("n", half, 0, 3)


@pytest.mark.parametrize(
    "wrong", [*BOOLS, None, "1", [1], np.array([1]), 1j, np.complex64(1), {}], ids=repr
)
def test_a_bool_and_what_is_no_number_are_refused(wrong):
    with pytest.raises(ValueError, match="n must be a whole number from 0 to 3, got"):
        check_whole("n", wrong, 0, 3)
    with pytest.raises(ValueError, match=r"x must lie in \[0, 3\], got"):
        check_range("x", wrong, 0, 3)


@pytest.mark.parametrize("wrong", [-1, 4, np.int64(4), float("nan"), float("inf")], ids=repr)
def test_a_number_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match=r"x must lie in \[0, 3\], got"):
        check_range("x", wrong, 0, 3)
    with pytest.raises(ValueError, match="n must be a whole number from 0 to 3, got"):
        check_whole("n", wrong, 0, 3)


def test_an_open_bound_is_outside():
    with pytest.raises(ValueError, match=r"x must lie in \(0, 1\], got 0"):
        check_range("x", 0, 0, 1, low_open=True)


def test_numbers_and_arrays_of_every_library_are_json():
    value = {
        "n": np.int64(3),
        "x": [np.float32(0.5), torch.tensor(2)],
        "yes": np.True_,
        "row": np.arange(2),
        "t": (1, "a"),
    }
    assert json.loads(json.dumps(as_json(value))) == {
        "n": 3,
        "x": [0.5, 2],
        "yes": True,
        "row": [0, 1],
        "t": [1, "a"],
    }
    assert type(as_json(np.True_)) is bool
