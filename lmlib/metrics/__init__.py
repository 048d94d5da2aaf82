"""The measures: pure functions of arrays, without model, file or device.

They take NumPy arrays or tensors and return floats or arrays. Errors and probabilities are
fractions. Where a published script differs from the definition, the definition is the default and
an argument reproduces the script. Intervals and tests are in `lmlib.metrics.intervals`, names of
corruptions in `lmlib.names`.
"""

from .calibration import (
    Reliability,
    aurra,
    confidence_and_correct,
    ece,
    mad_calibration_error,
    reliability,
    response_rate_accuracy,
    rms_calibration_error,
    rms_noise_floor,
)
from .consistency import ALEXNET_FLIPS, flips, mfp, mfr_unconfirmed, mt5d, top5_distances
from .errors import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERRORS,
    PartialMean,
    brier,
    error,
    mce,
    mce_alexnet,
    mce_c_and_c_bar,
    mce_c_bar,
    mce_extra,
    mce_without_brightness,
    mean_over,
    nll,
    relative_mce,
)
