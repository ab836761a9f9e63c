"""Streaming moments against loops over texts: padding, precision, any order, any sharding, and back out again."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import slow_truth as slow
from tokenworth.scores import ContextMoments, PooledMoments, ledoit_wolf_shrinkage

PREFIXES = ("sum", "mean")


def assert_close(found, expected, tolerance):
    """Within tolerance of the largest entry: products are sums over coordinates of that size."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max(initial=0) <= tolerance * np.abs(expected).max(initial=0)


def assert_context(moments, texts, tolerance, *, center=False):
    expected = slow.context_moments(texts, moments.prefix, center=center)
    for found, value in zip(moments.second_moments(center=center), expected, strict=True):
        assert_close(found, value, tolerance)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("side", ["left", "right", "none"])
def test_context_equals_a_loop_over_texts(prefix, side, center):
    """Float64 states: only the order of additions differs, 1e-12.  Padding is NaN, as some models leave it."""
    lengths = (5, 6) if side == "none" else (1, 9)  # without padding all texts are equally long
    sample = slow.make_sample(1, n=37, dim=5, lengths=lengths)
    moments = slow.context_of(sample, prefix=prefix, side="right" if side == "none" else side, batch=10)
    assert_context(moments, sample.texts, 1e-12, center=center)
    assert moments.n_texts == 37
    assert moments.n_pairs == sum(len(text) - 1 for text in sample.texts)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_context_of_low_precision_states(dtype, prefix):
    """The sums are those of the stored values; products of float32 (24 bits) over some hundred terms: 3e-6."""
    sample = slow.make_sample(2, n=40, dim=6, dtype=dtype)
    moments = slow.context_of(sample, prefix=prefix, dtype=dtype)
    assert_context(moments, sample.texts, 3e-6)
    assert_context(moments, sample.texts, 3e-6, center=True)


def test_texts_of_one_token_add_nothing_but_themselves():
    sample = slow.make_sample(3, n=12, dim=4, lengths=(3, 6))
    single = [np.full((1, 4), 1e6)] * 5
    moments = ContextMoments(4).update(*slow.padded(sample.texts + single))
    longer = ContextMoments(4).update(*slow.padded(sample.texts))
    for found, expected in zip(moments.second_moments(), longer.second_moments(), strict=True):
        # the shift is 1e6 x 5/17 here: its square over 1e-16 is what rounding leaves
        assert_close(found * moments.n_texts, expected * longer.n_texts, 1e-4)
    assert (moments.n_texts, moments.n_pairs) == (17, longer.n_pairs)
    only = ContextMoments(4).update(*slow.padded(single))
    assert (only.n_texts, only.n_pairs) == (5, 0)
    assert all(float(value.abs().max()) == 0 for value in only.second_moments())


@pytest.mark.parametrize("length", [1, 2, 30])
def test_a_text_of_any_length(length):
    sample = slow.make_sample(4, n=3, dim=3, lengths=(length, length + 1))
    if length == 1:
        assert slow.context_of(sample).n_pairs == 0
    else:
        assert_context(slow.context_of(sample), sample.texts, 1e-12)


def test_a_mean_of_a_thousand_keeps_its_centred_moments():
    """Shifted float32 sums keep the centred part to 3e-6; plain float32 products of the same states lose it."""
    sample = slow.make_sample(5, n=400, dim=6, mean=1000.0, dtype=torch.float32)
    moments = slow.context_of(sample, prefix="mean", dtype=torch.float32, batch=100)
    expected = slow.context_moments(sample.texts, "mean", center=True)
    for found, value in zip(moments.second_moments(center=True), expected, strict=True):
        assert_close(found, value, 3e-6)
    s, _ = (torch.tensor(side, dtype=torch.float32) for side in slow.pairs(sample.texts, "mean"))
    plain = (s.T @ s - torch.outer(s.sum(0), s.sum(0)) / len(s)) / len(sample.texts)
    with pytest.raises(AssertionError):
        assert_close(plain, expected[0], 1e-2)


def test_spread_is_what_varies_about_the_mean_state():
    """Prefix sums of states about their mean, though the sums themselves are a thousand times larger."""
    sample = slow.make_sample(6, n=200, dim=4, mean=1000.0, dtype=torch.float32)
    mean = slow.pairs(sample.texts)[1].mean(0)
    about, _ = slow.pairs([text - mean for text in sample.texts])
    expected = np.sqrt((about**2).sum(0) / len(sample.texts))
    assert_close(slow.context_of(sample, dtype=torch.float32).spread(), expected, 3e-6)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_pooled_equals_the_definition(center, dtype, mean):
    """Everything is summed in float64 about a shift: 1e-12, with a mean of 1,000 too."""
    sample = slow.make_sample(7, n=90, dim=5, n_classes=4)
    z = slow.as_stored(sample.z + mean, dtype)
    moments = PooledMoments(5, 4)
    for part in np.array_split(np.arange(90), 4):
        moments = moments.update(torch.tensor(z[part]).to(dtype), torch.tensor(sample.labels[part]))
    zc, yc = slow.centred(z, slow.one_hot(sample.labels, 4), center)
    for found, expected in zip(moments.second_moments(center=center), (zc.T @ zc, zc.T @ yc, yc.T @ yc), strict=True):
        assert_close(found, expected / 90, 1e-11)
    assert_close(moments.mean(), z.mean(0), 1e-14)
    quartic = (((z - z.mean(0)) ** 2).sum(1) ** 2).mean()
    # fourth moments about a first batch's mean some tenths away: no digits to lose
    assert float(moments.quartic()) == pytest.approx(quartic, rel=1e-11)


