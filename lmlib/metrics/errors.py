"""Errors of predictions, and their means over the corruptions of a benchmark."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax

from ..checks import check_name, check_whole
from ..names import C_BAR_CORRUPTIONS, C_CORRUPTIONS, C_EXTRA
from .inputs import Array, check_logits_and_labels

Errors = Mapping[str, ArrayLike]
"""Corruption -> its error, or its errors per severity."""

ALEXNET_ERRORS = dict(zip(C_CORRUPTIONS, (
    0.886428, 0.894468, 0.922640, 0.819880, 0.826268, 0.785948, 0.798360, 0.866816, 0.826572,
    0.819324, 0.564592, 0.853204, 0.646056, 0.717840, 0.606500), strict=True))  # fmt: skip
"""AlexNet's error on ImageNet-C, mean of five severities (constants of AugMix's released code, the
same in facebookresearch/augmentation-corruption). They are of 1,000 classes and of no others."""

ALEXNET_CLEAN_ERROR = 0.435
"""AlexNet's error on ImageNet's validation images (facebookresearch/augmentation-corruption)."""


def error(logits: Array, labels: Array, k: int = 1) -> float:
    """Top-k error: the fraction whose label is not among the k largest logits; 0 when k >= K.

    logits: (N, K); labels: integers (N,) in 0 .. K - 1; k >= 1. Ties go to the lower class, as in
    argmax.
    """
    logits, labels = check_logits_and_labels(logits, labels)
    best = np.argsort(-logits, axis=1, kind="stable")[:, : check_whole("k", k, 1)]
    return float((best != labels[:, None]).all(axis=1).mean())


def nll(logits: Array, labels: Array) -> float:
    """Mean negative log-likelihood in nats, >= 0. logits: (N, K); labels: integers (N,)."""
    logits, labels = check_logits_and_labels(logits, labels)
    return float(-np.take_along_axis(log_softmax(logits, axis=1), labels[:, None], axis=1).mean())


def brier(logits: Array, labels: Array) -> float:
    """Brier score: mean squared distance of softmax and one-hot label, in [0, 2]. Brier (1950).

    logits: (N, K); labels: integers (N,).
    """
    logits, labels = check_logits_and_labels(logits, labels)
    distance = np.exp(log_softmax(logits, axis=1)) - np.eye(logits.shape[1])[labels]
    return float((distance**2).sum(axis=1).mean())


class PartialMean(NamedTuple):
    """A mean over the files of a benchmark that are there, and what it is over."""

    value: float
    names: tuple[str, ...]  # what was averaged
    missing: tuple[str, ...]  # what should have been too

    @property
    def n(self) -> int:
        """How many were averaged."""
        return len(self.names)


def mean_over(
    values: Errors, names: Sequence[str], *, also_known: Sequence[str] = (), largest: float = 1
) -> PartialMean:
    """Mean over those of `names` that `values` has; names in `also_known` are left out.

    values: mapping from a name to a number, or to one number per severity, in [0, largest]. Raises
    ValueError for an unknown name, a value out of range, unequal numbers of severities, or no
    value.
    """
    for name in values:
        check_name("corruption or perturbation", name, (*names, *also_known))
    arrays = {name: np.array(values[name], float, ndmin=1) for name in names if name in values}
    if not arrays:
        raise ValueError(f"none of the {len(names)} names has a value: {', '.join(names)}.")
    sizes = sorted({array.size for array in arrays.values()})
    if len(sizes) > 1:
        raise ValueError(f"every name must have as many severities as the others, got {sizes}.")
    for name, array in arrays.items():
        if not array.size or not ((array >= 0) & (array <= largest)).all():
            bounds = f"[0, {largest:g}], as a fraction and not in percent"
            raise ValueError(f"{name} must lie in {bounds}, got {array}.")
    mean = float(np.mean([array.mean() for array in arrays.values()]))
    return PartialMean(mean, tuple(arrays), tuple(name for name in names if name not in arrays))


def mce(errors: Errors) -> PartialMean:
    """Mean corruption error over the 15, unnormalised, in [0, 1]."""
    return mean_over(errors, C_CORRUPTIONS, also_known=C_EXTRA)


def mce_extra(errors: Errors) -> PartialMean:
    """The same mean over the 4 extra corruptions, which no mCE counts."""
    return mean_over(errors, C_EXTRA, also_known=C_CORRUPTIONS)


def mce_without_brightness(errors: Errors) -> PartialMean:
    """mCE over the 14 without brightness, for methods that train on brightness."""
    names = [name for name in C_CORRUPTIONS if name != "brightness"]
    return mean_over(errors, names, also_known=("brightness", *C_EXTRA))


def mce_alexnet(errors: Errors) -> PartialMean:
    """ImageNet-C's mCE: mean over the 15 of the error divided by AlexNet's, so 1 for AlexNet.

    errors: corruption -> its mean over all five severities, or the five, with 1,000 classes. Raises
    ValueError for another number of severities. Source: Hendrycks and Dietterich (2019).
    """
    names = _of_five_severities(errors)
    ratios = {name: np.asarray(errors[name]).mean() / ALEXNET_ERRORS[name] for name in names}
    return mean_over(ratios, C_CORRUPTIONS, largest=2.0)


def relative_mce(errors: Errors, clean_error: float) -> PartialMean:
    """ImageNet-C's relative mCE: what a corruption adds to the clean error, over AlexNet's same.

    Mean over the 15, 1 for AlexNet, below 0 where corrupted images are the easier ones. errors: as
    of `mce_alexnet`; clean_error: in [0, 1]. Source: Hendrycks and Dietterich (2019).
    """
    names = _of_five_severities(errors)
    added = [np.asarray(errors[name]).mean() - clean_error for name in names]
    of_alexnet = [ALEXNET_ERRORS[name] - ALEXNET_CLEAN_ERROR for name in names]
    return mce(errors)._replace(value=float(np.mean(np.divide(added, of_alexnet))))


def _of_five_severities(errors: Errors) -> tuple[str, ...]:
    """Which of the 15 there are, each as a mean over five severities or as the five."""
    sizes = {np.size(value) for value in errors.values()}
    if not sizes <= {1, 5}:
        raise ValueError(
            f"AlexNet's errors are of five severities; got {sorted(sizes)} severities."
        )
    return mce(errors).names


def mce_c_bar(errors: Errors, names: Sequence[str] = C_BAR_CORRUPTIONS) -> PartialMean:
    """Mean corruption error over the 10 of C-bar, unnormalised, in [0, 1].

    names: the ten of CIFAR-10-C-bar, or those of another C-bar.
    """
    return mean_over(errors, names)


def mce_c_and_c_bar(
    c: Errors, c_bar: Errors, names: Sequence[str] = C_BAR_CORRUPTIONS
) -> PartialMean:
    """Mean over the 15 of C and the 10 of C-bar, each counting once; n = 25 when all are there.

    names: as of `mce_c_bar`.
    """
    return mean_over(dict(c) | dict(c_bar), (*C_CORRUPTIONS, *names), also_known=C_EXTRA)
