import math

import numpy as np
import pytest
import scipy.stats
import torch

from lmlib.draws import (
    beta_small,
    generators,
    integers,
    permutation,
    philox,
    random_words,
    uniforms,
)

KEY = dict(seed=1, epoch=2, index=[3, 4, 5], view=1)
N = 200_000


def hexadecimal(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (
            "ffffffff ffffffff ffffffff ffffffff",
            "ffffffff ffffffff",
            "408f276d 41c83b0e a20bc7c6 6d5451fd",
        ),
        (
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_philox_agrees_with_the_vectors_of_random123(counter, key, expected):
    drawn = philox(*(np.uint64(word) for word in hexadecimal(f"{counter} {key}")))
    assert [int(word) for word in drawn] == hexadecimal(expected)


def test_words_are_32_bit_and_have_the_promised_shape():
    drawn = random_words("level", 6, **KEY)
    assert drawn.shape == (3, 6) and drawn.dtype == np.uint64 and drawn.max() < 2**32


@pytest.mark.parametrize(
    "change",
    [
        dict(seed=2),
        dict(seed=1 + 2**32),
        dict(purpose="levels"),
        dict(epoch=3),
        dict(view=0),
        dict(index=[4, 5, 6]),
        dict(index=[3 + 2**31, 4 + 2**31, 5 + 2**31]),
    ],
    ids=str,
)
def test_each_part_of_the_key_changes_every_draw(change):
    given = dict(purpose="level", **KEY)
    # 24 words that differ in 32 bits: one pair agrees by chance in 2 * 10**8 such tests
    assert (random_words(n=8, **given) != random_words(n=8, **(given | change))).all()


def test_parts_of_the_key_cannot_stand_in_for_each_other():
    drawn = [
        random_words("level", 4, **key).tobytes()
        for key in (
            dict(seed=5, epoch=0, index=[0], view=0),
            dict(seed=0, epoch=5, index=[0], view=0),
            dict(seed=0, epoch=0, index=[5], view=0),
            dict(seed=0, epoch=0, index=[0], view=5),
            dict(seed=0, epoch=0, index=[0], view=0),
        )
    ]
    assert len(set(drawn)) == 5


def test_views_do_not_overlap_however_many_words_are_drawn():
    views = [random_words("level", 4000, seed=0, index=[0], view=view)[0] for view in (0, 1)]
    # 1,000 blocks of four words; a block shared by the two streams would show as four equal words
    blocks = [set(map(bytes, view.reshape(-1, 4))) for view in views]
    assert len(blocks[0]) == len(blocks[1]) == 1000 and not blocks[0] & blocks[1]


def test_draw_of_a_sample_does_not_depend_on_the_batch_or_its_order():
    index = np.arange(100)
    together = random_words("level", 5, seed=9, epoch=1, index=index)
    shuffled = permutation("order", 100, seed=0)
    assert np.array_equal(
        random_words("level", 5, seed=9, epoch=1, index=index[shuffled]), together[shuffled]
    )
    alone = [random_words("level", 5, seed=9, epoch=1, index=[i]) for i in index]
    assert np.array_equal(np.concatenate(alone), together)


def test_drawing_more_words_keeps_the_first_ones():
    assert np.array_equal(random_words("level", 13, **KEY)[:, :3], random_words("level", 3, **KEY))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.uint64])
def test_type_of_the_index_does_not_matter(dtype):
    assert np.array_equal(
        random_words("level", 4, seed=0, index=np.array([0, 7], dtype)),
        random_words("level", 4, seed=0, index=[0, 7]),
    )


def test_one_number_is_an_index_of_one():
    assert np.array_equal(
        random_words("level", 4, seed=0, index=7), random_words("level", 4, seed=0, index=[7])
    )


def test_no_sample_and_no_word_are_allowed():
    assert random_words("level", 4, seed=0, index=np.array([], int)).shape == (0, 4)
    assert random_words("level", 0, seed=0, index=[1, 2]).shape == (2, 0)


def test_largest_keys_are_allowed():
    assert random_words(
        "level", 1, seed=2**64 - 1, epoch=2**32 - 1, index=[2**32 - 1], view=2**16 - 1
    ).shape == (1, 1)


