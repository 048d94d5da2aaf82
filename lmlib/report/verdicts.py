"""What the rows say to each claim of the paper, and a verdict where the scale allows one.

The rules are those of `data/published/README.md`, fixed before any result. One of them can be read in several ways; here
"reproduced" asks for both sides of a difference: the interval of each mean lies near what was printed for it, and the order is
the claimed one. A claim of hardly any difference is reproduced where the interval of the difference lies near zero.
"""

import math
from itertools import product

import numpy as np
import pandas as pd
from scipy import stats

from ..metrics.intervals import paired_difference, summary
from ..study.plans import table_dataset
from ..study.profiles import PROFILES
from .claims import RELEASED, labels_of
from .deviations import COUNTED
from .differences import adjusted, compare_pairs, difference_text
from .plots import NOT_FRACTIONS, unit_of
from .tables import described, distinct, n_in_words, size_in_words

N_SEEDS = 3  # fewer give no verdict
POINTS = (
    0.005  # half a point: how near is near, or two standard deviations over seeds if that is more
)
PAPER = PROFILES["paper"]
SCALES = {*PAPER.networks, (PAPER.network, PAPER.long_epochs), (PAPER.network, 3 * PAPER.epochs)}
"""(network, epochs) of the paper's CIFAR tables; the last is JSD's equal in compute, for claim C7."""
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
        return (
            "contradicted"
            if holds and (difference.low > near or difference.high < -near)
            else "undecided"
        )
    along = sign * difference.mean
    if holds and along < 0:
        return "contradicted"
    sides = zip((ours, reference), comparison.printed, strict=True)
    if along > 0 and all(is_near(list(side.values()), printed, measure) for side, printed in sides):
        return reproduced
    return "direction" if holds else "undecided"


def rows_of(rows, column, side):
    """The rows of one side of a comparison: one for each seed and cell. rows: of `tables.described`, without single corruptions."""
    wanted = {"benchmark": column.benchmark, "measure": column.measure} | side
    wanted = {
        name: value if isinstance(value, tuple) else [value] for name, value in wanted.items()
    }
    return rows[rows[list(wanted)].isin(wanted).all(axis=1)]


def by_seed(found, side):
    """{seed: mean over the cells of a side}, of the seeds that have all of them."""
    cells = found.groupby("seed")["value"].agg(["mean", "count"])
    return cells.loc[cells["count"] == len(side["parameters"]), "mean"].to_dict()


def is_paper_scale(found):
    """Whether rows are of the paper's networks and schedules, on all training and test images and every corruption."""
    counts = found["benchmark"].map(COUNTED)
    whole = (
        counts.isna()
        | (pd.to_numeric(found["over"]) == counts)
        | (found["measure"] == "mce_without_brightness")
    )
    return bool(
        found["dataset"].isin(["cifar10", "cifar100"]).all()
        and set(zip(found["network"], found["epochs"], strict=True)) <= SCALES
        and (found["n_train"] == "all").all()
        and found["subset"].str.fullmatch(r"all [\d,]+ test images").all()
        and whole.all()
    )


def scale_of(found):
    """The scale of rows in words: dataset, network, epochs, images, mixing set, who made the test images; empty without rows."""
    if found.empty:
        return ""
    words = [size_in_words(found)]
    if (found["n_train"] != "all").any():
        words.append(f"{distinct(found['n_train'])} training images")
    words.append(distinct(found["subset"]))
    words += dict.fromkeys(
        label.rpartition(", ")[0] for label in found["mixing"].unique() if label != "none"
    )
    if found["source"].str.contains("generated").any():
        words.append("test images generated")
    return ", ".join(words)


def judge(rows, wanted):
    """Every comparison beside the rows: DataFrame, one row each, fractions.

    rows: of `results.read_rows`; wanted: of `claims.comparisons`. What comes out: claim, family, decides, sign, dataset, title,
    measure; ours and reference, in words; printed, the paper's difference; what `compare_pairs` gives, with p_holm within the
    family; scale, in words; judged, a word of `CONJUNCTION`.
    """
    rows = described(rows)
    rows, pairs, sides = rows[rows["corruption"].isna()], [], []
    for one in wanted:
        found = [rows_of(rows, one.column, side) for side in (one.ours, one.reference)]
        ours, reference = labels_of(one)
        labels = {
            "claim": one.claim,
            "family": one.family,
            "decides": one.decides,
            "sign": one.sign,
        }
        labels |= {
            "dataset": one.ours["dataset"],
            "title": one.column.title,
            "measure": one.column.measure,
        }
        labels |= {"ours": ours, "reference": reference, "printed": one.printed[0] - one.printed[1]}
        pairs.append((labels, by_seed(found[0], one.ours), by_seed(found[1], one.reference)))
        sides.append(pd.concat(found))
    table = compare_pairs(pairs)
    judged = [
        word_of(one, ours, reference, found, p_holm)
        for one, (_, ours, reference), found, p_holm in zip(
            wanted, pairs, sides, table["p_holm"], strict=True
        )
    ]
    return table.assign(scale=[scale_of(found) for found in sides], judged=judged)


def word_of(comparison, ours, reference, found, p_holm):
    """How far a comparison may be judged: a word of `CONJUNCTION`. found: the rows of both sides."""
    if not ours.keys() & reference.keys():
        return "not run"
    if not is_paper_scale(found):
        return "smaller scale"
    substitute = found["mixing"].str.contains("substitute").any()
    return verdict(comparison, ours, reference, p_holm, substitute=substitute)


