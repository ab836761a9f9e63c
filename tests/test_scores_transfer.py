"""Ridge with its penalty, H-score, Ledoit-Wolf and LogME against dense slow versions in float64."""

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf_shrinkage as sklearn_shrinkage

import slow_truth as slow
from tokenworth.scores import PooledMoments, hscore, ledoit_wolf_shrinkage, logme, ridge
from tokenworth.scores.repeated_texts import distinct_texts
from tokenworth.scores.ridge import PENALTIES

CASES = {
    "tall": {"n": 80},
    "two classes": {"n": 80, "dim": 16, "n_classes": 2},
    "77 classes": {"n": 100, "dim": 10, "n_classes": 77},
    "more directions than texts": {"n": 30, "dim": 45},
    "mean 1,000": {"n": 80, "mean": 1000.0},
    "bf16": {"n": 80, "dtype": torch.bfloat16},
    "one huge coordinate": {"n": 80, "scale": np.array([1000.0] + [1.0] * 11)},
    "constant coordinate": {"n": 80, "scale": np.array([0.0] + [1.0] * 11), "mean": 7.3},
    "copied coordinate": {"n": 80},
}


def case(name):
    """The pooled texts as stored, with what their name promises, and their moments."""
    sample = slow.make_sample(41, **CASES[name])
    z = slow.as_stored(sample.z, CASES[name].get("dtype", torch.float64))
    if name == "copied coordinate":
        z[:, 1] = z[:, 0]
    if name == "constant coordinate":
        z[:, 0] = 7.3
    sample = slow.Sample(sample.texts, z, sample.labels, sample.n_classes)
    return sample, slow.one_hot(sample.labels, sample.n_classes), slow.pooled_of(sample)


# --- ridge


@pytest.mark.parametrize("name", CASES)
def test_ridge_finds_the_penalty_of_least_gcv(name):
    """Explicit hat matrices over the same path.  Where two penalties are equally good to 1e-6 either may win."""
    sample, y, pooled = case(name)
    slow_gcv = np.array([slow.gcv(sample.z, y, float(penalty), spent_at_most=0.7) for penalty in PENALTIES])
    found = ridge(pooled)
    chosen = int((PENALTIES - found.penalty).abs().argmin())
    assert slow_gcv[chosen] <= slow_gcv.min() * (1 + 1e-6)
    assert found.gcv == pytest.approx(slow_gcv[chosen], rel=1e-6)
    variance = ((y - y.mean(0)) ** 2).sum() / len(y)
    assert found.r2 == pytest.approx(1 - slow_gcv[chosen] / variance, abs=1e-6)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("penalty", [1e-6, 0.1, 100.0])
def test_ridge_coefficients_and_decisions(name, penalty):
    """Fitted values rather than coefficients where coordinates repeat.  1e-7: singular directions at a penalty of
    1e-6 keep ten digits of float64."""
    sample, y, pooled = case(name)
    weights = slow.ridge_weights(sample.z, y, penalty)
    expected = (sample.z - sample.z.mean(0)) @ weights + y.mean(0)
    found, z = ridge(pooled, penalty=penalty), torch.tensor(sample.z)
    np.testing.assert_allclose(found.decision(z), expected, rtol=0, atol=1e-7)
    assert found.predict(z).tolist() == expected.argmax(1).tolist()
    assert found.penalty == penalty