def test_global_generator_is_neither_read_nor_set():
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()  # noqa: NPY002
    first = random_words("level", 4, **KEY)
    next(generators("noise", **KEY)).normal()
    after = np.random.get_state()  # noqa: NPY002
    assert before[2:] == after[2:] and np.array_equal(before[1], after[1])
    np.random.seed(4)  # noqa: NPY002
    assert np.array_equal(random_words("level", 4, **KEY), first)


def test_uniforms_are_the_words_over_2_to_the_32():
    drawn = uniforms("level", 5, **KEY)
    assert drawn.dtype == np.float64 and np.array_equal(
        drawn * 2**32, random_words("level", 5, **KEY)
    )


def test_uniforms_are_uniform_over_samples():
    drawn = uniforms("level", 1, seed=0, index=np.arange(N))[:, 0]
    assert drawn.min() >= 0 and drawn.max() < 1
    assert abs(drawn.mean() - 1 / 2) < 4 * math.sqrt(1 / 12 / N)
    assert abs((drawn**2).mean() - 1 / 3) < 4 * math.sqrt(4 / 45 / N)
    assert scipy.stats.kstest(drawn, "uniform").pvalue > 1e-4


def test_draws_are_uncorrelated_across_words_epochs_views_neighbours_and_seeds():
    index = np.arange(N)
    drawn = uniforms("level", 4, seed=0, index=index)
    others = [
        uniforms("level", 1, seed=0, epoch=1, index=index),
        uniforms("level", 1, seed=0, index=index, view=1),
        uniforms("level", 1, seed=0, index=index + 1),
        uniforms("level", 1, seed=1, index=index),
        uniforms("operation", 1, seed=0, index=index),
    ]
    correlation = np.corrcoef(np.concatenate([drawn, *others], axis=1), rowvar=False)
    assert np.abs(correlation - np.eye(9)).max() < 5 / math.sqrt(N)


def test_every_bit_is_a_fair_coin():
    drawn = random_words("level", 1, seed=0, index=np.arange(N))
    ones = (drawn >> np.arange(32, dtype=np.uint64) & np.uint64(1)).mean(axis=0)
    assert np.abs(ones - 0.5).max() < 5 * math.sqrt(0.25 / N)


def test_integers_cut_the_unit_interval_into_equal_parts():
    assert integers(np.array([0, 0.24, 0.25, 0.5, 0.75, 1 - 2**-32]), 4).tolist() == [
        0,
        0,
        1,
        2,
        3,
        3,
    ]


def test_integers_are_equally_frequent():
    counts = np.bincount(
        integers(uniforms("operation", 1, seed=0, index=np.arange(N))[:, 0], 11), minlength=11
    )
    assert len(counts) == 11 and scipy.stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("beta", [0.5, 1, 3, 4])
def test_beta_small_is_the_inverse_distribution_function(beta):
    uniform = np.linspace(0, 1, 1000, endpoint=False)
    drawn = [beta_small(u, float(beta)) for u in uniform]
    np.testing.assert_allclose(
        drawn, scipy.stats.beta.ppf(uniform, 1, beta), rtol=1e-10, atol=1e-15
    )


@pytest.mark.parametrize("beta", [0.5, 1, 3, 4])
def test_beta_small_and_its_complement_have_their_distributions(beta):
    drawn = np.array(
        [
            beta_small(u, float(beta))
            for u in uniforms("weights", 1, seed=0, index=np.arange(N))[:, 0]
        ]
    )
    assert drawn.min() >= 0 and drawn.max() < 1
    assert scipy.stats.kstest(drawn, scipy.stats.beta(1, beta).cdf).pvalue > 1e-4
    assert scipy.stats.kstest(1 - drawn, scipy.stats.beta(beta, 1).cdf).pvalue > 1e-4
    assert abs(drawn.mean() - 1 / (1 + beta)) < 4 * scipy.stats.beta(1, beta).std() / math.sqrt(N)


def test_generators_are_one_a_sample_and_do_not_depend_on_the_batch():
    together = [generator.normal(size=5) for generator in generators("noise", **KEY)]
    assert len(together) == 3
    for index, values in zip(KEY["index"], together, strict=True):
        (alone,) = generators("noise", **(KEY | dict(index=[index])))
        assert np.array_equal(alone.normal(size=5), values)


