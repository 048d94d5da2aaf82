"""The profile `paper` from its first run to its verdicts, at tiny size: see `tiny_paper`.

Each network is trained for each of its losses and numbers of classes. The rows of all other runs
are made of what the like run measured, by hand where a claim rests on them. Four to nine minutes of
two cores: `LMLIB_PAPER=1 ./run_all.sh test tests/test_paper.py`, before a GPU is paid for.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from tiny import move
from tiny_paper import shrink, shrink_children, write_raw

from lmlib import paths
from lmlib.__main__ import study
from lmlib.augment import METHODS
from lmlib.datasets import cifar
from lmlib.report import claims, page, published, verdicts
from lmlib.study import evaluation, grid, notebooks, plans, runs
from lmlib.study import rows as results
from lmlib.study.profiles import PROFILES

pytestmark = pytest.mark.skipif(
    "LMLIB_PAPER" not in os.environ, reason="minutes long: set LMLIB_PAPER=1 to run it"
)
SMALL = {
    "00-explore": {"n_fractals": 2},
    "01-covariance": {"n_images": 8, "n_levels": 2, "n_draws": 20_000, "n_fractals": 8},
    "02-blends-and-levels": {"n_images": 8, "n_levels": 2, "n_draws": 20_000},
    "03-fractals": {"n_fractals": 12, "n_photographs": 12},
    "04-layermix": {"n_fractals": 4, "seed": 3, "operations": ["rotate"]},
    "08-benchmarks": {"n_images": 12, "n_sequences": 2, "n_attacked": 2, "n_timed": 2},
    "09-methods": {"n_images": 60, "n_fractals": 1, "n_mixing": 4},
    "15-gradcam": {"n_images": 4, "photographs": ["china"]},
    "18-layers": {"n_images": 12},
}
"""The parameters of the executed notebooks, over their defaults."""

TRAINED = [
    {"method": "layermix"},
    {"method": "baseline", "dataset": "cifar100"},
    {"network": "resnet-18", "epochs": 200, "dataset": "cifar100"},
    {"network": "resnext-29", "epochs": 200, "dataset": "cifar100"},
]
"""One run a network and number of classes, measured on everything."""
COPIED = [
    *({"method": method, "dataset": name} for method in ("augmix", "oe") for name in cifar.CIFAR),
    {"network": "wrn-28-10", "dataset": "cifar100"},
]
"""Runs of another loss, which take all outcomes of the network above, and the network that is too
large to be measured on C and C-bar: it takes those of the ResNeXt."""

CLEAN = (
    published.published(4)
    .query("measure == 'clean_error' and method in ('baseline', 'layermix')")
    .set_index("method")["value"]
    .rename({"layermix": "layermix_released"})
)
"""What is printed of claim C5, fractions by method."""

EFFECTS = {
    "layermix_released": -0.11,
    "layermix": -0.10,
    "layermix_iid": -0.08,
    "pixmix": -0.05,
    "ipmix": -0.05,
    "augmix": 0.02,  # its loss takes more than that away
}
"""What a method adds to all errors; others nothing."""


def by_chance(*names: object) -> float:
    """A number of these names alone in [-1, 1]."""
    digest = hashlib.sha256(json.dumps(names).encode()).digest()
    return int.from_bytes(digest[:4]) / 2**31 - 1


def level(config: runs.RunConfig, benchmark: str, measure: str) -> float:
    """A measure of a run, by hand: every claim of the paper is true, beyond the seeds' spread."""
    value = 0.5 + EFFECTS.get(config.method, 0)
    if (config.dataset, measure) == ("cifar100", "clean_error"):
        value = CLEAN.get(config.method, value)
    value += 0.0002 * by_chance(config.name, benchmark, measure)
    value -= 0.05 * (config.loss == "jsd") + 0.0001 * (config.epochs > 200)
    if config.mixing and config.mixing["label"].endswith("colour"):
        value += -0.02 if measure.startswith("pgd_error") else 0.02
    if "probabilities" in config.parameters:
        value += 0.02
    return value


def write_every_run(named: dict[str, dict], trained: list[str]) -> None:
    """Write the rows of all runs, from those measured of the run with the like network and loss."""
    likes = {}
    for name in trained:
        config = runs.read_config(name)
        rows = results.read_rows("paper", [name])[results.MEASURED].astype(object)
        rows["subset"] = rows["n"].map("all {:.0f} test images".format)
        likes[config.network, config.dataset, config.loss] = rows.fillna(""), runs.finished(name)
    for setting in named.values():
        config = runs.resolve(**setting)[0]
        like, finished = likes[config.network, config.dataset, config.loss]
        measured = []
        for row in like.to_dict("records"):
            if row["corruption"] == "":
                row["value"] = level(config, row["benchmark"], row["measure"])
            measured.append(row)
        evaluation.record("paper", config, measured, finished)


