"""Sections 3.1, 3.3 and 3.4 of the LayerMix paper: exact, by Monte Carlo, measured on images.

A pipeline has stages i = 1 .. S and operations k = 1 .. K; a matrix over stages is (S, S). What is
measured on images is a mean over channels and pixels for each image, so that a standard error
counts images and not pixels.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..augment import LayerMix
from ..augment.ops import apply_operation, draw_levels
from ..draws import generators, uniforms
from ..images import as_float, check_images

Table = Mapping[str, Any]
"""Operations by name, as in `lmlib.augment.ops.OPS`."""
Change = Callable[[torch.Tensor, float], torch.Tensor]
"""An operation as a function of images (B, 3, H, W) and a magnitude."""


class Estimate(NamedTuple):
    """A number, or an array of them, with its standard error."""

    value: np.ndarray | np.floating
    standard_error: np.ndarray | np.floating


def mixture_covariance(weights: np.ndarray, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Eq. 5: E_k[var] + Var_k(mean) on the diagonal, Cov_k of the means off it: (S, S).

    weights: (K,), sum 1; means, variances: (K, S), of each operation at each stage. The arrays hold
    numbers, or sympy expressions as objects.
    """
    centre = weights @ means
    within = np.diag(weights @ variances)
    return within + means.T @ np.diag(weights) @ means - np.outer(centre, centre)


