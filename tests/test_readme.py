import pandas as pd
import pytest
from test_tables import row

from lmlib import paths
from lmlib.report import readme
from lmlib.report.readme import BEGIN, END, deviations
from lmlib.report.tables import CLEAN, MCE
from lmlib.study import rows as results

PROVENANCE = {"threads": 1, "commit": "abcdef0123", "device": "d", "machine": "m", "torch": "t"}
RUN = PROVENANCE | {
    "network": "wrn-10-1",
    "epochs": 6,
    "finished": "2026-01-02 03:04:05",
    "mixing": "none",
    "recipes": "1",
}


@pytest.fixture
def rows(root):
    """Rows of cifar-cpu: one seed of LayerMix as released, two of the baseline, and a run with other parameters."""
    fractals = {"mixing": "9 generated fractals (a substitute), grey"}
    runs = [
        row("layermix_released", 0, 0.3, **RUN | fractals),
        row("baseline", 0, 0.2, **RUN),
        row("baseline", 1, 0.22, **RUN),
    ]
    runs += [row("layermix_released", 0, 0.9, **RUN | fractals, parameters='{"beta": 5}')]
    for one in runs:
        results.write_rows("cifar-cpu", one["run"], [one, one | MCE._asdict() | {"value": 0.5}])


def test_a_section_has_the_methods_own_runs_in_the_order_of_the_tables_and_says_what_deviates(rows):
    section = readme.section("cifar-cpu")
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    assert lines[0] == "| method | loss | clean | C mCE |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| baseline", "| layermix_released"]
    assert "21.0 ± 1.4 (n=2)" in lines[2] and "30.0 [28.0, 33.0] (n=1)" in lines[3]
    assert (
        "Not as in the paper: wrn-10-1 for wrn-40-4; 6 epochs for 100. layermix_released: substitute mixing set"
        in section
    )
    assert "fp32, m, d, commits abcdef01, finished 2026-01-02." in section


def test_a_table_that_deviates_in_nothing_says_so():
    index = pd.MultiIndex.from_tuples([("baseline", "ce")])
    assert deviations(pd.DataFrame({"deviations": [""]}, index=index)) == "All as in the paper."


def test_the_sections_stand_between_the_marks_and_the_rest_stays(rows):
    paths.write_text(paths.ROOT / "README.md", f"before\n{BEGIN}\nold\n{END}\nafter\n")
    readme.update()
    text = (paths.ROOT / "README.md").read_text()
    assert (
        text.startswith(f"before\n{BEGIN}\n\n**Results")
        and text.endswith(f"\n\n{END}\nafter\n")
        and "old" not in text
    )
    readme.update()
    assert (paths.ROOT / "README.md").read_text() == text


def test_columns_are_those_of_table_4():
    assert [column.title for column in readme.COLUMNS] == list(readme.SHOWN) and readme.COLUMNS[
        0
    ] == CLEAN
