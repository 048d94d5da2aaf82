"""One training in several processes: gradients, a rank that is killed, resuming, `torchrun`."""

import copy
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from tiny import TINY

from lmlib.datasets.load import load_photographs
from lmlib.models import ranks, training
from lmlib.models.networks import Classifier
from lmlib.models.training import Trainer
from lmlib.study import runs

SETTINGS = TINY | {"dataset": "photographs:there", "n_train": None, "batch_size": 5, "epochs": 2}


def without_batch_norm(*_, n_classes, seed=0, **others):
    """A small network whose weights and outputs do not depend on what else is in the batch."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [torch.nn.Conv2d(3, 8, 3, 2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2)]
        return Classifier(
            torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(32, n_classes))
        )


@pytest.fixture
def resolved(root, photos, monkeypatch):
    """The configuration, dataset and method of a run on pictures of 32 px: steps of 5, 5 and 2."""
    monkeypatch.setattr(training, "build_model", without_batch_norm)
    monkeypatch.setattr(runs, "dataset_of", lambda name: load_photographs(photos, 32))
    return runs.resolve(**SETTINGS)


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def in_ranks(world, work, folder):
    """What `work()` returns, or says as it fails, in each process of several ranks."""
    context, port = multiprocessing.get_context("fork"), free_port()

    def one(rank):
        torch.set_num_threads(1)
        addresses = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        own = addresses | {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": rank}
        os.environ.update({name: str(value) for name, value in own.items()})
        try:
            with ranks.joined():
                result = work()
        except BaseException as error:
            result = str(error)
        torch.save(result, folder / f"{world}-{rank}.pt")
        os._exit(0)

    processes = [context.Process(target=one, args=(rank,)) for rank in range(world)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode is not None
    files = [folder / f"{world}-{rank}.pt" for rank in range(world)]
    return [torch.load(file) if file.exists() else None for file in files]


def first_gradients(resolved, loss="ce"):
    """The mean loss, the gradients of one step, and the images it has seen over all ranks."""
    trainer = Trainer(*resolved)
    batch = next(iter(trainer.batches.epoch(0)))
    total = trainer.step(0, *batch)
    gradients = torch.cat([one.grad.flatten() for one in trainer.model.parameters()])
    return total, gradients, int(trainer.n_seen)


@pytest.mark.parametrize("world", [2, 3])
def test_gradients_are_those_of_one_process(resolved, world, tmp_path):
    total, gradients, n = first_gradients(resolved)
    for found in in_ranks(world, lambda: first_gradients(resolved), tmp_path):
        assert torch.allclose(found[1], gradients, rtol=0, atol=1e-6) and found[2] == n == 5
        assert float(found[0]) == pytest.approx(float(total), abs=1e-6)


def test_a_killed_rank_ends_the_run_with_a_sentence_and_another_number_goes_on(
    resolved, tmp_path, monkeypatch
):
    config = resolved[0]
    alone = Trainer(*resolved)
    alone.run(lambda *_: None)
    monkeypatch.setattr(training, "SAVE_SECONDS", -1)
    step = Trainer.step

    def deadly(trainer, n, *batch):
        if n == 4 and ranks.current().rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(trainer, n, *batch)

    def train():
        return runs.train(*resolved).state_dict()

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", deadly)
        first, second = in_ranks(2, train, tmp_path)
    assert second is None
    assert "rank 0 of 2 stops, since another one no longer answers" in first
    assert "the same command goes on from there" in first
    assert runs.load_checkpoint(config.folder / "checkpoint.safetensors")[1]["step"] == 4
    weights, *others = in_ranks(3, train, tmp_path)
    for name, value in alone.model.state_dict().items():
        assert torch.allclose(weights[name], value, rtol=0, atol=1e-5)
        assert all(torch.equal(other[name], weights[name]) for other in others)
    history = runs.history_of(config.name)
    assert [entry["ranks"] for entry in history] == [2, 3]
    assert runs.finished(config.name)["ranks"] == [2, 3]
    for entry, expected in zip(history, alone.history, strict=True):
        assert entry["loss"] == pytest.approx(expected["loss"], abs=1e-5)
        assert entry["test_error"] == expected["test_error"]


def test_two_ranks_that_go_on_within_an_epoch_end_with_the_same_bytes(
    resolved, tmp_path, monkeypatch
):
    monkeypatch.setattr(training, "SAVE_SECONDS", -1)

    def whole_and_resumed():
        whole, again, states = Trainer(*resolved), Trainer(*resolved), []
        whole.run(lambda *state: states.append(copy.deepcopy(state)))
        own = ranks.current()
        path = tmp_path / "checkpoint"
        if own.rank == 0:  # whose statistics all ranks go on with
            runs.save_checkpoint(path, *states[4])
        own.wait()
        again.restore(*runs.load_checkpoint(path))
        again.run(lambda *_: None)
        return [one.state()[0] for one in (whole, again)]

    for whole, again in in_ranks(2, whole_and_resumed, tmp_path):
        assert whole.keys() == again.keys()
        assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_rank_that_is_told_to_stop_says_what_becomes_of_the_run(tmp_path):
    def stopped():
        ranks.current().wait()
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except SystemExit:
            time.sleep(1)  # the other one would otherwise say that this one is gone
            raise

    for rank, said in enumerate(in_ranks(2, stopped, tmp_path)):
        assert said.startswith(f"rank {rank} of 2 stops, since it was told to")


def test_parts_of_ranks_are_the_whole_and_equal_but_for_one():
    index = np.arange(11)
    for world in range(1, 14):
        parts = [ranks.Ranks(rank, world).part(index) for rank in range(world)]
        assert np.concatenate(parts).tolist() == index.tolist()
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_torchrun_trains_one_run_that_the_study_takes_as_its_own(root):
    settings = {name: value for name, value in TINY.items() if name != "method"}
    settings |= {"method": "baseline", "epochs": 1}
    words = [f"{name}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += ["--master-port", str(free_port()), "-m", "lmlib.study.train", *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    config = runs.resolve(**settings)[0]
    assert runs.is_finished(config.name) and runs.finished(config.name)["ranks"] == [2]
    assert json.dumps(runs.history_of(config.name)[0]["ranks"]) == "2"
    assert result.stdout.count(config.name) == 2  # as it starts and as it ends, from one rank
