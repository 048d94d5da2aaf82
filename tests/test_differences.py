import pandas as pd
import pytest

from lmlib.report.differences import adjusted, compare_rows, counted_text, for_display
from lmlib.report.tables import CLEAN, MCE, Column
from lmlib.study.rows import COLUMNS

MT5D = Column("P mT5D", "p", "mt5d")


def frame(values, column=CLEAN):
    """Rows with a variant: {variant: {seed: value}} of one measure."""
    rows = [
        dict.fromkeys(COLUMNS, float("nan"))
        | {
            "variant": label,
            "seed": seed,
            "value": value,
            "benchmark": column.benchmark,
            "measure": column.measure,
        }
        for label, by_seed in values.items()
        for seed, value in by_seed.items()
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS, "variant"])


def differences(found, columns):
    """b minus a."""
    return compare_rows(found, columns, ["variant"], [("two", ("b",), ("a",))])


def wide(table):
    return for_display(table, ["ours", "reference"])


def test_a_difference_is_paired_by_seed_and_leaves_out_what_has_no_partner():
    found = frame({"a": {0: 0.10, 1: 0.20, 2: 0.90}, "b": {0: 0.11, 1: 0.23}})
    (row,) = differences(found, [CLEAN, MCE]).to_dict("records")
    assert (row["ours"], row["reference"], row["n"]) == ("b", "a", 2)
    assert row["mean"] == pytest.approx(0.02)
    assert row["high"] - row["mean"] == pytest.approx(
        12.7062 * 0.01, rel=1e-4
    )  # t at 97.5 %, 1 degree; std / sqrt(2) = 0.01


def test_several_rows_of_a_seed_are_averaged_before_they_are_paired():
    found = pd.concat(
        [frame({"a": {0: 0.1, 1: 0.2}, "b": {0: 0.2, 1: 0.4}}), frame({"b": {0: 0.4, 1: 0.4}})]
    )
    (row,) = differences(found, [CLEAN]).to_dict("records")
    assert (row["ours_mean"], row["n"]) == (pytest.approx(0.35), 2)


def test_the_two_means_are_over_the_shared_seeds_so_that_they_subtract():
    found = frame({"a": {0: 0.10, 1: 0.20, 2: 0.90}, "b": {0: 0.11, 1: 0.23, 3: 0.50}})
    (row,) = differences(found, [CLEAN]).to_dict("records")
    assert (row["ours_mean"], row["reference_mean"]) == pytest.approx((0.17, 0.15))
    assert row["ours_mean"] - row["reference_mean"] == pytest.approx(row["mean"])


def test_what_differs_is_in_words_and_what_is_shared_in_columns():
    found = pd.concat(
        [frame({"a": {0: 0.1}, "b": {0: 0.2}}).assign(network=network) for network in "xy"]
    )
    pairs = [("f", (network, "b"), (network, "a")) for network in "xy"]
    table = compare_rows(found, [CLEAN], ["network", "variant"], pairs)
    assert table[["network", "ours", "reference"]].to_numpy().tolist() == [
        ["x", "b", "a"],
        ["y", "b", "a"],
    ]
    assert list(for_display(table, ["network", "reference"]).index) == [("x", "a"), ("y", "a")]


def test_one_pair_has_no_interval_and_holds_nothing():
    found = differences(frame({"a": {0: 0.1}, "b": {0: 0.2}}), [CLEAN])
    assert wide(found).loc[("b", "a"), "clean"] == "+10.0 (n=1)"


def test_what_holds_is_marked_and_distances_keep_their_unit():
    found = differences(
        frame({"a": {0: 0.1, 1: 0.2, 2: 0.3}, "b": {0: 0.2, 1: 0.3001, 2: 0.3999}}, MT5D), [MT5D]
    )
    assert wide(found).loc[("b", "a"), "P mT5D"] == "+0.100 [+0.100, +0.100] (n=3) *"


def test_what_holds_is_corrected_for_the_whole_table():
    values = {"a": {0: 0.1, 1: 0.2, 2: 0.3}, "b": {0: 0.1110, 1: 0.2100, 2: 0.3170}}
    noise = {"a": {0: 0.1, 1: 0.2, 2: 0.3}, "b": {0: 0.12, 1: 0.19, 2: 0.31}}
    alone = differences(frame(values), [CLEAN])
    beside = pd.concat([frame(values), frame(noise, MCE), frame(noise, MT5D)])
    assert alone["p_value"].item() < 0.05 and alone["holds"].item()
    assert not differences(beside, [CLEAN, MCE, MT5D])["holds"].any()


def test_nothing_to_compare_is_an_empty_table():
    found = differences(frame({"a": {0: 0.1}, "b": {1: 0.2}}), [CLEAN])
    assert found.empty and wide(found).empty


def test_tables_of_one_family_are_adjusted_together_by_hand():
    first = differences(
        frame({"a": {0: 0.10, 1: 0.20, 2: 0.30}, "b": {0: 0.11, 1: 0.23, 2: 0.32}}), [CLEAN]
    )
    second = differences(
        frame({"a": {0: 0.10, 1: 0.20, 2: 0.30}, "b": {0: 0.20, 1: 0.31, 2: 0.42}}, MCE), [MCE]
    )
    single = differences(frame({"a": {0: 0.1}, "b": {0: 0.2}}, MT5D), [MT5D])
    together = adjusted(pd.concat([first, second, single], ignore_index=True))
    p = [first["p_value"].item(), second["p_value"].item()]
    assert p[1] < p[0] and together["p_holm"].tolist()[:2] == pytest.approx(
        [max(p[0], 2 * p[1]), 2 * p[1]]
    )
    assert pd.isna(together["p_holm"].iloc[2]) and together["holds"].tolist() == [
        False,
        True,
        False,
    ]


def test_differences_are_counted_by_column_with_their_range_and_what_holds():
    a = {0: 0.1, 1: 0.2, 2: 0.3}
    values = {"a": a, "b": {0: 0.2, 1: 0.3001, 2: 0.3999}, "c": {0: 0.08}}
    found = pd.concat([frame(values), frame({"a": {0: 2}, "b": {0: 1.5}}, MT5D)])
    pairs = [("all", (ours,), ("a",)) for ours in "bc"]
    table = compare_rows(found, [CLEAN, MT5D], ["variant"], pairs)
    lower = "lower in clean in 1 of 2 (-2.0 to +10.0), P mT5D in 1 of 1 (-0.500)."
    holds = "1 of 1 with an interval hold after Holm's correction, 0 of them lower."
    assert counted_text(table) == f"{lower} {holds}"


def test_differences_of_one_pair_are_said_to_be_of_no_weight():
    found = differences(frame({"a": {0: 0.1}, "b": {0: 0.2}}), [CLEAN])
    alone = "Each is of one pair of seeds, so none is told from luck."
    assert counted_text(found) == f"lower in clean in 0 of 1 (+10.0). {alone}"
