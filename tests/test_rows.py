import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from lmlib import paths
from lmlib.study import evaluation
from lmlib.study import rows as results
from lmlib.study.evaluation import row
from lmlib.study.rows import (
    COLUMNS,
    read_rows,
    rows_file,
    runs_file,
    save_table,
    write_rows,
)

FINISHED = {
    "commit": "0123456789abcdef",
    "device": "a processor",
    "machine": "Linux x86_64, 2 cores",
    "packages": {"torch": "2.15.0"},
    "finished": "2026-11-22 12:00:00",
    "weights": "0123abcd",
}
MEASURED = {
    "benchmark": "clean",
    "subset": "all 500 test images",
    "source": "digits",
    "version": 1,
    "recipes": 1,
}


@pytest.fixture
def written(own_run):
    """The rows of the trained run, two measures recorded."""
    rows = [
        MEASURED | row("clean_error", 0.25, n=500, low=0.2, high=0.3),
        MEASURED | row("nll", 1 / 3, n=500),
    ]
    evaluation.record("quick", own_run.config, rows, FINISHED)
    return own_run


def test_rows_have_the_columns_in_their_order(written):
    assert list(read_rows("quick", [written.config.name]).columns) == COLUMNS
    header = rows_file("quick", written.config.name).read_text().splitlines()[0]
    assert header == ",".join(results.MEASURED)
    header = runs_file("quick").read_text().splitlines()[0]
    assert header == ",".join([*results.IDENTITY, *results.PROVENANCE, "sha256"])


def test_a_row_carries_the_identity_of_its_run(written):
    found = read_rows("quick").iloc[0]
    expected = {
        "run": written.config.name,
        "dataset": "digits",
        "network": "wrn-10-1",
        "method": "layermix",
    }
    expected |= {"parameters": "{}", "loss": "ce", "epochs": 2, "n_train": 200, "seed": 0}
    assert found[list(expected)].to_dict() == expected


def test_every_row_carries_its_provenance(written):
    rows = read_rows("quick")
    assert rows[results.PROVENANCE].notna().all(axis=None)
    expected = {
        "mixing": "20 generated fractals (a substitute), grey",
        "precision": written.config.precision,
        "threads": written.config.threads,
        "commit": "0123456789ab",
        "device": "a processor",
        "machine": "Linux x86_64, 2 cores",
        "torch": "2.15.0",
        "finished": "2026-11-22 12:00:00",
        "weights": "0123abcd",
    }
    assert rows.iloc[1][list(expected)].to_dict() == expected


def test_values_come_back_to_the_last_bit(written):
    assert read_rows("quick")["value"].tolist() == [0.25, 1 / 3]


def test_parameters_come_back_as_json(root):
    parameters = json.dumps({"magnitude": 5, "layers": [1, 2]}, sort_keys=True)
    write_rows("quick", "a", [dict.fromkeys(COLUMNS, 1) | {"parameters": parameters}])
    assert json.loads(read_rows("quick")["parameters"][0]) == {"layers": [1, 2], "magnitude": 5}


def test_rows_written_again_replace_the_old_ones(written):
    evaluation.record(
        "quick", written.config, [MEASURED | row("clean_error", 0.5, n=500)], FINISHED
    )
    assert read_rows("quick")["value"].tolist() == [0.5]


def test_a_row_says_on_how_many_ranks_its_run_was_trained(written):
    def device(**ranks):
        evaluation.record("quick", written.config, [MEASURED | row("nll", 0.5)], FINISHED | ranks)
        return read_rows("quick")["device"].tolist()

    assert device() == [FINISHED["device"]]
    assert device(ranks=[8]) == [f"8 ranks on {FINISHED['device']}"]
    assert device(ranks=[4, 8]) == [f"4 or 8 ranks on {FINISHED['device']}"]


def test_rows_of_all_runs_or_of_those_that_are_named(root):
    for name, value in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
        write_rows("quick", name, [dict.fromkeys(COLUMNS, 0) | {"run": name, "value": value}])
    write_rows("paper", "d", [dict.fromkeys(COLUMNS, 0) | {"run": "d"}])
    assert read_rows("quick")["run"].tolist() == ["a", "b", "c"]
    assert read_rows("quick", ["c", "a"])["value"].tolist() == [3.0, 1.0]


