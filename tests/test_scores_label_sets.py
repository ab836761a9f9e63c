"""Closed forms on the centred indicator matrix of several labels a text, against slow versions in float64."""

import numpy as np
import pytest
import torch

import slow_truth as slow
from tokenworth.scores import PooledMoments, hscore, logme, ntps, retained, ridge
from tokenworth.scores.jackknife import jackknife
from tokenworth.scores.layer import score_layer

LABELS = 4


def several(n=120, dim=12, seed=5):
    """Texts of `slow.make_sample` whose class pulls two labels, and two labels of chance; as sets too."""
    sample = slow.make_sample(seed, n=n, dim=dim, n_classes=3)
    rng = np.random.default_rng(seed)
    y = np.zeros((n, LABELS))
    y[:, 0], y[:, 1] = sample.labels == 0, sample.labels <= 1
    y[:, 2], y[:, 3] = rng.random(n) < 0.3, rng.random(n) < 0.1
    sets, place = np.unique(y, axis=0, return_inverse=True)
    return sample, y, torch.tensor(sets), torch.tensor(place.reshape(-1))


def moments(z, place, sets, rows=slice(None)):
    pooled = PooledMoments(z.shape[1], len(sets), sets_LC=sets)
    return pooled.update(torch.tensor(z[rows]), place[rows])


@pytest.fixture(params=[(120, 12), (25, 40)], ids=["tall", "more directions than texts"])
def case(request):
    sample, y, sets, place = several(*request.param)
    return sample, y, moments(sample.z, place, sets), sets, place


def test_second_moments_are_those_of_the_indicators(case):
    sample, y, pooled, _, _ = case
    for center in (True, False):
        z, labels = slow.centred(sample.z, y, center)
        szz, szy, syy = pooled.second_moments(center=center)
        for found, truth in ((szz, z.T @ z), (szy, z.T @ labels), (syy, labels.T @ labels)):
            np.testing.assert_allclose(found, truth / len(z), atol=1e-11)  # sums about another shift
    np.testing.assert_allclose(pooled.label_shares(), y.mean(0), atol=1e-15)


def test_shards_add_and_subtract(case):
    sample, _, pooled, sets, place = case
    first, rest = moments(sample.z, place, sets, slice(0, 9)), moments(sample.z, place, sets, slice(9, None))
    for found in (first + rest, (pooled + first) - first):
        for own, truth in zip(found.second_moments(), pooled.second_moments(), strict=True):
            np.testing.assert_allclose(own, truth, atol=1e-11)


def test_they_are_saved_and_read_again(case, tmp_path):
    pooled = case[2]
    pooled.save(tmp_path / "moments.safetensors")
    again = PooledMoments.load(tmp_path / "moments.safetensors")
    torch.testing.assert_close(again.second_moments(), pooled.second_moments(), rtol=0, atol=0)


def test_ridge_is_least_squares_of_every_label(case):
    sample, y, pooled, _, _ = case
    fitted = ridge(pooled)
    assert fitted.penalty == pytest.approx(slow.gcv_penalty(sample.z, y), rel=1e-9)
    truth = slow.ridge_weights(sample.z, y, fitted.penalty)
    np.testing.assert_allclose(fitted.weights_DC, truth, atol=1e-7 * np.abs(truth).max())
    about = y.mean(0) - sample.z.mean(0) @ truth
    np.testing.assert_allclose(fitted.decision(torch.tensor(sample.z)), sample.z @ truth + about, atol=1e-7)


def test_hscore_is_the_sum_of_squared_canonical_correlations():
    sample, y, sets, place = several()
    z, labels = slow.centred(sample.z, y)
    cosines = np.linalg.svd(np.linalg.qr(z)[0].T @ np.linalg.qr(labels)[0], compute_uv=False)
    assert hscore(moments(sample.z, place, sets), shrink=False) == pytest.approx((cosines**2).sum(), rel=1e-9)


def test_logme_is_the_mean_over_labels(case):
    sample, y, pooled, _, _ = case
    truth = np.mean([slow.best_evidence(sample.z, column)[0] / len(y) for column in y.T if column.any()])
    assert logme(pooled) == pytest.approx(truth, rel=1e-5)


def test_ntps_and_the_retained_curve_ask_for_no_classes():
    sample, y, sets, place = several()
    context, pooled = slow.context_of(sample), moments(sample.z, place, sets)
    v, _ = slow.encoder(sample.texts)
    for k in (1, 3, 8):
        assert ntps(context, pooled, k) == pytest.approx(slow.overlap(v, k, slow.label_subspace(sample.z, y)), rel=1e-6)
    truth = slow.gains(v, sample.z, y)
    np.testing.assert_allclose(retained(context, pooled, adjusted=False), truth / truth[-1], atol=1e-8)
    truth = slow.adjusted(truth, slow.centred(sample.z, y)[1].var(0).sum(), len(y))
    np.testing.assert_allclose(retained(context, pooled), truth, atol=1e-7)


def test_one_label_a_text_gives_the_scores_of_classes():
    sample = slow.make_sample(3, n=90)
    one = moments(sample.z, torch.tensor(sample.labels), torch.eye(3))
    context, classes = slow.context_of(sample), slow.pooled_of(sample)
    for score in (hscore, logme, lambda pooled: ntps(context, pooled, 3), lambda pooled: ridge(pooled).gcv):
        assert float(score(one)) == pytest.approx(float(score(classes)), rel=1e-9)


def test_a_layer_has_intervals_and_chance_levels():
    """The interval of the H-score is the jackknife over groups of the H-scores without each."""
    sample, _, sets, place = several()
    groups = [moments(sample.z, place, sets, slice(i, None, 10)) for i in range(10)]
    order = torch.randperm(len(place), generator=torch.Generator().manual_seed(0))
    shuffled = moments(sample.z, place[order], sets)
    rows = [torch.tensor(sample.z[i::10]) for i in range(10)]
    scores = score_layer(slow.context_of(sample), groups, [shuffled], rows=rows)
    value = scores.values["hscore"]
    band = jackknife(groups, hscore)
    assert (value.low, value.high) == pytest.approx((float(band.low), float(band.high)), rel=1e-6)
    assert value.chance == pytest.approx(hscore(shuffled), rel=1e-9)
    assert value.chance < value.low
    assert {"ntps", "logme", "label_r2", "retained_auc"} <= scores.values.keys()
