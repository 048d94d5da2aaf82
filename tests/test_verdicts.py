import json
import math

import numpy as np
import pandas as pd
import pytest

from lmlib import corruptions
from lmlib.report.claims import Comparison, comparisons, labels_of, side
from lmlib.report.published import claims
from lmlib.report.tables import MCE, Column
from lmlib.report.verdicts import for_display, is_near, judge, judge_layers, summarise, verdict
from lmlib.study import evaluation
from lmlib.study.rows import COLUMNS

OURS, THEIRS = side("paper", "layermix_released"), side("paper", "pixmix")
LEADS = Comparison("C1", "Table 4", True, MCE, OURS, THEIRS, -1, (0.303, 0.355))
HARDLY = LEADS._replace(claim="C8", sign=0, printed=(math.nan, math.nan))
WIDE, TIGHT = (-0.02, 0.0, 0.02), (-0.001, 0.0, 0.001)  # seeds about their mean


def about(mean, spread=TIGHT):
    return {seed: mean + off for seed, off in enumerate(spread)}


def rows(wanted, values, **changes):
    """The rows of one side at the paper's size, one for each seed and cell, but for `changes`."""
    label = (
        "14,230 of the user's, "
        if changes.pop("own", True)
        else "14,230 generated fractals (a substitute), "
    )
    base = dict.fromkeys(COLUMNS, float("nan")) | {
        "n": 10_000, "subset": "all 10,000 test images", "source": "official",
        "version": evaluation.VERSION,
        "recipes": corruptions.VERSION, "precision": "bf16", "benchmark": "c",
        "measure": "mce", "over": 15,
    }  # fmt: skip
    base |= {name: wanted[name] for name in ("dataset", "network", "epochs", "method", "loss")}
    base |= {
        "mixing": "none" if wanted["fractals"] == "none" else label + wanted["fractals"]
    } | changes
    return [
        base
        | {
            "run": f"{wanted['method']}-{cell}-{seed}",
            "parameters": cell,
            "seed": seed,
            "value": value,
        }
        for cell in wanted["parameters"]
        for seed, value in values.items()
    ]


def frame(*parts):
    return pd.DataFrame([row for part in parts for row in part], columns=COLUMNS)


def word(comparison, ours, theirs, p_holm=0.001, substitute=False):
    return verdict(comparison, ours, theirs, p_holm, substitute=substitute)


def judged(*parts, comparison=LEADS):
    return judge(frame(*parts), [comparison])["judged"].item()


def test_both_numbers_near_the_printed_ones_and_in_order_are_reproduced():
    assert word(LEADS, about(0.304), about(0.354)) == "reproduced"
    assert (
        word(LEADS, about(0.304), about(0.354), substitute=True) == "reproduced with a substitute"
    )


def test_one_number_off_by_a_point_leaves_the_direction():
    assert word(LEADS, about(0.304), about(0.365)) == "direction"


def test_without_a_printed_number_the_best_is_the_direction():
    assert (
        word(LEADS._replace(printed=(math.nan, math.nan)), about(0.304), about(0.354))
        == "direction"
    )


def test_an_interval_over_zero_is_undecided_and_so_is_a_p_value_that_holm_lifts():
    noisy = {0: 0.34, 1: 0.30, 2: 0.37}
    assert (
        judge(frame(rows(OURS, noisy), rows(THEIRS, about(0.365))), [LEADS])["judged"].item()
        == "undecided"
    )
    assert word(LEADS, {0: 0.32, 1: 0.321, 2: 0.3195}, about(0.365), p_holm=0.06) == "undecided"


def test_an_interval_wholly_on_the_other_side_contradicts_even_near_the_printed_numbers():
    assert word(LEADS, {0: 0.40, 1: 0.401, 2: 0.3995}, about(0.355)) == "contradicted"
    close = LEADS._replace(printed=(0.303, 0.304))
    assert (
        word(close, about(0.3045, (-1e-4, 0, 1e-4)), about(0.3031, (0, 1e-4, -1e-4)))
        == "contradicted"
    )


def test_a_claimed_rise_is_the_mirror_of_a_claimed_fall():
    rises = LEADS._replace(sign=1)
    assert word(rises, {0: 0.40, 1: 0.401, 2: 0.3995}, about(0.3)) == "direction"
    assert word(rises, {0: 0.20, 1: 0.201, 2: 0.1995}, about(0.3)) == "contradicted"


def test_hardly_any_difference_is_judged_by_half_a_point_about_zero():
    assert word(HARDLY, {0: 0.3001, 1: 0.3002, 2: 0.3}, {0: 0.3, 1: 0.3, 2: 0.3}) == "reproduced"
    assert (
        word(HARDLY, {0: 0.320, 1: 0.3201, 2: 0.3199}, {0: 0.3, 1: 0.3, 2: 0.3}) == "contradicted"
    )
    assert word(HARDLY, about(0.30, WIDE), about(0.30)) == "undecided"


def test_two_seeds_are_too_few_for_any_verdict():
    assert word(LEADS, {0: 0.30, 1: 0.31}, {0: 0.35, 1: 0.36}) == "too few seeds"


