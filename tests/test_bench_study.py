import numpy as np
import pandas as pd
import torch

from lmlib.augment import METHODS
from lmlib.report import bench_study
from lmlib.report.bench_corruptions import REFERENCE


def test_steps_are_timed_bare_and_augmented_for_both_losses_beside_the_bare_one(root):
    threads = torch.get_num_threads()
    table = bench_study.bench_steps(n_repeats=1).set_index("step")
    kinds = [f"{loss}, {kind}" for loss in ("ce", "jsd") for kind in ("bare", "with LayerMix")]
    assert table.index.tolist() == [*kinds, "LayerMix alone"]
    assert (
        table.loc["ce, bare", "of the bare step"] == 1
        and table.loc["LayerMix alone", "of the bare step"] > 0
    )
    assert np.allclose(table["ms"] * table["images/s"], 128_000)
    assert np.allclose(table["of the bare step"], table["ms"] / table.loc["ce, bare", "ms"])
    assert torch.get_num_threads() == threads


def test_every_control_of_the_table_is_moved_and_every_method_shown():
    table = bench_study.bench_widgets().set_index(["widget", "control"])
    assert table.loc[("gallery", "method"), "n"] == len(METHODS)
    assert (table["slowest"] >= table["median"]).all() and (table["median"] > 0).all()


def test_fractals_are_timed_at_both_sizes_of_the_study():
    table = bench_study.bench_fractals(n_repeats=1)
    assert table["size"].tolist() == [36, 256] and (table["median"] > 0).all()


def test_the_figure_of_corruptions_has_a_panel_a_benchmark_with_ours_and_the_references():
    nan = float("nan")  # not timed
    rows = [
        ("cifar_c", "fog", 0.1, 0.3, 0.5),
        ("cifar_c", "frost", 0.2, 1, 2),
        ("cifar_p", "shot_noise", 3.0, nan, nan),
    ]
    figure = bench_study.draw_corruptions(
        pd.DataFrame(rows, columns=["benchmark", "name", "ms", *REFERENCE.values()])
    )
    assert [axis.get_title() for axis in figure.axes] == ["cifar_c", "cifar_p"]
    fog, frost = figure.axes[0].collections[0].get_segments()
    assert fog[:, 0].tolist() == [0.3, 0.5] and frost[:, 0].tolist() == [1, 2]
    assert figure.axes[0].lines[-1].get_xdata().tolist() == [0.1, 0.2]
