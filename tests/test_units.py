import pandas as pd
import pytest

from lmlib.report.units import mean_and_spread


@pytest.mark.parametrize(
    "values, measure, text",
    [
        ([0.121, 0.125, 0.123], "clean_error", "12.3 ± 0.2 (n=3)"),
        ([0.1, 0.2, 0.3], "mce", "20.0 ± 10.0 (n=3)"),
        ([0.5], "aurra", "50.0 (n=1)"),
        ([1.0, 2.0], "nll", "1.500 ± 0.707 (n=2)"),
        ([0.25], "brier", "0.250 (n=1)"),
        ([2.0, 4.0], "mt5d", "3.000 ± 1.414 (n=2)"),
    ],
)
def test_a_cell_is_the_mean_its_sample_deviation_and_n(values, measure, text):
    assert mean_and_spread(values, measure) == text
    assert mean_and_spread(pd.Series(values), measure) == text
