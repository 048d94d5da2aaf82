"""What the rows say to each claim of the paper, and a verdict where the scale allows one.

The rules are those of `data/published/README.md`, fixed before any result. One of them can be read
in several ways; here "reproduced" asks for both sides of a difference: the interval of each mean
lies near what was printed for it, and the order is the claimed one. A claim of hardly any
difference is reproduced where the interval of the difference lies near zero.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ..metrics.intervals import paired_difference, summary
from ..study.plans import table_dataset
from ..study.profiles import PROFILES
from .claims import Comparison, labels_of
from .deviations import N_COUNTED
from .differences import BySeed, adjusted, compare_pairs, difference_text
from .tables import Column, described, distinct, n_text, size_text
from .units import NOT_FRACTIONS, unit_of

N_SEEDS = 3  # fewer give no verdict
HALF_A_POINT = 0.005
PAPER, IMAGENET = PROFILES["paper"], PROFILES["imagenet-1k"]
SCALES = {*PAPER.networks, (PAPER.network, PAPER.long_epochs), (PAPER.network, 3 * PAPER.epochs)}
SCALES |= set(IMAGENET.networks)
"""(network, epochs) of the paper's tables; `3 *` is JSD's equal in compute, claim C7."""
PAPER_DATA = *PAPER.datasets, "imagenet-200", "imagenet-1k"
VERDICTS_WEAKEST_FIRST = {
    "contradicted": "contradicted",
    "not run": "no verdict: some comparisons not run: `./run_all.sh paper`",
    "smaller scale": "no verdict: seen at a smaller scale",
    "too few seeds": f"no verdict: fewer than {N_SEEDS} seeds",
    "undecided": "undecided",
    "direction": "direction",
    "reproduced with a substitute": "reproduced with a substitute",
    "reproduced": "reproduced",
}
"""How a comparison may be judged, and what a claim is called whose weakest comparison is that."""


def tolerance(std: float, measure: str) -> float:
    """How near is near: half a point, or two standard deviations over seeds if that is more.

    A distance is not in points: two standard deviations alone.
    """
    spread = 2 * std if math.isfinite(std) else 0.0
    return spread if measure in NOT_FRACTIONS else max(HALF_A_POINT, spread)


def is_near(values: Iterable[float], printed: float, measure: str) -> bool:
    """Whether the 95 % interval of the mean of one value a seed lies near the printed value.

    False where nothing is printed or there is one seed.
    """
    mean, std, n = summary(list(values))
    if n < 2 or not math.isfinite(printed):
        return False
    half = stats.t.ppf(0.975, n - 1) * std / math.sqrt(n)
    return bool(abs(mean - printed) + half <= tolerance(std, measure))


def verdict(
    comparison: Comparison, ours: BySeed, reference: BySeed, p_holm: float, *, substitute: bool
) -> str:
    """The verdict on one comparison at the paper's scale: of `VERDICTS_WEAKEST_FIRST`.

    ours, reference: {seed: value}; p_holm: of their difference, adjusted within its table;
    substitute: whether a side was trained with a generated mixing set.
    """
    difference, measure = paired_difference(ours, reference), comparison.column.measure
    holds, along = p_holm < 0.05, comparison.sign * difference.mean
    reproduced = "reproduced with a substitute" if substitute else "reproduced"
    if difference.n < N_SEEDS:
        return "too few seeds"
    if comparison.sign == 0:
        near = tolerance(difference.std, measure)
        if -near <= difference.low and difference.high <= near:
            return reproduced
        beyond = difference.low > near or difference.high < -near
        return "contradicted" if holds and beyond else "undecided"
    if holds and along < 0:
        return "contradicted"
    sides = zip((ours, reference), comparison.printed, strict=True)
    if along > 0 and all(is_near(values.values(), printed, measure) for values, printed in sides):
        return reproduced
    return "direction" if holds else "undecided"


def rows_of_side(
    rows: pd.DataFrame, column: Column, side: Mapping[str, Any]
) -> tuple[pd.DataFrame, dict[int, float]]:
    """The rows of one side of a comparison, and {seed: mean over its cells} of seeds with all.

    rows: of `described`.
    """
    values = {"benchmark": column.benchmark, "measure": column.measure, **side}
    allowed = {name: v if isinstance(v, tuple) else [v] for name, v in values.items()}
    rows = rows[rows[list(allowed)].isin(allowed).all(axis=1)]
    cells = rows.groupby("seed")["value"].agg(["mean", "count"])
    return rows, cells.loc[cells["count"] == len(side["parameters"]), "mean"].to_dict()


def is_paper_scale(rows: pd.DataFrame) -> bool:
    """Whether rows are of the paper's networks and schedules, on all images and corruptions."""
    n_counted = rows["benchmark"].map(N_COUNTED)
    every_corruption = n_counted.isna() | (pd.to_numeric(rows["over"]) == n_counted)
    return bool(
        rows["dataset"].isin(PAPER_DATA).all()
        and set(zip(rows["network"], rows["epochs"], strict=True)) <= SCALES
        and (rows["n_train"] == "all").all()
        and rows["subset"].str.fullmatch(r"all [\d,]+ test images").all()
        and (every_corruption | (rows["measure"] == "mce_without_brightness")).all()
    )


