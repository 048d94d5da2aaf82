import math

import pandas as pd
import pytest

from lmlib import corruptions
from lmlib.report.deviations import trains_on_brightness
from lmlib.report.published import published
from lmlib.report.tables import (
    CLEAN,
    MCE,
    MFP,
    PGD,
    PGD_PUBLISHED,
    Column,
    cells,
    described,
    deviations_text,
    for_display,
    marks,
    printed_text,
    show,
    title,
)
from lmlib.study import evaluation
from lmlib.study.rows import COLUMNS

OF_14 = Column("C mCE of 14", "c", "mce_without_brightness")
MT5D = Column("P mT5D", "p", "mt5d")


def row(method, seed, value, column=CLEAN, **changes):
    """A row as `read_rows` gives it: a run of the paper's size on CIFAR-100, but for `changes`."""
    name = [method, f"s{seed}", *(changes.get(key) for key in ("loss", "epochs", "parameters"))]
    found = dict.fromkeys(COLUMNS, float("nan")) | {
        "run": "-".join(map(str, name)),
        "dataset": "cifar100", "network": "wrn-40-4", "method": method, "parameters": "{}",
        "loss": "ce", "recipe": "paper", "label_smoothing": 0.0, "epochs": 100,
        "seed": seed, "benchmark": column.benchmark, "measure": column.measure, "value": value,
        "low": value - 0.02,
        "high": value + 0.03, "n": 500, "subset": "all 10,000 test images", "source": "official",
        "version": evaluation.VERSION, "recipes": corruptions.VERSION,
        "mixing": "none", "precision": "fp32",
    }  # fmt: skip
    return found | changes


def frame(*rows):
    return pd.DataFrame(rows, columns=COLUMNS)


def seeds(method, values, column=CLEAN, **changes):
    return [row(method, seed, value, column, **changes) for seed, value in enumerate(values)]


THREE = frame(*seeds("baseline", (0.20, 0.21, 0.22)), *seeds("cutout", (0.18,)))


def test_a_cell_is_the_mean_and_the_sample_standard_deviation_with_n():
    cell = cells(THREE, [CLEAN], profile="quick").loc["baseline"]
    assert (cell["mean"], cell["std"], cell["n"]) == pytest.approx((0.21, 0.01, 3), abs=1e-15)
    assert (
        for_display(cells(THREE, [CLEAN], profile="quick")).loc["baseline", "clean"]
        == "21.0 ± 1.0 (n=3)"
    )


def test_one_seed_is_marked_and_carries_the_interval_over_images_instead_of_a_spread():
    found = cells(THREE, [CLEAN], profile="quick")
    cell = found.loc["cutout"]
    assert math.isnan(cell["std"]) and (cell["image_low"], cell["image_high"]) == pytest.approx(
        (0.16, 0.21)
    )
    assert for_display(found).loc["cutout", "clean"] == "18.0 [16.0, 21.0] (n=1)"
    assert math.isnan(found.loc["baseline", "image_low"])


def test_a_distance_stays_in_its_own_unit():
    found = cells(
        frame(*seeds("baseline", (0.1, 0.3), MT5D)), [MT5D], profile="quick", printed=published(4)
    )
    assert for_display(found).loc["baseline"].tolist() == ["0.200 ± 0.141"]
    assert printed_text(found.loc["baseline"]) == "2.7"


def test_nothing_is_best_where_one_seed_stands_against_it():
    values = {"a": {0: 0.10, 1: 0.1001, 2: 0.0999}, "b": {0: 0.9}}
    assert marks(values, "clean_error") == {}
    assert not cells(THREE, [CLEAN], profile="quick")["mark"].any()


def test_best_and_second_are_marked_where_their_differences_stand_clear_of_the_spread():
    values = {
        "worst": {0: 0.30, 1: 0.311, 2: 0.32},
        "best": {0: 0.10, 1: 0.11, 2: 0.121},
        "next": {0: 0.2, 1: 0.21, 2: 0.22},
    }
    assert marks(values, "clean_error") == {"best": "best", "next": "second"}


