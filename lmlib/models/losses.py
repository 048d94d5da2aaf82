"""What a run minimises: cross-entropy (`ce`), with the consistency of AugMix (`jsd`), with outlier exposure (`oe`).

All of them compute in float32, whatever the precision of the logits.
"""

import torch.nn.functional as F

from ..checks import check_name

FORWARD_PASSES = {"ce": 1, "jsd": 3, "oe": 2}
"""Loss -> images that go through the network for one training image."""


def cross_entropy(logits, labels, smoothing=0.0):
    """Mean cross-entropy. logits (B, K); labels int64 (B,), or float (B, K), rows of sum 1; smoothing: the
    share of each label that is spread over all classes. Returns a scalar."""
    labels = labels.float() if labels.is_floating_point() else labels
    return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)


def jsd_consistency(logits_clean, logits_1, logits_2):
    """Jensen-Shannon divergence of three views: the mean KL of each to their mixture, in [0, log 3], in nats.

    logits: (B, K) each. Returns a scalar, the mean over B. Source: AugMix (Hendrycks et al., ICLR 2020); the mixture is
    clamped to [1e-7, 1] as there.
    """
    logs = [logits.float().log_softmax(dim=1) for logits in (logits_clean, logits_1, logits_2)]
    mixture = (sum(log.exp() for log in logs) / 3).clamp(1e-7, 1).log()
    # From logarithms: KL(p, mixture) in terms of p has a gradient of 0 / 0 where p underflows.
    return sum(F.kl_div(mixture, log, reduction="batchmean", log_target=True) for log in logs) / 3


def jsd_loss(logits, labels, *, jsd_weight=12, smoothing=0.0):
    """Cross-entropy of the clean view plus `jsd_weight` times the consistency of the three.

    logits: (3 B, K), the clean images, then view 0, then view 1 of their mixes; labels: int64 (B,). Returns a scalar.
    Raises ValueError for soft labels, and where there are not three logits a label.
    """
    check_loss("jsd", soft_labels=labels.is_floating_point())
    if len(logits) != 3 * len(labels):
        raise ValueError(
            f"jsd needs logits of three views of each image, got {len(logits)} for {len(labels)} labels"
        )
    clean, view_0, view_1 = logits.chunk(3)
    return cross_entropy(clean, labels, smoothing) + jsd_weight * jsd_consistency(
        clean, view_0, view_1
    )


def outlier_exposure_loss(logits, labels, outlier_logits, *, weight=0.5, smoothing=0.0):
    """Cross-entropy plus `weight` times the cross-entropy of the outliers' predictions to the uniform distribution.

    logits (B, K); labels int64 (B,) or float (B, K); outlier_logits (B', K). Returns a scalar.
    Source: Outlier Exposure (Hendrycks et al., ICLR 2019).
    """
    uniform = -outlier_logits.float().log_softmax(dim=1).mean()
    return cross_entropy(logits, labels, smoothing) + weight * uniform


LOSSES = {"ce": cross_entropy, "jsd": jsd_loss, "oe": outlier_exposure_loss}


def check_loss(name, *, soft_labels):
    """Return `name` if it is a loss that takes such labels; else raise ValueError. For the start of a run."""
    check_name("loss", name, LOSSES)
    if name == "jsd" and soft_labels:
        raise ValueError(
            "jsd needs one class per image, got soft labels: use ce, or a method without mixed labels"
        )
    return name
