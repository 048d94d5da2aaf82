"""The paper's tables and claims as data: what was printed, with errors turned from percent into fractions."""

import pandas as pd

from .. import paths
from ..checks import check_name

TABLES = (3, 4, 5, 6, 7, 8, 9)


def published(table):
    """One printed cell a row of Table 3 to 9: DataFrame, columns as in `data/published/README.md`.

    `value` and `std` are fractions, except mT5D, which is a distance from 0 to 18. `epochs`, `magnitude` and `beta` are
    missing and the words empty where the paper does not say. Raises ValueError for another table.
    """
    check_name("published table", table, TABLES)
    words = [
        "dataset",
        "network",
        "method",
        "label",
        "jsd",
        "fractals",
        "column",
        "measure",
        "benchmark",
        "mark",
    ]
    settings = ["epochs", "magnitude", "beta"]
    cells = pd.read_csv(
        paths.PUBLISHED / f"table_{table}.csv", dtype=dict.fromkeys(settings, "Int64")
    )
    cells[words] = cells[words].astype(object).fillna("")
    percent = cells["measure"] != "mt5d"
    cells.loc[percent, ["value", "std"]] /= 100
    return cells


def claims():
    """The paper's claims, one a row: claim (C1 ...), statement, where it stands, tables, how it is measured: DataFrame."""
    return pd.read_csv(paths.PUBLISHED / "claims.csv", dtype=str, keep_default_na=False)