def test_no_second_best_where_the_rest_overlaps_and_no_best_where_the_first_two_do():
    clear, near, nearer = (
        {0: 0.10, 1: 0.11, 2: 0.121},
        {0: 0.30, 1: 0.35, 2: 0.31},
        {0: 0.31, 1: 0.34, 2: 0.31},
    )
    assert marks({"a": clear, "b": near, "c": nearer}, "clean_error") == {"a": "best"}
    assert marks({"b": near, "c": nearer, "d": {0: 0.9, 1: 0.911, 2: 0.92}}, "clean_error") == {}


def test_the_more_rows_the_more_a_best_has_to_show():
    # Differences 0.09, 0.10, 0.11: t = 17.3 with 2 degrees of freedom, p = .0033, which is below
    # .05 / 15 and not below .05 / 16.
    def leader(n_rows):
        best = {"best": dict.fromkeys(range(3), 0.0)}
        return marks(
            best | {row: {0: 0.09, 1: 0.10, 2: 0.11} for row in range(n_rows - 1)}, "clean_error"
        )

    assert leader(16) == {"best": "best"} and leader(17) == {}


def test_differences_without_spread_separate_nothing():
    assert (
        marks({"a": {0: 0.1, 1: 0.1}, "b": {0: 0.2, 1: 0.2}, "c": {0: 0.3, 1: 0.3}}, "pgd_error")
        == {}
    )


def test_the_lower_is_best_and_what_has_no_such_order_is_not_ranked():
    values = {"low": {0: 0.5, 1: 0.51, 2: 0.52}, "high": {0: 0.9, 1: 0.911, 2: 0.92}}
    assert marks(values, "nll") == {"low": "best"}
    assert marks(values, "rms_noise_floor") == marks(values, "aurra") == {}


def test_the_printed_value_stands_beside_ours_for_every_reading_of_a_method():
    rows = frame(
        row("pixmix", 0, 0.3, MCE),
        row("pixmix_released", 0, 0.4, MCE),
        row("trivialaugment", 0, 0.4, MCE),
    )
    rows = pd.concat([rows, frame(*(row(m, 0, 0.3, OF_14) for m in ("pixmix", "trivialaugment")))])
    found = cells(rows, [MCE], profile="quick", printed=published(4))
    assert found.loc[["pixmix", "pixmix_released"], "printed"].tolist() == [0.355, 0.355]
    assert math.isnan(found.loc["trivialaugment", "printed"])
    assert found.apply(printed_text, axis=1).tolist() == ["35.5", "35.5", ""]
    html = show(found, "Table 4", profile="quick").data
    assert html.count(">35.5</small>") == 2 and "Grey: printed in the paper, cifar100." in html


def test_the_papers_attack_stands_beside_the_strict_and_the_published_one():
    found = cells(
        frame(row("baseline", 0, 0.9, PGD), row("baseline", 0, 0.95, PGD_PUBLISHED)),
        [PGD, PGD_PUBLISHED],
        profile="quick",
        printed=published(4),
    )
    assert found["mean"].tolist() == [0.9, 0.95] and found["printed"].tolist() == [0.968, 0.968]


def test_a_difference_to_the_printed_value_is_there_in_profile_paper_alone():
    arguments = {"columns": [CLEAN], "printed": published(4)}
    for profile in ("quick", "cifar-cpu"):
        found = cells(THREE, profile=profile, **arguments)
        assert "difference" not in found and "(" not in printed_text(found.loc["baseline"])
    found = cells(THREE, profile="paper", **arguments)
    assert found.loc["baseline", "difference"] == pytest.approx(-0.003)
    assert printed_text(found.loc["baseline"]) == "21.3 (-0.30)"


def test_no_difference_to_another_datasets_printed_value():
    found = cells(THREE.assign(dataset="cifar10"), [CLEAN], profile="paper", printed=published(4))
    assert found["printed"].notna().all() and found["difference"].isna().all()


