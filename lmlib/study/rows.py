"""Rows: every number that reaches a table or figure, with the run that it was measured on.

data/results/<profile>/runs.csv          one line a run: its identity, its provenance, a checksum
data/results/<profile>/rows/<run>.csv    what was measured of it, one row a measure
data/results/<profile>/tables/           what the table notebooks write

The checksum is over the line and the run's file of rows. A run whose line or file is damaged or
missing is named and counts as missing; the others are not affected.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import paths
from ..files import atomic_write, digest, lock, write_text

IDENTITY = (
    "run dataset network method parameters loss recipe label_smoothing epochs n_train seed"
).split()
MEASURED = (
    "benchmark corruption severity measure value low high over n subset source version recipes"
).split()
PROVENANCE = "mixing precision threads commit device machine torch finished weights".split()
COLUMNS = [*IDENTITY, *MEASURED, *PROVENANCE]
OF_THE_RUN = [*IDENTITY, *PROVENANCE]


def runs_file(profile: str) -> Path:
    """The file with one line a run."""
    return paths.RESULTS / profile / "runs.csv"


def rows_file(profile: str, run: str) -> Path:
    """The file with what was measured of a run."""
    return paths.RESULTS / profile / "rows" / f"{run}.csv"


def row_files(profile: str) -> list[Path]:
    """The files of rows of a profile, sorted; the stem of each is the name of its run."""
    return sorted((paths.RESULTS / profile / "rows").glob("*.csv"))


def write_rows(profile: str, run: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows of a run, one or more with `COLUMNS`, in place of what it had before.

    The columns of the run itself are taken from the first of them.
    """
    frame = pd.DataFrame(rows, columns=COLUMNS).assign(run=run)
    line = frame[OF_THE_RUN].head(1).to_csv(index=False, header=False)
    of_the_run = next(csv.reader([line]))
    with lock(paths.RESULTS / profile):
        with atomic_write(rows_file(profile, run)) as temporary:
            frame[MEASURED].to_csv(temporary, index=False, lineterminator="\n")
        present = {file.stem for file in row_files(profile)}
        lines = {name: line for name, line in _read_lines(profile).items() if name in present}
        lines[run] = [*of_the_run, _checksum(profile, of_the_run)]
        text = io.StringIO()
        table = [[*OF_THE_RUN, "sha256"], *(lines[name] for name in sorted(lines))]
        csv.writer(text, lineterminator="\n").writerows(table)
        write_text(runs_file(profile), text.getvalue())


def read_rows(profile: str, runs: Iterable[str] | None = None) -> pd.DataFrame:
    """The rows of a profile with `COLUMNS`: all, or those of some runs (names).

    Raises ValueError that names a run that is missing or damaged, and the command that makes it.
    """
    names = [file.stem for file in row_files(profile)] if runs is None else list(runs)
    missing = [run for run in names if not rows_file(profile, run).exists()]
    if missing or not names:
        what = f"no rows of {len(missing)} runs, e.g. {missing[0]}" if missing else "no rows"
        folder = paths.RESULTS / profile
        raise ValueError(f"{what} in {folder}: `./run_all.sh {profile}` makes them")
    lines = _read_lines(profile)
    for run in names:
        if run not in lines or _checksum(profile, lines[run][:-1]) != lines[run][-1]:
            raise ValueError(
                f"{rows_file(profile, run)} or its line in {runs_file(profile).name} is damaged "
                f"(the checksum does not match): `./run_all.sh {profile}` makes it again"
            )
    table = io.StringIO(newline="")
    csv.writer(table).writerows([OF_THE_RUN, *(lines[run][:-1] for run in dict.fromkeys(names))])
    table.seek(0)
    of_the_runs = pd.read_csv(table, dtype=dict.fromkeys(("run", "parameters", "commit"), str))
    measured = [pd.read_csv(rows_file(profile, run)).assign(run=run) for run in names]
    rows = pd.concat(measured, ignore_index=True).merge(of_the_runs, on="run", how="left")
    return rows[COLUMNS]


def _read_lines(profile: str) -> dict[str, list[str]]:
    """The lines of runs.csv by the name of their run, each as texts, the checksum last."""
    file = runs_file(profile)
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    lines = [next(csv.reader([line]), []) for line in text.splitlines()[1:]]
    return {line[0]: line for line in lines if len(line) == len(OF_THE_RUN) + 1}


def _checksum(profile: str, line: Sequence[str]) -> str:
    """The sha256, hex, over the line of a run and the bytes of its file of rows."""
    return digest(line, {"rows": np.fromfile(rows_file(profile, line[0]), np.uint8)})


def save_table(table: pd.DataFrame, name: str, *, profile: str) -> Path:
    """Write a table as tables/<name>.csv of a profile; returns the path.

    A notebook with changed parameters writes it elsewhere: `paths.beside_canonical`.
    """
    path = paths.beside_canonical(paths.RESULTS / profile / "tables" / f"{name}.csv")
    with atomic_write(path) as temporary:
        table.to_csv(temporary, lineterminator="\n")
    return path
