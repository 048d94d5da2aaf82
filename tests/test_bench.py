import numpy as np
import torch
from reference import noise, photographs

from lmlib.report import bench


def test_the_loop_that_is_the_reference_for_speed_gives_images():
    images = photographs((32, 32), 200).float() / 255
    done = bench.Loop(noise((36, 36), n_channels=1))(images)
    assert done.shape == images.shape
    assert torch.all((done >= 0) & (done <= 1 + 1e-6))
    assert np.mean([not torch.equal(*pair) for pair in zip(done, images, strict=True)]) > 0.9


def test_the_table_of_speed_has_a_row_for_each_program_and_ratios_to_the_loop():
    threads, generator = torch.get_num_threads(), torch.get_rng_state()
    table = bench.bench_augmentation(n_repeats=2, size=32, batch=4)
    assert table["program"].iloc[0] == "loop over torchvision"
    ways = {f"{name} {how}" for name in bench.COMPILED for how in ("in batches", "as transform")}
    limits = {"limit: a copy", "limit: to float"}
    compared = {*bench.THEIRS, *bench.installed(), "loop over torchvision"}
    assert set(table["program"]) == ways | limits | compared
    assert table["threads"].value_counts()[2] == 1
    assert table["ratio"].tolist() == (table["median"] / table["median"][0]).tolist()
    assert (table["best"] >= table["median"]).all()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), generator)


def test_a_loader_of_jpegs_is_timed_with_and_without_layermix():
    table = bench.bench_loader(n_repeats=1, n_images=6, size=32)
    assert table["program"].tolist() == ["DataLoader", "DataLoader, LayerMix"]
    assert (table["median"] > 0).all()


def test_a_goal_says_what_was_reached_and_whether_that_is_enough():
    assert bench.goal("times the loop", 3.96, 4) == "MISSED  times the loop: 4.0 (goal: 4 or more)"
    assert bench.goal("times the loop", 4, 4).startswith("met ")
    assert (
        bench.goal("a JSD step", 3.2, 3.2, at_most=True, digits=2)
        == "met     a JSD step: 3.20 (goal: 3.2 or less)"
    )
    assert bench.goal("a JSD step", 3.21, 3.2, at_most=True).startswith("MISSED")


def test_every_section_is_run_and_every_goal_printed_at_the_end(monkeypatch, capsys):
    def section(name):
        def run():
            print(f"table of {name}")
            return [f"met {name}"]

        run.__doc__ = f"About {name}.\n\nmore"
        return run

    names = [one.__name__ for one in bench.SECTIONS]
    assert len(set(names)) == 6
    monkeypatch.setattr(bench, "SECTIONS", tuple(map(section, names)))
    bench.main()
    printed = capsys.readouterr().out
    for number, name in enumerate(names, 1):
        assert f"[{number}/6] About {name}. Load" in printed and f"\ntable of {name}\n" in printed
        assert f"\n  met {name}\n" in printed.partition("\nGoals:")[2]