def iid_covariance(weights: np.ndarray, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """The covariance of Eq. 2, an operation drawn anew at each stage: the diagonal of Eq. 5.

    Takes the arguments of `mixture_covariance`. Differs from the paper, whose diagonal leaves out
    the variance of the means.
    """
    return np.diag(np.diag(mixture_covariance(weights, means, variances)))


def draw_mixture(
    weights: np.ndarray,
    means: np.ndarray,
    variances: np.ndarray,
    n: int,
    *,
    shared: bool,
    seed: int,
) -> np.ndarray:
    """`n` draws of a pipeline whose operations are normal distributions: float64 (n, S).

    weights, means, variances: as in `mixture_covariance`; shared: whether all stages share an
    operation (Eq. 1) or each draws its own (Eq. 2).
    """
    generator = next(generators(f"covariance/mixture/{shared}", seed=seed, index=[0]))
    stage = np.arange(means.shape[1])
    op = generator.choice(len(weights), (n, 1 if shared else len(stage)), p=weights)
    normal = generator.standard_normal((n, len(stage)))
    return means[op, stage] + np.sqrt(variances[op, stage]) * normal


def mean_with_error(values: ArrayLike) -> Estimate:
    """Mean over the first axis, each of whose units (draws, images) is independent of the others.

    values: (n, ...), n >= 2; else ValueError.
    """
    values = np.asarray(values)
    n = len(values)
    if n < 2:
        raise ValueError(f"a standard error needs at least 2 draws or images, got {n}: raise it")
    return Estimate(values.mean(0), values.std(0, ddof=1) / np.sqrt(n))


def ratio_with_error(numerator: ArrayLike, denominator: ArrayLike) -> Estimate:
    """mean(numerator) / mean(denominator) over paired units, (n,) each.

    The error is that of the linearised ratio.
    """
    numerator, denominator = np.asarray(numerator), np.asarray(denominator)
    ratio = numerator.mean() / denominator.mean()
    error = mean_with_error(numerator - ratio * denominator).standard_error
    return Estimate(ratio, error / np.abs(denominator.mean()))


def covariance_with_error(samples: np.ndarray) -> Estimate:
    """Unbiased covariance matrix (S, S) of samples (n, S); its error is to first order in 1 / n."""
    deviation = samples - samples.mean(0)
    products = deviation[:, :, None] * deviation[:, None, :]
    return mean_with_error(products * len(samples) / (len(samples) - 1))


class Decomposition(NamedTuple):
    """The covariance between stages by where it comes from: float64 (n, S, S) each.

    The mean over images is the estimate. By the law of total covariance, applied twice, the sum of
    `within`, `between_operations` and `between_images` is the whole. The part of
    `between_operations` that is alike on all images is `main_effect`.
    """

    within: np.ndarray  # E_z E_k Cov(Y_i, Y_j | k, z): of levels, blends, mixing images
    between_operations: np.ndarray  # E_z Cov_k(mu_ki(z), mu_kj(z))
    between_images: np.ndarray  # Cov_z(E_k mu_ki(z), E_k mu_kj(z))
    main_effect: np.ndarray  # Cov_k(E_z mu_ki(z), E_z mu_kj(z))

    @property
    def total(self) -> np.ndarray:
        """The whole covariance: float64 (n, S, S)."""
        return self.within + self.between_operations + self.between_images


def decompose(outputs: Iterable[np.ndarray]) -> Decomposition:
    """Split the covariance of stage outputs; no part has a bias, whatever the numbers of draws.

    outputs: for each of the K operations, which are equally likely, float (R, n, S, P): R >= 2
    independent draws for each of n >= 2 images, S stages, P pixel values. One item, with the
    operation among what is drawn, stands for the IID pipeline. Raises ValueError for fewer draws or
    images.
    """
    means_by_op, within_by_op = [], []
    for drawn in map(np.ascontiguousarray, outputs):  # one order of the sums
        n_draws, n_images = drawn.shape[:2]
        if n_draws < 2 or n_images < 2:
            got = f"{n_draws} of {n_images}"
            raise ValueError(f"expected at least 2 draws of at least 2 images, got {got}")
        means_by_op.append(drawn.mean(0, dtype=np.float64))
        deviation = drawn - means_by_op[-1]
        within_by_op.append(products(deviation, deviation) / (n_draws - 1))
    means, within = np.stack(means_by_op), np.mean(within_by_op, axis=0)

    # A mean of R draws carries 1/R of the variance within: each part gives back what it got of it.
    n_ops = len(means)
    effects = means - means.mean(0)
    between_operations = products(effects, effects) / n_ops - (1 - 1 / n_ops) / n_draws * within
    deviations = means.mean(0, keepdims=True) - means.mean((0, 1))
    between_images = products(deviations, deviations) * n_images / (n_images - 1)
    between_images = between_images - within / (n_ops * n_draws)
    # Products of different images only: a U-statistic of order two, so its influence values have a
    # factor of two.
    others = (effects.sum(1, keepdims=True) - effects) / (n_images - 1)
    pairs = products(effects, others) / n_ops
    main_effect = pairs + pairs.swapaxes(1, 2) - pairs.mean(0)
    return Decomposition(within, between_operations, between_images, main_effect)


def products(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Products of stages, summed over the leading axis, mean over pixels: float64 (n, S, S).

    first, second: (R, n, S, P).
    """
    rows = [x.transpose(1, 2, 0, 3).reshape(*x.shape[1:3], -1) for x in (first, second)]
    return (rows[0] @ rows[1].swapaxes(1, 2)).astype(np.float64) / first.shape[-1]


def stage_outputs(
    layermix: LayerMix, images: torch.Tensor, op: int | None = None, *, seed: int, epoch: int
) -> np.ndarray:
    """The output of LayerMix's three stages, for one draw of each image: float32 (n, 3, 3 H W).

    Stages 1 and 2 read the image; stage 3 reads the blend of both, blended with a mixing image.
    images: float (n, 3, H, W) in [0, 1]; op: the position in the table of the operation for all
    stages and images; None: as the pipeline draws it.
    """
    n, size, index = len(images), tuple(images.shape[-2:]), np.arange(len(images))
    params = layermix.sample(size, seed=seed, epoch=epoch, index=index)
    if op is not None:
        ops = np.full((n, 3), op)
        uniform = uniforms("covariance/level", 6, seed=seed, epoch=epoch, index=index)
        sign = np.where(uniform[:, 3:] < 0.5, 1.0, -1.0)
        level = draw_levels(layermix.table, ops, uniform[:, :3], sign, layermix.magnitude, size)
        params = replace(params, op=ops, level=level)
    rolled = {name: np.roll(getattr(params, name), -1, axis=1) for name in ("op", "level")}
    first = replace(params, layer=np.full(n, 1))
    stages = first, replace(first, **rolled), replace(params, layer=np.full(n, 3))
    return torch.stack([layermix.apply(images, stage).flatten(1) for stage in stages], 1).numpy()


def pipeline_covariance(
    layermix: LayerMix, images: Any, *, n_draws: int, seed: int
) -> Decomposition:
    """The covariance of LayerMix's three stages on real images, split: arrays (n, 3, 3).

    images: (n, 3, H, W), uint8 or float in [0, 1], n >= 2; n_draws: >= 2, for each image and
    operation, or for each image where `layermix` is IID (not `layermix.shared`).
    """
    images = as_float(check_images(images))
    ops = range(len(layermix.table)) if layermix.shared else [None]

    def draws(k: int, op: int | None) -> np.ndarray:
        epochs = range(k * n_draws, (k + 1) * n_draws)  # so that no two draws share a mixing image
        outputs = [stage_outputs(layermix, images, op, seed=seed, epoch=epoch) for epoch in epochs]
        return np.stack(outputs)

    return decompose(draws(k, op) for k, op in enumerate(ops))


def weight_covariance(beta: Any) -> np.ndarray:
    """Exact covariance of the blend weights (a, b) of `draw_weights`: (2, 2, ...); means 1 and 0.

    a = 1 -+ s and b = +-t with one coin for both signs and s, t independent draws of Beta(1, beta).
    beta > 0: a number, an array or a sympy symbol.
    """
    variance, covariance = 2 / ((beta + 1) * (beta + 2)), -1 / (beta + 1) ** 2
    return np.array([[variance, covariance], [covariance, variance]])


def change_by_operation(
    table: Table, images: Any, magnitude: float, *, n_draws: int, seed: int
) -> np.ndarray:
    """Mean squared change that each operation makes, over `n_draws` levels and pixels: (K, n).

    images: (n, 3, H, W), uint8 or float in [0, 1]. The same seed gives the same uniform draws at
    every magnitude.
    """
    operations = draw_operations(table, images, n_draws, seed)
    pairs = ((change(repeated, magnitude), repeated) for change, repeated in operations)
    return np.stack([squared_distance(*pair, n_draws) for pair in pairs])


def linearity_error(
    table: Table, images: Any, magnitude: float, *, n_draws: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """How far f(f(z; m / 2); m / 2) is from f(z; m), and f(z; m) from z: float64 (K, n) both.

    Both are mean squared distances for each operation and image. The uniform draw and the sign of a
    level are the same three times, as the formula of Section 3.4 has it.
    """
    error, changed = [], []
    for change, repeated in draw_operations(table, images, n_draws, seed):
        once = change(repeated, magnitude)
        twice = change(change(repeated, magnitude / 2), magnitude / 2)
        error.append(squared_distance(twice, once, n_draws))
        changed.append(squared_distance(once, repeated, n_draws))
    return np.stack(error), np.stack(changed)


def draw_operations(
    table: Table, images: Any, n_draws: int, seed: int
) -> Iterator[tuple[Change, torch.Tensor]]:
    """Each operation with its draws fixed, and the images that it is for, `n_draws` times each."""
    images = as_float(check_images(images))
    repeated, size = images.repeat(n_draws, 1, 1, 1), tuple(images.shape[-2:])
    for k, operation in enumerate(table.values()):
        index = np.arange(len(repeated))
        uniform, coin = uniforms("covariance/operation", 2, seed=seed, index=index, view=k).T
        drawn = np.full(len(repeated), k), uniform, np.where(coin < 0.5, 1.0, -1.0)

        def change(
            images: torch.Tensor, magnitude: float, operation: Any = operation, drawn: tuple = drawn
        ) -> torch.Tensor:
            op, uniform, sign = drawn
            level = draw_levels(table, op, uniform, sign, magnitude, size)
            return apply_operation(operation, images, level)

        yield change, repeated


def squared_distance(first: torch.Tensor, second: torch.Tensor, n_draws: int) -> np.ndarray:
    """Mean squared distance of each image, over pixels and over its draws: float64 (n,).

    first, second: (n_draws n, 3, H, W).
    """
    return (first - second).square().mean((1, 2, 3)).double().view(n_draws, -1).mean(0).numpy()
