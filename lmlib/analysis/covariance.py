"""Sections 3.1, 3.3 and 3.4 of the LayerMix paper as functions: exact, by Monte Carlo, and measured on images.

Stages i = 1 .. S of a pipeline, operations k = 1 .. K. A matrix over stages is (S, S). What is measured on images is a mean over
channels and pixels, kept apart for each image, so that a standard error can count images and not pixels.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from ..augment.images import as_float, check_images
from ..augment.ops import apply_operation, draw_levels
from ..draws import generators, uniforms


class Estimate(NamedTuple):
    """A number, or an array of them, with its standard error."""

    value: np.ndarray
    standard_error: np.ndarray


def mixture_covariance(weights, means, variances):
    """Eq. 5: E_k[var] + Var_k(mean) on the diagonal, Cov_k of the means off it: (S, S).

    weights (K,), sum 1; means, variances (K, S): of each operation at each stage. Numbers, or sympy expressions in object arrays.
    """
    centre = weights @ means
    return (
        np.diag(weights @ variances) + means.T @ np.diag(weights) @ means - np.outer(centre, centre)
    )


def iid_covariance(weights, means, variances):
    """The covariance of Eq. 2, an operation drawn anew at each stage: the diagonal of Eq. 5 and zeros. Arguments as there.

    Differs from the paper, whose diagonal leaves out the variance of the means.
    """
    return np.diag(np.diag(mixture_covariance(weights, means, variances)))


def draw_mixture(weights, means, variances, n, *, shared, seed):
    """`n` draws of a pipeline whose operations are normal distributions: float64 (n, S). Arguments as in `mixture_covariance`.

    shared: one operation for all stages (Eq. 1), or one drawn anew at each (Eq. 2).
    """
    generator = next(generators(f"covariance/mixture/{shared}", seed=seed, index=[0]))
    n_stages = means.shape[1]
    op = generator.choice(len(weights), (n, 1 if shared else n_stages), p=weights)
    stage = np.arange(n_stages)
    return means[op, stage] + np.sqrt(variances[op, stage]) * generator.standard_normal(
        (n, n_stages)
    )


def mean_with_error(values):
    """Mean over the first axis, one independent unit (draw, image) each: `Estimate`. values (n, ...), n >= 2."""
    values = np.asarray(values)
    if len(values) < 2:
        raise ValueError(
            f"a standard error needs at least 2 draws or images, got {len(values)}: raise their number"
        )
    return Estimate(values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values)))


def ratio_with_error(numerator, denominator):
    """mean(numerator) / mean(denominator) over paired units, with the error of the linearised ratio: `Estimate`. Both (n,)."""
    ratio = np.mean(numerator) / np.mean(denominator)
    error = mean_with_error(np.asarray(numerator) - ratio * np.asarray(denominator)).standard_error
    return Estimate(ratio, error / np.abs(np.mean(denominator)))


def covariance_with_error(samples):
    """Covariance matrix of samples (n, S): `Estimate` of (S, S), without bias, its error to first order in 1 / n."""
    deviation = samples - samples.mean(0)
    products = deviation[:, :, None] * deviation[:, None, :]
    return mean_with_error(products * len(samples) / (len(samples) - 1))


class Decomposition(NamedTuple):
    """The covariance between stages by where it comes from: float64 (n, S, S) each, whose mean over images is the estimate.

    The law of total covariance, twice: the sum of `within`, `between_operations` and `between_images` is the whole. The part of
    `between_operations` that is alike on all images is `main_effect`.
    """

    within: np.ndarray  # E_z E_k Cov(Y_i, Y_j | k, z): of levels, blends, mixing images
    between_operations: np.ndarray  # E_z Cov_k(mu_ki(z), mu_kj(z))
    between_images: np.ndarray  # Cov_z(E_k mu_ki(z), E_k mu_kj(z))
    main_effect: np.ndarray  # Cov_k(E_z mu_ki(z), E_z mu_kj(z))

    @property
    def total(self):
        return self.within + self.between_operations + self.between_images


def decompose(outputs):
    """Split the covariance of stage outputs: `Decomposition`, every part without bias for any number of draws and images.

    outputs: an iterable over the K operations, equally likely, of float (R, n, S, P): R >= 2 independent draws for each of n >= 2
    images, S stages, P pixel values. One item, with the operation among what is drawn, stands for the IID pipeline.
    """
    means, within = [], []
    for drawn in map(np.ascontiguousarray, outputs):  # one order of the sums
        n_draws, n_images = drawn.shape[:2]
        if n_draws < 2 or n_images < 2:
            raise ValueError(
                f"expected at least 2 draws of at least 2 images, got {n_draws} of {n_images}"
            )
        means.append(drawn.mean(0, dtype=np.float64))
        within.append(products(drawn - means[-1], drawn - means[-1]) / (n_draws - 1))
    means, within = np.stack(means), np.mean(within, axis=0)

    # A mean of R draws carries 1/R of the variance within: each part gives back what it got of that.
    n_ops = len(means)
    effects = means - means.mean(0)
    between_operations = products(effects, effects) / n_ops - (1 - 1 / n_ops) / n_draws * within
    deviations = means.mean(0, keepdims=True) - means.mean((0, 1))
    between_images = products(deviations, deviations) * n_images / (n_images - 1) - within / (
        n_ops * n_draws
    )
    # Products of different images only: a U-statistic of order two, hence the two in its influence values.
    others = (effects.sum(1, keepdims=True) - effects) / (n_images - 1)
    pairs = products(effects, others) / n_ops
    main_effect = pairs + pairs.swapaxes(1, 2) - pairs.mean(0)
    return Decomposition(within, between_operations, between_images, main_effect)


def products(first, second):
    """Sum over the leading axis, mean over pixels, of the products of stages: (R, n, S, P) twice to (n, S, S)."""
    rows = [x.transpose(1, 2, 0, 3).reshape(*x.shape[1:3], -1) for x in (first, second)]
    return (rows[0] @ rows[1].swapaxes(1, 2)).astype(np.float64) / first.shape[-1]


def stage_outputs(layermix, images, op=None, *, seed, epoch):
    """What the three augmentation stages of LayerMix put out, for one draw of each image: float32 (n, 3, 3 H W).

    Stages 1 and 2 read the image; stage 3 reads the blend of both, blended with a mixing image. images: float (n, 3, H, W) in
    [0, 1]; op: an operation for all stages and images, a position in the table; None: as the pipeline draws it.
    """
    n, size, index = len(images), tuple(images.shape[-2:]), np.arange(len(images))
    params = layermix.sample(size, seed=seed, epoch=epoch, index=index)
    if op is not None:
        op = np.full((n, 3), op)
        uniform = uniforms("covariance/level", 6, seed=seed, epoch=epoch, index=index)
        sign = np.where(uniform[:, 3:] < 0.5, 1.0, -1.0)
        level = draw_levels(layermix.table, op, uniform[:, :3], sign, layermix.magnitude, size)
        params = replace(params, op=op, level=level)
    first = replace(params, layer=np.full(n, 1))
    second = replace(
        first, op=np.roll(params.op, -1, axis=1), level=np.roll(params.level, -1, axis=1)
    )
    third = replace(params, layer=np.full(n, 3))
    return torch.stack(
        [layermix.apply(images, stage).flatten(1) for stage in (first, second, third)], 1
    ).numpy()


def pipeline_covariance(layermix, images, *, n_draws, seed):
    """The covariance of LayerMix's three stages on real images, split: `Decomposition` of (n, 3, 3).

    images: (n, 3, H, W), uint8 or float in [0, 1], n >= 2; n_draws: for each image and operation, >= 2, or for each image in an
    IID pipeline. Which of the two is measured is `layermix.shared`.
    """
    images = as_float(check_images(images))
    ops = range(len(layermix.table)) if layermix.shared else [None]

    def draws(k, op):  # an epoch for each draw, so that no two share a mixing image
        epochs = range(k * n_draws, (k + 1) * n_draws)
        return np.stack(
            [stage_outputs(layermix, images, op, seed=seed, epoch=epoch) for epoch in epochs]
        )

    return decompose(draws(k, op) for k, op in enumerate(ops))


def weight_covariance(beta):
    """Exact covariance matrix of the blend weights (a, b) of `draw_weights`, whose means are 1 and 0: array (2, 2, ...).

    a = 1 -+ s and b = +-t with one coin for both signs and s, t independent draws of Beta(1, beta). beta > 0: a number, an array or
    a sympy symbol.
    """
    variance, covariance = 2 / ((beta + 1) * (beta + 2)), -1 / (beta + 1) ** 2
    return np.array([[variance, covariance], [covariance, variance]])


def change_by_operation(table, images, magnitude, *, n_draws, seed):
    """Mean squared change that each operation makes: float64 (K, n), a mean over `n_draws` levels and all pixels.

    images: (n, 3, H, W), uint8 or float in [0, 1]. The same key gives the same uniform draws at every magnitude.
    """
    draws = draw_operations(table, images, n_draws, seed)
    return np.stack(
        [
            squared_distance(change(repeated, magnitude), repeated, n_draws)
            for change, repeated in draws
        ]
    )


def linearity_error(table, images, magnitude, *, n_draws, seed):
    """How far f(f(z; m / 2); m / 2) is from f(z; m) for each operation: error and change, float64 (K, n) both.

    error: mean squared distance of the two; change: that of f(z; m) from z, to compare with. The uniform draw and the sign of a
    level are the same three times, as the formula of Section 3.4 has it.
    """
    error, changed = [], []
    for change, repeated in draw_operations(table, images, n_draws, seed):
        once, twice = (
            change(repeated, magnitude),
            change(change(repeated, magnitude / 2), magnitude / 2),
        )
        error.append(squared_distance(twice, once, n_draws))
        changed.append(squared_distance(once, repeated, n_draws))
    return np.stack(error), np.stack(changed)


def draw_operations(table, images, n_draws, seed):
    """Yield each operation as a function of images and magnitude, its draws fixed, and the images `n_draws` times."""
    images = as_float(check_images(images))
    repeated, size = images.repeat(n_draws, 1, 1, 1), tuple(images.shape[-2:])
    for k, operation in enumerate(table.values()):
        uniform, coin = uniforms(
            "covariance/operation", 2, seed=seed, index=np.arange(len(repeated)), view=k
        ).T
        drawn = np.full(len(repeated), k), uniform, np.where(coin < 0.5, 1.0, -1.0)

        def change(images, magnitude, operation=operation, drawn=drawn):
            level = draw_levels(table, *drawn, magnitude, size)
            return apply_operation(operation, images, level)

        yield change, repeated


def squared_distance(first, second, n_draws):
    """Mean squared distance of each image, over pixels and over its draws: (n_draws n, 3, H, W) twice to float64 (n,)."""
    return (first - second).square().mean((1, 2, 3)).double().view(n_draws, -1).mean(0).numpy()
