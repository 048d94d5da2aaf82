"""Where runs are executed: what this machine has for them, and the workers of a Dask scheduler.

`distributed` is the extra `cluster`; it is imported only where a scheduler is asked for.
"""

import hashlib
import logging
import os
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from getpass import getuser
from itertools import count
from pathlib import Path
from typing import Any

import joblib
import torch
from filelock import FileLock, Timeout

from .. import paths
from ..files import lock, write_text

log = logging.getLogger(__name__)

Submit = Callable[..., Future[None]]
"""`submit(function, *arguments, key=...)`: an equal key is equal work, done once."""


def n_cores() -> int:
    """The cores that this process may use: as `taskset`, a container's quota or SLURM allows."""
    cores = joblib.cpu_count()
    return max(1, min(cores, int(os.environ.get("SLURM_CPUS_PER_TASK", cores))))


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; [] without CUDA."""
    n = torch.cuda.device_count()
    names = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(n))))
    return [name.strip() for name in names.split(",")][:n]


@contextmanager
def resources_of_a_run(threads: int) -> Iterator[dict[str, str]]:
    """The environment of one run's process: its CPU threads, and one GPU where there are any.

    It is the GPU with the fewest runs of this user, whichever processes of this machine hold the
    others; the locks that count them end with their holder.
    """
    libraries = "OMP MKL OPENBLAS".split()
    environment = {f"{library}_NUM_THREADS": str(threads) for library in libraries}
    if not (names := gpus()):
        yield environment
        return
    for slot, gpu in ((slot, gpu) for slot in count() for gpu in names):
        name = f"lmlib-{getuser()}-gpu-{gpu.replace('/', '_')}-{slot}.lock"
        try:
            held = FileLock(Path(tempfile.gettempdir()) / name).acquire(timeout=0)
        except Timeout:
            continue
        with held:
            yield environment | {"CUDA_VISIBLE_DEVICES": gpu}
        return


@cache
def code_digest() -> str:
    """A hash of the source of lmlib and of the notebook that trains."""
    code = hashlib.sha256()
    package = Path(__file__).parents[1]
    for file in sorted([*package.rglob("*.py"), *paths.NOTEBOOKS.glob("04-*")]):
        code.update(file.name.encode() + file.read_bytes())
    return code.hexdigest()[:12]


def identity() -> dict[str, str]:
    """What a study and its workers must have in common: the code, PyTorch, the folder `data/runs`.

    The folder is known by a file in it, wherever a machine mounts it.
    """
    mark = paths.RUNS / ".grid" / "identity"
    return {
        "code of lmlib": code_digest(),
        "PyTorch": torch.__version__,
        "data/runs": mark.read_text() if mark.exists() else f"{paths.RUNS}, which is not shared",
    }


def refusal(study: Mapping[str, str], folders: Iterable[str] = ()) -> str | None:
    """Why this process cannot execute runs of a study, None where it can.

    study: its `identity`; folders: of pictures, outside `data/`.
    """
    own = identity()
    reasons = [
        f"its {name} is {own[name]}, the study's is {value}"
        for name, value in study.items()
        if own[name] != value
    ]
    reasons += [f"{folder} is not there" for folder in folders if not Path(folder).is_dir()]
    return "; ".join(reasons) or None


@contextmanager
def executor(
    scheduler: str | None, jobs: int, folders: Iterable[str], report: Callable[[str], None]
) -> Iterator[Submit]:
    """What executes runs: threads of this process, or workers of a Dask scheduler.

    scheduler: None for `jobs` threads; "local" for a cluster of `jobs` processes on this machine;
    else the address of one that runs, for whose workers `refusal` is asked first. A function that
    is submitted gets `report`, for lines to show to the user, as a further argument. Leaving
    cancels what has not begun. Raises RuntimeError where the scheduler does not answer.
    """
    if scheduler is None:
        threads = ThreadPoolExecutor(jobs)
        try:
            yield lambda run, *arguments, key: threads.submit(partial(run, *arguments, report))
        finally:
            threads.shutdown(cancel_futures=True)
        return
    from distributed import Client, LocalCluster

    quiet = logging.ERROR  # what concerns the study is said by `report` and by the grid
    logging.getLogger("distributed").setLevel(quiet)
    if scheduler == "local":
        # One worker a run, without a limit on memory: what trains is a process of its own.
        sizes = {"n_workers": jobs, "threads_per_worker": 1, "memory_limit": 0}
        with (
            LocalCluster(**sizes, resources={"run": 1}, silence_logs=quiet) as cluster,
            executor(cluster.scheduler_address, jobs, folders, report) as submit,
        ):
            yield submit
        return
    try:
        client = Client(scheduler, set_as_default=False)
    except OSError as error:
        raise RuntimeError(f"no Dask scheduler answers at {scheduler} ({error})") from error
    try:
        study = admit_workers(client, folders, report)
        workers = client.get_executor(resources={"run": 1, study: 1}, pure=False)
        try:
            yield lambda *call, key: workers.submit(on_worker, study, *call, key=(study, *key))
        finally:
            workers.shutdown(wait=False)
    finally:
        client.close()


def admit_workers(client: Any, folders: Iterable[str], report: Callable[[str], None]) -> str:
    """Ask every worker of a scheduler, and each that will come, whether it is fit for this study.

    A fit worker gets a resource without which the scheduler gives it none of the study's runs; the
    reasons of the others go to `report`. Returns the name of the resource, which is also the topic
    of what `on_worker` reports. Equal studies have equal names.
    """
    from distributed import WorkerPlugin

    with lock(paths.RUNS / ".grid"):
        if not (mark := paths.RUNS / ".grid" / "identity").exists():
            write_text(mark, uuid.uuid4().hex)
    expected, folders = identity(), sorted(folders)
    study = f"lmlib-{hashlib.sha256(repr((expected, folders)).encode()).hexdigest()[:12]}"

    class Admission(WorkerPlugin):  # local, thus sent whole: a worker may lack lmlib
        name = study

        async def setup(self, worker: Any) -> None:
            import asyncio

            from distributed.core import Status

            def reason() -> str | None:
                try:
                    from lmlib.study.cluster import refusal
                except ImportError as error:
                    return f"it cannot import lmlib's grid ({error})"
                return refusal(expected, folders)

            if why := await asyncio.to_thread(reason):
                worker.log_event(study, f"worker {worker.address} is refused: {why}")
            else:
                await worker.set_resources(**{study: 1e6})
                # A change of status makes the scheduler look again at runs that no worker could do.
                worker.status = Status.paused
                worker.status = Status.running

    client.subscribe_topic(study, lambda event: report(event[1]))
    client.register_plugin(Admission())
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    slots = [one["resources"].get("run", 0) for one in workers if study in one["resources"]]
    text = "%d workers of %s take %d runs at a time; its dashboard: %s"
    log.warning(text, len(slots), client.scheduler.address, sum(slots), client.dashboard_link)
    if not sum(slots):
        command = f"dask worker {client.scheduler.address} --resources 'run=1'"
        log.warning("The runs wait until there is a worker for them: `%s` in its checkout", command)
    return study


def on_worker(study: str, function: Callable[..., None], *arguments: Any) -> None:
    """Call a function in a worker; what it reports goes to whoever listens to the study."""
    from distributed import get_worker

    worker = get_worker()
    function(*arguments, lambda line: worker.log_event(study, line))
