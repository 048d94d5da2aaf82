import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from lmlib import metrics, paths
from lmlib.datasets.load import Split, from_splits
from lmlib.names import C_BAR_CORRUPTIONS, C_CORRUPTIONS, C_EXTRA, PERTURBATIONS
from lmlib.study import evaluation, outcomes, profiles
from lmlib.study import rows as results
from lmlib.study.evaluation import BENCHMARKS, evaluate, is_complete

SMALL = {"subset": 20, "sequences": 5, "attacked": 10}
pytestmark = pytest.mark.filterwarnings("ignore:.*frost is left out")


def hand_made(n=40):
    """Noise whose first pixel says its class: 25 grey levels a class, four or more images each."""
    images = np.random.default_rng(0).integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    labels = np.arange(n) % 10
    images[:, :, 0, 0] = 25 * labels[:, None]
    part = Split(images, labels)
    return from_splits("hand-made", (part, part), "0123456789", "by hand")


DATA = hand_made()


class Reader(nn.Module):
    """Reads the class from the first pixel, sure of it; counts its calls."""

    def __init__(self, sharpness=1e6):
        super().__init__()
        self.sharpness, self.calls, self.last_call = nn.Parameter(torch.tensor(sharpness)), 0, None

    def forward(self, images):
        self.calls += 1
        if self.calls == self.last_call:
            raise KeyboardInterrupt
        return self.logits(images)

    def logits(self, images):
        written = images[:, 0, 0, 0, None].float() * 255 / 25
        return -self.sharpness * (written - torch.arange(10.0)) ** 2


class Constant(Reader):
    """Says class 0 whatever it sees, as sure as `1 / 10`-ths go: all logits equal."""

    def logits(self, images):
        return self.sharpness * 0 + 0 * images.float().sum((1, 2, 3))[:, None] + torch.zeros(10)


class Broken(Reader):
    def logits(self, images):
        return super().logits(images) + torch.tensor(float("nan"))


def found(rows, benchmark, measure, **keys):
    """The one row of that measure."""
    keys = {"corruption": "", "severity": ""} | keys | {"benchmark": benchmark, "measure": measure}
    (one,) = [row for row in rows if all(row[key] == value for key, value in keys.items())]
    return one


def measured(root, model=None, **arguments):
    return evaluate(model or Reader(), DATA, folder=root / "evaluations", **SMALL | arguments)


@pytest.fixture(scope="module")
def constant_rows(tmp_path_factory):
    """Every benchmark of the constant model; frost is missing."""
    folder = tmp_path_factory.mktemp("constant")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(paths, "CACHE", folder / "cache")
        patch.setattr(paths, "RAW", folder / "raw")
        patch.setattr(
            "lmlib.corruptions.frost.fetch", lambda: (_ for _ in ()).throw(OSError("no network"))
        )
        return evaluate(Constant(), DATA, folder=folder, **SMALL)


# --- known answers ---------------------------------------------------------------------------------------------------


def test_a_model_that_reads_the_label_makes_no_error_and_is_rightly_sure(root):
    rows = measured(root, benchmarks=["clean"])
    for measure in ("clean_error", "top5_error", "rms_calibration_error", "ece", "nll", "brier"):
        assert found(rows, "clean", measure)["value"] == 0
    assert found(rows, "clean", "aurra")["value"] == 1
    assert {row["n"] for row in rows} == {40} and {row["subset"] for row in rows} == {
        "all 40 test images"
    }
    interval = found(rows, "clean", "clean_error")
    assert (interval["low"], interval["high"]) == (0, 0)


def test_the_clean_error_of_a_model_that_is_wrong_on_known_images_is_their_share(root):
    wrong = replace(
        DATA,
        test=Split(
            DATA.test.images, np.where(np.arange(40) < 6, 9 - DATA.test.labels, DATA.test.labels)
        ),
    )
    rows = evaluate(Reader(), wrong, folder=root / "e", benchmarks=["clean"])
    assert found(rows, "clean", "clean_error")["value"] == 6 / 40