@pytest.mark.parametrize(
    "change",
    [dict(seed=2), dict(purpose="rain"), dict(epoch=3), dict(view=0), dict(index=[9])],
    ids=str,
)
def test_each_part_of_the_key_changes_a_generator(change):
    given = dict(purpose="noise", **KEY)
    first, other = (next(generators(**key)).random(4) for key in (given, given | change))
    assert (first != other).all()


def test_first_normals_of_many_generators_are_normal():
    drawn = [generator.normal() for generator in generators("noise", seed=0, index=np.arange(5000))]
    assert scipy.stats.kstest(drawn, "norm").pvalue > 1e-4


@pytest.mark.parametrize("n", [0, 1, 2, 1797])
def test_permutation_has_every_number_once(n):
    drawn = permutation("order", n, seed=0, epoch=3)
    assert drawn.dtype == np.int64 and np.array_equal(np.sort(drawn), np.arange(n))


def test_permutation_is_named_by_its_key():
    first = permutation("order", 1000, seed=0, epoch=3)
    assert np.array_equal(first, permutation("order", 1000, seed=0, epoch=3))
    for other in (
        permutation("order", 1000, seed=1, epoch=3),
        permutation("order", 1000, seed=0, epoch=4),
        permutation("split", 1000, seed=0, epoch=3),
    ):
        # Two random permutations agree in about one place (Poisson): 12 or more has a chance
        # below 10**-9.
        assert (first == other).sum() < 12


def test_permutations_of_three_are_equally_frequent():
    drawn = [tuple(permutation("order", 3, seed=0, epoch=epoch).tolist()) for epoch in range(6000)]
    counts = [drawn.count(order) for order in sorted(set(drawn))]
    assert len(counts) == 6 and scipy.stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("missing", ["seed", "index"])
def test_draw_without_a_key_is_refused(missing):
    with pytest.raises(TypeError, match=missing):
        random_words("level", 4, **{name: value for name, value in KEY.items() if name != missing})


@pytest.mark.parametrize(
    "wrong",
    [
        dict(seed=-1),
        dict(seed=2**64),
        dict(epoch=-1),
        dict(epoch=2**32),
        dict(view=-1),
        dict(view=2**16),
    ],
    ids=str,
)
def test_key_out_of_range_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} must be a whole number from 0 to"):
        random_words("level", 4, **(KEY | wrong))


@pytest.mark.parametrize(
    "library", [np.int64, np.uint8, np.array, torch.tensor], ids=lambda one: one.__name__
)
def test_a_key_of_numpy_or_torch_is_that_of_python(library):
    given = {name: library(value) for name, value in KEY.items() if name != "index"}
    index = torch.tensor(KEY["index"]) if library is torch.tensor else np.array(KEY["index"])
    assert np.array_equal(
        random_words("level", 4, **given, index=index), random_words("level", 4, **KEY)
    )
    assert random_words("level", 1, seed=np.uint64(2**64 - 1), index=[0]) == random_words(
        "level", 1, seed=2**64 - 1, index=[0]
    )


@pytest.mark.parametrize("name", ["seed", "epoch", "view"])
@pytest.mark.parametrize(
    "wrong", [True, np.True_, 1.0, 1.5, np.float64(1), torch.tensor(1.0), "1", None, [1]], ids=repr
)
def test_a_key_that_is_no_whole_number_is_refused(name, wrong):
    with pytest.raises(ValueError, match=f"{name} must be a whole number from 0 to"):
        random_words("level", 4, **(KEY | {name: wrong}))


@pytest.mark.parametrize("index", [[], (), np.array([]), torch.tensor([])], ids=repr)
def test_an_empty_row_is_an_index_of_no_sample(index):
    assert random_words("level", 4, seed=0, index=index).shape == (0, 4)


@pytest.mark.parametrize("index", [[-1], [2**32]])
def test_index_out_of_range_is_refused(index):
    with pytest.raises(ValueError, match=r"index must lie in 0 \.\. 2\*\*32 - 1"):
        random_words("level", 4, **(KEY | dict(index=index)))


@pytest.mark.parametrize("index", [[0.5], [[1, 2]], ["a"], [True]])
def test_index_that_is_not_a_row_of_integers_is_refused(index):
    with pytest.raises(ValueError, match="index must be a one-dimensional integer array"):
        random_words("level", 4, **(KEY | dict(index=index)))