def scale_text(rows: pd.DataFrame) -> str:
    """The scale of rows for people: dataset, network, epochs, images; empty without rows."""
    if rows.empty:
        return ""
    sizes = [f"{n} training images" for n in dict.fromkeys(rows["n_train"]) if n != "all"]
    texts = [size_text(rows), *sizes, distinct(rows["subset"])]
    return ", ".join(texts + ["substitute mixing set"] * has_substitute(rows))


def has_substitute(rows: pd.DataFrame) -> bool:
    """Whether a run was trained with a generated mixing set."""
    return bool(rows["mixing"].str.contains("substitute").any())


def judge(rows: pd.DataFrame, comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Every comparison beside the rows, one row each, as fractions.

    rows: as `read_rows` gives them. Columns: claim, family, decides, sign, dataset, title,
    measure; ours and reference, as text; printed, the paper's difference; those of
    `compare_pairs`, with p_holm within the family; scale, as text; judged.
    """
    rows = described(rows)
    rows, pairs, sides = rows[rows["corruption"].isna()], [], []
    for one in comparisons:
        ours, reference = (rows_of_side(rows, one.column, each) for each in one[4:6])
        texts = dict(zip(("ours", "reference"), labels_of(one), strict=True))
        labels = {name: getattr(one, name) for name in ("claim", "family", "decides", "sign")}
        labels |= {"dataset": one.ours["dataset"], "title": one.column.title}
        labels |= {"measure": one.column.measure, **texts}
        labels["printed"] = one.printed[0] - one.printed[1]
        pairs.append((labels, ours[1], reference[1]))
        sides.append(pd.concat([ours[0], reference[0]]))
    table, judged = compare_pairs(pairs), []
    every = zip(comparisons, pairs, sides, table.itertuples(), strict=True)
    for one, pair, part, difference in every:
        judged.append("smaller scale" if difference.n else "not run")
        if difference.n and is_paper_scale(part):
            substitute = has_substitute(part)
            judged[-1] = verdict(one, *pair[1:], difference.p_holm, substitute=substitute)
    return table.assign(scale=[scale_text(part) for part in sides], judged=judged)


def judge_layers(measured: pd.DataFrame, *, profile: str) -> pd.DataFrame:
    """Claim C11 in the columns of `judge`: diversity decides, affinity stands beside.

    measured: the table of `18-layers`, indexed by "layer 1" to "layer 3", with diversity and
    affinity, an `_error` of each over images, and n. The errors of two layers are taken for
    independent, which is wide: both are of the same images.
    """
    measured = measured.loc[["layer 1", "layer 2", "layer 3"]]
    dataset, n, parts = table_dataset(profile), int(measured["n"].iloc[0]), []
    titles = {"diversity": "mean squared change, x 100", "affinity": "affinity"}
    for name, title in titles.items():
        values, error = measured[name], measured[f"{name}_error"]
        layers, mean = values.index.to_series(), values.diff()
        error = np.hypot(error, error.shift())
        z = (abs(mean) / error).fillna(0)  # 0 / 0 where no layer changes any network's answer
        parts.append(pd.DataFrame({
            "claim": "C11", "family": "claim C11", "decides": name == "diversity",
            "sign": 1 if name == "diversity" else -1, "title": title, "measure": title,
            "ours": layers, "reference": layers.shift(), "n": n,
            "ours_mean": values, "reference_mean": values.shift(),
            "mean": mean, "low": mean - 1.96 * error, "high": mean + 1.96 * error,
            "p_value": 2 * stats.norm.sf(z), "printed": math.nan,
            "dataset": dataset, "scale": f"{dataset}, {n} test images, no training",
        }))  # fmt: skip
    table = adjusted(pd.concat(parts).dropna(subset="mean", ignore_index=True))
    whole = n >= 10_000 and dataset.startswith("cifar")
    off = np.where(table["sign"] * table["mean"] > 0, "direction", "contradicted")
    judged = np.where(table["holds"], off, "undecided")
    return table.assign(judged=judged if whole else "smaller scale")


def summarise(table: pd.DataFrame, claims: pd.DataFrame) -> pd.DataFrame:
    """One row a claim, indexed by claim: statement, where, seen, scale and verdict, as text.

    table: of `judge` and `judge_layers`; claims: of `published.claims`. A claim is judged as the
    weakest of the comparisons that decide it; where one is at a smaller scale, as that.
    """
    records = []
    for claim in claims[["claim", "statement", "where"]].to_dict("records"):
        every = table[table["claim"] == claim["claim"]]
        present, judged = every[every["n"] > 0], set(every.loc[every["decides"], "judged"])
        if "smaller scale" in set(every["judged"]):
            judged = judged - {"not run"} | {"smaller scale"}
        weakest = next((one for one in VERDICTS_WEAKEST_FIRST if one in judged), "not run")
        along = present["sign"] * present["mean"] > 0
        along |= (present["sign"] == 0) & (present["mean"].abs() <= HALF_A_POINT)
        text = f"{along.sum()} of {len(present)} differences as claimed"
        if present["n"].max() > 1:
            beyond = (along & present["holds"]).sum(), (~along & present["holds"]).sum()
            text += "; beyond their spread, {} for the claim and {} against it".format(*beyond)
        verdict = VERDICTS_WEAKEST_FIRST[weakest]
        if present.empty:
            text, verdict = "", "not run in this profile: `./run_all.sh paper`"
        else:
            text += f" ({n_text(present['n'])})"
        scale = ", ".join(dict.fromkeys(", ".join(present["scale"]).split(", ")))
        records.append(claim | {"seen": text, "scale": scale, "verdict": verdict})
    return pd.DataFrame(records).set_index("claim")


def for_display(table: pd.DataFrame) -> pd.DataFrame:
    """Comparisons as text, one row each, in percentage points or the unit of a distance."""
    present = table[table["n"] > 0]
    printed = present["printed"] * present["measure"].map(lambda measure: unit_of(measure)[0])
    texts = present[["claim", "title", "ours", "reference"]].assign(**{
        "claimed": present["sign"].map({-1: "lower", 1: "higher", 0: "hardly differs"}),
        "ours minus reference": [difference_text(row) for row in present.to_dict("records")],
        "the paper's": printed.map("{:+.2f}".format).replace("+nan", ""),
        "judged": present["judged"].where(present["decides"], present["judged"] + " (beside)"),
        "scale": present["scale"],
    })  # fmt: skip
    texts = texts.rename(columns={"title": "measure"}).set_index(["claim", "measure"])
    return texts if printed.notna().any() else texts.drop(columns="the paper's")