def layers_seen(measured, *, profile):
    """Claim C11 from the table of `15-ablations`, in the columns of `judge`: diversity decides, affinity stands beside.

    measured: DataFrame indexed by "layer 1" to "layer 3", columns diversity, affinity (each with `_error`, over images) and n.
    Errors of two layers are taken for independent, which is wide: both are of the same images. Half widths: 1.96 standard errors.
    """
    records, kinds = (
        [],
        (("diversity", 1, "mean squared change, x 100"), ("affinity", -1, "affinity")),
    )
    for (what, sign, title), (ours, reference) in product(
        kinds, (("layer 2", "layer 1"), ("layer 3", "layer 2"))
    ):
        upper, lower = measured.loc[ours], measured.loc[reference]
        mean, error = (
            upper[what] - lower[what],
            math.hypot(upper[f"{what}_error"], lower[f"{what}_error"]),
        )
        record = {
            "claim": "C11",
            "family": "claim C11",
            "decides": what == "diversity",
            "sign": sign,
            "title": title,
        }
        record |= {
            "measure": title,
            "ours": ours,
            "reference": reference,
            "n": int(upper["n"]),
            "printed": math.nan,
        }
        record |= {"ours_mean": upper[what], "reference_mean": lower[what], "mean": mean}
        record |= {"low": mean - 1.96 * error, "high": mean + 1.96 * error}
        records.append(
            record
            | {"p_value": 2 * stats.norm.sf(abs(mean) / error) if error else float(mean == 0)}
        )
    dataset, n = table_dataset(profile), int(measured["n"].iloc[0])
    scale = f"{dataset}, {n} test images, no training of its own"
    table = adjusted(pd.DataFrame(records).dropna(subset="mean")).assign(
        dataset=dataset, scale=scale
    )
    if n < 10_000 or not dataset.startswith("cifar"):
        return table.assign(judged="smaller scale")
    off = np.where(table["sign"] * table["mean"] > 0, "direction", "contradicted")
    return table.assign(judged=np.where(table["holds"], off, "undecided"))


ABSENT = {
    "C10": "papermill notebooks/15-ablations.ipynb out.ipynb -p profile {profile} -p train_absent True"
}
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
        present, decisive = every[every["n"] > 0], every[every["decides"]]
        command = f"`{ABSENT.get(claim['claim'], './run_all.sh paper').format(profile=profile)}`"
        missing = f"{(decisive['n'] == 0).sum()} of {len(decisive)}"
        word = min(decisive["judged"], key=CONJUNCTION.index, default="not run")
        if present.empty:
            said = f"not run in this profile: {command}"
        elif "smaller scale" in set(every["judged"]) and word != "contradicted":
            left = f"; {missing} not run: {command}" if (decisive["n"] == 0).any() else ""
            said = f"no verdict: seen at a smaller scale{left}"
        elif word == "not run":
            said = f"no verdict: {missing} comparisons not run: {command}"
        else:
            said = f"no verdict: fewer than {N_SEEDS} seeds" if word == "too few seeds" else word
        scale = ", ".join(dict.fromkeys(", ".join(present["scale"]).split(", ")))
        kept = {name: claim[name] for name in ("claim", "statement", "where")}
        rows.append(kept | {"seen": seen_in_words(present), "scale": scale, "verdict": said})
    return pd.DataFrame(rows).set_index("claim")


def seen_in_words(present):
    """How many differences of a claim are as claimed, and how many by more than their spread: a sentence for each reading."""
    sentences, released = [], present["family"].str.endswith(RELEASED)
    readings = released.map({True: "released operations: ", False: "operations of the paper: "})
    for name, part in present.groupby(readings, sort=False):
        along, spread = part["sign"] * part["mean"] > 0, part["n"].max() > 1
        if (part["sign"] == 0).all():
            words = f"{(part['mean'].abs() <= POINTS).sum()} of {len(part)} differences within half a point"
            words += f", {part['holds'].sum()} off zero beyond their spread" if spread else ""
        else:
            words = f"{along.sum()} of {len(part)} differences as claimed"
            if spread:
                words += f"; beyond their spread, {(along & part['holds']).sum()} for the claim and"
                words += f" {(~along & part['holds']).sum()} against it"
        sentences.append(
            f"{name if released.any() else ''}{words} ({n_in_words(part['n'])}{'' if spread else ': no spread'})"
        )
    return ". ".join(sentences)


def wide(table):
    """Comparisons for people: DataFrame of text, one row each, in percentage points but for distances."""
    present = table[table["n"] > 0]
    printed = present["printed"] * present["measure"].map(lambda measure: unit_of(measure)[0])
    columns = {
        "claim": present["claim"],
        "measure": present["title"],
        "ours": present["ours"],
        "reference": present["reference"],
        "claimed": present["sign"].map({-1: "lower", 1: "higher", 0: "hardly differs"}),
        "ours minus reference": [difference_text(row) for row in present.to_dict("records")],
        "the paper's": printed.map("{:+.2f}".format).replace("+nan", ""),
        "judged": present["judged"].where(present["decides"], present["judged"] + " (beside)"),
        "scale": present["scale"],
    }
    found = pd.DataFrame(columns).set_index(["claim", "measure"])
    return found if printed.notna().any() else found.drop(columns="the paper's")
