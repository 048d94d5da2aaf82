"""Where things are: one place for every folder."""

import os
import re
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
NOTEBOOKS = SOURCE / "notebooks"
PUBLISHED = SOURCE / "data" / "published"  # the paper's tables, which `LMLIB_ROOT` does not move

if _moved := os.environ.get("LMLIB_ROOT"):
    _moved = str(Path(_moved).expanduser().resolve())
    os.environ["LMLIB_ROOT"] = _moved  # children stand in other folders
for _variable in ("LMLIB_IMAGENET", "LMLIB_PHOTOGRAPHS"):
    if _folder := os.environ.get(_variable):
        os.environ[_variable] = str(Path(_folder).expanduser().absolute())
ROOT = Path(_moved or (SOURCE if NOTEBOOKS.is_dir() else Path.home() / ".cache" / "lmlib"))
"""The study's folder: `LMLIB_ROOT`, else this checkout, else a cache of the bare package.

The tests set `LMLIB_ROOT`, and users with a larger disk.
"""
DATA = ROOT / "data"
RAW = DATA / "raw"  # what a user puts there or a download brings: never deleted by us
CACHE = DATA / "cache"  # what can be made again
RUNS = DATA / "runs"  # one folder a run
RESULTS = DATA / "results"  # tidy rows, one folder a profile
FIGURES = ROOT / "figures"  # one folder a profile
SITE = ROOT / "site"  # pages, one folder a profile: can be made again


def changed_parameters() -> str:
    """The parameters that the executing notebook was given by hand, "magnitude = 3, beta = 1".

    `study.notebooks` tells its kernel so; "" where all of them are as they are committed.
    """
    return os.environ.get("LMLIB_CHANGED", "")


def beside_canonical(path: Path) -> Path:
    """Where a notebook writes `path`: there, or in `changed/` under a name that says what was."""
    changed = re.sub(r"[^\w=.,-]+", "", changed_parameters())[:120]
    name = f"{path.stem}-{changed}{path.suffix}"
    return path.parent / "changed" / name if changed else path
