"""The retained curve, its adjustment for chance, and the bounds on the excess loss against least-squares fits."""

import numpy as np
import pytest
import torch

import slow_truth as slow
from tokenworth.scores import (
    ContextMoments,
    PooledMoments,
    excess_loss,
    excess_loss_bounds,
    first_reaching,
    log2_area,
    retained,
)
from tokenworth.scores.layer import score_layer

# As in test_scores_ntps: the relative ridge of 1e-8 under C0 times its condition number; products in float32.
FLOAT64 = 1e-5
FLOAT32 = 1e-4

CASES = {
    "tall": ({}, FLOAT64),
    "two classes": ({"n_classes": 2, "dim": 16}, FLOAT64),
    "77 classes": ({"n": 400, "n_classes": 77, "dim": 64}, FLOAT64),
    "mean 1,000": ({"mean": 1000.0, "dtype": torch.float32}, FLOAT32),
    "float32": ({"dtype": torch.float32}, FLOAT32),
    "bf16": ({"dtype": torch.bfloat16}, FLOAT32),
    "float16": ({"dtype": torch.float16}, FLOAT32),
    "one huge coordinate": ({"scale": np.array([1000.0] + [1.0] * 11)}, FLOAT64),
}
WIDE = {"n": 25, "dim": 30, "lengths": (4, 9)}


def moments(settings, **context_settings):
    sample = slow.make_sample(31, **settings)
    dtype = settings.get("dtype", torch.float64)
    return sample, slow.context_of(sample, dtype=dtype, **context_settings), slow.pooled_of(sample)


def slow_gains(sample, *, center=True, target="plain"):
    v, _ = slow.encoder(sample.texts, target=target)
    return slow.gains(v, sample.z, slow.one_hot(sample.labels, sample.n_classes), center=center)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("center", [True, False])
def test_retained_is_the_read_out_of_every_rank(name, center):
    settings, tolerance = CASES[name]
    sample, context, pooled = moments(settings)
    c = slow_gains(sample, center=center)
    found = retained(context, pooled, center=center, adjusted=False)
    np.testing.assert_allclose(found, c / c[-1], rtol=0, atol=tolerance)
    assert float(found[-1]) == pytest.approx(1, abs=1e-12)


def test_retained_with_more_directions_than_texts():
    """The read-out of all directions explains everything; the first k are still exact."""
    sample, context, pooled = moments(WIDE)
    c = slow_gains(sample)
    assert c[-1] == pytest.approx(np.trace(np.cov(slow.one_hot(sample.labels, 3).T, bias=True)))
    np.testing.assert_allclose(retained(context, pooled, adjusted=False), c / c[-1], rtol=0, atol=FLOAT64)


def test_a_direction_far_below_the_largest_is_read():
    """Two coordinates 1e-5 apart (an eigenvalue of 3e-11 of the largest) whose difference tells the labels, as in
    SmolLM2 with as many texts as directions.  1e-4: what float64 moments leave of it."""
    sample = slow.make_sample(5, n=80, dim=6, n_classes=2, signal=0.1, lengths=(4, 9))
    apart = np.random.default_rng(5).normal(size=80) + 2 * sample.labels
    sample.z[:, 1] = sample.z[:, 0] + 1e-5 * sample.z[:, 0].std() * apart
    context, pooled = slow.context_of(sample), slow.pooled_of(sample)
    c = slow_gains(sample)
    assert c[-1] > 0.2, "choose labels that the difference tells"
    np.testing.assert_allclose(retained(context, pooled, adjusted=False), c / c[-1], rtol=0, atol=1e-4)
    assert excess_loss(context, pooled, 1) == pytest.approx(c[-1] - c[0], abs=1e-4)


def test_retained_with_a_whitened_target_and_a_centred_context():
    sample, context, pooled = moments({})
    c = slow_gains(sample, target="whitened")
    found = retained(context, pooled, adjusted=False, target="whitened")
    np.testing.assert_allclose(found, c / c[-1], rtol=0, atol=FLOAT64)
    v, _ = slow.encoder(sample.texts, center=True)
    c = slow.gains(v, sample.z, slow.one_hot(sample.labels, 3))
    found = retained(context, pooled, adjusted=False, center_context=True)
    np.testing.assert_allclose(found, c / c[-1], rtol=0, atol=FLOAT64)


