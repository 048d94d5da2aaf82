import numpy as np
import pandas as pd
import pytest
import torch
from reference import noise, photographs

from lmlib.augment import METHODS
from lmlib.report import bench

COLUMNS = ["size", "batch", "program", "threads", "median", "best", "ratio"]


def test_the_loop_that_is_the_reference_for_speed_gives_images():
    images = photographs((32, 32), 200).float() / 255
    done = bench.Loop(noise((36, 36), n_channels=1))(images)
    assert done.shape == images.shape
    assert torch.all((done >= 0) & (done <= 1 + 1e-6))
    assert np.mean([not torch.equal(*pair) for pair in zip(done, images, strict=True)]) > 0.9


def test_every_program_is_called_in_every_round_and_compared_with_the_first():
    rounds: dict[str, list[int]] = {"first": [], "second": []}
    programs = {("first", 1): rounds["first"].append, ("second", 2): rounds["second"].append}
    table = bench.race(programs, 3, batch=10)
    assert rounds["first"] == rounds["second"] == sorted(rounds["first"])
    assert set(rounds["first"]) == {0, 1, 2}
    assert table.columns.tolist() == COLUMNS
    assert table[["program", "threads"]].to_numpy().tolist() == [["first", 1], ["second", 2]]
    assert table["ratio"].tolist() == (table["median"] / table["median"][0]).tolist()


@pytest.fixture(scope="module")
def augmentation():
    threads, generator = torch.get_num_threads(), torch.get_rng_state()
    table = bench.bench_augmentation(n_repeats=2, size=32, batch=4)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), generator)
    return table


def test_the_table_of_speed_has_every_method_and_all_that_they_are_compared_with(augmentation):
    expected = {"loop over torchvision", "limit: a copy", "limit: to float"}
    expected |= {f"{name} in batches" for name in METHODS}
    expected |= {f"{name} as transform" for name in bench.TRANSFORMS}
    expected |= {f"torchvision {name}" for name in bench.TORCHVISION} | {*bench.other_libraries()}
    assert set(augmentation["program"]) == expected
    assert augmentation["program"].iloc[0] == "loop over torchvision"
    two = augmentation[augmentation["threads"] == 2]
    assert two["program"].tolist() == ["layermix in batches"]
    assert (augmentation["best"] >= augmentation["median"]).all()


def test_batches_of_pictures_are_timed_in_one_process_and_in_two(root):
    table = bench.bench_pictures(n_repeats=1, n_images=12)
    assert table["threads"].tolist() == [1, 2] and set(table["size"]) == {224}
    assert set(table["batch"]) == {10} and (table["median"] > 0).all()


def test_a_loader_of_jpegs_is_timed_with_and_without_layermix():
    table = bench.bench_loader(n_repeats=1, n_images=6, size=32)
    assert table["program"].tolist() == ["DataLoader", "DataLoader, LayerMix"]
    assert (table["median"] > 0).all()


def test_steps_are_timed_bare_and_augmented_for_both_losses(root, monkeypatch):
    monkeypatch.setitem(bench.IMAGES_PER_CALL, "cpu", 128)
    threads = torch.get_num_threads()
    table = bench.bench_steps(n_repeats=1)
    kinds = [f"step with {loss}, {kind}" for loss in ("ce", "jsd") for kind in ("bare", "LayerMix")]
    assert table["program"].tolist() == kinds and (table["median"] > 0).all()
    assert torch.get_num_threads() == threads


def test_the_figure_of_corruptions_has_a_panel_a_benchmark_with_ours_and_the_references():
    nan = float("nan")  # not timed
    rows = [
        ("cifar_c", "fog", 0.1, 0.3, 0.5),
        ("cifar_c", "frost", 0.2, 1, 2),
        ("cifar_p", "shot_noise", 3.0, nan, nan),
    ]
    columns = ["benchmark", "name", "ms", *bench.REFERENCE.values()]
    figure = bench.draw_corruptions(pd.DataFrame(rows, columns=columns))
    assert [axis.get_title() for axis in figure.axes] == ["cifar_c", "cifar_p"]
    fog, frost = figure.axes[0].collections[0].get_segments()
    assert fog[:, 0].tolist() == [0.3, 0.5] and frost[:, 0].tolist() == [1, 2]
    assert figure.axes[0].lines[-1].get_xdata().tolist() == [0.1, 0.2]


def test_generators_of_either_size_are_timed_by_themselves(monkeypatch):
    names = {"cifar_c": ("contrast",), "imagenet_c": ("contrast",), "imagenet_p": ("translate",)}
    monkeypatch.setattr(bench, "NAMES", names)
    for family in ("cifar", "imagenet"):
        table = bench.bench_corruptions(n=1, family=family)
        timed = [benchmark for benchmark in names if benchmark.startswith(family)]
        assert table["benchmark"].tolist() == timed and (table["ms"] > 0).all()


def test_all_that_is_timed_is_printed_in_two_tables(monkeypatch, capsys):
    for name in ("augmentation", "loader", "pictures", "steps"):
        rows = [(32, 1, name, 1, 2.0, 3.0, 1.0)]
        one = pd.DataFrame(rows, columns=COLUMNS)
        monkeypatch.setattr(bench, f"bench_{name}", lambda one=one, **_: one)
    corruptions = pd.DataFrame({"name": ["fog"], "ms": [0.1]})
    monkeypatch.setattr(bench, "bench_corruptions", lambda *_: corruptions)
    bench.main()
    speeds, costs = capsys.readouterr().out.split("\n\n")
    programs = [line.split()[2] for line in speeds.splitlines()[2:]]
    assert programs == ["augmentation", "augmentation", "loader", "pictures", "steps"]
    assert "fog" in costs