def test_a_table_is_laid_out_by_magnitude_and_beta_which_defaults_fill_in():
    rows = frame(
        *seeds(
            "layermix",
            (0.2,),
            parameters='{"magnitude": 5}',
            mixing="9 images imported from x, grey",
        ),
        *seeds("layermix", (0.3,), mixing="9 images imported from x, grey"),
    )
    printed = published(6).query("label != 'mean (std)'")
    found = cells(rows, [CLEAN], profile="paper", by=("magnitude", "beta"), printed=printed)
    assert found["mean"].to_dict() == {(5, 3): 0.2, (8, 3): 0.3}
    assert found["printed"].to_dict() == {(5, 3): 0.2051, (8, 3): 0.207}


def test_table_5_is_laid_out_by_loss_and_fractals():
    mixing = "14,230 generated fractals (a substitute), colour"
    rows = frame(row("ipmix", 0, 0.2), row("ipmix", 0, 0.3, loss="jsd")).assign(mixing=mixing)
    found = cells(
        rows,
        [CLEAN],
        profile="paper",
        by=("method", "jsd", "fractals", "epochs"),
        printed=published(5),
    )
    no, yes = (found.loc[("ipmix", word, "colour", 100)] for word in ("no", "yes"))
    expected = published(5).query(
        "method == 'ipmix' and fractals == 'colour' and measure == 'clean_error'"
    )
    assert [no["printed"], yes["printed"]] == expected.sort_values("jsd")["value"].tolist()
    assert no["deviations"] == "substitute mixing set"
    assert (
        yes["deviations"] == "substitute mixing set; 3 forward passes an image"
        and yes["forward_passes"] == 3
    )


def test_rows_without_a_setting_stand_beside_rows_with_it():
    rows = frame(
        row("baseline", 0, 0.2), row("layermix", 0, 0.3, mixing="9 images imported from x, grey")
    )
    found = cells(rows, [CLEAN], profile="paper", by=("method", "magnitude"))
    assert list(found.index) == [("baseline", ""), ("layermix", 8)]


def test_a_run_at_the_papers_scale_deviates_in_nothing():
    assert cells(THREE, [CLEAN], profile="paper", printed=published(4))["deviations"].tolist() == [
        "",
        "",
    ]


def test_deviations_stand_in_the_row():
    small = {
        "dataset": "digits",
        "network": "wrn-10-1",
        "epochs": 15,
        "n_train": 1000,
        "loss": "jsd",
    }
    part = {"subset": "200 stratified test images", "source": "generated"}
    rows = frame(row("augmix", 0, 0.2, **small), row("augmix", 0, 0.2, MCE, **part, **small))
    found = cells(rows, [CLEAN, MCE], profile="quick", printed=published(4))
    assert found["deviations"].unique().tolist() == [
        "digits for CIFAR; wrn-10-1 for wrn-40-4; 15 epochs for 100; 1,000 training images; "
        "loss jsd, the paper does not say; "
        "3 forward passes an image; C: 200 stratified test images; C generated"
    ]
    assert found.loc["augmix", "n_train"].tolist() == ["1000", "1000"]


def test_a_recipe_of_its_own_and_smoothed_labels_stand_in_the_row():
    rows = frame(row("baseline", 0, 0.2, recipe="airbench", label_smoothing=0.2))
    found = cells(rows, [CLEAN], profile="paper").loc["baseline"]
    assert found["deviations"] == "recipe airbench, label smoothing 0.2"
    assert (found["recipe"], found["label_smoothing"]) == ("airbench", 0.2)


OF_TABLE_8 = {"dataset": "imagenet-200", "epochs": 90, "recipe": "imagenet"}
OF_TABLE_8 |= {"network": "resnet-50-pretrained"}


@pytest.mark.parametrize(
    ("method", "changes", "expected"),
    [
        ("cutmix", {}, ""),
        ("cutmix", {"network": "resnet-50"}, "resnet-50 for resnet-50-pretrained"),
        ("cutmix", {"recipe": "paper"}, "recipe paper, label smoothing 0"),
        ("random_erasing", {}, "erased to black, published to the mean colour"),
    ],
)
def test_a_run_of_table_8_starts_from_weights_and_is_trained_by_their_recipe(
    method, changes, expected
):
    rows = frame(row(method, 0, 0.2, **OF_TABLE_8 | changes))
    found = cells(rows, [CLEAN], profile="imagenet-200", printed=published(8))
    assert found["deviations"].tolist() == [expected]


