"""Consistency of predictions along sequences of perturbed frames."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..names import PERTURBATIONS, PERTURBATIONS_PAPER, PERTURBATIONS_SCRIPT
from .errors import PartialMean, mean_over
from .inputs import Array, as_array, check_logits

ALEXNET_FLIPS = dict(zip(PERTURBATIONS_PAPER, (
    0.2365, 0.3006, 0.0930, 0.0594, 0.1193, 0.0489, 0.1101, 0.1310, 0.0705, 0.2353),
    strict=True))  # fmt: skip
"""AlexNet's flip probabilities on ImageNet-P. UNCONFIRMED: the authors keep them in a spreadsheet
that hendrycks/robustness links (issue 49) and that was not read; these are quoted from memory, and
with the ratios published for ResNet-50 they give its published mFR to a tenth of a point."""


def flips(predictions: Array, noise: bool = False) -> np.ndarray:
    """For each sequence the fraction of frames 1 .. T - 1 with another prediction: float64 (N,).

    predictions: integers (N, T), T >= 2. The reference is the previous frame; for sequences of
    noise (noise=True) frame 0. Their mean is the flip probability of Hendrycks and Dietterich
    (2019). Raises ValueError for other arrays.
    """
    predictions = as_array(predictions)
    shape, dtype = predictions.shape, predictions.dtype
    if dtype.kind not in "iu" or len(shape) != 2 or shape[0] < 1 or shape[1] < 2:
        raise ValueError(f"predictions must be integers (N >= 1, T >= 2), got {dtype} {shape}.")
    reference = predictions[:, :1] if noise else predictions[:, :-1]
    return (predictions[:, 1:] != reference).mean(axis=1)


def top5_distances(logits: Array, noise: bool = False) -> np.ndarray:
    """For each sequence the mean top-5 distance of frames 1 .. T - 1: float64 (N,), in [0, 18].

    logits: (N, T, K), T >= 2; the reference frame is that of `flips`. The distance sums
    |min(rank, 6) - k| over the classes ranked k = 1 .. 5 in the reference, `rank` being theirs in
    the frame (ties: lower class first); all K classes when K < 5. The form of Hendrycks and
    Dietterich (2019), 1(1 <= j - 1 <= 5); Eq. 8 of the LayerMix paper prints j - i.
    """
    logits = check_logits(logits, "(N, T, K)")
    if logits.shape[1] < 2:
        raise ValueError(f"a sequence needs at least 2 frames, got logits {logits.shape}.")
    top = np.argsort(-logits, axis=-1, kind="stable")[..., :5]
    reference = top[:, :1] if noise else top[:, :-1]
    same = reference[..., :, None] == top[:, 1:, None, :]  # (N, T - 1, reference rank, frame rank)
    rank = np.where(same.any(axis=-1), same.argmax(axis=-1), 5)
    return np.abs(rank - np.arange(top.shape[-1])).sum(axis=-1).mean(axis=-1)


def mfp(values: Mapping[str, float], names: Sequence[str] = PERTURBATIONS_SCRIPT) -> PartialMean:
    """Mean flip probability over ten perturbations, unnormalised, in [0, 1].

    values: mapping from a perturbation to its flip probability; names: those that count,
    PERTURBATIONS_SCRIPT (with spatter) or PERTURBATIONS_PAPER (with snow).
    """
    return mean_over(values, names, also_known=PERTURBATIONS)


def mt5d(values: Mapping[str, float], names: Sequence[str] = PERTURBATIONS_SCRIPT) -> PartialMean:
    """Mean top-5 distance over ten perturbations, unnormalised, in [0, 18]. Arguments of `mfp`."""
    return mean_over(values, names, also_known=PERTURBATIONS, largest=18.0)


def mfr_unconfirmed(values: Mapping[str, float]) -> PartialMean:
    """Mean flip rate of ImageNet-P: over the paper's ten of the flip probability over AlexNet's.

    values: perturbation -> flip probability. As good as `ALEXNET_FLIPS`, whose values are not
    confirmed: `mfp` is the number to report. Source: Hendrycks and Dietterich (2019).
    """
    plain = mfp(values, PERTURBATIONS_PAPER)
    ratios = [values[name] / ALEXNET_FLIPS[name] for name in plain.names]
    return plain._replace(value=float(np.mean(ratios)))
