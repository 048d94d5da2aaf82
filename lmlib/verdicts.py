"""What the rows say to each claim of the paper, and a verdict where the scale allows one.

The rules are those of `data/published/README.md`, fixed before any result. One of them can be read in several ways; here
"reproduced" asks for both sides of a difference: the interval of each mean lies near what was printed for it, and the order is
the claimed one. A claim of hardly any difference is reproduced where the interval of the difference lies near zero.
"""

import math

import numpy as np
import pandas as pd
from scipy import stats

from .ablations import difference_text
from .claims import RELEASED, labels_of
from .honesty import COUNTED
from .plots import NOT_FRACTIONS
from .profiles import table_dataset
from .statistics import holm, paired_difference, summary
from .tables import described

N_SEEDS = 3  # fewer give no verdict
POINTS = 0.005  # half a point: how near is near, or two standard deviations over seeds if that is more
SCALES = {
    ("wrn-40-4", 100),
    ("wrn-40-4", 300),
    ("wrn-40-4", 400),
    ("wrn-28-10", 100),
    ("resnet-18", 200),
    ("resnext-29", 200),
}
"""(network, epochs) of the paper's CIFAR tables; 300 is JSD's equal in compute, for claim C7."""
CONJUNCTION = (
    "contradicted", "not run", "smaller scale", "too few seeds", "undecided", "direction", "reproduced with a substitute",
    "reproduced",
)  # fmt: skip
"""How a comparison may be judged. A claim of several is judged as the first of these that any of them has."""


def tolerance(std, measure):
    """How near is near: half a point or two standard deviations. A distance is not in points: two deviations alone."""
    spread = 2 * std if math.isfinite(std) else 0.0
    return spread if measure in NOT_FRACTIONS else max(POINTS, spread)


def is_near(values, printed, measure):
    """Whether the 95 % interval of the mean of `values`, one a seed, lies near the printed value; False where none is printed."""
    mean, std, n = summary(values)
    if n < 2 or not math.isfinite(printed):
        return False
    half = stats.t.ppf(0.975, n - 1) * std / math.sqrt(n)
    return bool(abs(mean - printed) + half <= tolerance(std, measure))


def verdict(comparison, ours, reference, p_holm, *, substitute):
    """The verdict on one comparison at the paper's scale: a word of `CONJUNCTION`.

    ours, reference: {seed: value}; p_holm: of their difference, adjusted within its table; substitute: whether a side was trained
    with a generated mixing set.
    """
    difference, sign = paired_difference(ours, reference), comparison.sign
    if difference.n < N_SEEDS:
        return "too few seeds"
    measure, holds = comparison.column.measure, p_holm < 0.05
    reproduced = "reproduced with a substitute" if substitute else "reproduced"
    if sign == 0:
        near = tolerance(difference.std, measure)
        if -near <= difference.low and difference.high <= near:
            return reproduced
        return "contradicted" if holds and (difference.low > near or difference.high < -near) else "undecided"
    low, high = sorted((sign * difference.low, sign * difference.high))
    if holds and high < 0:
        return "contradicted"
    sides = zip((ours, reference), comparison.printed, strict=True)
    if sign * difference.mean > 0 and all(is_near(list(side.values()), printed, measure) for side, printed in sides):
        return reproduced
    return "direction" if holds and low > 0 else "undecided"


def rows_of(rows, column, side):
    """The rows of one side of a comparison: one for each seed and cell. rows: of `tables.described`, without single corruptions."""
    wanted = (rows["benchmark"] == column.benchmark) & (rows["measure"] == column.measure)
    for name, value in side.items():
        wanted &= rows[name].isin(value) if isinstance(value, tuple) else rows[name] == value
    return rows[wanted]


def by_seed(found, side):
    """{seed: mean over the cells of a side}, of the seeds that have all of them."""
    cells = found.groupby("seed")["value"].agg(["mean", "count"])
    return cells.loc[cells["count"] == len(side["parameters"]), "mean"].to_dict()


def is_paper_scale(found):
    """Whether rows are of the paper's networks and schedules, on all training and test images and every corruption."""
    counts = found["benchmark"].map(COUNTED)
    whole = counts.isna() | (pd.to_numeric(found["over"]) == counts) | (found["measure"] == "mce_without_brightness")
    return bool(
        found["dataset"].isin(["cifar10", "cifar100"]).all()
        and set(zip(found["network"], found["epochs"], strict=True)) <= SCALES
        and (found["n_train"] == "all").all()
        and found["subset"].str.fullmatch(r"all [\d,]+ test images").all()
        and whole.all()
    )