def test_missing_rows_are_named_with_the_command_that_makes_them(written):
    with pytest.raises(
        ValueError,
        match=r"no rows of 2 runs, e.g. other-run in .*: `./run_all.sh quick` makes them",
    ):
        read_rows("quick", ["other-run", written.config.name, "another-run"])
    with pytest.raises(ValueError, match=r"no rows in .*paper: `./run_all.sh paper` makes them"):
        read_rows("paper")


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"measure,", b"", 1),
        lambda content: b"\xff\xfe" + content,
        lambda content: content + b"one,more,line",
        lambda content: b"".join(content.splitlines(keepends=True)[:-1]),
    ],
    ids=["empty", "half", "column missing", "other encoding", "half a line", "a line missing"],
)
def test_damaged_rows_are_named_and_left_alone(written, damage):
    file = rows_file("quick", written.config.name)
    content = damage(file.read_bytes())
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{file.name} .*`./run_all.sh quick`") as caught:
        read_rows("quick")
    assert "\n" not in str(caught.value) and file.read_bytes() == content


@pytest.fixture
def three_runs(root):
    """Rows of the runs a, b and c, of values 0, 1 and 2."""
    for value, name in enumerate("abc"):
        write_rows("quick", name, [dict.fromkeys(COLUMNS, 7) | {"value": value}])
    return runs_file("quick")


@pytest.mark.parametrize("place", ["rows", "lines"])
def test_a_byte_flipped_anywhere_costs_the_run_that_it_belongs_to(three_runs, place):
    file = rows_file("quick", "b") if place == "rows" else three_runs
    whole = file.read_bytes()
    begin, end = (
        (0, len(whole)) if place == "rows" else (whole.index(b"\nb,"), whole.index(b"\nc,"))
    )
    for position in np.random.default_rng(0).integers(begin + 1, end, size=100):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert read_rows("quick", ["a", "c"])["value"].tolist() == [0, 2]
        with pytest.raises(ValueError, match=r"b\.csv or its line in runs\.csv is damaged"):
            read_rows("quick")


@pytest.mark.parametrize("lost", ["whole file", "end"])
def test_lines_that_are_lost_count_as_missing_and_come_back_run_by_run(three_runs, lost):
    text = three_runs.read_text()
    three_runs.unlink() if lost == "whole file" else three_runs.write_text(
        text[: text.index("\nb")]
    )
    for value, name in enumerate("abc"):
        with pytest.raises(ValueError, match="makes it again"):
            read_rows("quick", ["c"])
        write_rows("quick", name, [dict.fromkeys(COLUMNS, 7) | {"value": value}])
    assert three_runs.read_text() == text and len(read_rows("quick")) == 3


def test_a_run_whose_rows_are_gone_is_missing_and_its_line_goes_with_the_next_write(three_runs):
    rows_file("quick", "a").unlink()
    with pytest.raises(ValueError, match=r"no rows of 1 runs, e\.g\. a "):
        read_rows("quick", ["a", "b"])
    assert read_rows("quick")["run"].tolist() == ["b", "c"]
    write_rows("quick", "d", [dict.fromkeys(COLUMNS, 7)])
    assert [line[0] for line in three_runs.read_text().splitlines()[1:]] == ["b", "c", "d"]


def test_writers_at_the_same_time_lose_no_line(root):
    names = [f"run-{n}" for n in range(16)]
    with ThreadPoolExecutor(8) as threads:
        rows = [dict.fromkeys(COLUMNS, 1)]
        list(threads.map(lambda name: write_rows("quick", name, rows), names))
    assert sorted(read_rows("quick", names)["run"]) == sorted(names)


def test_an_interrupted_write_keeps_the_old_rows(written, monkeypatch):
    before = rows_file("quick", written.config.name).read_bytes()
    monkeypatch.setattr(
        pd.DataFrame, "to_csv", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        write_rows("quick", written.config.name, [dict.fromkeys(COLUMNS, 0)])
    folder = paths.RESULTS / "quick" / "rows"
    assert [file.read_bytes() for file in folder.iterdir()] == [before]


def test_equal_rows_are_equal_bytes(root):
    rows = [dict.fromkeys(COLUMNS, 1) | {"value": 0.1 + 0.2}]
    for name in ("a", "b"):
        write_rows("quick", name, rows)
    assert rows_file("quick", "a").read_bytes() == rows_file("quick", "b").read_bytes()
    assert b"\r" not in rows_file("quick", "a").read_bytes()


def test_a_table_is_kept_beside_the_rows_of_its_profile(root):
    table = pd.DataFrame({"x": [0.1, np.nan]}, index=pd.Index(["a", "b"], name="method"))
    path = save_table(table, "07-comparison", profile="quick")
    assert path == root / "data" / "results" / "quick" / "tables" / "07-comparison.csv"
    assert path.read_text() == "method,x\na,0.1\nb,\n"


@pytest.mark.parametrize("commit", ["012345678901", "1234e5678901"])
def test_a_commit_that_reads_as_a_number_stays_as_it_is(own_run, commit):
    evaluation.record(
        "quick", own_run.config, [MEASURED | row("nll", 1.0, n=500)], FINISHED | {"commit": commit}
    )
    assert read_rows("quick")["commit"].tolist() == [commit]
