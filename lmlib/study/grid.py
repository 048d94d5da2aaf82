"""Many runs: which are missing, how long they will take, and training them side by side."""

import logging
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait

import pandas as pd
from filelock import SoftFileLease
from tqdm.auto import tqdm

from .. import paths
from ..datasets.load import absolute
from ..models.losses import FORWARD_PASSES
from ..models.training import Trainer, reproducible
from . import cluster, rows, runs
from .evaluation import is_complete
from .plans import Settings
from .profiles import get_profile

log = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
"""A run is taken over when its holder did not renew its lease for so long, or is seen to be dead.

On a shared disk a lock that ends with its holder may be had on some systems only."""


def default_jobs(profile: str) -> int:
    """How many runs of a profile go side by side: one a GPU, else one per `threads` cores."""
    return len(cluster.gpus()) or max(1, cluster.n_cores() // get_profile(profile).threads)


def ensure(
    settings: Sequence[Settings], *, jobs: int | None = None, scheduler: str | None = None
) -> list[str]:
    """Train and evaluate what is missing of the runs that `settings` name; returns their names.

    settings: as `plans.run_settings` makes them, all of one profile; a run that several tables want
    is one run; jobs, scheduler: as of `cluster.executor`, and with -1 jobs nothing is trained, and
    the names are those of the runs that have their rows. Everything is checked, and how long it
    takes on this machine is estimated, before the first run starts. A run that fails twice is named
    with its cell and log and does not stop the others; RuntimeError at the end says which failed.
    Ctrl-C keeps what is finished.
    """
    if not settings:
        return []
    by_name, profile = named_settings(settings), settings[0]["profile"]
    missing = {name: one for name, one in by_name.items() if not is_complete(profile, name)}
    if jobs == -1:
        return [name for name in by_name if name not in missing]
    if missing:
        jobs = jobs or default_jobs(profile)
        if scheduler:
            for dataset in {one["dataset"] for one in missing.values()}:
                runs.dataset_of(dataset)  # fetched once, before many workers want it
        elif profile != "quick":  # which is over in minutes
            announce(list(missing.values()), jobs)
        train_missing(profile, missing, jobs, scheduler)
    return list(by_name)


def named_settings(settings: Iterable[Settings]) -> dict[str, Settings]:
    """The distinct runs that `settings` name: {name: settings}, in order, each checked."""
    # 04 is executed in another folder than this process may stand in.
    settings = [one | {"dataset": absolute(one["dataset"])} for one in settings]
    return {runs.name_of(**one): one for one in settings}


def announce(settings: Sequence[Settings], jobs: int) -> None:
    """Log how long the training of these runs will take, `jobs` at a time.

    For each network the first run's method is timed, for an equal share of a minute, with the loss
    `ce`; another loss counts as many times as images go through the network. Evaluation is not
    in it.
    """
    log.warning("%d runs are missing; measuring this machine for a minute ...", len(settings))
    first = {one["network"]: one | {"loss": "ce"} for one in reversed(settings)}
    per_step = {name: seconds_per_step(one, 60 / len(first)) for name, one in first.items()}
    seconds = 0.0
    for one in settings:
        config, dataset, _ = runs.resolve_without_mixing_set(**one)
        n_steps = config.epochs * -(-len(config.training_index(dataset)) // config.batch_size)
        seconds += n_steps * per_step[config.network] * FORWARD_PASSES[config.loss]
    steps = ", ".join(f"{name} {1000 * one:.0f} ms a step" for name, one in per_step.items())
    log.warning(
        "Estimated training time of %s: %.1f hours, %d at a time (%s); evaluation comes on top.",
        *(settings[0]["profile"], seconds / 3600 / jobs, jobs, steps),
    )


def seconds_per_step(settings: Settings, budget: float) -> float:
    """Seconds of one training step of a run, batches included: a mean over `budget` seconds.

    The first step, which may compile, does not count. On a CPU, where nothing compiles, a first
    step that takes all of the budget is itself the answer.
    """
    config, dataset, _ = runs.resolve_without_mixing_set(**settings)
    method = runs.method_on_black_images(config, dataset)
    trainer = Trainer(config, dataset, method, runs.default_device())
    trainer.model.train()
    times, since = [time.perf_counter()], 0 if trainer.device.type == "cpu" else 1
    with reproducible(config.threads):
        for step, batch in enumerate(trainer.batches.epoch(0)):
            float(trainer.step(step, *batch))  # waits for a GPU
            times.append(time.perf_counter())
            if times[-1] - times[since] > budget:
                break
    first = min(1, len(times) - 2)
    return (times[-1] - times[first]) / (len(times) - 1 - first)


def train_missing(
    profile: str, missing: Mapping[str, Settings], jobs: int, scheduler: str | None = None
) -> None:
    """Execute `05-train` for each run (name -> settings) in an executor, with a progress bar.

    A failed run is tried once more. Raises RuntimeError that says which failed twice, after all
    others have ended, or that the scheduler was lost.
    """
    failed, start, again = list[str](), time.time(), set[str]()
    bar = tqdm(total=len(missing), desc=f"{profile}: runs", unit="run", mininterval=1)

    def report(line: str) -> None:
        bar.set_postfix_str(line, refresh=not scheduler)
        if scheduler:
            bar.write(line)

    datasets = {one["dataset"].partition("folder:")[2] for one in missing.values()} - {""}
    with bar, cluster.executor(scheduler, jobs, datasets, report) as submit:
        # By name, so that AugMix and OE, which take the most memory, are not side by side.
        pending = {
            submit(train_one, profile, name, one, key=(profile, name, 1)): name
            for name, one in sorted(missing.items())
        }
        while pending:
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                name = pending.pop(future)
                if future.cancelled():
                    finished = f"{bar.n} of {bar.total} runs are finished"
                    remedy = f"{finished}, and the same command goes on from there"
                    raise RuntimeError(f"the Dask scheduler at {scheduler} was lost: {remedy}")
                if (error := future.exception()) and name not in again:
                    again.add(name)
                    bar.write(f"failed, and tried once more: {name}: {error}")
                    key = (profile, name, 2)
                    pending[submit(train_one, profile, name, missing[name], key=key)] = name
                    continue
                if error:
                    failed.append(f"{name}: {error}")
                    bar.write(f"failed: {failed[-1]}")
                bar.update()
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(missing)} runs failed:\n" + "\n".join(failed))
    log.info("%d runs in %.0f s", len(missing), time.time() - start)


def train_one(
    profile: str, name: str, settings: Settings, report: Callable[[str], None] = lambda line: None
) -> None:
    """Execute `05-train` for a run into the run's folder.

    Another grid's work on the same run, on whichever machine, is waited for, not repeated; report:
    called with the lines of the log that say how far the run is. Raises RuntimeError where the
    notebook failed or left no rows, or where another machine took the run over.
    """
    from . import notebooks  # seconds of imports, for which notebooks with their rows do not wait

    folder, leases, shown = paths.RUNS / name, paths.RUNS / ".grid", [""]
    leases.mkdir(parents=True, exist_ok=True)
    lease = SoftFileLease(leases / f"{name}.lease", lease_duration=LEASE_SECONDS, poll_interval=0.5)

    def watch() -> None:
        if lease.compromise:
            raise RuntimeError(f"{name} was taken over by another machine, as this one stood still")
        lines = (folder / "train.log").read_text(errors="replace").splitlines()
        last = [line for line in lines if line.startswith(f"{name}:")][-1:]
        if last not in ([], shown):
            shown[:] = last
            report(last[0])

    with lease, cluster.resources_of_a_run(get_profile(profile).threads) as environment:
        if not is_complete(profile, name):
            report(f"{name}: on {platform.node()}")
            files = folder / "train.ipynb", settings, folder / "train.log"
            notebooks.execute("05-train", *files, environment=environment, watch=watch)
    if not rows.rows_file(profile, name).exists():
        raise RuntimeError(f"05-train ended without rows for {name}")


def variant_rows(variants: Mapping[str, Sequence[Settings]], profile: str) -> pd.DataFrame:
    """The rows there are of labelled settings, with the label in a column `variant`.

    Rows count whichever table wanted them. The columns are those of `rows.read_rows`; a DataFrame
    that may be empty.
    """
    parts = [pd.DataFrame(columns=[*rows.COLUMNS, "variant"])]
    for label, settings in variants.items():
        names = [one for one in named_settings(settings) if rows.rows_file(profile, one).exists()]
        if names:
            parts.append(rows.read_rows(profile, names).assign(variant=label))
    return pd.concat(parts[1:] or parts, ignore_index=True)
