"""The measures: pure functions of arrays (NumPy or tensors in, floats or arrays out), no model, file or device.

Errors and probabilities are fractions. Where a published script differs from the definition, the definition is the
default and an argument reproduces the script. Intervals and tests are in `lmlib.metrics.intervals`, names in `lmlib.names`.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.special import log_softmax

from .. import draws as random
from ..checks import check_dense, check_whole
from ..names import C_BAR_CORRUPTIONS, C_CORRUPTIONS, C_EXTRA, PERTURBATIONS, PERTURBATIONS_SCRIPT
from .means import mean_over, severity_means

ALEXNET_ERRORS = dict(zip(C_CORRUPTIONS, (
    0.886428, 0.894468, 0.922640, 0.819880, 0.826268, 0.785948, 0.798360, 0.866816, 0.826572, 0.819324, 0.564592,
    0.853204, 0.646056, 0.717840, 0.606500), strict=True))  # fmt: skip
"""AlexNet's error on ImageNet-C, mean of five severities (constants of AugMix's released code)."""

# --- error -----------------------------------------------------------------------------------------------------------


def error(logits, labels, k=1):
    """Top-k error: the fraction whose label is not among the k largest logits; 0 when k >= K.

    logits: (N, K); labels: integers (N,) in 0 .. K - 1; k >= 1. Ties go to the lower class, as in argmax.
    """
    logits, labels = _logits_and_labels(logits, labels)
    best = np.argsort(-logits, axis=1, kind="stable")[:, : check_whole("k", k, 1)]
    return float((best != labels[:, None]).all(axis=1).mean())


def nll(logits, labels):
    """Mean negative log-likelihood in nats, >= 0. logits: (N, K); labels: integers (N,)."""
    logits, labels = _logits_and_labels(logits, labels)
    return float(-np.take_along_axis(log_softmax(logits, axis=1), labels[:, None], axis=1).mean())


def brier(logits, labels):
    """Brier score: mean over samples of the squared distance of softmax and one-hot label, in [0, 2]. Brier (1950).

    logits: (N, K); labels: integers (N,).
    """
    logits, labels = _logits_and_labels(logits, labels)
    distance = np.exp(log_softmax(logits, axis=1)) - np.eye(logits.shape[1])[labels]
    return float((distance**2).sum(axis=1).mean())


# --- means over corruptions or perturbations -------------------------------------------------------------------------


def mce(errors):
    """Mean corruption error over the 15, unnormalised, in [0, 1]: MeanOver.

    errors: mapping from a corruption to its error, or to its errors per severity.
    """
    return mean_over(errors, C_CORRUPTIONS, also_known=C_EXTRA)


def mce_extra(errors):
    """The same mean over the 4 extra corruptions, which no mCE counts."""
    return mean_over(errors, C_EXTRA, also_known=C_CORRUPTIONS)


def mce_without_brightness(errors):
    """mCE over the 14 without brightness, for methods that train on brightness."""
    names = [name for name in C_CORRUPTIONS if name != "brightness"]
    return mean_over(errors, names, also_known=("brightness", *C_EXTRA))


def mce_alexnet(errors):
    """ImageNet-C's mCE: mean over the 15 of the error divided by AlexNet's, so 1 for AlexNet: MeanOver.

    errors: corruption -> its mean over all five severities, or the five. Source: Hendrycks and Dietterich (2019).
    """
    counts = {np.size(value) for value in dict(errors).values()}
    if not counts <= {1, 5}:
        raise ValueError(
            f"AlexNet's errors are means of five severities; got {sorted(counts)} severities."
        )
    means = severity_means(errors, C_CORRUPTIONS, also_known=C_EXTRA)
    return mean_over(
        {name: mean / ALEXNET_ERRORS[name] for name, mean in means.items()},
        C_CORRUPTIONS,
        largest=2.0,
    )


def mce_c_bar(errors):
    """Mean corruption error over the 10 of CIFAR-10-C-bar, unnormalised, in [0, 1]: MeanOver."""
    return mean_over(errors, C_BAR_CORRUPTIONS)


def mce_c_and_c_bar(c, c_bar):
    """Mean over the 15 of C and the 10 of C-bar, each counting once: MeanOver, n = 25 when all are there."""
    return mean_over(
        dict(c) | dict(c_bar), (*C_CORRUPTIONS, *C_BAR_CORRUPTIONS), also_known=C_EXTRA
    )


# --- consistency of sequences ----------------------------------------------------------------------------------------


def flips(predictions, noise=False):
    """For each sequence the fraction of frames 1 .. T - 1 whose prediction differs from the reference frame's: (N,).

    predictions: integers (N, T), T >= 2. The reference is the previous frame; for noise sequences (noise=True) frame 0.
    """
    predictions = _array(predictions)
    if (
        predictions.ndim != 2
        or predictions.shape[1] < 2
        or not len(predictions)
        or predictions.dtype.kind not in "iu"
    ):
        raise ValueError(
            f"predictions must be integers (N >= 1, T >= 2), got {predictions.dtype} {predictions.shape}."
        )
    reference = predictions[:, :1] if noise else predictions[:, :-1]
    return (predictions[:, 1:] != reference).mean(axis=1)


def flip_probability(predictions, noise=False):
    """Flip probability of one perturbation (Hendrycks and Dietterich 2019): mean of `flips`, in [0, 1]."""
    return float(np.mean(flips(predictions, noise)))


def top5_distances(logits, noise=False):
    """For each sequence the mean top-5 distance of frames 1 .. T - 1 to the reference frame: (N,), in [0, 18].

    logits: (N, T, K), T >= 2; reference as in `flips`. The distance sums |min(rank, 6) - k| over the classes ranked
    k = 1 .. 5 in the reference, `rank` being theirs in the frame (ties: lower class first); all K classes when K < 5.
    """
    logits = _logits(logits, ndim=3)
    if logits.shape[1] < 2:
        raise ValueError(f"a sequence needs at least 2 frames, got logits {logits.shape}.")
    top = np.argsort(-logits, axis=-1, kind="stable")[..., :5]
    reference = top[:, :1] if noise else top[:, :-1]
    same = reference[..., :, None] == top[:, 1:, None, :]  # (N, T - 1, reference rank, frame rank)
    rank = np.where(same.any(axis=-1), same.argmax(axis=-1), 5)
    return np.abs(rank - np.arange(top.shape[-1])).sum(axis=-1).mean(axis=-1)


def top5_distance(logits, noise=False):
    """Top-5 distance of one perturbation: mean of `top5_distances`, in [0, 18].

    The form of Hendrycks and Dietterich (2019), 1(1 <= j - 1 <= 5); Eq. 8 of the LayerMix paper prints j - i.
    """
    return float(np.mean(top5_distances(logits, noise)))


def mfp(values, names=PERTURBATIONS_SCRIPT):
    """Mean flip probability over ten perturbations, unnormalised, in [0, 1]: MeanOver.

    values: mapping from a perturbation to its flip probability; names: those that count, PERTURBATIONS_SCRIPT (with
    spatter) or PERTURBATIONS_PAPER (with snow).
    """
    return mean_over(values, names, also_known=PERTURBATIONS)


def mt5d(values, names=PERTURBATIONS_SCRIPT):
    """Mean top-5 distance over ten perturbations, unnormalised, in [0, 18]: MeanOver. Arguments as in `mfp`."""
    return mean_over(values, names, also_known=PERTURBATIONS, largest=18.0)


# --- calibration -----------------------------------------------------------------------------------------------------


def confidence_and_correct(logits, labels):
    """Confidence (largest softmax probability, float64) and whether the prediction is right (bool): (N,) and (N,)."""
    logits, labels = _logits_and_labels(logits, labels)
    return np.exp(log_softmax(logits, axis=1).max(axis=1)), logits.argmax(axis=1) == labels


def rms_calibration_error(confidence, correct, bin_size=100, last_bin=True):
    """Root mean square of (confidence - accuracy) over bins of `bin_size` samples of like confidence, in [0, 1].

    confidence: (N,) in [0, 1]; correct: (N,) of 0 and 1. The most confident bin takes the remainder; N < bin_size is
    one bin. last_bin=False leaves that bin out, as the released scripts do (0 if it is the only one). Samples of equal
    confidence each count as right as often as they are on average, so that their order says nothing.
    """
    gaps, sizes = _bin_gaps(confidence, correct, bin_size, last_bin)
    return float(np.sqrt((sizes * gaps**2).sum() / len(_array(confidence))))


def mad_calibration_error(confidence, correct, bin_size=100, last_bin=True):
    """Mean absolute (confidence - accuracy) over bins, in [0, 1]. Arguments as in `rms_calibration_error`."""
    gaps, sizes = _bin_gaps(confidence, correct, bin_size, last_bin)
    return float((sizes * np.abs(gaps)).sum() / len(_array(confidence)))


def rms_noise_floor(confidence, bin_size=100, *, seed, n_draws=100):
    """RMS calibration error that a perfectly calibrated model with these confidences would score on average.

    confidence: (N,) in [0, 1], in any order. Mean over `n_draws` draws, keyed by `seed`, in each of which a sample is
    right with the probability its confidence says.
    """
    confidence = np.sort(_confidence(confidence))
    draws = random.generators(
        "calibration noise floor", seed=seed, index=np.arange(check_whole("n_draws", n_draws, 1))
    )
    correct = (generator.random(len(confidence)) < confidence for generator in draws)
    return float(np.mean([rms_calibration_error(confidence, drawn, bin_size) for drawn in correct]))


class Reliability(NamedTuple):
    """A reliability diagram: edges (n_bins + 1,); per bin its mean confidence and accuracy (nan if empty) and size."""

    edges: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    n_samples: np.ndarray


def reliability(confidence, correct, n_bins=15):
    """Confidence and accuracy in `n_bins` bins of equal width, each closed above (the first below too): Reliability."""
    confidence, correct = _calibration_input(confidence, correct)
    edges = np.linspace(0, 1, check_whole("n_bins", n_bins, 1) + 1)
    bins = np.maximum(np.searchsorted(edges, confidence, side="left") - 1, 0)
    n_samples = np.bincount(bins, minlength=n_bins)
    size = np.where(n_samples > 0, n_samples, np.nan)
    sums = (
        np.bincount(bins, weights=weights, minlength=n_bins) for weights in (confidence, correct)
    )
    return Reliability(edges, *(total / size for total in sums), n_samples)


def ece(confidence, correct, n_bins=15):
    """Expected calibration error, in [0, 1]: mean |confidence - accuracy| over equal-width bins. Guo et al. (2017)."""
    diagram = reliability(confidence, correct, n_bins)
    gaps = np.abs(diagram.confidence - diagram.accuracy)
    return float(np.nansum(diagram.n_samples * gaps) / diagram.n_samples.sum())


def response_rate_accuracy(confidence, correct):
    """Accuracy of the n most confident samples for n = 1 .. N: (N,), in [0, 1].

    confidence: (N,) in [0, 1]; correct: (N,) of 0 and 1. Ties as in `rms_calibration_error`: where n ends among equal
    confidences, this is the mean over every choice among them.
    """
    kept = _sorted_by_confidence(confidence, correct)[1][::-1]
    return np.cumsum(kept) / np.arange(1, len(kept) + 1)


def aurra(confidence, correct):
    """Area under the response rate accuracy curve, in [0, 1], higher is better.

    The mean, over every n, of the accuracy of the n most confident samples (`response_rate_accuracy`).
    """
    return float(np.mean(response_rate_accuracy(confidence, correct)))


# --- checks ----------------------------------------------------------------------------------------------------------


def _array(values):
    """A NumPy array of a tensor (floats widened to float64) or of anything NumPy takes."""
    if isinstance(values, torch.Tensor):
        check_dense(values)
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values
    return np.asarray(values)


def _logits(logits, ndim):
    logits = _array(logits).astype(np.float64, copy=False)
    if logits.ndim != ndim or not logits.size:
        raise ValueError(
            f"logits must be {('(N, K)', '(N, T, K)')[ndim - 2]} and not empty, got shape {logits.shape}."
        )
    n_bad = int((~np.isfinite(logits.max(axis=-1))).sum())
    if n_bad:
        raise ValueError(
            f"{n_bad} rows of logits hold NaN or no finite maximum: the network diverged, retrain the run."
        )
    return logits


def _logits_and_labels(logits, labels):
    logits, labels = _logits(logits, ndim=2), _array(labels)
    if labels.shape != logits.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be integers ({len(logits)},), got {labels.dtype} {labels.shape}."
        )
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(
            f"labels must lie in 0 .. {logits.shape[1] - 1}, got {labels.min()} .. {labels.max()}."
        )
    return logits, labels.astype(np.int64)


def _confidence(confidence):
    confidence = _array(confidence).astype(np.float64, copy=False)
    if confidence.ndim != 1 or not confidence.size:
        raise ValueError(f"confidence must be (N,) and not empty, got shape {confidence.shape}.")
    if not (
        (confidence >= 0) & (confidence <= 1 + 1e-6)
    ).all():  # a float32 softmax may end a rounding above 1
        raise ValueError(
            f"confidence must lie in [0, 1], got {confidence.min()} .. {confidence.max()}."
        )
    return np.minimum(confidence, 1)


def _calibration_input(confidence, correct):
    confidence, correct = _confidence(confidence), _array(correct)
    if correct.shape != confidence.shape or not np.isin(correct, (0, 1)).all():
        raise ValueError(
            f"correct must be ({len(confidence)},) of 0 and 1, got {correct.dtype} {correct.shape}."
        )
    return confidence, correct.astype(np.float64)


def _sorted_by_confidence(confidence, correct):
    """Confidence in ascending order, and how often the samples of each confidence are right, (N,) each."""
    confidence, correct = _calibration_input(confidence, correct)
    values, tied, sizes = np.unique(confidence, return_inverse=True, return_counts=True)
    return np.repeat(values, sizes), np.repeat(np.bincount(tied, weights=correct) / sizes, sizes)


def _bin_gaps(confidence, correct, bin_size, last_bin):
    """Mean confidence minus accuracy, and size, of each bin of `bin_size` samples in ascending order of confidence."""
    confidence, correct = _sorted_by_confidence(confidence, correct)
    n, bin_size = len(confidence), check_whole("bin_size", bin_size, 1)
    starts = np.arange(max(n // bin_size, 1)) * bin_size
    sizes = np.diff(starts, append=n)
    gaps = np.add.reduceat(confidence - correct, starts) / sizes
    return (gaps, sizes) if last_bin else (gaps[:-1], sizes[:-1])
