import pytest
from scipy import stats

from lmlib import paths
from lmlib.report.published import TABLES, claims, published

COLUMNS = (
    "table", "dataset", "network", "method", "label", "jsd", "fractals", "epochs",
    "magnitude", "beta",
    "column", "measure",
    "benchmark", "value", "std", "mark",
)  # fmt: skip


def cell(table, label, column, **settings):
    """The one printed value of a cell, in the units of the paper."""
    cells = published(table).query("label == @label and column == @column")
    for name, wanted in settings.items():
        cells = cells[cells[name] == wanted]
    assert len(cells) == 1, cells
    return cells["value"].item() * (1 if cells["measure"].item() == "mt5d" else 100)


@pytest.mark.parametrize(
    ("table", "n_cells"),
    [(3, 2 * 4 * 9), (4, 10 * 9), (5, 17 * 4), (6, 13 * 5), (7, 16 * 5), (8, 8 * 12), (9, 5 * 10)],
)
def test_each_table_has_one_row_for_each_printed_cell(table, n_cells):
    cells = published(table)
    assert (
        tuple(cells.columns) == COLUMNS
        and len(cells) == n_cells
        and (cells["table"] == table).all()
    )
    names = ["dataset", "label", "column", "jsd", "fractals", "epochs"]
    assert not cells.duplicated(names).any() and cells["value"].notna().all()


@pytest.mark.parametrize("table", TABLES)
def test_values_are_fractions_but_for_top5_distances(table):
    cells = published(table)
    distances = cells["measure"] == "mt5d"
    assert (
        cells.loc[~distances, "value"].between(0.01, 0.99).all()
        and cells.loc[distances, "value"].between(1, 18).all()
    )


# Typed from the paper, cell by cell, apart from the files.
@pytest.mark.parametrize(
    ("table", "label", "column", "settings", "printed"),
    [
        (3, "LayerMix", "Corruptions", {"dataset": "cifar10"}, 9.4),
        (3, "AugMix", "Consistency", {"dataset": "cifar10"}, 1.7),
        (3, "Cutout", "Adversaries", {"dataset": "cifar100"}, 98.5),
        (3, "Auto Augment", "Calibration", {"dataset": "cifar100"}, 24.9),
        (4, "LayerMix", "Clean Error", {}, 20.7),
        (4, "AutoAugment", "mT5D", {}, 2.6),
        (4, "OE", "C-bar mCE", {}, 52.1),
        (4, "IPMix", "C-bar RMS", {}, 17.8),
        (4, "CutMix", "CIFAR-P mFP", {}, 12.0),
        (5, "PixMix⊗", "Robustness mCE", {"jsd": "no", "fractals": "colour"}, 35.54),
        (5, "PixMix", "Adversaries Error", {"jsd": "no", "fractals": "grey"}, 97.49),
        (5, "IPMix⊗", "Classification Error", {"jsd": "yes", "fractals": "colour"}, 19.33),
        (5, "IPMix", "Classification Error", {"jsd": "yes", "fractals": "grey"}, 19.13),
        (5, "LayerMix", "Adversaries Error", {"jsd": "yes", "fractals": "colour"}, 86.63),
        (5, "LayerMix (400 epochs)", "Consistency mFR", {"jsd": "yes", "fractals": "grey"}, 5.18),
        (
            5,
            "LayerMix (400 epochs)",
            "Classification Error",
            {"jsd": "no", "fractals": "colour"},
            19.41,
        ),
        (6, "5-3", "Classification Error", {"magnitude": 5, "beta": 3}, 20.51),
        (6, "6-5", "Calibration RMS", {"magnitude": 6, "beta": 5}, 7.17),
        (6, "8-5", "Consistency mFR", {"magnitude": 8, "beta": 5}, 5.36),
        (
            7,
            "WRN-28-10 (36.5M), LayerMix",
            "Robustness mCE",
            {"network": "wrn-28-10", "epochs": 100},
            27.41,
        ),
        (
            7,
            "ResNet-18 (11.2M), baseline",
            "Calibration RMS",
            {"network": "resnet-18", "epochs": 200},
            6.99,
        ),
        (
            7,
            "ResNeXt-29 (6.9M), IPMix",
            "Consistency mFR",
            {"network": "resnext-29", "epochs": 200},
            6.22,
        ),
        (8, "RE", "R@5 Error", {"method": "random_erasing"}, 50.40),
        (8, "PixMix", "ImageNet-P mT5D", {}, 7.26),
        (8, "LayerMix", "R RMS", {}, 16.63),
        (9, "baseline", "C-bar mCE", {}, 61.29),
        (9, "LayerMix(1m-4 β)", "Clean@5 Error", {"magnitude": 1, "beta": 4}, 6.79),
        (9, "LayerMix(8m-3 β)", "R RMS", {"magnitude": 8, "beta": 3}, 10.42),
    ],
)
def test_a_cell_is_as_printed(table, label, column, settings, printed):
    assert cell(table, label, column, **settings) == pytest.approx(printed, abs=1e-9)


