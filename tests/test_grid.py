import threading
import time
from dataclasses import replace
from itertools import repeat
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import TINY

from lmlib.datasets.load import load_dataset
from lmlib.fractals.mixing_sets import MixingSet
from lmlib.report.published import published
from lmlib.study import cluster, config, evaluation, grid, notebooks, plans, profiles, runs
from lmlib.study import rows as results

SETTINGS = [
    plans.run_settings("quick", method=method, seed=seed)
    for method in ("baseline", "cutout")
    for seed in (0, 1)
]

OF_TWO = MixingSet(
    np.zeros((2, 1, 36, 36), np.uint8),
    {"source": "generated", "substitute": True, "n_fractals": 2, "colour": False, "sha256": ""},
)


def rows_of(run, profile="quick"):
    one = dict.fromkeys(results.COLUMNS, 0) | {"run": run, "version": evaluation.VERSION}
    one["recipes"] = evaluation.RECIPES_VERSION
    sizes = evaluation.subset_sizes(**evaluation.profile_sizes(profile))
    return [
        one | {"benchmark": benchmark, "n": min(n or 500, 500)} for benchmark, n in sizes.items()
    ]


class Executed:
    """Stands for `notebooks.execute`: writes the rows of the run that the output's folder names, and notes the call."""

    def __init__(self, seconds=0.0, fails=()):
        self.calls, self.seconds, self.fails, self.running, self.most = [], seconds, fails, 0, 0
        self.lock = threading.Lock()

    def __call__(self, name, output, parameters, log, **others):
        with self.lock:
            self.calls.append((name, parameters["method"], parameters["seed"]))
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(self.seconds)
        with self.lock:
            self.running -= 1
        if (parameters["method"], parameters["seed"]) in self.fails:
            raise notebooks.NotebookFailed(
                f"05-train failed in code cell 4: ValueError: broken; log: {log}"
            )
        results.write_rows(
            parameters["profile"],
            output.parent.name,
            rows_of(output.parent.name, parameters["profile"]),
        )


@pytest.fixture
def executed(root, monkeypatch):
    found = Executed()
    monkeypatch.setattr(notebooks, "execute", found)
    return found


def name_of(setting):
    return runs.resolve(**setting)[0].name


def test_what_is_missing_is_trained_once_and_named_in_order(executed, caplog):
    caplog.set_level("INFO")
    names = grid.ensure(SETTINGS, jobs=1)
    assert names == [name_of(setting) for setting in SETTINGS]
    assert executed.calls == [
        ("05-train", setting["method"], setting["seed"]) for setting in SETTINGS
    ]
    assert "4 runs in" in caplog.text


def test_what_has_rows_is_not_trained_again(executed):
    grid.ensure(SETTINGS[:3], jobs=1)
    executed.calls.clear()
    assert len(grid.ensure(SETTINGS, jobs=1)) == 4
    assert executed.calls == [("05-train", "cutout", 1)]
    grid.ensure(SETTINGS, jobs=1)
    assert len(executed.calls) == 1


def test_a_run_whose_rows_lack_a_benchmark_is_measured_again(executed):
    (name,) = grid.ensure(SETTINGS[:1], jobs=1)
    results.write_rows("quick", name, rows_of(name)[1:])
    grid.ensure(SETTINGS[:1], jobs=1)
    assert len(executed.calls) == 2


def test_a_run_that_two_tables_want_is_one_run(executed):
    table, other = SETTINGS[:2], [SETTINGS[1] | {"loss": "ce", "parameters": {}}, SETTINGS[2]]
    names = grid.ensure(table + other, jobs=2)
    assert len(names) == len(set(names)) == len(executed.calls) == 3


def test_a_failed_run_is_named_with_its_cell_and_log_and_does_not_stop_the_others(executed):
    executed.fails = [("baseline", 1)]
    with pytest.raises(RuntimeError, match="1 of 4 runs failed") as caught:
        grid.ensure(SETTINGS, jobs=1)
    message = str(caught.value)
    assert (
        name_of(SETTINGS[1]) in message
        and "in code cell 4: ValueError: broken" in message
        and "train.log" in message
    )
    assert len(executed.calls) == 5 and executed.calls.count(("05-train", "baseline", 1)) == 2
    assert [evaluation.is_complete("quick", name_of(setting)) for setting in SETTINGS] == [
        True,
        False,
        True,
        True,
    ]


