import numpy as np
import pandas as pd
import pytest

from lmlib import ablations, results
from lmlib.ablations import ABLATIONS, Ablation, differences, settings_of, variant_rows, wide_differences
from lmlib.augment import METHODS, build_method
from lmlib.profiles import ablations as planned
from lmlib.results import COLUMNS
from lmlib.tables import CLEAN, MCE, Column

TWO = Ablation("two", {"a": {"method": "layermix"}, "b": {"method": "baseline"}}, (("b", "a"),))
MT5D = Column("P mT5D", "p", "mt5d")


def frame(values, column=CLEAN):
    """Rows with a variant: {variant: {seed: value}} of one measure."""
    rows = [
        dict.fromkeys(COLUMNS, float("nan"))
        | {"variant": label, "seed": seed, "value": value, "benchmark": column.benchmark, "measure": column.measure}
        for label, by_seed in values.items()
        for seed, value in by_seed.items()
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS, "variant"])


def key(setting):
    """What makes a run of the profile another one: its method, what differs from its defaults, its mixing set."""
    method = METHODS[setting["method"]]
    changed = {k: str(v) for k, v in setting.get("parameters", {}).items() if v != method.settings[k]}
    return setting["method"], tuple(sorted(changed.items())), setting.get("fractals", method.fractals)


def test_the_paper_profile_plans_exactly_these_variants():
    here = {key(variant) for ablation in ABLATIONS.values() for variant in ablation.variants.values()}
    assert here == {key(setting) for setting in planned("paper") if setting["method"] != "baseline"}


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_pair_names_variants_that_can_be_built(name, fractals):
    ablation = ABLATIONS[name]
    assert {label for pair in ablation.pairs for label in pair} == set(ablation.variants)
    for variant in ablation.variants.values():
        build_method(variant["method"], mixing_set=fractals, **variant.get("parameters", {}))


@pytest.fixture
def fractals():
    return np.zeros((2, 3, 36, 36), np.uint8)


def test_a_variant_has_a_run_for_each_seed_of_the_profile():
    settings = settings_of(ABLATIONS["fractals"], "quick")["colour, no flips"]
    assert [s["seed"] for s in settings] == [0, 1, 2]
    assert all(
        (s["fractals"], s["parameters"], s["profile"]) == ("colour", {"flips": False}, "quick") for s in settings
    )


def test_a_difference_is_paired_by_seed_and_leaves_out_what_has_no_partner():
    found = frame({"a": {0: 0.10, 1: 0.20, 2: 0.90}, "b": {0: 0.11, 1: 0.23}})
    (row,) = differences(found, TWO, [CLEAN, MCE]).to_dict("records")
    assert (row["ours"], row["reference"], row["n"]) == ("b", "a", 2)
    assert row["mean"] == pytest.approx(0.02)
    assert row["high"] - row["mean"] == pytest.approx(
        12.7062 * 0.01, rel=1e-4
    )  # t at 97.5 %, 1 degree; std / sqrt(2) = 0.01


def test_errors_of_single_corruptions_are_no_means():
    found = frame({"a": {0: 0.1}, "b": {0: 0.2}})
    assert differences(found.assign(corruption="fog"), TWO, [CLEAN]).empty


def test_one_pair_has_no_interval_and_holds_nothing():
    found = differences(frame({"a": {0: 0.1}, "b": {0: 0.2}}), TWO, [CLEAN])
    assert wide_differences(found).loc["b minus a", "clean"] == "+10.0 (n=1)"


def test_what_holds_is_marked_and_distances_keep_their_unit():
    found = differences(frame({"a": {0: 0.1, 1: 0.2, 2: 0.3}, "b": {0: 0.2, 1: 0.3001, 2: 0.3999}}, MT5D), TWO, [MT5D])
    assert wide_differences(found).loc["b minus a", "P mT5D"] == "+0.100 [+0.100, +0.100] (n=3) *"


def test_what_holds_is_corrected_for_the_whole_table():
    values = {"a": {0: 0.1, 1: 0.2, 2: 0.3}, "b": {0: 0.1110, 1: 0.2100, 2: 0.3170}}
    noise = {"a": {0: 0.1, 1: 0.2, 2: 0.3}, "b": {0: 0.12, 1: 0.19, 2: 0.31}}
    alone = differences(frame(values), TWO, [CLEAN])
    beside = pd.concat([frame(values), frame(noise, MCE), frame(noise, MT5D)])
    assert alone["p_value"].item() < 0.05 and alone["holds"].item()
    assert not differences(beside, TWO, [CLEAN, MCE, MT5D])["holds"].any()


def test_nothing_to_compare_is_an_empty_table():
    found = differences(frame({"a": {0: 0.1}, "b": {1: 0.2}}), TWO, [CLEAN])
    assert found.empty and wide_differences(found).empty


def test_rows_of_a_variant_are_those_of_its_runs_and_absent_ones_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(results.paths, "RESULTS", tmp_path)

    class Config:
        def __init__(self, **setting):
            self.name = f"{setting['method']}-{setting['seed']}"

    monkeypatch.setattr(ablations, "resolve", lambda **setting: (Config(**setting), None, None))
    assert variant_rows(TWO, "quick").empty
    known = {"dataset": "digits", "mixing": "none", "precision": "fp32", "threads": 1, "commit": "c", "device": "d"}
    known |= {"machine": "m", "torch": "t", "finished": "f", "parameters": "{}", "version": 1}
    for seed in (0, 2):
        results.write_rows("quick", f"layermix-{seed}", [known | {"seed": seed, "value": 0.1}])
    found = variant_rows(TWO, "quick")
    assert found["variant"].tolist() == ["a", "a"] and found["seed"].tolist() == [0, 2]