@pytest.mark.parametrize(
    ("std", "off", "near"), [(1e-4, 0.0047, True), (1e-4, 0.0049, False), (0.0021, 0.0, False)]
)
def test_near_is_half_a_point_for_the_whole_interval(std, off, near):
    # Half width of three seeds: 4.303 / sqrt(3) = 2.484 standard deviations.
    assert is_near([0.3 + off - std, 0.3 + off, 0.3 + off + std], 0.3, "mce") is near


def test_near_is_two_standard_deviations_where_those_are_more():
    values = 0.3 + 0.02 * np.array([-1, 1, -1, 1, -1, 1]) / math.sqrt(
        1.2
    )  # std .02, half width 1.05 std
    assert is_near(list(values), 0.3 + 0.018, "mce") and not is_near(
        list(values), 0.3 + 0.020, "mce"
    )


def test_a_distance_has_no_half_point():
    assert not is_near([1.600, 1.601, 1.602], 1.6, "mt5d")


def test_rows_at_the_papers_scale_get_a_verdict_with_a_substitute_said():
    assert judged(rows(OURS, about(0.304)), rows(THEIRS, about(0.354))) == "reproduced"
    with_generated = rows(OURS, about(0.304), own=False), rows(THEIRS, about(0.354), own=False)
    assert judged(*with_generated) == "reproduced with a substitute"


@pytest.mark.parametrize(
    "change",
    [
        {"network": "wrn-10-1"},
        {"epochs": 15},
        {"subset": "1,000 stratified test images"},
        {"subset": "all 10,000 test images, severities 1, 3, 5 alone"},
        {"over": 14},
    ],
)
def test_a_smaller_scale_gets_no_verdict(change):
    sides = [
        each | {name: value for name, value in change.items() if name in each}
        for each in (OURS, THEIRS)
    ]
    small = LEADS._replace(ours=sides[0], reference=sides[1])
    parts = [
        rows(each, about(mean), **change) for each, mean in zip(sides, (0.304, 0.354), strict=True)
    ]
    assert judged(*parts, comparison=small) == "smaller scale"


def test_pairs_are_shared_seeds_and_none_shared_is_not_run():
    table = judge(frame(rows(OURS, about(0.304)), rows(THEIRS, {1: 0.354})), [LEADS])
    assert (table["n"].item(), table["judged"].item()) == (1, "too few seeds")
    assert table["mean"].item() == pytest.approx(0.304 - 0.354)
    assert judged(rows(OURS, {0: 0.3}), rows(THEIRS, {1: 0.354})) == "not run"
    assert judged(rows(OURS, about(0.3))) == "not run"


def test_a_side_of_several_cells_is_their_mean_over_the_seeds_that_have_all():
    ours = side(
        "paper", "layermix", cells=[{"magnitude": 8, "beta": 3}, {"magnitude": 8, "beta": 5}]
    )
    theirs = side(
        "paper", "layermix", cells=[{"magnitude": 5, "beta": 3}, {"magnitude": 5, "beta": 5}]
    )
    first, second = ours["parameters"]
    parts = (
        rows(ours | {"parameters": (first,)}, {0: 0.30, 1: 0.9}),
        rows(ours | {"parameters": (second,)}, {0: 0.32}),
    )
    table = judge(
        frame(*parts, rows(theirs, {0: 0.30, 1: 0.30})),
        [HARDLY._replace(ours=ours, reference=theirs)],
    )
    assert (table["n"].item(), table["mean"].item()) == (1, pytest.approx(0.01))


def test_p_values_are_adjusted_within_a_table_and_not_beyond():
    ipmix = side("paper", "ipmix")
    three = [LEADS, LEADS._replace(reference=ipmix), LEADS._replace(family="Table 3")]
    noisy = about(0.33, (-0.01, 0.002, 0.008))
    table = judge(
        frame(rows(OURS, about(0.304)), rows(THEIRS, noisy), rows(ipmix, about(0.33, WIDE))), three
    )
    assert table["p_holm"][0] == pytest.approx(2 * table["p_value"][0])
    assert table["p_holm"][2] == pytest.approx(table["p_value"][2])


def one_claim(table):
    return summarise(table, claims().query("claim == 'C1'")).loc["C1", "verdict"]


def test_a_claim_is_as_good_as_its_weakest_comparison_and_one_contradiction_settles_it():
    table = judge(
        frame(rows(OURS, about(0.304)), rows(THEIRS, about(0.354))), [LEADS, LEADS, LEADS]
    )
    assert one_claim(table) == "reproduced"
    assert one_claim(table.assign(judged=["reproduced", "direction", "reproduced"])) == "direction"
    assert one_claim(table.assign(judged=["reproduced", "undecided", "direction"])) == "undecided"
    assert (
        one_claim(table.assign(judged=["undecided", "contradicted", "direction"])) == "contradicted"
    )
    assert (
        one_claim(table.assign(judged=["reproduced", "too few seeds", "direction"]))
        == "no verdict: fewer than 3 seeds"
    )


