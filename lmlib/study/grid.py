"""Many runs: which are missing, how long they will take, and training them side by side."""

import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import pandas as pd
from tqdm.auto import tqdm

from .. import paths
from ..datasets.load import absolute
from ..files import lock
from ..models.losses import FORWARD_PASSES
from ..models.training import Trainer, reproducible
from . import rows, runs
from .evaluation import is_complete
from .plans import Settings
from .profiles import get_profile

log = logging.getLogger(__name__)


def default_jobs(profile: str) -> int:
    """How many runs of a profile go side by side: one per `threads` cores, one on a GPU."""
    if runs.default_device().type == "cuda":
        return 1
    return max(1, (os.cpu_count() or 1) // get_profile(profile).threads)


def ensure(settings: Sequence[Settings], *, jobs: int | None = None) -> list[str]:
    """Train and evaluate what is missing of the runs that `settings` name; returns their names.

    settings: as `plans.run_settings` makes them, all of one profile; a run that several tables want
    is one run. Everything is checked, and how long it takes is estimated, before the first run
    starts. A failed run is named with its cell and log and does not stop the others; RuntimeError
    at the end says which failed. Ctrl-C keeps what is finished.
    """
    by_name, profile = named_settings(settings), settings[0]["profile"]
    missing = {name: one for name, one in by_name.items() if not is_complete(profile, name)}
    if missing:
        jobs = jobs or default_jobs(profile)
        if profile != "quick":  # which is over in minutes
            announce(list(missing.values()), jobs)
        train_missing(profile, missing, jobs)
    return list(by_name)


def named_settings(settings: Iterable[Settings]) -> dict[str, Settings]:
    """The distinct runs that `settings` name: {name: settings}, in order, each checked."""
    # 04 is executed in another folder than this process may stand in.
    settings = [one | {"dataset": absolute(one["dataset"])} for one in settings]
    return {runs.resolve(**one, images=False)[0].name: one for one in settings}


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


def train_missing(profile: str, missing: Mapping[str, Settings], jobs: int) -> None:
    """Execute `04-train` for each run (name -> settings), `jobs` at a time, with a progress bar.

    Raises RuntimeError that says which failed, after all others have ended.
    """
    failed, start, pool = [], time.time(), ThreadPoolExecutor(jobs)
    bar = tqdm(total=len(missing), desc=f"{profile}: runs", unit="run", mininterval=1)
    try:
        # By name, so that AugMix and OE, which take the most memory, are not side by side.
        futures = {
            pool.submit(train_one, profile, name, one): name
            for name, one in sorted(missing.items())
        }
        for future in as_completed(futures):
            if error := future.exception():
                failed.append(f"{futures[future]}: {error}")
                bar.write(f"failed: {failed[-1]}")
            bar.update()
            bar.set_postfix_str(f"{min(jobs, bar.total - bar.n)} running, {len(failed)} failed")
    finally:
        pool.shutdown(cancel_futures=True)
        bar.close()
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(missing)} runs failed:\n" + "\n".join(failed))
    log.info("%d runs in %.0f s, %d at a time", len(missing), time.time() - start, jobs)


def train_one(profile: str, name: str, settings: Settings) -> None:
    """Execute `04-train` for a run into the run's folder.

    Another grid's work on the same run is waited for, not repeated. Raises RuntimeError where the
    notebook failed or left no rows.
    """
    from . import notebooks  # seconds of imports, for which notebooks with their rows do not wait

    folder = paths.RUNS / name
    with lock(paths.RUNS / ".grid" / name):
        if not is_complete(profile, name):
            notebooks.execute("04-train", folder / "train.ipynb", settings, folder / "train.log")
    if not rows.rows_file(profile, name).exists():
        raise RuntimeError(f"04-train ended without rows for {name}")


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
