import numpy as np
import pytest

from lmlib.augment import build_method
from lmlib.study import grid, plans
from lmlib.study import rows as results
from lmlib.study.plans import ABLATIONS, Ablation

TWO = Ablation("two", {"a": {"method": "layermix"}, "b": {"method": "baseline"}}, (("b", "a"),))


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_pair_names_variants_that_can_be_built(name, fractals):
    ablation = ABLATIONS[name]
    assert {label for pair in ablation.pairs for label in pair} == set(ablation.variants)
    for variant in ablation.variants.values():
        build_method(variant["method"], mixing_set=fractals, **variant.get("parameters", {}))


@pytest.fixture
def fractals():
    return np.zeros((2, 3, 36, 36), np.uint8)


def test_a_profile_without_ablations_trains_their_methods_once_and_the_paper_every_variant():
    methods = [
        "baseline",
        "layermix",
        "layermix_iid",
        "layermix_released",
        "pixmix",
        "pixmix_k3",
        "pixmix_released",
    ]
    assert [one["method"] for one in plans.ablations("quick")] == methods
    assert not any("parameters" in one for one in plans.ablations("quick"))
    n_variants = 1 + sum(len(ablation.variants) for ablation in ABLATIONS.values())
    assert len(plans.ablations("paper")) == 3 * n_variants


def test_a_variant_has_a_run_for_each_seed_of_the_profile():
    settings = plans.variants_of(ABLATIONS["fractals"], "quick")["colour, no flips"]
    assert [s["seed"] for s in settings] == [0, 1, 2]
    assert all(
        (s["fractals"], s["parameters"], s["profile"]) == ("colour", {"flips": False}, "quick")
        for s in settings
    )


def test_rows_of_a_variant_are_those_of_its_runs_and_absent_ones_are_left_out(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(results.paths, "RESULTS", tmp_path)

    class Config:
        def __init__(self, **setting):
            self.name = f"{setting['method']}-{setting['seed']}"

    monkeypatch.setattr(grid.runs, "resolve", lambda **setting: (Config(**setting), None, None))
    assert grid.variant_rows(plans.variants_of(TWO, "quick"), "quick").empty
    known = {
        "dataset": "digits",
        "mixing": "none",
        "precision": "fp32",
        "threads": 1,
        "commit": "c",
        "device": "d",
    }
    known |= {"machine": "m", "torch": "t", "finished": "f", "parameters": "{}", "version": 1}
    for seed in (0, 2):
        results.write_rows("quick", f"layermix-{seed}", [known | {"seed": seed, "value": 0.1}])
    found = grid.variant_rows(plans.variants_of(TWO, "quick"), "quick")
    assert found["variant"].tolist() == ["a", "a"] and found["seed"].tolist() == [0, 2]