def scale_of(found):
    """The scale of rows in words: dataset, network, epochs, images, mixing set, who made the test images."""

    def every(column):
        return " and ".join(dict.fromkeys(str(value) for value in found[column]))

    words = [every("dataset"), every("network"), f"{every('epochs')} epochs", every("subset")]
    if (found["n_train"] != "all").any():
        words.insert(3, f"{every('n_train')} training images")
    mixing = [label.rpartition(", ")[0] for label in dict.fromkeys(found["mixing"]) if label != "none"]
    words += list(dict.fromkeys(mixing)) + (
        ["test images generated"] if found["source"].str.contains("generated").any() else []
    )
    return ", ".join(words)


def judge(rows, wanted):
    """Every comparison beside the rows: DataFrame, one row each, fractions.

    rows: of `results.read_rows`; wanted: of `claims.comparisons`. What comes out: claim, family, decides, sign, title, measure;
    ours and reference, in words; ours_mean, reference_mean; mean, low, high, p_value, std, n of the difference, paired by seed;
    p_holm within the family; holds; printed, the paper's difference; scale, in words; judged, a word of `CONJUNCTION`.
    """
    rows = described(rows)
    rows, records, sides = rows[rows["corruption"].isna()], [], []
    for one in wanted:
        found = [rows_of(rows, one.column, side) for side in (one.ours, one.reference)]
        values = [by_seed(part, side) for part, side in zip(found, (one.ours, one.reference), strict=True)]
        ours, reference = labels_of(one)
        record = {
            "claim": one.claim,
            "family": one.family,
            "decides": one.decides,
            "sign": one.sign,
            "dataset": one.ours["dataset"],
        }
        record |= {
            "title": one.column.title,
            "measure": one.column.measure,
            "ours": ours,
            "reference": reference,
            "n": 0,
        }
        if set(values[0]) & set(values[1]):
            record |= dict(
                zip(("ours_mean", "reference_mean"), (np.mean(list(side.values())) for side in values), strict=True)
            )
            record |= paired_difference(*values)._asdict()
        printed = one.printed[0] - one.printed[1] if one.ours["dataset"].startswith("cifar") else math.nan
        records.append(record | {"printed": printed})
        sides.append((one, values, pd.concat(found)))
    names = ["ours_mean", "reference_mean", "mean", "low", "high", "p_value", "std"]
    table = pd.DataFrame(records).reindex(columns=[*records[0], *(name for name in names if name not in records[0])])
    table["p_holm"] = table[table["n"] > 1].groupby("family")["p_value"].transform(holm)
    table["holds"] = table["p_holm"] < 0.05
    words = [word_of(*side, p_holm) for side, p_holm in zip(sides, table["p_holm"], strict=True)]
    return table.assign(scale=[scale_of(found) if len(found) else "" for _, _, found in sides], judged=words)


def word_of(comparison, values, found, p_holm):
    """How far a comparison may be judged: a word of `CONJUNCTION`."""
    if not set(values[0]) & set(values[1]):
        return "not run"
    if not is_paper_scale(found):
        return "smaller scale"
    substitute = found["mixing"].str.contains("substitute").any()
    return verdict(comparison, *values, p_holm, substitute=substitute)


def layers_seen(measured, *, profile):
    """Claim C11 from the table of `15-ablations`, in the columns of `judge`: diversity decides, affinity stands beside.

    measured: DataFrame indexed by "layer 1" to "layer 3", columns diversity, affinity (each with `_error`, over images) and n.
    Errors of two layers are taken for independent, which is wide: both are of the same images. Half widths: 1.96 standard errors.
    """
    records = []
    for what, sign, measure in (("diversity", 1, "mean squared change, x 100"), ("affinity", -1, "affinity")):
        for upper, lower in (("layer 2", "layer 1"), ("layer 3", "layer 2")):
            ours, reference = measured.loc[upper], measured.loc[lower]
            mean, error = ours[what] - reference[what], math.hypot(ours[f"{what}_error"], reference[f"{what}_error"])
            p_value = 2 * stats.norm.sf(abs(mean) / error) if error else float(mean == 0)
            record = {
                "claim": "C11",
                "family": "claim C11",
                "decides": what == "diversity",
                "sign": sign,
                "title": measure,
            }
            record |= {
                "measure": measure,
                "ours": upper,
                "reference": lower,
                "n": int(ours["n"]),
                "mean": mean,
                "p_value": p_value,
            }
            record |= {"ours_mean": ours[what], "reference_mean": reference[what], "printed": math.nan}
            records.append(record | {"low": mean - 1.96 * error, "high": mean + 1.96 * error})
    table = pd.DataFrame(records).dropna(subset="mean")
    table["p_holm"] = holm(table["p_value"])
    dataset, n = table_dataset(profile), int(measured["n"].iloc[0])
    table = table.assign(
        holds=table["p_holm"] < 0.05, dataset=dataset, scale=f"{dataset}, {n} test images, no training of its own"
    )
    if n < 10_000 or not dataset.startswith("cifar"):
        return table.assign(judged="smaller scale")
    off = np.where(table["sign"] * table["mean"] > 0, "direction", "contradicted")
    return table.assign(judged=np.where(table["holds"], off, "undecided"))