def test_labels_may_be_of_any_integer_dtype():
    z = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 1, 0, 1, 0])
    expected = PooledMoments(3, 2).update(z, labels).second_moments()
    for dtype in (torch.int32, torch.uint8, torch.bool):
        found = PooledMoments(3, 2).update(z, labels.to(dtype)).second_moments()
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_relabelled_moments_are_those_of_the_other_labels():
    sample = slow.make_sample(8, n=60, dim=4, n_classes=3, mean=50.0)
    moments = slow.pooled_of(sample)
    other = np.random.default_rng(0).permutation(sample.labels)
    y = slow.one_hot(other, 3)
    found = moments.relabel(torch.tensor(sample.z.T @ y), torch.tensor(y.sum(0)))
    for a, b in zip(found.second_moments(), slow.pooled_of(sample, labels=other).second_moments(), strict=True):
        assert_close(a, b, 1e-11)
    assert ledoit_wolf_shrinkage(found) == pytest.approx(ledoit_wolf_shrinkage(moments), rel=1e-12)


# --- the monoid.  Sums of the same float64 numbers in another order and about other shifts: 1e-9 with a mean of 1,000,
# where a second moment of 1e6 with 1e-16 of rounding stands beside a spread of 1.

shardings = st.tuples(
    st.permutations(range(10)), st.sets(st.integers(1, 9), max_size=4), st.randoms(use_true_random=False)
)
TEN_TEXTS = slow.make_sample(9, n=10, dim=3, mean=1000.0, lengths=(1, 6))


def shards(order, cuts):
    return [part for part in np.split(np.array(order), sorted(cuts)) if len(part)]


def in_any_order(parts, random):
    """Sum of the parts over a random binary tree."""
    parts = list(parts)
    while len(parts) > 1:
        random.shuffle(parts)
        parts.append(parts.pop() + parts.pop())
    return parts[0]


def tensors_of(moments, center):
    if isinstance(moments, PooledMoments):
        return [*moments.second_moments(center=center), moments.quartic(), moments.mean()]
    return [*moments.second_moments(center=center), moments.spread()]


def assert_same(first, second, tolerance=1e-9, *, of=None):
    """Within tolerance of the second, or of the larger whole that a part was taken out of."""
    assert first.n_texts == second.n_texts
    for center in (False, True):
        sizes = tensors_of(of or second, center)
        for a, b, size in zip(tensors_of(first, center), tensors_of(second, center), sizes, strict=True):
            assert float((a - b).abs().max() if a.numel() else 0) <= tolerance * float(
                size.abs().max() if a.numel() else 0
            )


@pytest.mark.parametrize("prefix", PREFIXES)
@settings(max_examples=25, deadline=None)
@given(shardings)
def test_context_of_any_sharding(prefix, sharding):
    order, cuts, random = sharding
    sample = TEN_TEXTS

    def of(rows):
        return ContextMoments(3, prefix).update(*slow.padded([sample.texts[row] for row in rows]))

    parts = [of(rows) for rows in shards(order, cuts)]
    whole = in_any_order([*parts, ContextMoments(3, prefix)], random)
    assert_same(whole, of(range(10)))
    if len(parts) > 1:
        assert_same(whole - parts[0], in_any_order(parts[1:], random), of=whole)
    nothing = whole - whole
    assert (nothing.n_texts, nothing.n_pairs) == (0, 0)


@settings(max_examples=25, deadline=None)
@given(shardings)
def test_pooled_of_any_sharding(sharding):
    order, cuts, random = sharding
    sample = TEN_TEXTS
    parts = [slow.pooled_of(sample, rows) for rows in shards(order, cuts)]
    whole = in_any_order([*parts, PooledMoments(3, 3)], random)
    # |z|^4 is 1e13: its centred part keeps 1e-16 x 1e13 / 1e2 at worst when shifts differ by a spread
    assert_same(whole, slow.pooled_of(sample))
    if len(parts) > 1:
        assert_same(whole - parts[0], in_any_order(parts[1:], random), 1e-8, of=whole)
    assert (whole - whole).n_texts == 0


def test_a_sum_does_not_share_storage_with_its_parts():
    sample = slow.make_sample(11, n=20, dim=3)
    context, pooled = slow.context_of(sample), slow.pooled_of(sample)
    for moments, empty, batch in (
        (context, ContextMoments(3), slow.padded(sample.texts)),
        (pooled, PooledMoments(3, 3), (torch.tensor(sample.z), torch.tensor(sample.labels))),
    ):
        before = [tensor.clone() for tensor in tensors_of(moments, False)]
        (moments + empty).update(*batch)
        (empty + moments).update(*batch)
        (moments - empty).update(*batch)
        assert all(torch.equal(a, b) for a, b in zip(tensors_of(moments, False), before, strict=True))


def test_empty_moments():
    context, pooled = ContextMoments(3), PooledMoments(3, 2)
    assert (context.n_texts, context.n_pairs, pooled.n_texts) == (0, 0, 0)
    assert all(float(value.abs().max()) == 0 for value in context.second_moments(center=True))
    assert all(float(value.abs().max()) == 0 for value in pooled.second_moments())
    context = context.update(torch.full((2, 3, 3), torch.nan), torch.zeros(2, 3, dtype=torch.bool))
    pooled = pooled.update(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    assert (context.n_texts, pooled.n_texts) == (0, 0)
    sample = slow.make_sample(12, n=9, dim=3, n_classes=2)
    assert_same(context + slow.context_of(sample), slow.context_of(sample))
    assert_same(pooled + slow.pooled_of(sample), slow.pooled_of(sample))
