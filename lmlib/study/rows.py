"""Rows: every number that reaches a table or figure, one row per run and measure, one CSV file per run.

data/results/<profile>/runs/<run>.csv     the rows of one run: written whole, in one rename
data/results/<profile>/tables/            what the table notebooks write
"""

import hashlib
import io

import pandas as pd

from .. import paths

IDENTITY = [
    "run",
    "dataset",
    "network",
    "method",
    "parameters",
    "loss",
    "epochs",
    "n_train",
    "seed",
]
QUANTITY = ["benchmark", "corruption", "severity", "measure"]
MEASURED = [
    *QUANTITY,
    "value",
    "low",
    "high",
    "over",
    "n",
    "subset",
    "source",
    "version",
    "recipes",
]
PROVENANCE = ["mixing", "precision", "threads", "commit", "device", "machine", "torch", "finished"]
COLUMNS = [*IDENTITY, *MEASURED, *PROVENANCE]
CHECKSUM = (
    "checksum"  # the last column of a file, the same in each row; not in what `read_rows` returns
)


def rows_file(profile, run):
    """Where the rows of a run are kept."""
    return paths.RESULTS / profile / "runs" / f"{run}.csv"


def write_rows(profile, run, rows):
    """Write the rows of a run (a list of dicts with `COLUMNS`) with a checksum over all, replacing what it had before."""
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame[CHECKSUM] = checksum(frame.to_csv(index=False, lineterminator="\n"))
    with paths.atomic_write(rows_file(profile, run)) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def checksum(text):
    """The first 16 hex digits of a text's sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def checked_text(file):
    """The CSV in a file of rows without its checksums, which are compared. Raises ValueError."""
    text = file.read_text(encoding="utf-8")
    lines = [line.rpartition(",") for line in text.removesuffix("\n").split("\n")]
    text = "".join(f"{line}\n" for line, _, _ in lines)
    title, *found = (last for _, _, last in lines)
    if title != CHECKSUM or set(found) != {checksum(text)}:
        raise ValueError("its checksum does not match its content")
    return text


def row_files(profile):
    """The row files of a profile, sorted."""
    return sorted((paths.RESULTS / profile / "runs").glob("*.csv"))


def read_rows(profile, runs=None):
    """The rows of a profile as a DataFrame with `COLUMNS`: all, or those of some runs (names).

    Raises ValueError that names what is missing, with the command that makes it, or a damaged file.
    """
    files = row_files(profile) if runs is None else [rows_file(profile, run) for run in runs]
    missing = [file.stem for file in files if not file.exists()]
    if missing or not files:
        what = f"no rows of {len(missing)} runs, e.g. {missing[0]}" if missing else "no rows"
        raise ValueError(
            f"{what} in {paths.RESULTS / profile}: `./run_all.sh {profile}` makes them"
        )
    frames = []
    for file in files:
        try:
            frame = pd.read_csv(
                io.StringIO(checked_text(file)), dtype={"parameters": str, "commit": str}
            )
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"{file} is damaged ({reason}): `./run_all.sh {profile}` makes it again"
            ) from error
        if list(frame.columns) != COLUMNS:
            raise ValueError(
                f"{file} has other columns than expected: `./run_all.sh {profile}` makes it again"
            )
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def save_table(table, name, *, profile):
    """Write a table (DataFrame) as tables/<name>.csv of a profile; returns the path."""
    path = paths.RESULTS / profile / "tables" / f"{name}.csv"
    with paths.atomic_write(path) as temporary:
        table.to_csv(temporary, lineterminator="\n")
    return path
