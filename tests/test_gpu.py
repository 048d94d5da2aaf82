"""The command for a quarter of an hour of a GPU, on a machine without one."""

import subprocess
from dataclasses import replace

import pandas as pd
import pytest
import torch
from tiny import move

from lmlib import paths
from lmlib.study import gpu, grid, plans, profiles, runs


def test_without_cuda_the_command_says_so_before_anything_else(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="machine with CUDA"):
        gpu.run()


@pytest.mark.parametrize("network", ["airbench-4", "wrn-10-1"])
def test_a_speed_and_the_share_of_waiting_are_measured_as_a_run_trains(monkeypatch, network):
    one_thread = replace(profiles.PROFILES["gpu"], threads=1)  # more than a machine has would crawl
    monkeypatch.setitem(profiles.PROFILES, "gpu", one_thread)
    monkeypatch.setitem(gpu.SPEEDS, network, 2)
    monkeypatch.setitem(gpu.N_SEEN, 32, 2048)
    speed = gpu.training_speed(network)
    assert speed["images/s"] > 0 and 0 <= speed["share waiting"] < 1


def test_noise_has_the_size_and_the_classes_of_a_dataset():
    data = gpu.noise_dataset(32)
    assert data.train.images.shape == (20_000, 3, 32, 32) and data.n_classes == 10


def test_each_seed_is_whole_before_the_next_begins_and_none_begins_without_time(
    tmp_path, monkeypatch, capsys
):
    move(monkeypatch, tmp_path)
    clock, trained = [0.0], []

    def ensure(settings, jobs):
        trained.append(sorted({one["seed"] for one in settings}))
        clock[0] += 300

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a stub")
    monkeypatch.setattr(gpu.subprocess, "call", lambda *_, **__: 0)
    monkeypatch.setattr(gpu, "training_speed", lambda network: {"network": network})
    monkeypatch.setattr(gpu.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(grid, "ensure", ensure)
    gpu.run()
    assert trained == [[0], [1]] and "no time is left for seed 2" in capsys.readouterr().out


def test_the_profile_is_the_five_methods_with_three_seeds():
    sizes = profiles.get_profile("gpu")
    settings = plans.with_seeds("gpu", [{"method": name} for name in sizes.methods])
    assert (sizes.network, sizes.epochs, len(settings)) == ("airbench-64", 32, 15)
    names = {runs.resolve_without_mixing_set(**one, images=False)[0].name for one in settings}
    assert len(names) == 15


def test_the_papers_network_is_estimated_from_the_epochs_that_its_process_ended(
    root, monkeypatch, capsys
):
    settings = plans.run_settings("paper")
    label = runs.resolve_without_mixing_set(**settings, images=False)[0].label

    def train(command, *, timeout, check):
        if timeout > 100:
            epochs = [{"epoch": n, "test_error": 0.5, "seconds": 36.0} for n in range(2)]
            file = paths.RUNS / f"{label}-01234567" / "checkpoint.safetensors"
            runs.save_checkpoint(file, {}, {"history": epochs})
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(gpu.subprocess, "run", train)
    for seconds, words in ((59, "no time"), (100, "no epoch"), (101, "100 epochs take 1.0 hours")):
        gpu.papers_network(seconds)
        assert words in capsys.readouterr().out
    assert len(pd.read_csv(paths.RESULTS / "gpu" / "tables" / "gpu-wrn-40-4.csv")) == 2