def test_a_constant_model_is_wrong_on_nine_tenths_of_everything_and_never_flips(constant_rows):
    rows = constant_rows
    for benchmark, measure in (
        ("clean", "clean_error"), ("c", "mce"), ("c", "mce_extra"), ("c_bar", "mce"), ("c_and_c_bar", "mce"),
        *(("pgd", name) for name in outcomes.ATTACKS),
    ):  # fmt: skip
        assert found(rows, benchmark, measure)["value"] == pytest.approx(0.9, abs=1e-12), (
            benchmark,
            measure,
        )
    assert found(rows, "clean", "top5_error")["value"] == 0.5
    assert found(rows, "clean", "nll")["value"] == pytest.approx(np.log(10))
    assert (
        found(rows, "clean", "rms_calibration_error")["value"] < 1e-14
    )  # 0.1 of ten logits, in float64
    assert found(rows, "p", "mfp")["value"] == found(rows, "p", "mt5d_paper_ten")["value"] == 0
    errors = [row for row in rows if row["measure"] == "error" and row["benchmark"] == "c"]
    assert len(errors) == 18 * 5 and {round(row["value"], 12) for row in errors} == {0.9}


@pytest.mark.parametrize(
    ("absent", "expected"),
    [
        ("shear", {"mfp": 10, "mt5d": 10, "mfp_paper_ten": 10, "mt5d_paper_ten": 10}),
        ("spatter", {"mfp_paper_ten": 10, "mt5d_paper_ten": 10}),
        ("snow", {"mfp": 10, "mt5d": 10}),
        ("tilt", {"mfp": 9, "mt5d": 9, "mfp_paper_ten": 9, "mt5d_paper_ten": 9}),
    ],
)
def test_a_mean_of_p_is_over_ten_where_one_of_the_two_lists_is_whole(absent, expected):
    names = [name for name in PERTURBATIONS if name != absent]
    measured = {f"{name}/{kind}": np.zeros(4) for name in names for kind in ("flips", "distances")}
    made = evaluation.perturbation_rows(measured)
    assert {row["measure"]: row["over"] for row in made if not row["corruption"]} == expected


def test_a_mean_without_frost_is_over_14_and_says_so(constant_rows):
    assert found(constant_rows, "c", "mce")["over"] == 14
    assert found(constant_rows, "c", "mce_without_brightness")["over"] == 13
    assert found(constant_rows, "c", "rms_calibration_error")["over"] == 14
    assert found(constant_rows, "c_bar", "mce")["over"] == 10
    assert found(constant_rows, "c_and_c_bar", "mce")["over"] == 24
    assert "frost" not in {row["corruption"] for row in constant_rows}


def test_missing_frost_is_warned_of(root):
    with pytest.warns(UserWarning, match="frost is left out, a mean is over the others only"):
        measured(root, benchmarks=["c"], subset=10)


def test_with_frost_the_mean_is_over_15(root):
    (paths.RAW / "frost").mkdir(parents=True)
    for n in range(1, 6):
        Image.fromarray(np.full((200, 200, 3), 40 * n, np.uint8)).save(
            paths.RAW / "frost" / f"frost{n}.png"
        )
    rows = measured(root, benchmarks=["c"], subset=10)
    assert found(rows, "c", "mce")["over"] == 15 and found(
        rows, "c", "error", corruption="frost", severity=3
    )


def test_every_benchmark_has_rows_with_the_measured_columns(constant_rows):
    assert {row["benchmark"] for row in constant_rows} == {*BENCHMARKS, "c_and_c_bar"}
    assert {frozenset(row) for row in constant_rows} == {frozenset(results.MEASURED)}


def test_the_rows_say_how_many_images_each_benchmark_used(constant_rows):
    sizes = {row["benchmark"]: (row["n"], row["subset"]) for row in constant_rows}
    twenty = (20, "20 stratified test images")
    assert sizes == {"clean": (40, "all 40 test images"), "c": twenty, "c_bar": twenty, "c_and_c_bar": twenty,
                     "p": (5, "5 stratified test images"), "pgd": (10, "10 stratified test images")}  # fmt: skip


def test_generated_images_are_called_generated(constant_rows):
    assert {row["source"] for row in constant_rows if row["benchmark"] in ("c", "c_bar", "p")} == {
        "generated"
    }


def test_an_error_lies_in_its_interval(root):
    rows = measured(root, benchmarks=["c_bar"])
    one = found(rows, "c_bar", "mce")
    assert 0 < one["low"] <= one["value"] <= one["high"] < 1


def test_a_mean_over_corruptions_is_the_mean_of_their_errors(root):
    rows = measured(root, benchmarks=["c"])
    by_name = {name: [] for name in C_CORRUPTIONS if name != "frost"}
    for row in rows:
        if row["measure"] == "error" and row["corruption"] in by_name:
            by_name[row["corruption"]].append(row["value"])
    assert {len(values) for values in by_name.values()} == {5}
    assert found(rows, "c", "mce")["value"] == pytest.approx(
        np.mean([np.mean(v) for v in by_name.values()])
    )


