import asyncio
import io

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from lmlib import LayerMix
from lmlib.report.widgets import GridExplorer

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), np.uint8)
MIXING_SET = np.random.default_rng(1).integers(0, 256, (5, 1, 36, 36), np.uint8)


def table():
    cells = pd.MultiIndex.from_product([(5, 8), (3, 5)], names=["magnitude", "beta"])
    return pd.DataFrame({"mCE": [f"{m}{b}.0 (n=1)" for m, b in cells]}, index=cells)


@pytest.fixture
def explorer():
    return GridExplorer(table(), IMAGES, MIXING_SET)


def picture(explorer):
    return np.asarray(Image.open(io.BytesIO(explorer.samples.value)).convert("RGB"))[
        ::2, ::2
    ].astype(int)


def test_it_opens_at_the_largest_magnitude_and_the_smallest_beta(explorer):
    assert (explorer.magnitude.value, explorer.beta.value) == (
        8,
        3,
    ) and "83.0 (n=1)" in explorer.numbers.value


def test_sliders_stand_on_the_cells_of_the_table_alone(explorer):
    assert explorer.magnitude.options == (5, 8) and explorer.beta.options == (3, 5)


def test_a_slider_brings_the_numbers_of_its_cell(explorer):
    explorer.magnitude.value, explorer.beta.value = 5, 5
    assert "55.0 (n=1)" in explorer.numbers.value and "83.0" not in explorer.numbers.value


def test_the_first_row_is_the_images_and_the_others_are_layermix_of_the_cell(explorer):
    explorer.magnitude.value = 5
    rows = picture(explorer).reshape(4, 34, 4, 34, 3)[:, 1:-1, :, 1:-1].transpose(0, 2, 4, 1, 3)
    assert (rows[0] == IMAGES).all()
    for epoch in (0, 1, 2):
        expected = LayerMix(MIXING_SET, 5, 3)(
            torch.from_numpy(IMAGES), seed=0, epoch=epoch, index=np.arange(4)
        )
        assert np.abs(rows[1 + epoch] - np.asarray(expected).astype(int)).max() <= 1


def test_of_events_that_wait_for_one_another_the_newest_cell_alone_is_drawn(explorer):
    drawn, update = [], explorer.update
    explorer.update = lambda: (
        drawn.append((explorer.magnitude.value, explorer.beta.value)),
        update(),
    )

    async def drag():
        for cell in ((5, 3), (8, 5), (5, 3), (8, 5), (5, 5)):
            explorer.magnitude.value, explorer.beta.value = cell
        while explorer.scheduled:
            await asyncio.sleep(0.01)

    asyncio.run(drag())
    assert drawn == [(5, 5)] and "55.0 (n=1)" in explorer.numbers.value


def test_each_slider_changes_the_pictures_and_back_is_as_before(explorer):
    first = explorer.samples.value
    explorer.beta.value = 5
    second = explorer.samples.value
    explorer.magnitude.value = 5
    third = explorer.samples.value
    assert len({first, second, third}) == 3
    explorer.magnitude.value, explorer.beta.value = 8, 3
    assert explorer.samples.value == first
