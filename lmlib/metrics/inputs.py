"""What the measures take, checked: each function returns NumPy arrays or raises ValueError."""

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..checks import check_dense

Array = ArrayLike | torch.Tensor


def as_array(values: Array) -> np.ndarray:
    """A NumPy array of a tensor (floats widened to float64) or of anything NumPy takes."""
    if isinstance(values, torch.Tensor):
        check_dense(values)
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values
    return np.asarray(values)


def check_logits(logits: Array, shape: str = "(N, K)") -> np.ndarray:
    """Logits of a shape, such as "(N, T, K)", as float64: not empty, each row with a maximum."""
    logits = as_array(logits).astype(np.float64, copy=False)
    if logits.ndim != shape.count(",") + 1 or not logits.size:
        raise ValueError(f"logits must be {shape} and not empty, got shape {logits.shape}.")
    if n_bad := int((~np.isfinite(logits.max(axis=-1))).sum()):
        cause = "the network diverged, retrain the run"
        raise ValueError(f"{n_bad} rows of logits hold NaN or no finite maximum: {cause}.")
    return logits


def check_logits_and_labels(logits: Array, labels: Array) -> tuple[np.ndarray, np.ndarray]:
    """Logits float64 (N, K) and labels int64 (N,), each 0 .. K - 1."""
    logits, labels = check_logits(logits), as_array(labels)
    n, n_classes = logits.shape
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be integers ({n},), got {labels.dtype} {labels.shape}.")
    low, high = labels.min(), labels.max()
    if low < 0 or high >= n_classes:
        raise ValueError(f"labels must lie in 0 .. {n_classes - 1}, got {low} .. {high}.")
    return logits, labels.astype(np.int64)


def check_confidence(confidence: Array) -> np.ndarray:
    """Confidences float64 (N,) in [0, 1]."""
    confidence = as_array(confidence).astype(np.float64, copy=False)
    if confidence.ndim != 1 or not confidence.size:
        raise ValueError(f"confidence must be (N,) and not empty, got shape {confidence.shape}.")
    low, high = confidence.min(), confidence.max()
    if not (low >= 0 and high <= 1 + 1e-6):  # a float32 softmax may end a rounding above 1
        raise ValueError(f"confidence must lie in [0, 1], got {low} .. {high}.")
    return np.minimum(confidence, 1)


def check_confidence_and_correct(
    confidence: Array, correct: Array
) -> tuple[np.ndarray, np.ndarray]:
    """Confidences (N,) in [0, 1], and whether each prediction is right, 0 or 1: float64 both."""
    confidence, correct = check_confidence(confidence), as_array(correct)
    if correct.shape != confidence.shape or not np.isin(correct, (0, 1)).all():
        expected = f"({len(confidence)},) of 0 and 1"
        raise ValueError(f"correct must be {expected}, got {correct.dtype} {correct.shape}.")
    return confidence, correct.astype(np.float64)
