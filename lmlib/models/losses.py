"""What a run minimises: cross-entropy (`ce`), with the consistency of AugMix (`jsd`), with outlier
exposure (`oe`).

All of them compute in float32, whatever the precision of the logits. `smoothing` is the share of
each label that is spread over all classes, in [0, 1).
"""

from functools import partial

import torch
import torch.nn.functional as F

from ..checks import check_name

FORWARD_PASSES = {"ce": 1, "jsd": 3, "oe": 2}
"""Loss -> images that go through the network for one training image."""


def cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, *, smoothing: float = 0.0
) -> torch.Tensor:
    """Mean cross-entropy, a scalar.

    logits: (B, K); labels: int64 (B,), or float (B, K), rows of sum 1.
    """
    labels = labels.float() if labels.is_floating_point() else labels
    return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)


def jsd_consistency(
    logits_clean: torch.Tensor, logits_1: torch.Tensor, logits_2: torch.Tensor
) -> torch.Tensor:
    """Jensen-Shannon divergence of three views, in [0, log 3] nats: a scalar, the mean over B.

    It is the mean Kullback-Leibler divergence of each view to their mixture. logits: (B, K) each.
    Source: AugMix (Hendrycks et al., ICLR 2020); the mixture is clamped to [1e-7, 1] as there.
    """
    logs = [logits.float().log_softmax(dim=1) for logits in (logits_clean, logits_1, logits_2)]
    first, second, third = (log.exp() for log in logs)
    mixture = ((first + second + third) / 3).clamp(1e-7, 1).log()
    # From logarithms: KL(p, mixture) in terms of p has a gradient of 0 / 0 where p underflows.
    kl = partial(F.kl_div, mixture, reduction="batchmean", log_target=True)
    return (kl(logs[0]) + kl(logs[1]) + kl(logs[2])) / 3


def jsd_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    jsd_weight: float = 12,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """Cross-entropy of the clean view plus `jsd_weight` times the consistency of three: a scalar.

    logits: (3 B, K), the clean images, then view 0, then view 1 of their mixes; labels: int64 (B,).
    Raises ValueError for soft labels, and where there are not three logits a label.
    """
    check_loss("jsd", soft_labels=labels.is_floating_point())
    if len(logits) != 3 * len(labels):
        numbers = f"got {len(logits)} for {len(labels)} labels"
        raise ValueError(f"jsd needs logits of three views of each image, {numbers}")
    clean, view_0, view_1 = logits.chunk(3)
    consistency = jsd_consistency(clean, view_0, view_1)
    return cross_entropy(clean, labels, smoothing=smoothing) + jsd_weight * consistency


def outlier_exposure_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    outlier_logits: torch.Tensor,
    *,
    weight: float = 0.5,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """Cross-entropy plus `weight` times that of the outliers to the uniform distribution: a scalar.

    logits: (B, K); labels: int64 (B,) or float (B, K); outlier_logits: (B', K).
    Source: Outlier Exposure (Hendrycks et al., ICLR 2019).
    """
    to_uniform = -outlier_logits.float().log_softmax(dim=1).mean()
    return cross_entropy(logits, labels, smoothing=smoothing) + weight * to_uniform


LOSSES = {"ce": cross_entropy, "jsd": jsd_loss, "oe": outlier_exposure_loss}


def check_loss(name: str, *, soft_labels: bool) -> str:
    """Return `name` if it is a loss that takes such labels; else raise ValueError.

    For the start of a run.
    """
    check_name("loss", name, LOSSES)
    if name == "jsd" and soft_labels:
        remedy = "use ce, or a method without mixed labels"
        raise ValueError(f"jsd needs one class per image, got soft labels: {remedy}")
    return name