def test_gcv_is_close_to_leaving_one_text_out():
    """N = 60 real refits at one penalty; GCV replaces each leverage by the mean one, here within 5 %."""
    sample = slow.make_sample(42, n=60, dim=6, lengths=(4, 6))
    y, scale = slow.one_hot(sample.labels, 3), slow.unit_columns(sample.z - sample.z.mean(0))
    for penalty in (1e-4, 0.1, 1.0):
        errors = []
        for left_out in range(60):
            rows = np.arange(60) != left_out
            # n differs by one text, so the penalty of the sum, not of the mean, is kept
            weights = slow.ridge_weights(sample.z[rows], y[rows], penalty * 60 / 59, scale=scale)
            prediction = (sample.z[left_out] - sample.z[rows].mean(0)) @ weights + y[rows].mean(0)
            errors.append(((prediction - y[left_out]) ** 2).sum())
        assert ridge(slow.pooled_of(sample), penalty=penalty).gcv == pytest.approx(np.mean(errors), rel=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_ridge_does_not_read_the_rounding_of_a_constant_coordinate(dtype):
    """A coordinate that is constant but for rounding of its mean over tokens (1e-7 of it) is left alone: sent other
    rounding at test time, the read-out does not move."""
    sample = slow.make_sample(43, n=80, dim=6)
    rng = np.random.default_rng(43)
    z = torch.tensor(sample.z).to(dtype).to(torch.float64)
    z[:, 0] = torch.tensor(1000.1 * (1 + 6e-8 * rng.integers(-1, 2, 80)))
    moments = PooledMoments(6, 3).update(z, torch.tensor(sample.labels))
    test = z.clone()
    test[:, 0] = 1000.1
    for penalty in (1e-8, 0.1):
        found = ridge(moments, penalty=penalty)
        np.testing.assert_allclose(found.decision(test), found.decision(z), rtol=0, atol=1e-3)


def test_ridge_of_texts_that_are_all_equal_predicts_the_majority():
    pooled = PooledMoments(3, 2).update(torch.full((5, 3), 2.5), torch.tensor([1, 1, 0, 1, 0]))
    found = ridge(pooled)
    assert found.decision(torch.full((1, 3), 2.5)).tolist()[0] == pytest.approx([0.4, 0.6])
    with pytest.raises(ValueError, match="no texts were added"):
        ridge(PooledMoments(3, 2))


# --- H-score


@pytest.mark.parametrize("name", [*CASES, "many texts", "noise"])
def test_shrinkage_and_hscore_are_those_of_scikit_learn(name):
    """1e-8: with a mean of 1,000 the fourth moment of 1e13 is centred in float64."""
    if name == "many texts":
        sample = slow.make_sample(44, n=600, dim=12)
        pooled = slow.pooled_of(sample)
    elif name == "noise":  # 12 texts of 40 equal variances: nearly all shrinkage
        sample = slow.Sample([], np.random.default_rng(44).normal(size=(12, 40)), np.arange(12) % 3, 3)
        pooled = slow.pooled_of(sample)
        assert ledoit_wolf_shrinkage(pooled) > 0.9
    else:
        sample, _, pooled = case(name)
    centred = sample.z - sample.z.mean(0)
    assert ledoit_wolf_shrinkage(pooled) == pytest.approx(sklearn_shrinkage(centred, assume_centered=True), abs=1e-8)
    # with a huge coordinate the peer inverts a covariance of condition 1e6 unscaled
    tolerance = 1e-6 if name == "one huge coordinate" else 1e-8
    expected = slow.hscore(centred, sample.labels, sample.n_classes)
    assert hscore(pooled) == pytest.approx(expected, rel=tolerance)
    assert 0 <= hscore(pooled) <= sample.n_classes - 1


def test_hscore_without_shrinkage_is_the_original():
    """tr(cov^-1 between), which for one-hot labels is the explained variance summed over canonical directions."""
    sample, _, pooled = case("tall")
    centred = sample.z - sample.z.mean(0)
    means = np.stack([centred[sample.labels == c].mean(0) for c in range(3)])
    between = means.T @ np.diag(np.bincount(sample.labels) / 80) @ means
    expected = np.trace(np.linalg.solve(centred.T @ centred / 80, between))
    assert hscore(pooled, shrink=False) == pytest.approx(expected, rel=1e-10)
    singular, _, _ = case("copied coordinate")
    without = slow.Sample([], np.delete(singular.z, 1, axis=1), singular.labels, 3)
    found = hscore(slow.pooled_of(singular), shrink=False)
    assert found == pytest.approx(hscore(slow.pooled_of(without), shrink=False), rel=1e-6)


def test_a_class_without_texts_changes_neither_score():
    sample, _, pooled = case("tall")
    wider = PooledMoments(12, 5).update(torch.tensor(sample.z), torch.tensor(sample.labels))
    assert hscore(wider) == pytest.approx(hscore(pooled), rel=1e-12)
    assert logme(wider) == pytest.approx(logme(pooled), rel=1e-12)


# --- LogME


@pytest.mark.parametrize("name", CASES)
def test_logme_is_the_maximum_of_the_evidence(name):
    """Dense N x N covariances, both precisions free.  The package's grid stops within 1e-2 of the best log lambda,
    where the evidence per text, quadratic there, is 2e-5 below its maximum at most."""
    sample, y, pooled = case(name)
    if name == "77 classes":  # classes of one and two texts; a few carry the test
        expected = [slow.best_evidence(sample.z, y[:, c])[0] / len(y) for c in range(4)]
        parts = [PooledMoments(10, 2).update(torch.tensor(sample.z), torch.tensor(sample.labels == c).long())
                 for c in range(4)]  # fmt: skip
        found = [logme(part) for part in parts]
        other = [slow.best_evidence(sample.z, 1 - y[:, c])[0] / len(y) for c in range(4)]
        np.testing.assert_allclose(found, np.add(expected, other) / 2, rtol=0, atol=2e-5)
        return
    assert logme(pooled) == pytest.approx(slow.logme(sample.z, sample.labels, sample.n_classes), abs=2e-5)


def test_logme_of_more_directions_than_texts_is_negative():
    """d = 384, N = 200, noise: the evidence per text is about -.4.  Leaving the d/2 log alpha of the prior uncancelled,
    as common implementations do, would add (d - N) / 2N log alpha: more than 1 at the same maximum."""
    rng = np.random.default_rng(45)
    z, labels = rng.normal(size=(200, 384)), np.arange(200) % 4
    pooled = PooledMoments(384, 4).update(torch.tensor(z), torch.tensor(labels))
    y = slow.one_hot(labels, 4)
    evidence, log_alpha, _ = slow.best_evidence(z, y[:, 0])  # the classes differ by chance only
    found = logme(pooled)
    assert -1 < found < 0
    one = PooledMoments(384, 2).update(torch.tensor(z), torch.tensor(labels == 0))
    other, _, _ = slow.best_evidence(z, 1 - y[:, 0])
    assert logme(one) == pytest.approx((evidence + other) / 400, abs=2e-5)
    assert evidence / 200 < 0 < evidence / 200 + (384 - 200) / 400 * log_alpha


def test_logme_prefers_labels_that_can_be_read():
    sample = slow.make_sample(46, n=100, dim=8, signal=2.0)
    rng = np.random.default_rng(46)
    true, shuffled = slow.pooled_of(sample), slow.pooled_of(sample, labels=rng.permutation(sample.labels))
    assert logme(true) > logme(shuffled) + 0.1
    with pytest.raises(ValueError, match="no texts were added"):
        logme(PooledMoments(3, 2))


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("difference", [0.0, 0.03], ids=["equal", "nearly equal"])
def test_repeated_texts_do_not_make_ridge_interpolate(share, difference):
    """Real tasks hold the same text twice; fitted for nothing, it seems to leave degrees of freedom to GCV."""
    rng = np.random.default_rng(0)
    labels = np.arange(150) % 2
    z = rng.standard_normal((150, 200)) + np.outer(2.0 * labels - 1, rng.standard_normal(200) / 6)
    n = 150 - round(share * 150)
    z[n:], labels[n:] = z[: 150 - n] + difference * rng.standard_normal((150 - n, 200)), labels[: 150 - n]
    y = slow.one_hot(labels, 2)
    assert slow.gcv(z, y, 1e-8) < 0.1 * slow.gcv(z, y, 1.0), "as it is written down, GCV is fooled"
    pooled = PooledMoments(200, 2).update(torch.from_numpy(z), torch.from_numpy(labels))
    assert pooled.n_distinct == 150
    assert pooled.with_texts(torch.from_numpy(z)).n_distinct == n
    alone = slow.gcv_penalty(z[:n], y[:n])
    assert 0.3 < ridge(pooled).penalty / alone < 3


def test_distinct_texts_are_counted_in_coordinates_of_unit_variance():
    """One coordinate of a thousand times the others' size says nothing of nearness; a constant one counts nothing;
    texts beyond one block are compared with all before them."""
    rng = np.random.default_rng(1)
    z = rng.standard_normal((1500, 40))
    z[1490:] = z[:10]
    z[:, 0], z[:, 1] = 1e3 * z[:, 0], 7.0
    truth = slow.unit_columns(z - z.mean(0))
    scaled = (z - z.mean(0)) / np.where(truth > 0, truth, 1)
    distance = ((scaled[:, None, :] - scaled[None]) ** 2).sum(2)
    near = (distance < 0.01 * 2 * (scaled**2).sum(1).mean()) & (np.arange(1500)[:, None] > np.arange(1500))
    assert distinct_texts(torch.from_numpy(z)) == 1500 - near.any(1).sum() == 1490


def test_one_text_again_and_again_gets_the_largest_penalty():
    """Nothing can be said of other texts, so nothing of this one's rounding is read."""
    rng = np.random.default_rng(2)
    z = torch.from_numpy(1.0 + 1e-3 * rng.standard_normal((6, 8)))
    pooled = PooledMoments(8, 2).update(z, torch.tensor([0, 1, 0, 1, 0, 1]))
    pooled.known("distinct texts", lambda: 1)
    assert ridge(pooled).penalty == pytest.approx(1e4)