def test_imagenets_recipe_is_a_deviation_on_cifar_and_ipmix_deviates_on_imagenet_alone():
    rows = frame(row("ipmix", 0, 0.2, recipe="imagenet", mixing="9 images, grey"))
    (on_cifar,) = cells(rows, [CLEAN], profile="paper")["deviations"]
    assert "recipe imagenet, label smoothing 0" in on_cifar and "patches" not in on_cifar
    rows = frame(row("ipmix", 0, 0.2, mixing="9 images, grey", **OF_TABLE_8))
    (on_imagenet,) = cells(rows, [CLEAN], profile="paper")["deviations"]
    assert "patches mixed with fractals alone" in on_imagenet


def test_only_the_benchmarks_that_a_table_shows_are_said_to_be_partial():
    rows = frame(
        row("cutout", 0, 0.2), row("cutout", 0, 0.2, MCE, subset="200 stratified test images")
    )
    assert cells(rows, [CLEAN], profile="quick")["deviations"].tolist() == [""]


def test_an_mce_over_fewer_corruptions_says_so():
    rows = frame(row("cutout", 0, 0.2, MCE, over=14), row("baseline", 0, 0.2, MCE, over=15))
    found = cells(rows, [MCE], profile="quick")
    assert found["deviations"].tolist() == ["C: 14 of 15 corruptions", ""] and found[
        "over"
    ].tolist() == [14, 15]


def test_an_mfp_over_fewer_perturbations_says_so():
    found = cells(frame(row("cutout", 0, 0.2, MFP, over=9)), [MFP], profile="quick")
    assert found["deviations"].tolist() == ["P: 9 of 10 perturbations"]


def test_the_epochs_of_a_longer_printed_row_are_not_a_deviation():
    rows = frame(row("baseline", 0, 0.2, network="resnet-18", epochs=200))
    found = cells(rows, [CLEAN], profile="paper", by=("network", "method"), printed=published(7))
    assert found["deviations"].tolist() == [""]


def test_a_method_that_trains_on_brightness_has_its_mce_over_15_and_over_14():
    rows = frame(
        *seeds("randaugment", (0.30, 0.32), MCE), *seeds("randaugment", (0.36, 0.35), OF_14)
    )
    said = cells(rows, [MCE], profile="paper").loc["randaugment"]
    assert (
        said["trains_on_brightness"]
        and said["deviations"] == "trains on brightness: mCE 31.0 over 15, 35.5 over 14"
    )


def test_which_methods_train_on_brightness():
    yes = (
        "layermix",
        "layermix_iid",
        "pixmix",
        "pixmix_k3",
        "autoaugment",
        "randaugment",
        "trivialaugment",
    )
    no = (
        "baseline",
        "cutout",
        "mixup",
        "cutmix",
        "augmix",
        "ipmix",
        "oe",
        "layermix_released",
        "pixmix_released",
    )
    assert all(map(trains_on_brightness, yes)) and not any(map(trains_on_brightness, no))
    assert not trains_on_brightness("pixmix", '{"ops": "nine"}')


def test_the_title_says_profile_network_epochs_and_n():
    found = cells(THREE, [CLEAN], profile="quick")
    words = title(found, "Table 4", profile="quick")
    assert words.startswith(
        "Table 4 · profile quick: cifar100, wrn-40-4, 100 epochs, "
        "n = 1 to 3 seeds (n = 1: no spread"
    )
    assert "no best or second best is separated" in words
    assert words in show(found, "Table 4", profile="quick").data


def test_runs_of_different_settings_never_share_a_row():
    with pytest.raises(ValueError, match=r"row baseline would mix several settings \(epochs\)"):
        cells(
            frame(row("baseline", 0, 0.2), row("baseline", 1, 0.2, epochs=6)),
            [CLEAN],
            profile="quick",
        )