def copy_outcomes(source: str, target: str, benchmarks: tuple[str, ...]) -> None:
    """Give a run the outcomes of another one, as if its measuring had been interrupted."""
    for benchmark in benchmarks:
        file = Path("evaluations") / f"{benchmark}.safetensors"
        (paths.RUNS / target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(paths.RUNS / source / file, paths.RUNS / target / file)


def train() -> list[str]:
    """Train and measure a run of each kind by `05-train`, two side by side; returns their names."""
    first, second = (
        grid.named_settings(plans.run_settings("paper", **changes) for changes in part)
        for part in (TRAINED, COPIED)
    )
    grid.train_missing("paper", first, 2)
    ten, hundred, _, resnext = first
    for name, setting in second.items():
        if setting["network"] == "wrn-28-10":
            copy_outcomes(resnext, name, ("c", "c_bar"))
        else:
            like = ten if setting["dataset"] == "cifar10" else hundred
            copy_outcomes(like, name, evaluation.BENCHMARKS)
    grid.train_missing("paper", second, 2)
    # Notebook 08 shows the baseline, too, whose weights are LayerMix's here.
    baseline = runs.resolve(**plans.run_settings("paper", method="baseline"))[0]
    copy_outcomes(ten, baseline.name, ("c",))
    tensors, values = runs.load_checkpoint(runs.find_checkpoint(ten))
    values |= {"config": asdict(baseline), "finished": runs.finished(ten)}
    weights = paths.RESULTS / "paper" / "weights" / f"{baseline.name}.safetensors"
    runs.save_checkpoint(weights, tensors, values)
    return [*first, *second]


def execute(name: str, output: Path, parameters: dict, log_file: Path) -> None:
    """Execute a notebook with its small parameters, then put what was made by hand in its place.

    `05-train` as one of the study's notebooks writes the rows of its run anew, as measured;
    diversity is as if of all test images.
    """
    before = {file: file.read_bytes() for file in results.row_files("paper")}
    lines = results.runs_file("paper")
    before |= {lines: lines.read_bytes()} if before else {}
    real_execute(name, output, parameters | SMALL.get(name, {}), log_file)
    if name == "05-train" and parameters == {"profile": "paper"}:
        for file, content in before.items():
            file.write_bytes(content)
    if name == "18-layers":
        file = paths.RESULTS / "paper" / "tables" / "18-layers.csv"
        measured = pd.read_csv(file, index_col=0)
        errors = ["diversity_error", "affinity_error"]
        measured[errors] *= (measured[["n"]].to_numpy() / 10_000) ** 0.5
        measured.assign(n=10_000).to_csv(file)


real_execute = notebooks.execute


def refresh(name: str) -> None:
    """Execute a notebook as `study` does, which then finds it done."""
    inputs = results.row_files("paper") if "needs" in notebooks.metadata(name) else []
    notebooks.refresh(name, {"profile": "paper"}, inputs)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The whole profile, done: its runs by name, and all rows. Nothing can be executed any more.

    Notebooks without rows are executed beside the trainings, the others two side by side; the
    command finds them done and executes the report.
    """
    folder = tmp_path_factory.mktemp("paper")
    threads = torch.get_num_threads()
    caches = runs.dataset_of, runs.mixing_set_of
    with pytest.MonkeyPatch.context() as patch:
        move(patch, folder)
        patch.chdir(folder)
        for cache in caches:
            cache.cache_clear()
        shrink(patch)
        shrink_children(patch, tmp_path_factory.mktemp("child"))
        write_raw()
        patch.setattr(notebooks, "execute", execute)
        alone = [name for name in notebooks.names() if "needs" not in notebooks.metadata(name)]
        named = grid.named_settings(plans.whole_study("paper"))
        with ThreadPoolExecutor(1) as pool:
            futures = [pool.submit(refresh, name) for name in alone]
            write_every_run(named, train())
            for future in futures:
                future.result()
        refresh("05-train")
        others = [name for name in notebooks.names()[6:-1] if name not in alone]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(refresh, others))
        study("paper", 2)
        patch.setattr(notebooks, "execute", lambda name, *_: pytest.fail(f"{name} again"))
        yield SimpleNamespace(named=named, rows=results.read_rows("paper"))
    for cache in caches:
        cache.cache_clear()
    torch.set_num_threads(threads)


def table(name: str, **options: object) -> pd.DataFrame:
    return pd.read_csv(paths.RESULTS / "paper" / "tables" / f"{name}.csv", **options)


def summary_of(rows: pd.DataFrame, diversity: pd.DataFrame) -> pd.DataFrame:
    """What notebook 19 says of each claim, for these rows and this table of notebook 18."""
    judged = verdicts.judge(rows, claims.comparisons("paper"))
    layers = verdicts.judge_layers(diversity, profile="paper")
    both = pd.concat([judged, layers], ignore_index=True)
    return verdicts.summarise(both, published.claims())


def test_the_profile_has_every_method_dataset_network_and_schedule(paper):
    assert set(paper.rows["method"]) == set(METHODS)
    assert set(paper.rows["dataset"]) == set(cifar.CIFAR)
    pairs = set(zip(paper.rows["network"], paper.rows["epochs"], strict=True))
    assert pairs == {*PROFILES["paper"].networks, ("wrn-40-4", 300), ("wrn-40-4", 400)}
    assert paper.rows["run"].nunique() == len(paper.named) == 249


def test_a_run_of_each_kind_was_trained_to_its_last_epoch(paper):
    trained = grid.named_settings(
        plans.run_settings("paper", **changes) for changes in (*TRAINED, *COPIED)
    )
    for name in trained:
        config = runs.read_config(name)
        assert [epoch["epoch"] for epoch in runs.history_of(name)] == [config.epochs - 1]
        assert runs.is_finished(name)
    kinds = {(c.network, c.dataset, c.loss) for c in map(runs.read_config, trained)}
    keys = ["network", "dataset", "loss"]
    assert kinds == set(paper.rows[keys].drop_duplicates().itertuples(index=False, name=None))


def test_every_exhibit_of_the_paper_is_at_its_scale_or_says_why_not(paper):
    contents = page.contents("paper")
    measured = ["Fig. 3", "Fig. 5", *(f"Table {n}" for n in range(3, 8))]
    assert contents.loc[measured, "status"].str.startswith("at the paper's scale").all()
    drawn = page.EXHIBITS["figures"] != ""
    assert (contents.loc[drawn, "figures"] > 0).all()
    assert not contents["status"].str.startswith("not made").any()
    for number, n_rows in ((5, 17), (6, 12), (7, 16)):
        status = contents.loc[f"Table {number}", "status"]
        assert status.endswith(f"; beside {n_rows} of {n_rows} printed rows")


def test_every_table_has_three_seeds_and_every_ablation_its_comparison(paper):
    both = [f"10-table-{n}-{name}" for n in (3, 4) for name in cifar.CIFAR]
    ablations = [f"16-ablations-{name}" for name in plans.ABLATIONS]
    for name in (*both, "11-table-5", "12-table-6", "13-table-7", *ablations):
        assert (table(name)["n"] == 3).all()
    for name in both:
        assert set(table(name)["method"]) == set(METHODS)
    compared = table("16-ablations-differences")
    assert set(compared["ablation"]) == set(plans.ABLATIONS) and (compared["n"] == 3).all()
    figures = {file.stem for file in (paths.FIGURES / "paper").glob("14-*.png")}
    kinds = ("fig-3", "fig-5", "severity")
    assert figures == {f"14-{kind}-{name}" for kind in kinds for name in cifar.CIFAR}


def test_the_report_has_a_verdict_on_every_claim(paper):
    seen = table("20-claims", index_col="claim")["verdict"]
    expected = {f"C{n}": "direction" for n in range(1, 13)}
    expected |= dict.fromkeys(["C5", "C8"], "reproduced with a substitute")
    expected |= {"C11": "undecided"}  # of noise the second layer changes no more than the first
    assert seen.to_dict() == expected
    assert (table("20-comparisons")["n"] > 0).all()
    html = (paths.SITE / "paper" / "20-report.html").read_text()
    assert "12 of 12 claims have a verdict in profile paper" in html


def test_rows_that_say_the_opposite_contradict_every_claim(paper):
    cells = paper.rows["parameters"].map(json.loads)
    away = [0.02 * (8 - one.get("magnitude", 8) + one.get("beta", 3) - 3) for one in cells]
    rows = paper.rows.assign(value=1 - paper.rows["value"] + away)
    diversity = table("18-layers", index_col=0)
    turned = diversity.rename({"layer 1": "layer 3", "layer 3": "layer 1"})
    assert set(summary_of(rows, turned)["verdict"]) == {"contradicted"}
    as_seen = summary_of(paper.rows, diversity)["verdict"]
    assert as_seen.equals(table("20-claims", index_col="claim")["verdict"])


def test_the_command_called_again_trains_and_executes_nothing(paper, capsys):
    study("paper", 2)
    assert capsys.readouterr().out.count("unchanged: not run again") == len(notebooks.names())
