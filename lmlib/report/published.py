"""The paper's tables and claims as data: what was printed, with percent turned into fractions."""

import pandas as pd

from .. import paths
from ..checks import check_name

TABLES = (3, 4, 5, 6, 7, 8, 9)
NUMBERS = ("value", "std", "epochs", "magnitude", "beta")


def published(table: int) -> pd.DataFrame:
    """One printed cell a row of Table 3 to 9, with the columns of `data/published/README.md`.

    `value` and `std` are fractions, except mT5D, which is a distance from 0 to 18. `epochs`,
    `magnitude` and `beta` are missing and texts are empty where the paper does not say. Raises
    ValueError for another table.
    """
    check_name("published table", table, TABLES)
    integers = dict.fromkeys(NUMBERS[2:], "Int64")
    cells = pd.read_csv(paths.PUBLISHED / f"table_{table}.csv", dtype=integers)
    texts = cells.columns.difference(["table", *NUMBERS])
    cells[texts] = cells[texts].astype(object).fillna("")
    percent = cells["measure"] != "mt5d"
    cells.loc[percent, ["value", "std"]] /= 100
    return cells


def claims() -> pd.DataFrame:
    """The paper's claims, one a row: claim (C1 ...), statement, where, tables, how measured."""
    return pd.read_csv(paths.PUBLISHED / "claims.csv", dtype=str, keep_default_na=False)
