import bounds
import numpy as np
import pytest
import torch
from reference import photographs
from scipy.stats import beta as beta_law
from scipy.stats import dirichlet, kstest

from lmlib.augment import AugMix
from lmlib.augment.ops import apply_operation
from lmlib.augment.pillow_ops import AUGMIX_OPS
from lmlib.draws import uniforms

KEYS = {"seed": 1, "epoch": 2}
N = 20_000


def operation(table, op, image, level):
    """One operation of a table on one image."""
    return apply_operation(list(table.values())[op], image[None], level)[0]


def algorithm_1(image, params):
    """AugMix's pseudo-code for one float image and its drawn parameters."""
    x_aug = torch.zeros_like(image, dtype=torch.float64)
    for i in range(3):
        chain = image
        for step in range(params.depth[i]):
            chain = operation(AUGMIX_OPS, params.op[i, step], chain, params.level[i, step])
        x_aug = x_aug + float(params.weight[i]) * chain
    m = float(params.m)
    return (1 - m) * image + m * x_aug


@pytest.mark.parametrize("size", [(32, 32), (31, 45), (224, 224)])
def test_a_batch_agrees_with_algorithm_1_image_by_image(size):
    n = 100 if size[0] < 224 else 6
    images, index, method = photographs(size, n).float() / 255, np.arange(n) * 3, AugMix()
    params = method.sample(size, **KEYS, index=index)
    expected = torch.stack([algorithm_1(image, params[k]) for k, image in enumerate(images)])
    # 1 - m, m w, a product each and a sum of four: eight roundings of what is at most 1.
    difference = method(images, **KEYS, index=index) - expected
    assert difference.abs().max() <= bounds.rounded(8)


def test_depths_and_operations_are_uniform():
    params = AugMix().sample((32, 32), **KEYS, index=np.arange(N))
    for values, low, n in ((params.depth, 1, 3), (params.op, 0, 9)):
        share = np.bincount(values.ravel() - low, minlength=n) / values.size
        assert len(share) == n
        assert np.abs(share - 1 / n).max() < 4.5 * np.sqrt(1 / n / values.size)


def test_weights_are_uniform_on_the_simplex_and_m_on_the_unit_interval():
    params = AugMix().sample((32, 32), **KEYS, index=np.arange(N))
    np.testing.assert_allclose(params.weight.sum(1), 1, rtol=0, atol=bounds.rounded(5))
    for weight in params.weight.T:  # the marginal of Dirichlet(1, 1, 1) is Beta(1, 2)
        assert kstest(weight, beta_law(1, 2).cdf).pvalue > 1e-4
    covariance = np.cov(params.weight.T)
    np.testing.assert_allclose(covariance, dirichlet([1, 1, 1]).cov(), atol=4 * 0.06 / np.sqrt(N))
    assert kstest(params.m, "uniform").pvalue > 1e-4


def test_convex_weights_are_the_gaps_between_sorted_draws():
    cuts = np.sort(uniforms("augmix/weight", 2, **KEYS, index=np.arange(50)), axis=1)
    expected = np.column_stack([cuts[:, 0], cuts[:, 1] - cuts[:, 0], 1 - cuts[:, 1]])
    weight = AugMix().sample((32, 32), **KEYS, index=np.arange(50)).weight
    np.testing.assert_allclose(weight, expected, rtol=0, atol=bounds.rounded(1))


def test_magnitude_1_changes_less_than_magnitude_3():
    images, index = photographs((32, 32), 200).float() / 255, np.arange(200)
    changed = [(AugMix(m)(images, **KEYS, index=index) - images).abs().mean() for m in (1, 3)]
    assert changed[0] < changed[1]


@pytest.mark.parametrize("magnitude", [0, 11, float("nan")])
def test_a_magnitude_out_of_range_is_refused(magnitude):
    with pytest.raises(ValueError, match="magnitude must lie"):
        AugMix(magnitude)
