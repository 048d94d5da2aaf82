import json
import math
import re

import pandas as pd
import pytest
import torch
from reference import noise
from test_tables import OF_14, frame, row, seeds

from lmlib import files, paths
from lmlib.report import tables
from lmlib.report.page import (
    EARLIER,
    EXHIBITS,
    README_BEGIN,
    README_END,
    claims_strip,
    contents,
    figures_of,
    groups_of,
    markdown_table,
    read_cells,
    readme_section,
    results_section,
    run_durations,
    status_of,
    update_readme,
    without_shared,
)
from lmlib.report.published import published
from lmlib.report.tables import MCE
from lmlib.study import runs
from lmlib.study.rows import save_table, write_rows


def test_every_table_and_figure_of_the_paper_is_named_once_and_leads_to_a_notebook():
    wanted = [f"{kind} {n}" for kind in ("Table", "Fig.") for n in range(1, 10)]
    assert EXHIBITS.index.tolist() == wanted
    for name, exhibit in EXHIBITS.iterrows():
        assert (paths.NOTEBOOKS / f"{exhibit['notebook']}.ipynb").exists()
        assert bool(exhibit["profile"]) == (name in ("Table 8", "Table 9", "Fig. 4"))
        assert bool(exhibit["status"]) != bool(exhibit["measured"])


def test_a_table_that_is_not_made_says_the_command(root):
    assert status_of("Table 3", "quick") == "not made in profile quick: `./run_all.sh quick`"
    assert contents("quick").loc["Table 3", "status"].startswith("not made")
    of_another = "not made in profile quick: `./run_all.sh imagenet-200`"
    assert status_of("Table 8", "quick") == of_another


@pytest.mark.parametrize(
    ("changes", "scale", "epochs"),
    [
        ({}, "at the paper's scale", 100),
        ({"epochs": 20}, "at a smaller scale", 20),
        ({"subset": "500 stratified test images"}, "at a smaller scale", 100),
    ],
)
def test_the_status_of_a_table_is_its_scale(root, changes, scale, epochs):
    rows = frame(
        *seeds("layermix", (0.2, 0.21, 0.22), **changes),
        *seeds("layermix_released", (0.2, 0.2, 0.2), **changes),
    )
    cells = tables.cells(rows, [tables.CLEAN], profile="paper", printed=published(4))
    save_table(cells, "10-table-3-cifar100", profile="paper")
    size = f"cifar100, wrn-40-4, {epochs} epochs, n = 3"
    expected = f"{scale}: {size}; beside 1 of 18 printed rows"
    assert status_of("Table 3", "paper") == expected


def test_a_saved_table_reads_for_people_as_the_one_that_was_saved(root):
    rows = frame(*seeds("baseline", (0.2, 0.21, 0.22)), *seeds("cutout", (0.1,)))
    found = tables.cells(rows, [tables.CLEAN], profile="paper", printed=published(4))
    again = read_cells(save_table(found, "10-table-4-cifar100", profile="paper"))
    expected = tables.for_display(found)
    pd.testing.assert_frame_equal(tables.for_display(again), expected, check_dtype=False)
    assert tables.title(again, "Table 4", profile="paper") == tables.title(
        found, "Table 4", profile="paper"
    )


def test_the_figures_of_an_exhibit_are_those_that_were_drawn(root):
    assert figures_of("Table 3", "quick") == []
    drawn = paths.FIGURES / "quick" / "10-clean-and-mce.png"
    files.write_text(drawn, "")
    assert figures_of("Table 3", "quick") == [drawn]


def test_the_cost_is_the_seconds_of_the_history_and_of_the_executed_notebook(own_run):
    name = own_run.config.name
    (row,) = run_durations([name]).to_dict("records")
    assert (
        row["training"] == pytest.approx(sum(epoch["seconds"] for epoch in runs.history_of(name)))
        and row["training"] > 0
    )
    assert math.isnan(row["in_all"])
    files.write_text(
        own_run.config.folder / "train.ipynb",
        json.dumps({"metadata": {"papermill": {"duration": 7.5}}}),
    )
    assert run_durations([name])["in_all"].tolist() == [7.5]


@pytest.mark.parametrize("content", ["", '{"metadata": {', "{}", "[]"])
def test_a_damaged_file_costs_the_report_one_number_and_is_named(own_run, caplog, content):
    for file in (
        own_run.config.folder / "train.ipynb",
        own_run.config.folder / "checkpoint.safetensors",
    ):
        file.write_text(content)
    assert run_durations([own_run.config.name]).isna().all(axis=None)
    said = caplog.text
    assert "train.ipynb is damaged (" in said and "checkpoint.safetensors is damaged (" in said


def test_the_cost_of_a_run_that_is_not_here_is_not_known(root):
    assert run_durations(["elsewhere"]).isna().all(axis=None)


def test_a_table_of_text_keeps_bars_and_links_in_their_cells():
    table = pd.DataFrame({"a": ["x | y"], "b": ["[n](n.ipynb)"]}, index=pd.Index(["1"], name="k"))
    lines = ["| k | a | b |", "| --- | --- | --- |", r"| 1 | x \| y | [n](n.ipynb) |"]
    assert markdown_table(table).splitlines() == lines


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
    """One seed of LayerMix as released, two of the baseline, a run with other parameters."""
    fractals = {"mixing": "9 generated fractals (a substitute), grey"}
    runs = [
        row("layermix_released", 0, 0.3, **RUN | fractals),
        row("baseline", 0, 0.2, **RUN),
        row("baseline", 1, 0.22, **RUN),
    ]
    runs += [row("layermix_released", 0, 0.9, **RUN | fractals, parameters='{"beta": 5}')]
    for one in runs:
        write_rows("cifar-cpu", one["run"], [one, one | MCE._asdict() | {"value": 0.5}])


