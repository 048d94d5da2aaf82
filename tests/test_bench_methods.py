import numpy as np
import pandas as pd
import pytest

from lmlib.augment import METHODS
from lmlib.report import bench_methods


@pytest.fixture(scope="module")
def table():
    return bench_methods.bench_methods(1, batch=4)


def test_every_method_has_a_speed_and_torchvisions_stands_beside_it_where_there_is_one(table):
    assert table["method"].tolist() == list(METHODS)
    assert (table["median"] > 0).all()
    assert set(table["method"][table["torchvision"].notna()]) == set(bench_methods.TORCHVISION)
    both = table.dropna()
    assert np.allclose(both["ratio"], both["median"] / both["torchvision"])


def test_a_mixing_method_below_the_goal_is_named_and_met_only_by_its_ratio():
    speeds = pd.DataFrame(
        {
            "method": ["cutout", "mixup", "augmix", "ipmix", "layermix"],
            "median": [1.0, 9000, 4999, 3000, 5000],
            "ratio": [np.nan, 0.1, 4.0, np.nan, np.nan],
        }
    )
    assert bench_methods.goals(speeds) == [
        "met     2 of 4 mixing methods: 5,000 images/s or more on 1 thread",
        "met     augmix, 4,999 images/s: times its per-image form (nan: it has none): 4.0 (goal: 4 or more)",
        "MISSED  ipmix, 3,000 images/s: times its per-image form (nan: it has none): nan (goal: 4 or more)",
    ]


def test_every_method_that_mixes_is_held_to_the_goal():
    assert {"mixup", "cutmix", "augmix", "pixmix", "ipmix", "layermix"} < set(bench_methods.MIXING)
    assert not {"baseline", "cutout", "oe", "randaugment"} & set(bench_methods.MIXING)
