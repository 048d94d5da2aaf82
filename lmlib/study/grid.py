"""Many runs: which are missing, and training those through `04-train`, several side by side."""

import os
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

import pandas as pd
from tqdm.auto import tqdm

from .. import paths
from ..datasets import load as datasets
from . import estimate, runs
from . import rows as results
from .evaluation import is_complete
from .profiles import get_profile


def default_jobs(profile):
    """How many runs of a profile go side by side: one for each share of `threads` cores, one on a GPU."""
    if runs.default_device().type == "cuda":
        return 1
    return max(1, (os.cpu_count() or 1) // get_profile(profile).threads)


def foresee(settings, *, jobs=None):
    """Check all settings and print how long their training will take, before a mixing set is made; how many runs are missing."""
    profile = settings[0]["profile"]
    missing = estimate.surely_missing(profile, settings)
    if missing:
        estimate.announce(profile, missing, jobs=jobs or default_jobs(profile))
    return len(missing)


def ensure(settings, *, jobs=None, foreseen=None):
    """Train and evaluate whatever is missing of the runs that `settings` name; returns their names, in order.

    settings: dicts as `profiles.run_settings` makes them, all of one profile; a run that several tables want is one run. foreseen:
    what `foresee` returned, where it was called before. Everything is checked before the first one starts. A failed run is named
    with its cell and log and does not stop the others; RuntimeError at the end says which failed. Ctrl-C keeps what is finished.
    """
    if foreseen is None:
        foreseen = foresee(settings, jobs=jobs)
    named, profile = named_settings(settings), settings[0]["profile"]
    missing = {name: setting for name, setting in named.items() if not is_complete(profile, name)}
    if missing:
        jobs = jobs or default_jobs(profile)
        if len(missing) > foreseen:  # rows are there, but of another mixing set or version
            estimate.announce(profile, list(missing.values()), jobs=jobs)
        train_missing(profile, missing, jobs)
    return list(named)


def named_settings(settings):
    """The distinct runs that `settings` name: {name: setting}, in order, each checked."""
    # 04 is executed in another folder than this process may stand in.
    settings = [one | {"dataset": datasets.absolute(one["dataset"])} for one in settings]
    return {runs.resolve(**setting, images=False)[0].name: setting for setting in settings}


def train_missing(profile, missing, jobs):
    """Execute `04-train` for each missing run, `jobs` at a time, with one progress line."""
    failed, start = [], time.time()
    pool = ThreadPoolExecutor(jobs)
    progress = tqdm(total=len(missing), desc=f"{profile}: runs", unit="run", mininterval=1)
    progress.set_postfix_str(f"{min(jobs, len(missing))} running, 0 failed")
    try:
        # By name, so that AugMix and OE, which take the most memory, are not trained side by side as they stand in the tables.
        futures = {
            pool.submit(train_one, profile, name, setting): name
            for name, setting in sorted(missing.items())
        }
        for future in as_completed(futures):
            error = future.exception()
            if error is not None:
                failed.append(f"{futures[future]}: {error}")
                progress.write(f"failed: {failed[-1]}")
            progress.update()
            progress.set_postfix_str(
                f"{min(jobs, len(missing) - progress.n)} running, {len(failed)} failed"
            )
    finally:
        pool.shutdown(cancel_futures=True)
        progress.close()
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(missing)} runs failed:\n" + "\n".join(failed))
    print(f"{len(missing)} runs in {time.time() - start:.0f} s, {jobs} at a time")


def train_one(profile, name, setting):
    """One executed `04-train`, kept in the run's folder. Another grid's work on the same run is waited for, not repeated."""
    from . import (
        notebooks,  # seconds of imports, for which a notebook that finds its rows does not wait
    )

    folder = paths.RUNS / name
    with paths.locked(paths.RUNS / ".grid" / name):
        if not is_complete(profile, name):
            notebooks.execute("04-train", folder / "train.ipynb", setting, folder / "train.log")
    if not results.rows_file(profile, name).exists():
        raise RuntimeError(f"04-train ended without rows for {name}")


def variant_rows(variants, profile):
    """The rows there are of labelled settings ({label: list}), whichever table wanted them, with the label in a column `variant`.

    A DataFrame as of `results.read_rows`, perhaps empty.
    """
    parts = [pd.DataFrame(columns=[*results.COLUMNS, "variant"])]
    for label, settings in variants.items():
        present = [
            name for name in named_settings(settings) if results.rows_file(profile, name).exists()
        ]
        if present:
            parts.append(results.read_rows(profile, present).assign(variant=label))
    return pd.concat(parts[1:] or parts, ignore_index=True)