def test_a_section_has_the_methods_own_runs_in_the_order_of_the_tables_and_says_what_deviates(rows):
    (group,) = groups_of("cifar-cpu")
    section = results_section(group, "cifar-cpu")
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    assert lines[0] == "| method | loss | clean | C mCE |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| baseline", "| layermix_released"]
    assert "21.0 ± 1.4 (n=2)" in lines[2] and "30.0 [28.0, 33.0] (n=1)" in lines[3]
    assert (
        "Not as in the paper: wrn-10-1 for wrn-40-4; 6 epochs for 100. "
        "layermix_released: substitute mixing set" in section
    )
    assert "fp32, m, d, commits abcdef01, finished 2026-01-02." in section


def test_runs_without_a_hash_of_their_weights_come_last_and_are_said_to_be_of_an_earlier_version(
    rows,
):
    one = row("baseline", 0, 0.1, **RUN | {"network": "airbench-32", "weights": "0123"})
    write_rows("cifar-cpu", one["run"], [one, one | MCE._asdict() | {"value": 0.4}])
    first, second = (results_section(one, "cifar-cpu") for one in groups_of("cifar-cpu"))
    assert "airbench-32 for wrn-40-4" in first and EARLIER not in first
    assert "wrn-10-1 for wrn-40-4" in second and second.endswith(EARLIER)


def test_the_readme_has_the_main_methods_of_the_first_table_and_a_link_to_all(rows):
    one = row("layermix", 0, 0.1, **RUN | {"mixing": "9 generated fractals (a substitute), grey"})
    both = [one | column._asdict() | {"value": 0.4} for column in (MCE, OF_14)]
    write_rows("cifar-cpu", one["run"], [one, *both])
    section = readme_section("cifar-cpu")
    assert "| baseline |" in section and "| layermix_released |" not in section
    assert "| method | clean | 15 corruptions |" in section
    assert "cifar100, wrn-10-1, 6 epochs, n = 1 to 2. Error in percent" in section
    sentence = "LayerMix against plain training, in points: clean -11.0, 15 corruptions -10.0."
    assert sentence in section
    assert section.endswith("[figures/cifar-cpu/README.md](figures/cifar-cpu/README.md).")


def test_a_table_that_deviates_in_nothing_says_so():
    index = pd.MultiIndex.from_tuples([("baseline", "ce")])
    assert (
        tables.deviations_text(pd.DataFrame({"deviations": [""]}, index=index))
        == "All as in the paper."
    )


def test_the_sections_stand_between_the_marks_and_the_rest_stays(rows):
    files.write_text(
        paths.ROOT / "README.md", f"before\n{README_BEGIN}\nold\n{README_END}\nafter\n"
    )
    update_readme()
    page = (paths.FIGURES / "cifar-cpu" / "README.md").read_text()
    assert page.startswith("# Results of the profile cifar-cpu") and "layermix_released" in page
    text = (paths.ROOT / "README.md").read_text()
    assert (
        text.startswith(f"before\n{README_BEGIN}\n\n**cifar100")
        and text.endswith(f"\n\n{README_END}\nafter\n")
        and "old" not in text
    )
    update_readme()
    assert (paths.ROOT / "README.md").read_text() == text


def test_the_code_of_the_readme_runs(root, monkeypatch):
    monkeypatch.setattr("lmlib.fractals.mixing_sets.mixing_set", lambda: noise((36, 36), 4))
    made = []
    monkeypatch.setattr("torch.optim.SGD.step", lambda self: made.append(1))
    text = (paths.NOTEBOOKS.parent / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    few = {"range(10)": "range(1)", "n_fractals=60": "n_fractals=2", ".images)": ".images[:200])"}
    few[".labels)"] = ".labels[:200])"
    with torch.random.fork_rng(devices=[]):
        for block in blocks:
            for word, small in few.items():
                block = block.replace(word, small)
            exec(block, {})
    assert len(blocks) == 2 and len(made) == 2  # two batches of an epoch


def test_every_place_that_the_readme_leads_to_is_there():
    folder = paths.NOTEBOOKS.parent
    text = (folder / "README.md").read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    assert all((folder / link).exists() for link in links if not link.startswith("http"))
    named = set(re.findall(r"notebooks/([\w-]+)\.ipynb", text))
    assert named == {file.stem for file in paths.NOTEBOOKS.glob("[0-9][0-9]-*.ipynb")}


def test_what_all_rows_of_a_table_share_is_said_once():
    table = pd.DataFrame({"a": ["1", "2"], "scale": ["small", "small"]})
    shown, words = without_shared(table)
    assert list(shown) == ["a"] and words == "*In all rows: scale: small.*"
    assert without_shared(table.head(1))[1] == "" and list(
        without_shared(table.head(1))[0]
    ) == list(table)


def test_the_strip_of_claims_has_a_sign_the_count_and_n_for_each():
    texts = ["2 of 2 differences as claimed (n = 1)", "1 of 2 differences as claimed (n = 2 to 3)",
             "0 of 3 differences as claimed; beyond ... (n = 3)", ""]  # fmt: skip
    seen = pd.DataFrame(
        {"statement": ["a < b"] * 4, "seen": texts, "verdict": ["no verdict: x"] * 4}
    )
    html = claims_strip(seen.set_axis(["C1", "C2", "C3", "C4"]))
    signs = ["C1 ✓</b> 2 of 2, n = 1", "C2 ~</b> 1 of 2, n = 2 to 3", "C3 ✗</b> 0 of 3, n = 3"]
    assert all(sign in html for sign in [*signs, "C4 ·</b> not run"])
    assert html.count("<br>no verdict</a>") == 4 and 'title="a &lt; b"' in html
