"""Whether confidences say how often predictions are right."""

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

from .. import draws
from ..checks import check_whole
from . import inputs
from .inputs import Array


def confidence_and_correct(logits: Array, labels: Array) -> tuple[np.ndarray, np.ndarray]:
    """The largest softmax probability, float64 (N,), and whether the prediction is right, bool."""
    logits, labels = inputs.check_logits_and_labels(logits, labels)
    return np.exp(log_softmax(logits, axis=1).max(axis=1)), logits.argmax(axis=1) == labels


def rms_calibration_error(
    confidence: Array, correct: Array, bin_size: int = 100, last_bin: bool = True
) -> float:
    """Root mean square of (confidence - accuracy) over bins of like confidence, in [0, 1].

    confidence: (N,) in [0, 1]; correct: (N,) of 0 and 1. Each bin has `bin_size` samples, the most
    confident one also the remainder; N < bin_size is one bin. last_bin=False leaves that bin out,
    as the released scripts do (0 if it is the only one). Samples of equal confidence each count as
    right as often as they are on average, so that their order says nothing.
    """
    gaps, sizes, n = _bin_gaps(confidence, correct, bin_size, last_bin)
    return float(np.sqrt((sizes * gaps**2).sum() / n))


def mad_calibration_error(
    confidence: Array, correct: Array, bin_size: int = 100, last_bin: bool = True
) -> float:
    """Mean |confidence - accuracy| over bins, in [0, 1]. Arguments of `rms_calibration_error`."""
    gaps, sizes, n = _bin_gaps(confidence, correct, bin_size, last_bin)
    return float((sizes * np.abs(gaps)).sum() / n)


def rms_noise_floor(
    confidence: Array, bin_size: int = 100, *, seed: int, n_draws: int = 100
) -> float:
    """RMS calibration error that a perfectly calibrated model would score on average.

    confidence: (N,) in [0, 1], in any order. Mean over `n_draws` draws, keyed by `seed`, in each of
    which a sample is right with the probability that its confidence says.
    """
    confidence = np.sort(inputs.check_confidence(confidence))
    index = np.arange(check_whole("n_draws", n_draws, 1))
    generators = draws.generators("calibration noise floor", seed=seed, index=index)
    correct = (generator.random(len(confidence)) < confidence for generator in generators)
    return float(np.mean([rms_calibration_error(confidence, drawn, bin_size) for drawn in correct]))


class Reliability(NamedTuple):
    """A reliability diagram; confidence and accuracy are means, nan in an empty bin."""

    edges: np.ndarray  # (n_bins + 1,)
    confidence: np.ndarray  # (n_bins,)
    accuracy: np.ndarray  # (n_bins,)
    n_samples: np.ndarray  # (n_bins,)


def reliability(confidence: Array, correct: Array, n_bins: int = 15) -> Reliability:
    """Confidence and accuracy in `n_bins` bins of equal width.

    Each bin is closed above, the first also below. Arguments of `rms_calibration_error`.
    """
    confidence, correct = inputs.check_confidence_and_correct(confidence, correct)
    edges = np.linspace(0, 1, check_whole("n_bins", n_bins, 1) + 1)
    bins = np.maximum(np.searchsorted(edges, confidence, side="left") - 1, 0)
    n_samples = np.bincount(bins, minlength=n_bins)
    size = np.where(n_samples > 0, n_samples, np.nan)
    sums = (np.bincount(bins, each, n_bins) for each in (confidence, correct))
    return Reliability(edges, next(sums) / size, next(sums) / size, n_samples)


def ece(confidence: Array, correct: Array, n_bins: int = 15) -> float:
    """Expected calibration error, in [0, 1]: mean |confidence - accuracy| over equal-width bins.

    Source: Guo et al. (2017).
    """
    diagram = reliability(confidence, correct, n_bins)
    gaps = np.abs(diagram.confidence - diagram.accuracy)
    return float(np.nansum(diagram.n_samples * gaps) / diagram.n_samples.sum())


def response_rate_accuracy(confidence: Array, correct: Array) -> np.ndarray:
    """Accuracy of the n most confident samples for n = 1 .. N: float64 (N,), in [0, 1].

    confidence: (N,) in [0, 1]; correct: (N,) of 0 and 1. Where n ends among equal confidences,
    this is the mean over every choice among them.
    """
    accuracy = _sorted(confidence, correct)[1][::-1]
    return np.cumsum(accuracy) / np.arange(1, len(accuracy) + 1)


def aurra(confidence: Array, correct: Array) -> float:
    """Area under the response rate accuracy curve, in [0, 1], higher is better.

    The mean of `response_rate_accuracy` over every n.
    """
    return float(np.mean(response_rate_accuracy(confidence, correct)))


def _sorted(confidence: Array, correct: Array) -> tuple[np.ndarray, np.ndarray]:
    """Ascending confidences, and how often the samples of each confidence are right, (N,) each."""
    confidence, correct = inputs.check_confidence_and_correct(confidence, correct)
    values, tied, sizes = np.unique(confidence, return_inverse=True, return_counts=True)
    return np.repeat(values, sizes), np.repeat(np.bincount(tied, weights=correct) / sizes, sizes)


def _bin_gaps(
    confidence: Array, correct: Array, bin_size: int, last_bin: bool
) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean confidence minus accuracy, and size, of each bin, and the number of all samples."""
    confidence, correct = _sorted(confidence, correct)
    n, bin_size = len(confidence), check_whole("bin_size", bin_size, 1)
    starts = np.arange(max(n // bin_size, 1)) * bin_size
    sizes = np.diff(starts, append=n)
    gaps = np.add.reduceat(confidence - correct, starts) / sizes
    return (gaps, sizes, n) if last_bin else (gaps[:-1], sizes[:-1], n)
