import os
import random
import signal
import subprocess
import sys
import threading
import time

import joblib
import pytest
import torch
from tiny import TINY

from lmlib import __main__ as cli
from lmlib import paths
from lmlib.files import write_text
from lmlib.study import cluster, evaluation, grid, notebooks, rows, runs

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
KILLS = int(os.environ.get("LMLIB_KILLS", 1))
SETTINGS = [
    {key: value for key, value in TINY.items() if key != "n_fractals"} | change
    for change in (
        {"method": method, "seed": seed} for method in ("baseline", "cutout") for seed in (0, 1)
    )
]


@pytest.fixture
def workers(root):
    """A scheduler with two worker processes, each of which takes one run at a time."""
    sizes = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": 0, "dashboard_address": None}
    with distributed.LocalCluster(**sizes, resources={"run": 1}) as made:
        yield made.scheduler_address


def pids(address):
    with distributed.Client(address, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def rows_of(names):
    return {name: rows.rows_file("quick", name).read_bytes() for name in names}


def weights_of(names):
    return rows.read_rows("quick", names).groupby("run")["weights"].first().to_dict()


def test_runs_whose_workers_are_killed_end_with_the_rows_of_an_undisturbed_grid(workers, capfd):
    names = grid.ensure(SETTINGS, jobs=2)
    undisturbed = rows_of(names), weights_of(names)
    for seed in range(KILLS):
        paths.RUNS.rename(paths.RUNS.with_name(f"runs-{seed}"))
        paths.RESULTS.rename(paths.RESULTS.with_name(f"results-{seed}"))
        call = {"settings": SETTINGS, "scheduler": workers}
        study = threading.Thread(target=grid.ensure, kwargs=call)
        study.start()
        while not list(paths.RUNS.glob("*/train.log")):
            time.sleep(0.1)
        time.sleep(random.Random(seed).uniform(0, 20))
        victim = random.Random(seed).choice(pids(workers))
        os.kill(victim, signal.SIGKILL)
        study.join()
        assert (rows_of(names), weights_of(names)) == undisturbed
    text = capfd.readouterr()
    assert all(f"{name}: on " in text.out + text.err for name in names)  # each was heard of


def trained(profile, name, settings, report):
    """Stands for `grid.train_one` in workers of another process."""
    path = paths.RUNS / f"{name}.trained"
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(0.5)
    report(f"{name}: done")


def test_two_studies_on_one_scheduler_share_their_runs(workers, monkeypatch):
    monkeypatch.setattr(grid, "train_one", trained)
    paths.RUNS.mkdir(parents=True)
    missing = {f"run-{n}": {"dataset": "digits"} for n in range(6)}
    call = ("quick", missing, 1, workers)
    studies = [threading.Thread(target=grid.train_missing, args=call) for _ in range(2)]
    for study in studies:
        study.start()
    for study in studies:
        study.join()
    files = sorted(paths.RUNS.glob("*.trained"))
    assert [file.read_text().count("\n") for file in files] == 6 * [1]
    assert len({file.read_text() for file in files}) == 2  # both workers had some


def test_a_scheduler_that_is_lost_is_one_sentence_and_nothing_waits(root, monkeypatch):
    monkeypatch.setattr(grid, "train_one", trained)
    paths.RUNS.mkdir(parents=True)
    sizes = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    made = distributed.LocalCluster(**sizes, resources={"run": 1})
    missing = {f"run-{n}": {"dataset": "digits"} for n in range(100)}

    def close():
        while not list(paths.RUNS.glob("*.trained")):
            time.sleep(0.1)
        made.close()

    closing = threading.Thread(target=close)
    closing.start()
    with pytest.raises(RuntimeError, match=r"was lost: \d+ of 100 runs are finished"):
        grid.train_missing("quick", missing, 1, made.scheduler_address)
    closing.join()


def test_a_scheduler_that_does_not_answer_is_one_sentence(root):
    call = "quick", {"run": {"dataset": "digits"}}, 1, "tcp://127.0.0.1:9"
    patient = {"distributed.comm.timeouts.connect": "1s"}
    with dask.config.set(patient), pytest.raises(RuntimeError, match="no Dask scheduler answers"):
        grid.train_missing(*call)


def test_a_worker_without_the_data_gets_no_run_and_one_that_comes_later_does(root, monkeypatch):
    monkeypatch.setattr(grid, "train_one", trained)
    paths.RUNS.mkdir(parents=True)
    (root / "elsewhere").mkdir()
    lines, take = [], {"resources": {"run": 1}, "nthreads": 1}
    sizes = {"n_workers": 0, "dashboard_address": None}
    with distributed.LocalCluster(**sizes) as made:
        foreign = {"LMLIB_ROOT": str(root / "elsewhere")}
        made.worker_spec["foreign"] = {
            "cls": distributed.Nanny,
            "options": take | {"env": foreign},
        }
        made.sync(made._correct_state)
        folders, address = [], made.scheduler_address
        with cluster.executor(address, 1, folders, lines.append) as submit:
            future = submit(trained, "quick", "run", {}, key=("run",))
            time.sleep(2)
            assert not future.done() and "is refused: its data/runs is" in lines[0]
            made.worker_spec["fit"] = {"cls": distributed.Nanny, "options": take}
            made.sync(made._correct_state)
            future.result(120)
    assert len(lines) == 2 and lines[1] == "run: done"


def test_another_version_and_missing_pictures_are_named(root, monkeypatch):
    write_text(paths.RUNS / ".grid" / "identity", "ours")
    study = cluster.identity()
    assert cluster.refusal(study) is None
    assert cluster.refusal(study, ["/nowhere"]) == "/nowhere is not there"
    sentence = cluster.refusal(study | {"PyTorch": "1.0", "code of lmlib": "other"})
    assert f"its PyTorch is {torch.__version__}, the study's is 1.0" in sentence
    assert sentence.startswith("its code of lmlib is ") and sentence.count(";") == 1
    (paths.RUNS / ".grid" / "identity").unlink()
    assert "which is not shared, the study's is ours" in cluster.refusal(study)


def holder():
    """A process that holds the lease of the first run until it is killed."""
    program = (
        "import sys, time\nfrom filelock import SoftFileLease\nfrom lmlib.study import grid\n"
        "lease = SoftFileLease(sys.argv[1], lease_duration=grid.LEASE_SECONDS)\n"
        "lease.acquire()\nprint('held', flush=True)\ntime.sleep(600)\n"
    )
    name = runs.resolve(**SETTINGS[0])[0].name
    path = paths.RUNS / ".grid" / f"{name}.lease"
    path.parent.mkdir(parents=True)
    command = [sys.executable, "-c", program, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


class Execution:
    """Stands for `notebooks.execute`: notes when it was called, and leaves rows."""

    def __init__(self):
        self.moments, self.environments = [], []

    def __call__(self, name, output, parameters, log, *, environment, watch):
        self.moments.append(time.monotonic())
        self.environments.append(environment)
        write_text(rows.rows_file("quick", output.parent.name), "")


@pytest.fixture
def executed(monkeypatch):
    execution = Execution()
    monkeypatch.setattr(notebooks, "execute", execution)
    monkeypatch.setattr(evaluation, "is_complete", lambda profile, name: False)
    return execution


def test_a_run_waits_for_its_holder_and_goes_on_when_that_one_is_killed(root, executed):
    process = holder()
    study = threading.Thread(target=grid.ensure, args=([SETTINGS[0]],), kwargs={"jobs": 1})
    study.start()
    time.sleep(3)
    assert not executed.moments
    process.kill()
    process.wait()
    killed = time.monotonic()
    study.join(30)
    assert 0 < executed.moments[0] - killed < grid.LEASE_SECONDS / 2


def test_a_run_is_taken_over_from_a_holder_that_stands_still(root, executed, monkeypatch):
    monkeypatch.setattr(grid, "LEASE_SECONDS", 3.0)
    name = runs.resolve(**SETTINGS[0])[0].name
    lease = grid.SoftFileLease(
        paths.RUNS / ".grid" / f"{name}.lease", lease_duration=3.0, heartbeat_interval=2.9
    )
    (paths.RUNS / ".grid").mkdir(parents=True)
    with lease:
        lease._stop_heartbeat()  # as on a machine that sleeps
        start = time.monotonic()
        grid.ensure([SETTINGS[0]], jobs=1)
        assert executed.moments[0] - start > 2


def test_each_run_gets_a_gpu_of_its_own_and_then_shares_the_emptiest(monkeypatch, tmp_path):
    monkeypatch.setattr(cluster.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7")
    one, two, three, four = (cluster.resources_of_a_run(2) for _ in range(4))
    first, second = one.__enter__(), two.__enter__()
    assert first["CUDA_VISIBLE_DEVICES"] == "5" and second["CUDA_VISIBLE_DEVICES"] == "GPU-7"
    assert first["OMP_NUM_THREADS"] == "2"
    assert three.__enter__()["CUDA_VISIBLE_DEVICES"] == "5"
    two.__exit__(None, None, None)
    assert four.__enter__()["CUDA_VISIBLE_DEVICES"] == "GPU-7"
    for resources in (one, three, four):
        resources.__exit__(None, None, None)


def test_without_cuda_a_run_gets_its_threads_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with cluster.resources_of_a_run(3) as environment:
        assert environment == dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "3"
        )


def test_cores_are_those_that_slurm_and_the_affinity_allow(monkeypatch):
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    allowed = os.sched_getaffinity(0)
    assert cluster.n_cores() <= len(allowed)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 16)
    assert cluster.n_cores() == 16
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert cluster.n_cores() == 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["quick", "--scheduler", "host"], "must be local or tcp://host:port, got 'host'"),
        (["quick", "--scheduler", "tcp://host:1", "--jobs", "2"], "--jobs is for this machine"),
        (["bench", "--scheduler", "local"], "for the runs of a profile, not for bench"),
    ],
)
def test_a_wrong_scheduler_is_one_sentence_and_exit_code_2(capsys, words, sentence):
    assert cli.main([*words, "--check"]) == 2
    assert sentence in capsys.readouterr().err


def test_a_scheduler_without_its_package_names_the_extra(capsys, monkeypatch):
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    assert cli.main(["quick", "--scheduler", "local", "--check"]) == 2
    assert "pip install '.[cluster]'" in capsys.readouterr().err


def test_a_simulated_study_loses_no_run_and_repeats_no_epoch(root):
    import simulated

    makespan, ideal, epochs = simulated.simulate(24, 6, 2, mean=1.0)
    assert set(epochs.values()) == {simulated.EPOCHS} and makespan > ideal
