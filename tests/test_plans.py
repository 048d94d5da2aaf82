import numpy as np
import pytest

from lmlib.augment import METHODS, build_method
from lmlib.models.recipes import default_recipe
from lmlib.study import grid, plans
from lmlib.study import rows as results
from lmlib.study.config import non_default_parameters
from lmlib.study.plans import ABLATIONS, Ablation
from lmlib.study.profiles import EVERY_METHOD, get_profile

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
    known, quick = get_profile("quick").methods, plans.ablations("quick")
    of_ablations = "baseline layermix layermix_iid layermix_released pixmix pixmix_k3".split()
    methods = [one for one in [*of_ablations, "pixmix_released"] if one in known]
    assert [(one["method"], one["seed"]) for one in quick] == [(one, 0) for one in methods]
    assert not any("parameters" in one for one in quick)
    n_variants = 1 + sum(len(ablation.variants) for ablation in ABLATIONS.values())
    assert len(plans.ablations("paper")) == 3 * n_variants


def test_a_variant_has_a_run_for_each_seed_of_the_profile():
    settings = plans.variants_of(ABLATIONS["fractals"], "paper")["colour, no flips"]
    assert [s["seed"] for s in settings] == [0, 1, 2]
    assert all(
        (s["fractals"], s["parameters"], s["profile"]) == ("colour", {"flips": False}, "paper")
        for s in settings
    )


@pytest.mark.parametrize("plan", [plan for plan in plans.PARTS if plan is not plans.imagenet])
def test_a_profile_without_datasets_has_no_runs_and_says_so(plan):
    with pytest.raises(ValueError, match="photographs trains nothing: choose one of quick, cifar"):
        plan("photographs")


# --- the runs of cifar-cpu


THREE_SEEDS = "baseline augmix pixmix ipmix layermix layermix_released layermix_iid".split()


def distinct(settings):
    """The runs that settings name, each once: tuples of sorted settings, without defaults."""
    runs = set()
    for one in settings:
        row = METHODS[one["method"]]
        parameters = non_default_parameters(one.get("parameters", {}), row.settings)
        given = one | {"parameters": tuple((k, str(v)) for k, v in sorted(parameters.items()))}
        defaults = {"loss": row.loss, "fractals": row.fractals}
        runs.add(tuple(sorted((defaults | given).items())))
    return [dict(run) for run in sorted(runs, key=str)]


def seeds_of(settings, **known):
    """The seeds of the distinct runs in which `known` holds, sorted."""
    runs = [one for one in distinct(settings) if known.items() <= one.items()]
    return sorted(one["seed"] for one in runs)


MAIN = {"dataset": "cifar10", "network": "airbench-32", "epochs": 16}


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_seven_methods_have_three_seeds_on_cifar10_and_all_others_one(method):
    own = {"method": method, "parameters": (), "loss": METHODS[method].loss}
    own |= {"fractals": METHODS[method].fractals}
    expected = [0, 1, 2] if method in THREE_SEEDS else [0]
    assert seeds_of(plans.every_method("cifar-cpu"), **MAIN, **own) == expected
    assert seeds_of(plans.whole_study("cifar-cpu"), **MAIN, **own) == expected


def test_augmix_is_trained_with_its_consistency_and_the_mixers_once_with_it():
    assert METHODS["augmix"].loss == "jsd"
    consistent = [one for one in distinct(plans.table_5("cifar-cpu")) if one["loss"] == "jsd"]
    found = sorted((one["method"], one["seed"]) for one in consistent)
    assert found == [("ipmix", 0), ("layermix", 0), ("pixmix", 0)]
    assert all(MAIN.items() <= one.items() for one in consistent)


def test_cifar100_has_five_methods_with_two_seeds_of_their_own():
    runs = [one for one in plans.whole_study("cifar-cpu") if one["dataset"] == "cifar100"]
    found = sorted((one["method"], one["seed"]) for one in distinct(runs))
    methods = "augmix baseline ipmix layermix pixmix".split()
    assert found == [(method, seed) for method in methods for seed in (0, 1)]
    assert {(one["network"], one["epochs"]) for one in runs} == {("airbench-32", 16)}


def test_magnitude_and_beta_make_nine_cells_of_which_the_default_has_three_seeds():
    cells = {}
    for one in plans.table_6("cifar-cpu"):
        cell = one["parameters"]["magnitude"], one["parameters"]["beta"]
        cells.setdefault(cell, []).append(one["seed"])
    expected = {(m, b): [0] for m in (3, 5, 8) for b in (1, 3, 5)}
    assert cells == expected | {(8, 3): [0, 1, 2]}


def test_networks_and_schedules_have_one_seed_beside_the_three_of_the_profile():
    found = {}
    for one in plans.table_7("cifar-cpu"):
        found.setdefault((one["network"], one["epochs"], one["method"]), []).append(one["seed"])
    single = "airbench-16 16,airbench-64 16,airbench-32 8,airbench-32 32,wrn-16-2 16,wrn-10-1 6"
    networks = {tuple(text.split()): [0] for text in single.split(",")}
    networks[("airbench-32", "16")] = [0, 1, 2]
    methods = ("baseline", "layermix")
    assert found == {(n, int(e), m): s for (n, e), s in networks.items() for m in methods}


def test_the_ablations_are_trained_once_and_need_runs_of_their_own_where_no_table_has_them():
    others = [plan for plan in plans.PARTS if plan is not plans.ablations]
    known = distinct([one for plan in others for one in plan("cifar-cpu")])
    new = [one for one in distinct(plans.ablations("cifar-cpu")) if one not in known]
    assert {one["seed"] for one in distinct(plans.ablations("cifar-cpu"))} == {0}
    # IID at m = 3 and 5 (8 is its own run); layers 1, 2, 3, and 1 with 2; three choices of blends;
    # colour, no flips, both.
    assert len(new) == 2 + 4 + 3 + 3


def test_the_runs_of_cifar_cpu_are_76():
    # Seven methods thrice and ten once, JSD for three, eight further cells of Table 6, six networks
    # for two methods, twelve variants, and five methods twice on CIFAR-100.
    expected = 7 * 3 + 10 + 3 + 8 + 6 * 2 + 12 + 5 * 2
    assert len(distinct(plans.whole_study("cifar-cpu"))) == expected == 76


def test_every_network_of_cifar_cpu_is_trained_by_its_own_recipe():
    sizes = get_profile("cifar-cpu")
    recipes = {network: default_recipe(network) for network, _ in sizes.networks}
    airbench = dict.fromkeys(("airbench-16", "airbench-32", "airbench-64"), "airbench")
    assert recipes == airbench | dict.fromkeys(("wrn-16-2", "wrn-10-1"), "paper")
    assert sizes.subset >= 2000


def test_the_digits_are_11_runs():
    # Six methods, a second seed of two of them, three further cells of Table 6.
    assert len(distinct(plans.whole_study("quick"))) == 6 + 2 + 3 == 11


def test_rows_of_a_variant_are_those_of_its_runs_and_absent_ones_are_left_out(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(results.paths, "RESULTS", tmp_path)

    monkeypatch.setattr(grid.runs, "name_of", lambda **one: f"{one['method']}-{one['seed']}")
    assert grid.variant_rows(plans.variants_of(TWO, "paper"), "paper").empty
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
        results.write_rows("paper", f"layermix-{seed}", [known | {"seed": seed, "value": 0.1}])
    found = grid.variant_rows(plans.variants_of(TWO, "paper"), "paper")
    assert found["variant"].tolist() == ["a", "a"] and found["seed"].tolist() == [0, 2]
