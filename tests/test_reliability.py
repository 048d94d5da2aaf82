import numpy as np
import pytest
from anything import augmentations, check_augmentation, check_corruption, corruptions
from hypothesis import given, settings
from PIL import Image

from lmlib import paths

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
