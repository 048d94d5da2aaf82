import numpy as np
import pytest

from lmlib import ablations, results
from lmlib.ablations import ABLATIONS, Ablation, settings_of, variant_rows
from lmlib.augment import METHODS, build_method
from lmlib.profiles import ablations as planned

TWO = Ablation("two", {"a": {"method": "layermix"}, "b": {"method": "baseline"}}, (("b", "a"),))


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