def test_a_network_that_says_nan_is_an_error_and_no_number(root):
    with pytest.raises(ValueError, match=r"NaN.*diverged"):
        measured(root, Broken(), benchmarks=["clean"])
    with pytest.raises(ValueError, match=r"NaN.*diverged"):
        measured(root, Broken(), benchmarks=["c_bar"])


def test_an_unknown_benchmark_is_refused_before_any_is_measured(root):
    model = Reader()
    with pytest.raises(ValueError, match="did you mean 'c_bar'"):
        measured(root, model, benchmarks=["clean", "cbar"])
    assert model.calls == 0


# --- kept outcomes ---------------------------------------------------------------------------------------------------


def test_what_was_measured_is_not_measured_again(root):
    first, second = Reader(), Reader()
    rows = measured(root, first, benchmarks=["clean", "c_bar"])
    assert measured(root, second, benchmarks=["clean", "c_bar"]) == rows
    assert first.calls == 1 + 50 and second.calls == 0


def test_a_call_interrupted_in_the_second_corruption_keeps_the_first(root):
    interrupted, second = Reader(), Reader()
    interrupted.last_call = 8
    with pytest.raises(KeyboardInterrupt):
        measured(root, interrupted, benchmarks=["c_bar"])
    kept = outcomes.read_outcomes(root / "evaluations" / "c_bar.safetensors")
    assert set(outcomes.by_name(kept, "correct")) == {C_BAR_CORRUPTIONS[0]}
    rows = measured(root, second, benchmarks=["c_bar"])
    assert second.calls == 50 - 5
    undisturbed = evaluate(
        Reader(), DATA, folder=root / "undisturbed", benchmarks=["c_bar"], **SMALL
    )
    assert rows == undisturbed


@pytest.mark.parametrize("benchmark, calls", [("p", 11), ("pgd", 4)])
def test_sequences_and_attacks_resume_too(root, benchmark, calls):
    interrupted, second, undisturbed = Reader(), Reader(), Reader()
    with pytest.MonkeyPatch.context() as patch:
        predict, count = outcomes.predict, iter(range(calls))
        patch.setattr(
            outcomes,
            "predict",
            lambda *a: predict(*a) if next(count) < 2 else (_ for _ in ()).throw(KeyboardInterrupt),
        )
        with pytest.raises(KeyboardInterrupt):
            measured(root, interrupted, benchmarks=[benchmark])
    with pytest.MonkeyPatch.context() as patch:
        done = []
        patch.setattr(outcomes, "predict", lambda *a: done.append(1) or predict(*a))
        rows = measured(root, second, benchmarks=[benchmark])
    assert len(done) == calls - 2
    assert rows == evaluate(
        undisturbed, DATA, folder=root / "undisturbed", benchmarks=[benchmark], **SMALL
    )


def test_outcomes_of_another_subset_are_measured_again_and_that_is_said(root, capsys):
    measured(root, benchmarks=["c_bar"])
    model = Reader()
    rows = measured(root, model, benchmarks=["c_bar"], subset=10)
    assert model.calls == 10 * 5
    assert (
        "c_bar.safetensors is of another recipe or subset: measured again"
        in capsys.readouterr().out
    )
    assert found(rows, "c_bar", "mce")["n"] == 10


@pytest.mark.parametrize(
    "module, name", [(outcomes, "VERSION"), (outcomes, "RECIPES_VERSION"), (outcomes, "SEED")]
)
def test_outcomes_of_another_version_are_measured_again(root, monkeypatch, capsys, module, name):
    measured(root, benchmarks=["clean"])
    model = Reader()
    monkeypatch.setattr(module, name, getattr(module, name) + 1)
    measured(root, model, benchmarks=["clean"])
    assert model.calls == 1 and "measured again" in capsys.readouterr().out


def test_a_new_version_of_the_measures_needs_no_network(root, monkeypatch):
    measured(root, benchmarks=["clean"])
    model = Reader()
    monkeypatch.setattr(evaluation, "VERSION", evaluation.VERSION + 1)
    (row, *_) = measured(root, model, benchmarks=["clean"])
    assert model.calls == 0 and row["version"] == evaluation.VERSION


