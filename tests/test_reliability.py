import warnings

import numpy as np
import pytest
from anything import augmentations, check_augmentation, check_corruption, corruptions
from hypothesis import given, settings
from PIL import Image

from lmlib import paths
from lmlib.study import outcomes

A_THOUSAND = settings(max_examples=1000, deadline=None)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Photographs for frost in the place of a user's own."""
    folder = tmp_path_factory.mktemp("raw")
    (folder / "frost").mkdir()
    for i in range(1, 6):
        picture = np.random.default_rng(i).integers(0, 256, (180, 200, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / "frost" / f"frost{i}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "RAW", folder)
        yield


@A_THOUSAND
@given(augmentations())
def test_any_parameters_of_any_augmentation_keep_shape_type_and_range(case):
    check_augmentation(case)


@A_THOUSAND
@given(corruptions())
def test_any_corruption_of_any_images_keeps_shape_and_type(photographs, case):
    check_corruption(case)


# --- a byte flipped anywhere in a cache ------------------------------------------------------------------------------


class MadeAgainError(Exception):
    """The damage was found: what was kept is to be made again."""


def make_again(*arguments, **options):
    raise MadeAgainError


def kept_outcomes(folder, monkeypatch):
    arrays = {
        "logits": np.arange(60, dtype=np.float32).reshape(20, 3),
        "fog/source": np.array("generated"),
    }
    outcomes.write_outcomes(folder / "c.npz", {"seed": 0}, arrays)

    def read():
        found = outcomes.read_outcomes(folder / "c.npz", {"seed": 0})
        return make_again() if found is None else [found[name].tolist() for name in sorted(found)]

    return folder / "c.npz", read


@pytest.mark.parametrize("kind", [kept_outcomes])
def test_a_byte_flipped_anywhere_is_found_or_changes_nothing(kind, tmp_path, monkeypatch):
    file, read = kind(tmp_path, monkeypatch)
    content, whole, draws = file.read_bytes(), read(), np.random.default_rng(0)
    near_the_end = np.arange(
        max(0, len(content) - 400), len(content)
    )  # where a zip says what it holds
    found = 0
    for position in {*draws.integers(len(content), size=300).tolist(), *near_the_end.tolist()}:
        bits = draws.integers(1, 256)
        file.write_bytes(
            content[:position] + bytes([content[position] ^ bits]) + content[position + 1 :]
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # which say what is damaged
                assert read() == whole
        except MadeAgainError:
            found += 1
    assert found > 100
