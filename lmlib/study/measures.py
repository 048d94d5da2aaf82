"""From outcomes to rows: every measure of Table 4, with its bootstrap interval where it is a mean over images."""

from functools import partial

import numpy as np

from .. import metrics
from ..metrics.intervals import bootstrap_interval
from ..names import PERTURBATIONS_PAPER, PERTURBATIONS_SCRIPT
from .outcomes import SEED, parts

VERSION = 2  # raised by hand when the rows change: a number in them, or which there are
DECIDED = ("measure", "value", "corruption", "severity", "low", "high", "over", "n")


def row(measure, value, **columns):
    """One measured value, as a dict of the columns that the measure decides; those that it leaves open are empty."""
    return dict.fromkeys(DECIDED, "") | {"measure": measure, "value": float(value)} | columns


def mean_row(measure, mean, by_image):
    """A mean with its bootstrap interval: by_image (n, ...), everything seen of an image in one row, resampled together."""
    low, high = bootstrap_interval(by_image, seed=SEED)
    return row(measure, mean, low=low, high=high, over=getattr(mean, "n", ""), n=len(by_image))


CALIBRATION = {
    "rms_calibration_error": metrics.rms_calibration_error,
    "rms_without_last_bin": partial(metrics.rms_calibration_error, last_bin=False),
    "rms_noise_floor": lambda confidence, correct: metrics.rms_noise_floor(
        confidence, seed=SEED, n_draws=20
    ),
    "mad_calibration_error": metrics.mad_calibration_error,
    "ece": metrics.ece,
    "aurra": metrics.aurra,
}
"""Measures of (confidence, correct). On C and C-bar: one value a corruption, its severities pooled, then the mean."""


def clean_rows(outcomes):
    """Clean error, top-1 and top-5, and calibration."""
    logits, labels = outcomes["logits"], outcomes["labels"]
    confidence, correct = metrics.confidence_and_correct(logits, labels)
    rows = [mean_row("clean_error", metrics.error(logits, labels), 1.0 - correct)]
    values = {"top5_error": metrics.error(logits, labels, k=5)}
    values |= {name: measure(confidence, correct) for name, measure in CALIBRATION.items()}
    values |= {"nll": metrics.nll(logits, labels), "brier": metrics.brier(logits, labels)}
    return rows + [row(name, value, n=len(labels)) for name, value in values.items()]


def corruption_rows(means, names, severities, outcomes):
    """Rows of C or C-bar: the error of each corruption and severity, and means over corruptions.

    means: measure -> function of {corruption: error per severity}; names: those that the calibration is averaged over.
    """
    errors = {name: 1 - correct.mean(1) for name, correct in parts(outcomes, "correct").items()}
    n = next(iter(parts(outcomes, "correct").values())).shape[1]
    rows = [
        row("error", value, corruption=name, severity=severity, n=n)
        for name, values in errors.items()
        for severity, value in zip(severities, values, strict=True)
    ]
    for measure, mean in means.items():
        value = mean(errors)
        by_image = np.stack(
            [1 - outcomes[f"{name}/correct"].mean(0) for name in value.names], axis=1
        )
        rows.append(mean_row(measure, value, by_image))
    found = [name for name in names if name in errors]
    for measure, function in CALIBRATION.items():
        values = [
            function(outcomes[f"{name}/confidence"].ravel(), outcomes[f"{name}/correct"].ravel())
            for name in found
        ]
        rows.append(row(measure, np.mean(values), over=len(found), n=n))
    return rows + [
        row(
            measure,
            np.mean([outcomes[f"{name}/{measure}"].mean() for name in found]),
            over=len(found),
            n=n,
        )
        for measure in ("nll", "brier")
    ]


def perturbation_rows(outcomes):
    """Rows of P: flip probability and top-5 distance of each perturbation, and the means over the script's and the paper's ten."""
    rows = []
    for what, single, mean, function in (
        ("flips", "flip_probability", "mfp", metrics.mfp),
        ("distances", "top5_distance", "mt5d", metrics.mt5d),
    ):
        by_name = parts(outcomes, what)
        rows += [
            row(single, values.mean(), corruption=name, n=len(values))
            for name, values in by_name.items()
        ]
        for suffix, ten in (("", PERTURBATIONS_SCRIPT), ("_paper_ten", PERTURBATIONS_PAPER)):
            value = function({name: values.mean() for name, values in by_name.items()}, ten)
            rows.append(
                mean_row(
                    f"{mean}{suffix}",
                    value,
                    np.stack([by_name[name] for name in value.names], axis=1),
                )
            )
    return rows


def attack_rows(outcomes):
    """Rows of PGD: the error under each budget."""
    return [
        mean_row(name, 1 - correct.mean(), 1.0 - correct)
        for name, correct in parts(outcomes, "correct").items()
    ]