def test_a_run_that_fails_once_is_tried_once_more_and_is_no_failure(executed, monkeypatch):
    executed.fails = [("baseline", 1)]
    real = executed.__call__

    def mended(*arguments, **others):
        try:
            real(*arguments, **others)
        finally:
            executed.fails = []

    monkeypatch.setattr(notebooks, "execute", mended)
    grid.ensure(SETTINGS[1:2], jobs=1)
    assert executed.calls == 2 * [("05-train", "baseline", 1)]


def test_the_next_call_repeats_only_the_failed_run(executed):
    executed.fails = [("baseline", 1)]
    with pytest.raises(RuntimeError):
        grid.ensure(SETTINGS, jobs=2)
    executed.fails, executed.calls = [], []
    grid.ensure(SETTINGS, jobs=2)
    assert executed.calls == [("05-train", "baseline", 1)]


def test_a_notebook_that_ends_without_rows_is_a_failed_run(executed, monkeypatch):
    monkeypatch.setattr(notebooks, "execute", lambda *_, **others: None)
    with pytest.raises(
        RuntimeError, match="05-train ended without rows for digits-wrn-10-1-baseline"
    ):
        grid.ensure(SETTINGS[:1], jobs=1)


def test_two_grids_at_once_train_each_run_once(executed):
    executed.seconds = 0.2
    done = []
    threads = [
        threading.Thread(target=lambda: done.append(grid.ensure(SETTINGS, jobs=2)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(executed.calls) == len(set(executed.calls)) == 4
    assert done[0] == done[1] and len(done[0]) == 4


@pytest.mark.parametrize("jobs", [1, 3])
def test_as_many_runs_as_jobs_go_side_by_side(executed, jobs):
    executed.seconds = 0.2
    grid.ensure(SETTINGS, jobs=jobs)
    assert executed.most == jobs


def test_every_setting_is_checked_before_the_first_run_starts(executed):
    with pytest.raises(ValueError, match="did you mean 'cutout'"):
        grid.ensure([*SETTINGS, SETTINGS[0] | {"method": "cutot"}], jobs=1)
    assert executed.calls == []


def test_the_hours_are_estimated_before_the_first_run_starts(executed, monkeypatch, caplog):
    monkeypatch.setattr(runs, "mixing_set_of", lambda *_: OF_TWO)
    monkeypatch.setattr(grid, "seconds_per_step", lambda settings, budget: 2.0)
    monkeypatch.setitem(
        profiles.PROFILES,
        "cifar-cpu",
        replace(profiles.PROFILES["cifar-cpu"], datasets=("digits",), n_fractals=2),
    )
    settings = [plans.run_settings("cifar-cpu", epochs=900, seed=seed) for seed in (0, 1)]
    for wanted, n in ((settings, 2), ([*settings, settings[0] | {"seed": 2}], 1)):
        caplog.clear()
        grid.ensure(wanted, jobs=1)
        # 1,297 digits are 2 batches of 1,024: a run of 900 epochs of 2 steps of 2 s takes an hour.
        hours = f"Estimated training time of cifar-cpu: {n:.1f} hours, 1 at a time"
        assert f"{n} runs are missing" in caplog.text and hours in caplog.text
    caplog.clear()
    grid.ensure(settings, jobs=1)
    assert caplog.text == ""


def test_rows_of_another_mixing_set_are_estimated_too(executed, monkeypatch, caplog):
    monkeypatch.setattr(grid, "seconds_per_step", lambda setting, budget: 2.0)
    monkeypatch.setitem(
        profiles.PROFILES,
        "cifar-cpu",
        replace(profiles.PROFILES["cifar-cpu"], datasets=("digits",), n_fractals=2),
    )
    for mixing in (OF_TWO, replace(OF_TWO, manifest=OF_TWO.manifest | {"sha256": "another"})):
        monkeypatch.setattr(runs, "mixing_set_of", lambda *_, mixing=mixing: mixing)
        grid.ensure([plans.run_settings("cifar-cpu")], jobs=1)
        assert caplog.text.count("1 runs are missing") == 1
        caplog.clear()


@pytest.fixture
def committed(root, monkeypatch):
    """The settings and names of LayerMix on both CIFARs, whose rows are here and images not."""
    monkeypatch.setattr(runs, "dataset_of", lambda name: pytest.fail("the images were asked for"))
    monkeypatch.setattr(runs, "mixing_set_of", lambda *_: OF_TWO)
    settings = [plans.run_settings("cifar-cpu", dataset=name) for name in ("cifar10", "cifar100")]
    for name in ("cifar10", "cifar100"):  # some other run on these images
        results.write_rows("cifar-cpu", f"{name}-other", rows_of(f"{name}-other", "cifar-cpu"))
    names = [runs.name_of(**one) for one in settings]
    for name in names:
        results.write_rows("cifar-cpu", name, rows_of(name, "cifar-cpu"))
    return settings, names


def test_committed_runs_are_found_without_the_images_they_were_trained_on(committed):
    settings, names = committed
    assert grid.ensure(settings) == names
    assert [name.partition("-airbench-32-layermix-e16-s0-")[0] for name in names] == [
        "cifar10",
        "cifar100",
    ]
    with pytest.raises(pytest.fail.Exception, match="the images were asked for"):
        runs.resolve(**settings[0])
    with pytest.raises(pytest.fail.Exception, match="the images were asked for"):
        grid.ensure([settings[0] | {"epochs": 7}])  # which nobody has trained


@pytest.mark.parametrize("module", ["augment", "datasets", "training"])
def test_committed_runs_of_another_version_do_not_stand_for_those_of_today(
    committed, monkeypatch, module
):
    settings, names = committed
    assert grid.ensure(settings[:1]) == names[:1]
    monkeypatch.setitem(config.VERSIONS, module, 0)
    with pytest.raises(pytest.fail.Exception, match="the images were asked for"):
        grid.ensure(settings[:1])


def test_a_step_is_measured_without_a_mixing_set(root, monkeypatch):
    monkeypatch.setattr(runs, "mixing_set_of", lambda *_: pytest.fail("a mixing set was made"))
    assert 0 < grid.seconds_per_step(TINY | {"batch_size": 50}, 0.01) < 10


@pytest.mark.parametrize(
    ("device", "moments", "found"),
    [("cpu", [0, 20], 20), ("cpu", [0, 5, 6, 7, 8, 21], 4), ("cuda", [0, 40, 46, 52, 58], 6)],
    ids=[
        "the first takes the budget",
        "a slow first, then four in 16 s",
        "a GPU's first, which compiles, then three in 18 s",
    ],
)
def test_the_first_step_counts_only_where_it_takes_a_cpus_whole_budget(
    device, moments, found, monkeypatch
):
    clock, batches = iter(moments), SimpleNamespace(epoch=lambda number: repeat(()))
    parts = {
        "device": torch.device(device),
        "model": SimpleNamespace(train=lambda: None),
        "batches": batches,
    }
    trainer = SimpleNamespace(**parts, step=lambda step: torch.zeros(()))
    monkeypatch.setattr(grid, "Trainer", lambda config, dataset, method, device: trainer)
    monkeypatch.setattr(grid, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert grid.seconds_per_step(TINY, budget=15) == found


def test_quick_has_at_most_12_runs_on_embedded_data_with_every_method_of_table_5(root, monkeypatch):
    monkeypatch.setattr(runs, "mixing_set_of", lambda *_: OF_TWO)
    settings = plans.whole_study("quick")
    assert len(settings) > len(grid.named_settings(settings))  # tables share runs
    assert len(grid.named_settings(settings)) <= 12
    assert {setting["dataset"] for setting in settings} == {"digits"}
    assert "embedded" in load_dataset("digits").source and not list(root.iterdir())
    assert set(published(5)["method"]) <= {setting["method"] for setting in settings}


def test_by_default_every_run_gets_its_threads_and_a_gpu_one_run(monkeypatch):
    monkeypatch.setattr(cluster, "n_cores", lambda: 7)
    monkeypatch.setattr(cluster, "gpus", lambda: [])
    for threads, jobs in ((1, 7), (2, 3), (4, 1), (16, 1)):
        monkeypatch.setitem(
            profiles.PROFILES, "quick", replace(profiles.PROFILES["quick"], threads=threads)
        )
        assert grid.default_jobs("quick") == jobs
    monkeypatch.setattr(cluster, "gpus", lambda: ["0", "3"])
    assert grid.default_jobs("quick") == 2


def test_a_profile_whose_table_6_has_a_single_row_is_refused():
    with pytest.raises(
        ValueError, match="profile quick: Table 6 compares at least two magnitudes and two betas"
    ):
        replace(profiles.PROFILES["quick"], betas=(3,))


def test_a_relative_path_of_pictures_is_the_same_to_a_notebook_elsewhere(monkeypatch, tmp_path):
    asked = []

    def name_of(**setting):
        asked.append(setting["dataset"])
        return str(len(asked))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "name_of", name_of)
    named = grid.named_settings([{"dataset": "folder:pictures"}, {"dataset": "digits"}])
    assert asked == [f"folder:{tmp_path}/pictures", "digits"]
    assert [setting["dataset"] for setting in named.values()] == asked