ABSENT = {"C10": "papermill notebooks/15-ablations.ipynb out.ipynb -p profile {profile} -p train_absent True"}
ABSENT |= {"C11": "./run_all.sh {profile}", "C12": ABSENT["C10"]}
"""Claim -> what makes its rows at the size of a profile that leaves them out; the others need the profile `paper`."""


def summarise(table, claims, *, profile):
    """One row a claim: DataFrame indexed by claim with statement, where, seen, scale, verdict, in words.

    table: of `judge` (and `layers_seen`); claims: of `published.claims`. A claim is judged as the weakest of the comparisons that
    decide it, and not at all where one of them is missing, too small or of too few seeds; a contradicted one settles it.
    """
    rows = []
    for claim in claims.to_dict("records"):
        every = table[table["claim"] == claim["claim"]]
        decisive = every[every["decides"]]
        missing = (decisive["n"] == 0).sum()
        command = f"`{ABSENT.get(claim['claim'], './run_all.sh paper').format(profile=profile)}`"
        word = min(decisive["judged"], key=CONJUNCTION.index, default="not run")
        if (every["n"] == 0).all():
            said = f"not run in this profile: {command}"
        elif "smaller scale" in set(every["judged"]) and word != "contradicted":
            said = "no verdict: seen at a smaller scale" + (
                f"; {missing} of {len(decisive)} not run: {command}" if missing else ""
            )
        elif word == "not run":
            said = f"no verdict: {missing} of {len(decisive)} comparisons not run: {command}"
        else:
            said = f"no verdict: fewer than {N_SEEDS} seeds" if word == "too few seeds" else word
        kept = {name: claim[name] for name in ("claim", "statement", "where")}
        scale = ", ".join(dict.fromkeys(", ".join(every.loc[every["n"] > 0, "scale"]).split(", ")))
        rows.append(kept | {"seen": seen_in_words(every[every["n"] > 0]), "scale": scale, "verdict": said})
    return pd.DataFrame(rows).set_index("claim")


def seen_in_words(present):
    """How many differences of a claim are as claimed, and how many by more than their spread: a sentence for each reading."""
    sentences, released = [], present["family"].str.endswith(RELEASED)
    for name, part in (("released operations: ", present[released]), ("operations of the paper: ", present[~released])):
        if part.empty:
            continue
        along = part["sign"] * part["mean"] > 0
        if (part["sign"] == 0).all():
            words = f"{(part['mean'].abs() <= POINTS).sum()} of {len(part)} differences within half a point"
            words += f", {part['holds'].sum()} off zero beyond their spread" if part["n"].max() > 1 else ""
        else:
            words = f"{along.sum()} of {len(part)} differences as claimed"
            if part["n"].max() > 1:
                words += f"; beyond their spread, {(along & part['holds']).sum()} for the claim and"
                words += f" {(~along & part['holds']).sum()} against it"
        low, high = part["n"].min(), part["n"].max()
        words += f" (n = {low}{': no spread' if high == 1 else ''})" if low == high else f" (n = {low} to {high})"
        sentences.append((name if released.any() else "") + words)
    return ". ".join(sentences)


def wide(table):
    """Comparisons for people: DataFrame of text, one row each, in percent points but for distances."""
    present = table[table["n"] > 0]
    words = present.assign(holds=present["holds"].astype(bool)).apply(difference_text, axis=1)
    printed = (present["printed"] * np.where(present["measure"].isin(NOT_FRACTIONS), 1, 100)).map("{:+.2f}".format)
    claimed = present["sign"].map({-1: "lower", 1: "higher", 0: "hardly differs"})
    columns = {name: present[name] for name in ("claim", "title", "ours", "reference")} | {"claimed": claimed}
    columns |= {"ours minus reference": words, "the paper's": printed.replace("+nan", "")}
    columns |= {
        "judged": present["judged"].where(present["decides"], present["judged"] + " (beside)"),
        "scale": present["scale"],
    }
    found = pd.DataFrame(columns).rename(columns={"title": "measure"}).set_index(["claim", "measure"])
    return found if present["printed"].notna().any() else found.drop(columns="the paper's")
