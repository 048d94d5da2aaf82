import importlib

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from lmlib import paths
from lmlib.report import plots


def drawn():
    figure, axis = plt.subplots(figsize=(2, 1))
    axis.plot([0, 1], [0, 1])
    return figure


@pytest.fixture
def figure():
    yield drawn()
    plt.close("all")


def test_a_figure_is_saved_in_the_folder_of_its_profile(root, figure):
    path = plots.save(figure, "04-layermix-samples", profile="quick")
    assert path == root / "figures" / "quick" / "04-layermix-samples.png"
    assert Image.open(path).format == "PNG" and [file.name for file in path.parent.iterdir()] == [
        path.name
    ]


def test_equal_figures_are_equal_bytes(root):
    one, other = (plots.save(drawn(), name, profile="quick").read_bytes() for name in ("a", "b"))
    assert one == other


def test_a_save_that_fails_keeps_the_old_figure_and_leaves_nothing_else(root, figure, monkeypatch):
    path = plots.save(figure, "a", profile="quick")
    before = path.read_bytes()

    def half(self, file, **options):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", half)
    with pytest.raises(OSError, match="disk full"):
        plots.save(figure, "a", profile="quick")
    assert path.read_bytes() == before
    assert [file.name for file in (paths.FIGURES / "quick").iterdir()] == ["a.png"]


def test_importing_the_drawing_leaves_a_users_figures_alone_until_the_style_is_set():
    with plt.rc_context():
        plt.rcdefaults()
        importlib.reload(plots)
        assert plt.rcParams["axes.spines.top"]
        plots.set_style()
        assert not plt.rcParams["axes.spines.top"]


@pytest.mark.parametrize("as_type", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
@pytest.mark.parametrize("n_channels, shape", [(3, (4, 5, 3)), (1, (4, 5))])
def test_pixels_are_fractions_with_the_channel_last(as_type, n_channels, shape):
    image = np.full((n_channels, 4, 5), 51, np.uint8)
    assert plots.pixels(as_type(image)).shape == shape
    assert np.allclose(plots.pixels(as_type(image)), 0.2)
    assert np.allclose(plots.pixels(as_type(image / 255)), 0.2)


def test_a_contact_sheet_shows_each_image_once_and_its_title():
    images = np.zeros((5, 3, 8, 8), np.uint8)
    figure = plots.show_images(images, titles=list("abcde"), n_columns=3)
    used = [axis for axis in figure.axes if axis.images]
    assert len(figure.axes) == 6 and [axis.get_title() for axis in used] == list("abcde")
    plt.close(figure)


def test_bars_stand_at_the_mean_with_a_dot_for_every_seed():
    figure, axis = plt.subplots()
    rows = pd.DataFrame({"method": ["a", "a", "b"], "value": [0.1, 0.3, 0.5]})
    plots.bars_by_method(axis, rows)
    assert [bar.get_height() for bar in axis.patches] == pytest.approx([20, 50])
    assert sorted(
        y for line in axis.lines for y in line.get_ydata() if line.get_marker() == "."
    ) == [10, 30, 50]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["a", "b"] and axis.get_ylim()[
        0
    ] == 0
    plt.close(figure)


def test_tiles_stand_row_by_row_in_white_frames_and_what_is_missing_is_white():
    images = np.arange(3 * 3 * 2 * 2, dtype=np.uint8).reshape(3, 3, 2, 2)
    page = plots.tiles(images, 2)
    assert page.shape == (8, 8, 3)
    assert np.array_equal(page[1:3, 5:7], images[1].transpose(1, 2, 0))
    assert np.array_equal(page[5:7, 1:3], images[2].transpose(1, 2, 0))
    assert (page[4:, 4:] == 255).all() and (page[:, [0, 3, 4, 7]] == 255).all()
    assert np.allclose(plots.tiles(images / 255, 2), page / 255)


def test_a_mosaic_has_a_label_in_the_middle_of_each_row_and_column():
    figure, axis = plt.subplots()
    plots.mosaic(axis, np.zeros((2, 3, 3, 8, 6)), rows=["a", "b"], columns=["x", "y", "z"])
    assert axis.get_yticks().tolist() == [5, 15] and axis.get_xticks().tolist() == [4, 12, 20]
    plt.close(figure)
