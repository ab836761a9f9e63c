"""LogME against maximising the evidence by hand, on states like those of real language models."""

import numpy as np
import pytest
import scipy.optimize
import torch

import slow_truth as slow
from sinks import sink_sample
from tokenworth.scores import PooledMoments, jackknife, logme, why_no_logme
from tokenworth.scores.layer import score_layer
from tokenworth.scores.pooled import add_up

SIZES = {"N below D": 16, "N near D": 24, "N one above D": 25, "N above D": 60}
FORMATS = [torch.float32, torch.bfloat16]


def log_evidence(projected, squared, log_alpha, log_beta):
    """log N(y; 0, I / beta + z z' / alpha): y along z's left singular vectors, z's squared singular values."""
    variance = np.exp(-log_beta) + squared * np.exp(-log_alpha)
    return -0.5 * (np.log(2 * np.pi * variance) + projected**2 / variance).sum()


def best_evidence(z, y):
    """The highest of several climbs over both precisions; from the data matrix: no second moment is formed."""
    left, singular, _ = np.linalg.svd(z)
    projected, squared = left.T @ y, np.zeros(len(z))
    squared[: len(singular)] = singular**2
    starts = [(np.log(squared.max()) - 2.3 * below, beta) for below in (2, 5, 8) for beta in (0.0, 2.0, 5.0)]
    options = {"xatol": 1e-5, "fatol": 1e-9, "maxiter": 4000}
    climbs = [
        scipy.optimize.minimize(
            lambda p: -log_evidence(projected, squared, *p), start, method="Nelder-Mead", options=options
        )
        for start in starts
    ]
    return -min(climb.fun for climb in climbs)


def contrasts(n):
    """Orthonormal rows (N - 1, N) that do not see a mean: what is left of N texts beside an intercept."""
    return np.linalg.svd(np.ones((1, n)))[2][1:]


def by_hand(sample, *, center=False):
    z, y = sample.z, slow.one_hot(sample.labels, sample.n_classes)
    if center:
        z, y = contrasts(len(z)) @ z, contrasts(len(z)) @ y
    return np.mean([best_evidence(z, y[:, c]) for c in range(sample.n_classes)]) / len(sample.z)


@pytest.mark.parametrize("dtype", FORMATS, ids=["float32", "bfloat16"])
@pytest.mark.parametrize("n", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("center", [False, True], ids=["as published", "with an intercept"])
def test_logme_is_the_evidence_maximised_by_hand(n, dtype, center):
    """Both precisions free, several starts.  2e-5: where the grid of log lambda stops (see test_scores_transfer)."""
    sample = sink_sample(3, n=n, dtype=dtype)
    assert logme(slow.pooled_of(sample), center=center) == pytest.approx(by_hand(sample, center=center), abs=2e-5)


@pytest.mark.parametrize("shrink", [1.0, 0.1, 1e-2, 1e-4, 1e-5])
def test_logme_beside_a_coordinate_that_drowns_the_others(shrink):
    """As many directions as texts, one of them 300 to 3e7 times the rest: y'y - sum l^2 / (lambda + e) has no digit
    left there, and its rounding made an evidence of +3.3 where it is -.82 (.1 here)."""
    sample = sink_sample(5, n=20)
    z = sample.z * np.where(np.arange(24) == 12, 1.0, shrink)
    small = slow.Sample([], z, sample.labels, 2)
    value = logme(slow.pooled_of(small))
    assert value == pytest.approx(by_hand(small), abs=1e-4)
    assert value < 0


def test_logme_does_not_depend_on_the_run():
    """Order of the texts, batches and what the sums are taken about change rounding, not the score."""
    sample, rng = sink_sample(6, n=24), np.random.default_rng(6)
    values = []
    for batch in (1, 7, 24):
        rows = rng.permutation(24)
        values.append(logme(slow.pooled_of(slow.Sample([], sample.z[rows], sample.labels[rows], 2), batch=batch)))
    np.testing.assert_allclose(values, values[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("n", [16, 60], ids=["N below D", "N above D"])
def test_the_interval_is_the_jackknife_of_values_by_hand(n):
    sample = sink_sample(7, n=n)
    parts = [np.arange(g, n, 4) for g in range(4)]
    band = jackknife([slow.pooled_of(sample, part) for part in parts], logme)
    for part, value in zip(parts, band.replicates, strict=True):
        rest = np.setdiff1d(np.arange(n), part)
        left = slow.Sample([], sample.z[rest], sample.labels[rest], 2)
        assert float(value) == pytest.approx(by_hand(left), abs=1e-4)
    assert band.low < band.estimate < band.high


@pytest.mark.parametrize("dtype", FORMATS, ids=["float32", "bfloat16"])
def test_labels_that_are_given_exactly_have_no_evidence(dtype):
    """More texts than directions and labels on a hyperplane of them: the evidence grows with beta forever."""
    rng = np.random.default_rng(8)
    labels = np.arange(60) % 2
    z = slow.as_stored(rng.normal(size=(60, 8)) * 100, dtype)
    z[:, 3] = labels  # exact in every format
    groups = [PooledMoments(8, 2).update(torch.tensor(z[g::4]), torch.tensor(labels[g::4])) for g in range(4)]
    total = add_up(groups)
    assert np.isnan(logme(total, center=True))
    assert "give the labels exactly" in why_no_logme(total, center=True)
    z[:, 4] = 1 - labels  # and without an intercept
    groups = [PooledMoments(8, 2).update(torch.tensor(z[g::4]), torch.tensor(labels[g::4])) for g in range(4)]
    assert np.isnan(logme(add_up(groups)))
    scores = score_layer(None, groups)
    assert "logme" not in scores.values
    assert scores.reasons["logme"] == why_no_logme(add_up(groups))


def test_a_number_has_no_reason():
    pooled = slow.pooled_of(sink_sample(9))
    assert why_no_logme(pooled) == ""
    assert np.isfinite(logme(pooled))


def test_an_interval_needs_every_replicate():
    """One text tells the classes' hyperplane from noise: without its group the labels are given exactly."""
    rng = np.random.default_rng(10)
    labels = np.arange(40) % 2
    z = rng.normal(size=(40, 5))
    z[:, 0], z[:, 1] = labels, 1 - labels
    z[0, :2] = 0.5
    groups = [PooledMoments(5, 2).update(torch.tensor(z[g::4]), torch.tensor(labels[g::4])) for g in range(4)]
    scores = score_layer(None, groups)
    assert np.isfinite(scores.values["logme"].value)
    assert np.isnan(scores.values["logme"].low)
    assert "without one of the groups of texts" in scores.reasons["logme_interval"]