@pytest.mark.parametrize("replace", [lambda t: np.full(len(t), 7.3), lambda t: np.zeros(len(t)), lambda t: t[:, 0]])
def test_retained_with_a_coordinate_without_variance_of_its_own(replace):
    """z has rank D - 1; the read-out of what is left is the same least-squares fit.

    1e-4: where C0 is singular too, its ridge moves directions by the square root of what it moves eigenvalues.
    """
    sample = slow.make_sample(32, n=200, dim=9)
    for text in sample.texts:
        text[:, 1] = replace(text)
    sample = slow.Sample(sample.texts, np.stack([t.mean(0) for t in sample.texts]), sample.labels, 3)
    c = slow_gains(sample)
    found = retained(slow.context_of(sample), slow.pooled_of(sample), adjusted=False).numpy()
    np.testing.assert_allclose(found[: len(c)], c / c[-1], rtol=0, atol=1e-4)
    assert found[-1] == pytest.approx(1, abs=1e-12)
    variance = (slow.one_hot(sample.labels, 3).var(0)).sum()
    expected = slow.adjusted(c[:8], variance, 200)  # eight directions were spent, not nine
    found = retained(slow.context_of(sample), slow.pooled_of(sample))[:8]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["tall", "two classes", "77 classes", "bf16"])
@pytest.mark.parametrize("center", [True, False])
def test_adjusted_takes_out_what_chance_explains(name, center):
    settings, tolerance = CASES[name]
    sample, context, pooled = moments({**settings, "signal": 1.0})
    c = slow_gains(sample, center=center)
    y = slow.centred(sample.z, slow.one_hot(sample.labels, sample.n_classes), center)[1]
    expected = slow.adjusted(c, (y**2).sum() / len(y), len(y))
    # the adjustment divides by a signal that is smaller than c_d: ten times the raw tolerance
    np.testing.assert_allclose(retained(context, pooled, center=center), expected, rtol=0, atol=10 * tolerance)


def test_too_few_texts_to_adjust():
    """N <= R + 1: with D = 12 that is 13 texts; one more is enough when the signal is strong."""
    sample = slow.make_sample(33, n=60, dim=12, n_classes=2, signal=3.0, lengths=(3, 6))
    context = slow.context_of(sample)
    for n, enough in ((10, False), (13, False), (40, True)):
        curve = retained(context, slow.pooled_of(sample, slice(n)))
        assert bool(curve.isnan().all()) == (not enough)
        assert bool(curve.isnan().any()) == (not enough)


def test_no_signal_has_no_adjusted_curve():
    """A signal above its standard error by chance: one-sided 16 %, so 34 of 40 NaN; below 26 would be 4 sigma off."""
    context = slow.context_of(slow.make_sample(34))
    rng = np.random.default_rng(34)
    curves = []
    for _ in range(40):
        pooled = PooledMoments(12, 3).update(torch.tensor(rng.normal(size=(150, 12))), torch.arange(150) % 3)
        curves.append(retained(context, pooled))
    assert sum(bool(curve.isnan().all()) for curve in curves) >= 26
    assert not any(bool(curve.isnan().any()) != bool(curve.isnan().all()) for curve in curves)


def test_shuffled_labels_retain_k_over_d():
    """Each direction of noise explains the same on average; over 60 shuffles of 2 label dimensions the standard
    deviation of a share of 24 directions is below .01, and .035 leaves room for the 24 values looked at."""
    sample = slow.make_sample(35, n=400, dim=24)
    context, rng = slow.context_of(sample), np.random.default_rng(35)
    curves = [retained(context, slow.pooled_of(sample, labels=rng.permutation(sample.labels)), adjusted=False).numpy()
              for _ in range(60)]  # fmt: skip
    np.testing.assert_allclose(np.mean(curves, 0), np.arange(1, 25) / 24, rtol=0, atol=0.035)