def test_what_stands_beside_does_not_decide():
    table = judge(
        frame(rows(OURS, about(0.304)), rows(THEIRS, about(0.354))),
        [LEADS, LEADS._replace(decides=False)],
    )
    assert one_claim(table.assign(judged=["reproduced", "contradicted"])) == "reproduced"


def test_a_claim_without_rows_says_the_command_and_a_small_one_its_scale():
    table = judge(frame(rows(OURS, about(0.3))), [LEADS])
    assert one_claim(table) == "not run in this profile: `./run_all.sh paper`"
    small = judge(
        frame(
            rows(OURS, about(0.3), subset="500 stratified test images"), rows(THEIRS, about(0.4))
        ),
        [LEADS],
    )
    found = summarise(small, claims()).loc["C1"]
    assert (
        found["verdict"] == "no verdict: seen at a smaller scale"
        and "500 stratified test images" in found["scale"]
    )
    assert found["seen"].startswith("1 of 1 differences as claimed")


def layers(n, *diversity):
    found = {
        "diversity": diversity,
        "diversity_error": 0.001,
        "affinity": (-0.1, -0.2, -0.3),
        "affinity_error": 0.001,
        "n": n,
    }
    return pd.DataFrame(found, index=["layer 1", "layer 2", "layer 3"])


def test_layers_are_judged_over_images_and_only_on_a_whole_test_set_of_cifar():
    assert set(judge_layers(layers(300, 0.01, 0.03, 0.05), profile="paper")["judged"]) == {
        "smaller scale"
    }
    assert set(judge_layers(layers(10_000, 0.01, 0.03, 0.05), profile="quick")["judged"]) == {
        "smaller scale"
    }
    assert set(judge_layers(layers(10_000, 0.01, 0.03, 0.05), profile="paper")["judged"]) == {
        "direction"
    }
    shrinks = judge_layers(layers(10_000, 0.01, 0.0105, 0.004), profile="paper")
    assert shrinks["judged"][:2].tolist() == ["undecided", "contradicted"] and shrinks[
        "decides"
    ].tolist() == [
        True,
        True,
        False,
        False,
    ]


def test_layers_that_change_no_answer_of_a_network_differ_by_nothing_in_affinity():
    measured = layers(10_000, 0.01, 0.03, 0.05).assign(affinity=0.0, affinity_error=0.0)
    affinity = judge_layers(measured, profile="paper").query("not decides")
    assert (affinity["p_value"] == 1).all() and set(affinity["judged"]) == {"undecided"}


@pytest.mark.parametrize("profile", ["quick", "cifar-cpu", "paper"])
def test_every_claim_but_the_one_on_images_has_comparisons_in_every_profile(profile):
    found = {one.claim for one in comparisons(profile) if one.decides}
    assert found == set(claims()["claim"]) - {"C11"}


def test_comparisons_carry_the_printed_numbers():
    def printed(claim, title, **wanted):
        first = next(
            one.printed
            for one in comparisons("paper")
            if (one.claim, one.column.title) == (claim, title)
            if all(one.reference[name] == value for name, value in wanted.items())
        )
        return tuple(round(100 * value, 2) for value in first)

    assert printed("C1", "C mCE", dataset="cifar10", method="ipmix") == (9.4, 9.5)
    assert printed("C6", "PGD strict", method="ipmix") == (95.96, 94.92)
    assert printed("C7", "clean", epochs=100) == (18.01, 20.7)
    assert printed("C9", "C mCE", network="resnext-29", method="pixmix") == (28.75, 34.15)
    beta = [one for one in comparisons("paper") if one.claim == "C8" and one.column == MCE][1]
    assert json.loads(beta.ours["parameters"][0])["beta"] == 5
    assert [round(100 * value, 2) for value in beta.printed] == [30.96, 30.41]  # errata 7


def test_comparisons_read_for_people_in_points_and_distances_in_their_unit():
    mt5d = LEADS._replace(column=Column("P mT5D", "p", "mt5d"), printed=(1.6, 1.7))
    parts = [
        rows(each, {0: value}, measure="mt5d", benchmark="p")
        for each, value in ((OURS, 1.5), (THEIRS, 1.75))
    ]
    found = for_display(
        judge(
            frame(rows(OURS, about(0.304)), rows(THEIRS, about(0.354, TIGHT[::-1])), *parts),
            [LEADS, mt5d],
        )
    )
    assert found["ours minus reference"].tolist()[1] == "-0.250 (n=1)" and found[
        "the paper's"
    ].tolist() == [
        "-5.20",
        "-0.10",
    ]
    assert found["ours minus reference"].iloc[0].startswith("-5.0 [")


def test_the_two_sides_of_a_comparison_are_named_by_what_differs():
    labels = {tuple(labels_of(one)) for one in comparisons("paper")}
    assert ("layermix_released, grey", "pixmix, colour") in labels and (
        "layermix, grey",
        "baseline",
    ) in labels
    assert ("layermix, 100 epochs, jsd", "layermix, 300 epochs, ce") in labels
    assert ("layermix, beta 5", "layermix, beta 3") in labels
    assert (
        "layermix, probabilities 0.33 / 0.33 / 0.17 / 0.17",
        "layermix, probabilities 0.5 / 0.5 / 0 / 0",
    ) in labels