def test_outcomes_of_other_data_are_measured_again(root):
    measured(root, benchmarks=["clean"])
    model = Reader()
    evaluate(
        model, replace(DATA, hash="another"), folder=root / "evaluations", benchmarks=["clean"]
    )
    assert model.calls == 1


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: content[: len(content) // 2], flipped],
    ids=["empty", "half", "flipped"],
)
def test_damaged_outcomes_are_named_and_measured_again(root, capsys, damage):
    rows = measured(root, benchmarks=["clean"])
    file = root / "evaluations" / "clean.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    model = Reader()
    assert measured(root, model, benchmarks=["clean"]) == rows
    said = capsys.readouterr().out
    assert (
        model.calls == 1 and "clean.safetensors is damaged (" in said and "measured again" in said
    )


def test_the_subset_is_fixed_and_stratified():
    subset = outcomes.test_subset(DATA, 20)
    assert np.bincount(DATA.test.labels[subset.index]).tolist() == [2] * 10
    assert np.array_equal(subset.index, outcomes.test_subset(DATA, 20).index)
    for n in (None, 40, 1000):
        assert np.array_equal(outcomes.test_subset(DATA, n).index, np.arange(40))


# --- is a run complete? ----------------------------------------------------------------------------------------------


def rows_of_a_run(name, **columns):
    """Rows of a run as `05-train` leaves them for the profile quick, one a benchmark."""
    versions = {"version": evaluation.VERSION, "recipes": evaluation.RECIPES_VERSION}
    for benchmark, n in evaluation.subset_sizes(**evaluation.profile_sizes("quick")).items():
        row = dict.fromkeys(results.COLUMNS, 0) | {
            "run": name,
            "benchmark": benchmark,
            "n": n or 500,
        }
        yield row | versions | columns


def test_a_run_is_complete_when_every_benchmark_has_rows(root):
    rows = list(rows_of_a_run("a"))
    assert not is_complete("quick", "a")
    results.write_rows("quick", "a", rows)
    assert is_complete("quick", "a") and not is_complete("paper", "a")
    for left_out in BENCHMARKS:
        results.write_rows("quick", "a", [row for row in rows if row["benchmark"] != left_out])
        assert not is_complete("quick", "a")


@pytest.mark.parametrize("name", ["VERSION", "RECIPES_VERSION"])
def test_a_run_measured_by_another_version_is_not_complete(root, monkeypatch, name):
    results.write_rows("quick", "a", list(rows_of_a_run("a")))
    monkeypatch.setattr(evaluation, name, getattr(evaluation, name) + 1)
    assert not is_complete("quick", "a")


def test_a_run_measured_on_another_number_of_images_is_not_complete(root, monkeypatch):
    results.write_rows("quick", "a", list(rows_of_a_run("a")))
    for size in ({"subset": 200}, {"sequences": 31}, {"attacked": None}):
        with monkeypatch.context() as patch:
            patch.setitem(profiles.PROFILES, "quick", replace(profiles.PROFILES["quick"], **size))
            assert not is_complete("quick", "a")
    monkeypatch.setitem(
        profiles.PROFILES, "quick", replace(profiles.PROFILES["quick"], sequences=None)
    )
    results.write_rows(
        "quick",
        "a",
        [row | ({"n": 500} if row["benchmark"] == "p" else {}) for row in rows_of_a_run("a")],
    )
    assert is_complete("quick", "a")  # all that there are


def test_a_run_with_damaged_rows_is_not_complete_and_says_so(root, capsys):
    results.write_rows("quick", "a", list(rows_of_a_run("a")))
    results.rows_file("quick", "a").write_text("damaged")
    assert not is_complete("quick", "a")
    assert "a.csv or its line in runs.csv is damaged" in capsys.readouterr().out


def test_a_profile_says_how_many_images_are_measured():
    sizes = profiles.PROFILES["quick"]
    assert evaluation.profile_sizes("quick") == {
        "subset": sizes.subset, "sequences": sizes.sequences, "attacked": sizes.attacked}  # fmt: skip
    with pytest.raises(ValueError, match="did you mean 'quick'"):
        evaluation.profile_sizes("qick")


def test_the_extra_corruptions_never_count_in_an_mce(root):
    rows = measured(root, benchmarks=["c"])
    errors = pd.DataFrame([row for row in rows if row["measure"] == "error"])
    by_name = errors.groupby("corruption")["value"].mean().to_dict()
    assert set(C_EXTRA) <= set(by_name)
    counted = [by_name[name] for name in C_CORRUPTIONS if name in by_name]
    assert found(rows, "c", "mce")["value"] == pytest.approx(np.mean(counted))
    assert metrics.mce_extra(by_name).value == pytest.approx(
        np.mean([by_name[name] for name in C_EXTRA])
    )