# Column sums of the paper's text, taken apart from the files.
@pytest.mark.parametrize(
    ("table", "column", "total"),
    [
        (4, "Clean Error", 206.2),
        (4, "PGD Error", 963.3),
        (5, "Classification Error", 330.56),
        (5, "Robustness mCE", 538.37),
        (5, "Adversaries Error", 1561.33),
        (5, "Consistency mFR", 99.44),
        (7, "Classification Error", 321.05),
        (7, "Robustness mCE", 577.19),
        (7, "Adversaries Error", 1537.78),
        (7, "Consistency mFR", 115.02),
        (7, "Calibration RMS", 124.67),
        (8, "Clean@1 Error", 64.46),
        (8, "R RMS", 155.96),
        (9, "Clean@1 Error", 117.18),
        (9, "R RMS", 61.91),
    ],
)
def test_a_column_adds_up(table, column, total):
    cells = published(table)
    assert cells.loc[cells["column"] == column, "value"].sum() * 100 == pytest.approx(
        total, abs=1e-6
    )


def test_table_5_pairs_every_method_with_both_kinds_of_fractals():
    cells = published(5).query("method != 'baseline'")
    assert (
        cells.groupby(["method", "jsd", "epochs", "measure"])["fractals"].agg(tuple)
        == ("colour", "grey")
    ).all()


def test_layermix_without_jsd_and_in_grey_is_one_run_in_four_tables():
    fifth = published(5).query(
        "method == 'layermix' and jsd == 'no' and fractals == 'grey' and epochs == 100"
    )
    sixth = published(6).query("magnitude == 8 and beta == 3")
    seventh = published(7).query("network == 'wrn-40-4' and method == 'layermix'")
    values = [dict(zip(t["measure"], t["value"], strict=True)) for t in (fifth, sixth, seventh)]
    assert values[0].items() <= values[1].items() and values[1] == values[2]
    rounded = (
        published(4).query("method == 'layermix'").set_index(["measure", "benchmark"])["value"]
    )
    assert rounded["mce", "c"] == pytest.approx(values[0]["mce"], abs=5.1e-4)


def test_measures_and_benchmarks_have_this_projects_names():
    for table in TABLES:
        cells = published(table)
        assert set(cells["benchmark"]) <= {"clean", "c", "c_bar", "r", "p", "pgd", ""}
        assert set(cells["measure"]) <= {
            "clean_error", "top5_error", "error", "mce", "mfp", "mt5d", "pgd_error",
            "rms_calibration_error",
        }  # fmt: skip


def test_only_table_3s_calibration_has_no_benchmark():
    for table in TABLES:
        cells = published(table).query("benchmark == ''")
        assert set(cells["column"]) == ({"Calibration"} if table == 3 else set())