@pytest.mark.parametrize(
    "other",
    [{"over": 14}, {"source": "generated"}, {"subset": "20 stratified test images"}],
    ids=str,
)
def test_runs_measured_on_unlike_images_never_share_a_row(other):
    with pytest.raises(
        ValueError, match=rf"row baseline would mix several settings \({next(iter(other))}\)"
    ):
        cells(
            frame(row("baseline", 0, 0.2), row("baseline", 1, 0.2, **other)),
            [CLEAN],
            profile="quick",
        )


def test_two_runs_of_one_seed_never_share_a_row():
    with pytest.raises(ValueError, match="would mix several runs of one seed"):
        cells(
            frame(row("baseline", 0, 0.2), row("baseline", 0, 0.2, run="again")),
            [CLEAN],
            profile="quick",
        )


def test_rows_of_another_version_of_the_measures_are_named_and_not_mixed():
    with pytest.raises(
        ValueError, match="1 runs were measured by another version of the measures or recipes"
    ):
        described(
            frame(row("baseline", 0, 0.2), row("cutout", 0, 0.2, version=evaluation.VERSION + 1))
        )


def test_competing_printed_cells_and_unknown_columns_are_refused():
    with pytest.raises(ValueError, match="several printed cells have the same method"):
        cells(THREE, [CLEAN], profile="quick", printed=published(3))
    with pytest.raises(ValueError, match="did you mean 'network'"):
        cells(THREE, [CLEAN], profile="quick", by=("networks",))
    with pytest.raises(ValueError, match="no rows of P mT5D"):
        cells(THREE, [MT5D], profile="quick")


def test_a_full_test_set_carries_two_decimals_and_a_subset_one():
    whole = frame(*seeds("baseline", (0.2, 0.21, 0.22), n=10_000))
    assert (
        for_display(cells(whole, [CLEAN], profile="paper")).loc["baseline", "clean"]
        == "21.00 ± 1.00"
    )
    part = frame(*seeds("baseline", (0.2, 0.21, 0.22), n=9_999))
    assert (
        for_display(cells(part, [CLEAN], profile="paper")).loc["baseline", "clean"] == "21.0 ± 1.0"
    )


def test_the_best_is_bold_and_the_second_in_italics_in_markdown_and_on_a_page():
    rows = frame(
        *seeds("layermix", (0.10, 0.11, 0.121)),
        *seeds("pixmix", (0.20, 0.21, 0.22)),
        *seeds("baseline", (0.30, 0.311, 0.32)),
    )
    found = cells(rows, [CLEAN], profile="cifar-cpu")
    assert for_display(found)["clean"].tolist() == ["**11.0** ± 1.1", "*21.0* ± 1.0", "31.0 ± 1.0"]
    html = show(found, "Table 4", profile="cifar-cpu").data
    assert "<b>11.0</b> ± 1.1" in html and "<i>21.0</i> ± 1.0" in html and "(n=" not in html
    assert "bold: best, italics: second best" in html and "n = 3 seeds" in html


def test_what_all_rows_share_stands_once_below_the_table_and_the_rest_by_row():
    both = {"network": "wrn-10-1", "epochs": 6}
    rows = frame(
        *seeds("baseline", (0.2, 0.21), **both),
        *seeds("cutout", (0.2, 0.22), n_train=100, **both),
        *seeds("mixup", (0.2, 0.23), n_train=100, **both),
    )
    found = cells(rows, [CLEAN], profile="quick")
    words = "Not as in the paper: wrn-10-1 for wrn-40-4; 6 epochs for 100. "
    assert deviations_text(found) == words + "cutout, mixup: 100 training images."
    assert words in show(found, "Table 4", profile="quick").data


def test_digits_stand_without_the_papers_values():
    rows = frame(row("baseline", 0, 0.2, dataset="digits"))
    html = show(
        cells(rows, [CLEAN], profile="quick", printed=published(4)), "T", profile="quick"
    ).data
    assert "21.3" not in html and "Grey" not in html and "<small>[18.0, 23.0]</small>" in html
