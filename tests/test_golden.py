"""What the library draws and makes is what the witness says: see `golden`, which makes golden.json."""

import json

import golden
import numpy as np
import pytest

KNOWN = json.loads(golden.FILE.read_text())


def moved(section):
    """The names in a section whose bytes, or numbers where this platform has no checksum, are others than known."""
    known, platform = KNOWN[section], golden.platform_name()
    made = golden.witness(section)
    differing = sorted(set(made) ^ {*known["exact"], *known["processor"]})
    for name, (kind, checksum, number, _) in made.items():
        if kind == "exact":
            same = known["exact"].get(name) == checksum
        elif platform in (checksums := known["processor"].get(name, {})):
            same = checksums[platform] == checksum
        else:
            expected, tolerance = known["numbers"].get(name, (np.nan, 0))
            same = abs(number - expected) <= tolerance
        if not same:
            differing.append(name)
    return differing


@pytest.mark.parametrize("section", golden.SECTIONS)
def test_what_is_drawn_and_made_is_what_the_witness_says(section):
    module = golden.SECTIONS[section][0]
    differing = moved(section)
    assert not differing, (
        f"{len(differing)} entries moved, e.g. {differing[:5]}: if that is meant, raise VERSION in {module.__name__} "
        f"(now {module.VERSION}) and make the witness anew with `python tests/golden.py {section}`"
    )


@pytest.mark.parametrize("section", golden.SECTIONS)
def test_the_witness_was_made_with_the_version_of_today(section):
    assert KNOWN[section]["version"] == golden.SECTIONS[section][0].VERSION, (
        f"the witness is of another VERSION: `python tests/golden.py {section}` makes it anew"
    )


def test_one_bit_of_one_pixel_moves_a_checksum():
    image = np.zeros((1, 3, 32, 32), np.uint8)
    before = golden.sha256({"images": image})
    image[0, 1, 2, 3] = 1
    assert golden.sha256({"images": image}) != before


def test_dtype_and_shape_are_part_of_a_checksum():
    zeros = np.zeros(8, np.float32)
    assert golden.sha256(zeros) != golden.sha256(zeros.reshape(2, 4))
    assert golden.sha256(zeros) != golden.sha256(np.zeros(4, np.float64))