# --- the excess loss and its bounds


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("center", [True, False])
def test_the_exact_excess_loss_lies_between_its_bounds(name, center):
    settings, tolerance = CASES[name]
    sample, context, pooled = moments(settings)
    c = slow_gains(sample, center=center)
    for k in (1, 3, sample.dim // 2, sample.dim - 1, sample.dim):
        exact = c[-1] - c[k - 1]
        assert excess_loss(context, pooled, k, center=center) == pytest.approx(exact, abs=tolerance * c[-1])
        lower, upper = excess_loss_bounds(context, pooled, k, center=center)
        slack = 2 * tolerance * c[-1]
        assert 0 <= lower <= exact + slack
        assert exact - slack <= upper <= c[-1] * (1 + 1e-9)


@pytest.mark.parametrize("name", ["tall", "two classes", "bf16"])
def test_the_bounds_are_the_formula(name):
    settings, tolerance = CASES[name]
    sample, context, pooled = moments(settings)
    y = slow.one_hot(sample.labels, sample.n_classes)
    u, strengths = slow.label_directions(sample.z, y)
    v, _ = slow.encoder(sample.texts)
    eigenvalues = np.linalg.svd(sample.z - sample.z.mean(0), compute_uv=False) ** 2 / len(y)
    for k in (2, 5, 10):
        outside = (u**2).sum() * (1 - slow.overlap(v, k, u))
        lower, upper = excess_loss_bounds(context, pooled, k)
        assert lower == pytest.approx(eigenvalues[-1] * strengths[-1] ** 2 * outside, rel=100 * tolerance)
        expected = min((strengths**2).sum(), eigenvalues[0] * strengths[0] ** 2 * outside)
        assert upper == pytest.approx(expected, rel=100 * tolerance)


def test_the_bounds_are_tight_where_z_is_white_and_one_direction_counts():
    """lmin = lmax and r = 1: lower = exact = upper, to the rounding of the whitening.  The read-out is
    (1, .5, .1, ...), the encoder the coordinates in order."""
    rng = np.random.default_rng(36)
    z = rng.normal(size=(300, 6))
    labels = (z @ np.geomspace(1, 0.05, 6) > 0).astype(int)
    z -= z.mean(0)
    z = np.linalg.solve(np.linalg.cholesky(z.T @ z / 300), z.T).T
    pooled = PooledMoments(6, 2).update(torch.tensor(z), torch.tensor(labels))
    context = in_order(6, 6)
    for k in range(1, 6):
        lower, upper = excess_loss_bounds(context, pooled, k)
        exact = excess_loss(context, pooled, k)
        assert lower == pytest.approx(exact, rel=1e-9)
        assert upper == pytest.approx(exact, rel=1e-9)


def test_bounds_with_more_directions_than_texts():
    """Szz is singular: the lower bound is 0 to rounding, the upper still holds."""
    _, context, pooled = moments(WIDE)
    lower, upper = excess_loss_bounds(context, pooled, 3)
    assert 0 <= lower < 1e-9
    assert excess_loss(context, pooled, 3) <= upper * (1 + 1e-9)


def test_widths_and_ranks_that_do_not_fit():
    _, context, pooled = moments({})
    for score in (retained, lambda c, p: excess_loss_bounds(c, p, 2), lambda c, p: excess_loss(c, p, 2)):
        with pytest.raises(ValueError, match="both must come from one layer"):
            score(context, PooledMoments(6, 2))
    for score in (excess_loss, excess_loss_bounds):
        for k in (0, 13):
            with pytest.raises(ValueError, match=f"k = {k} directions; there are 1 to 12"):
                score(context, pooled, k)
    with pytest.raises(ValueError, match="no texts were added"):
        retained(context, PooledMoments(12, 2))


# --- the planted case of the specification: 8 signal directions of 96, first in the encoder


def in_order(dim, gap):
    """Context moments whose encoder directions are exactly the coordinates, in order, with a gap after `gap`.

    Texts of two tokens e_i, a_i e_i: C0 is a multiple of the identity, C1 diagonal with descending entries.
    """
    strength = np.linspace(1, 0.5, dim) * np.where(np.arange(dim) < gap, 1, 0.3)
    texts = [np.stack([e, a * e]) for e, a in zip(np.eye(dim), strength, strict=True)]
    return ContextMoments(dim).update(*slow.padded(texts))


def planted(n, seed):
    """96 unit-variance coordinates; class c of 8 is drawn with log odds 1.5 z_c, so each of the first 8 coordinates
    carries the same signal and the others none."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 96))
    return slow.Sample([], z, (1.5 * z[:, :8] + rng.gumbel(size=(n, 8))).argmax(1), 8)


@pytest.mark.parametrize(("n", "least_raw"), [(600, 70), (2000, 40)])
def test_planted_k90_is_found_only_when_adjusted(n, least_raw):
    """Seven of eight equal loadings are .875 of the signal, close to .9: one draw in ten reaches .9 with seven."""
    context, found = in_order(96, 8), []
    for seed in range(10):
        pooled = slow.pooled_of(planted(n, seed))
        found.append(first_reaching(retained(context, pooled), 0.9))
        assert first_reaching(retained(context, pooled, adjusted=False), 0.9) >= least_raw
    assert set(found) <= {7, 8}
    assert found.count(8) >= 8


@pytest.mark.parametrize("seed", range(4))
def test_planted_k90_has_a_wide_interval_at_200_texts(seed):
    sample = planted(200, seed)
    groups = [slow.pooled_of(sample, np.arange(group, 200, 10)) for group in range(10)]
    k90 = score_layer(in_order(96, 8), groups).values["k90"]
    assert k90.low <= 8 <= k90.high
    assert k90.high - k90.low >= 20
    assert k90.low <= k90.value <= k90.high


# --- summaries of curves


def test_summaries_of_a_curve():
    curve = torch.tensor([0.1, 0.5, 0.9, 0.95, 1.0], dtype=torch.float64)
    assert [first_reaching(curve, level) for level in (0.0, 0.5, 0.9, 0.96, 2.0)] == [1, 2, 3, 5, 5]
    assert np.isnan(first_reaching(torch.tensor([0.1, torch.nan]), 0.9))
    expected = np.trapezoid(curve, np.log2([1, 2, 3, 4, 5])) / np.log2(5)
    assert log2_area(curve) == pytest.approx(expected, abs=1e-12)
    assert log2_area(torch.full((7,), 0.3)) == pytest.approx(0.3, abs=1e-7)  # a float32 0.3
    assert log2_area(torch.tensor([0.4], dtype=torch.float64)) == pytest.approx(0.4)