def test_underlined_cells_are_marked_and_nothing_else():
    assert [(published(table)["mark"] == "second").sum() for table in TABLES] == [
        8,
        10,
        5,
        0,
        0,
        13,
        0,
    ]


def test_an_unknown_table_offers_the_nearest():
    with pytest.raises(ValueError, match="unknown published table '10'"):
        published(10)


# --- the errata that follow from the tables -------------------------------------------------------


def grid():
    return (
        published(6).query("label != 'mean (std)'").assign(value=lambda cells: cells["value"] * 100)
    )


@pytest.mark.parametrize(
    ("measure", "mean", "std"),
    [
        ("clean_error", 20.66, 0.15),
        ("mce", 30.70, 0.24),  # printed .37 (errata, 7)
        ("pgd_error", 95.10, 0.37),
        ("rms_calibration_error", 6.54, 0.37),
        ("mfp", 5.496, 0.09),  # printed 5.49
    ],
)
def test_table_6s_means_and_population_deviations(measure, mean, std):
    values = grid().query("measure == @measure")["value"]
    assert len(values) == 12
    assert values.mean() == pytest.approx(mean, abs=0.0051) and values.std(ddof=0) == pytest.approx(
        std, abs=0.0051
    )
    printed = published(6).query("measure == @measure and label == 'mean (std)'")
    assert printed["value"].item() * 100 == pytest.approx(values.mean(), abs=0.006)
    assert printed["std"].item() * 100 == pytest.approx(0.37 if measure == "mce" else std, abs=1e-9)


def test_beta_moves_mce_in_table_6_and_magnitude_does_not():
    cells = grid().query("measure == 'mce'")
    by_beta = [group["value"].tolist() for _, group in cells.groupby("beta")]
    assert [sum(values) / 4 for values in by_beta] == pytest.approx(
        [30.405, 30.73, 30.955], abs=1e-9
    )
    effect = stats.f_oneway(*by_beta)
    assert effect.statistic == pytest.approx(26.57, abs=0.01) and effect.pvalue == pytest.approx(
        1.7e-4, abs=1e-5
    )
    assert (
        stats.f_oneway(*[group["value"].tolist() for _, group in cells.groupby("magnitude")]).pvalue
        > 0.5
    )


def test_table_3_mixes_clean_and_c_calibration_of_table_4():
    fourth = (
        published(4)
        .query("measure == 'rms_calibration_error'")
        .set_index(["method", "benchmark"])["value"]
    )
    for row in published(3).query("dataset == 'cifar100' and column == 'Calibration'").itertuples():
        assert (
            row.value
            == fourth[row.method, "clean" if row.method in ("pixmix", "ipmix", "layermix") else "c"]
        )


def test_layermix_is_best_in_five_columns_of_table_8():
    table = published(8).pivot(index="method", columns="column", values="value")
    assert (table.idxmin() == "layermix").sum() == 5 and table.shape == (8, 12)


def test_table_5_text_compares_with_grey_and_with_colour_ipmix():
    ipmix = {"jsd": "yes", "method": "ipmix"}
    ours = {"jsd": "yes", "fractals": "grey", "method": "layermix"}
    clean = cell(5, "IPMix", "Classification Error", **ipmix, fractals="grey") - cell(
        5, "LayerMix", "Classification Error", **ours
    )
    attacked = cell(5, "IPMix⊗", "Adversaries Error", **ipmix, fractals="colour") - cell(
        5, "LayerMix", "Adversaries Error", **ours
    )
    assert (clean, attacked) == pytest.approx((1.12, 2.77), abs=1e-9)


def test_there_are_twelve_claims_and_eleven_errata():
    assert claims()["claim"].tolist() == [f"C{n}" for n in range(1, 13)] and (claims() != "").all(
        axis=None
    )
    errata = (paths.PUBLISHED / "errata.md").read_text(encoding="utf-8")
    assert all(f"\n{n}. **" in errata for n in range(1, 12)) and "\n12." not in errata
