"""Ridge, logistic and bag-of-words probes: against scikit-learn, on planted signals, and blind to what is held out."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from tokenworth.probes import grouped_folds, logistic_probe, ridge_probe
from tokenworth.probes.logistic import INVERSE_PENALTIES, SEARCH_TEXTS
from tokenworth.scores import PooledMoments, ridge


def features(seed, n=120, dim=8, n_classes=3, *, signal=1.0, mean=0.0, n_test=50):
    rng = np.random.default_rng(seed)
    pull = signal * rng.normal(size=(n_classes, dim))
    labels, other = rng.integers(0, n_classes, n), rng.integers(0, n_classes, n_test)
    train, test = rng.normal(size=(n, dim)) + pull[labels], rng.normal(size=(n_test, dim)) + pull[other]
    scale = np.geomspace(0.1, 100, dim)
    return train * scale + mean, labels, test * scale + mean, other


def moments_of(z, labels, n_classes=3):
    return PooledMoments(z.shape[1], n_classes).update(torch.tensor(z), torch.tensor(labels))


def fit_ridge(train, labels, folds, test, shuffled=()):
    return ridge_probe(
        torch.tensor(train),
        torch.tensor(labels),
        torch.tensor(folds),
        torch.tensor(test),
        total=moments_of(train, labels),
        shuffled=[moments_of(train, other) for other in shuffled],
    )


# --- ridge.  scikit-learn penalises the sum of squares, the package the mean: alpha = N penalty.


def peer_decision(fit_z, fit_labels, z, penalty, every_z=None):
    """Fitted to some texts, in the units and at the penalty of all."""
    every_z = fit_z if every_z is None else every_z
    scaler = StandardScaler().fit(every_z)
    peer = Ridge(alpha=penalty * len(every_z)).fit(scaler.transform(fit_z), np.eye(3)[fit_labels])
    return peer.predict(scaler.transform(z))


@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_the_ridge_probe_is_scikit_learns_on_standardised_features(mean):
    """Cross-fitted predictions are real refits without the fold; 1e-8 with a mean of 1,000 and a spread of .1."""
    train, labels, test, other = features(81, mean=mean)
    folds = grouped_folds(labels, 5)
    found = fit_ridge(train, labels, folds, test)
    assert found.penalty == ridge(moments_of(train, labels)).penalty
    assert found.test_M.tolist() == peer_decision(train, labels, test, found.penalty).argmax(1).tolist()
    assert (found.test_M.numpy() == other).mean() > 0.6
    for fold in range(5):
        out = folds == fold
        decision = peer_decision(train[~out], labels[~out], train[out], found.penalty, train)
        assert found.crossfit_N[out].tolist() == decision.argmax(1).tolist()
        loss = ((decision - np.eye(3)[labels[out]]) ** 2).sum(1)
        np.testing.assert_allclose(found.loss_N[out], loss, rtol=0, atol=1e-8)
    assert found.shuffled_BM.shape == (0, 50)


def test_held_out_labels_do_not_reach_their_own_predictions():
    """Flipped labels of one fold leave its predictions at the same penalty, and change those of the others.

    The penalty itself is one number chosen on all training texts, so the flip is made where it stays the same.
    """
    train, labels, test, _ = features(82, n=300)
    folds = grouped_folds(labels, 5)
    flipped, out = labels.copy(), folds == 2
    rows = np.flatnonzero(out)[:12]
    flipped[rows] = (flipped[rows] + 1) % 3
    before, after = fit_ridge(train, labels, folds, test), fit_ridge(train, flipped, folds, test)
    assert before.penalty == after.penalty, "choose another seed"
    assert before.crossfit_N[out].tolist() == after.crossfit_N[out].tolist()
    untouched = np.setdiff1d(np.flatnonzero(out), rows)
    # group moments are taken out of the total again: 1e-12 of it stays behind
    np.testing.assert_allclose(before.loss_N[untouched], after.loss_N[untouched], rtol=0, atol=1e-10)
    assert float((before.loss_N - after.loss_N)[~out].abs().max()) > 1e-4


def test_shuffled_labels_give_the_chance_level():
    """Means over 30 shuffles of 3 classes near a third: a standard error of .02 with 50 test texts."""
    train, labels, test, other = features(83, signal=2.0)
    rng = np.random.default_rng(83)
    shuffles = [rng.permutation(labels) for _ in range(30)]
    found = fit_ridge(train, labels, grouped_folds(labels, 4), test, shuffles)
    assert found.shuffled_BM.shape == (30, 50)
    expected = peer_decision(train, shuffles[0], test, found.penalty).argmax(1)
    assert found.shuffled_BM[0].tolist() == expected.tolist()
    assert abs((found.shuffled_BM.numpy() == other).mean() - 1 / 3) < 0.1
    assert (found.test_M.numpy() == other).mean() > 0.8


def test_ridge_with_more_directions_than_texts_still_reads_a_signal():
    train, labels, test, other = features(84, n=60, dim=100, signal=1.0)
    found = fit_ridge(train, labels, grouped_folds(labels, 5), test)
    assert (found.test_M.numpy() == other).mean() > 0.8
    assert (found.crossfit_N.numpy() == labels).mean() > 0.8


# --- logistic


def test_logistic_finds_a_planted_signal_whatever_the_scale_of_the_coordinates():
    train, labels, test, other = features(85, n=200, signal=2.0)
    found = logistic_probe(train.astype(np.float32), labels, test.astype(np.float32))
    assert (found.test_M == other).mean() > 0.9
    assert found.cv_accuracy > 0.9
    assert found.inverse_penalty in INVERSE_PENALTIES
    assert found.converged
    again = logistic_probe(train.astype(np.float32), labels, test.astype(np.float32))
    assert (again.test_M == found.test_M).all()


def test_logistic_of_noise_is_at_chance_and_prefers_the_strongest_penalty_among_equals():
    train, labels, test, _ = features(86, n=300, signal=0.0)
    assert logistic_probe(train, labels, test).cv_accuracy < 0.45  # a third, with a standard error of .03
    same = np.zeros((30, 4), dtype=np.float32)  # no information: every penalty predicts the majority
    found = logistic_probe(same, np.array([1] * 20 + [0] * 10), same[:5])
    assert found.inverse_penalty == INVERSE_PENALTIES[0]
    assert found.test_M.tolist() == [1] * 5


def test_logistic_keeps_groups_in_one_fold():
    """Texts of a group are near copies with a label of their own: across folds that is memory, not a signal."""
    rng = np.random.default_rng(87)
    groups = np.repeat(np.arange(60), 4)
    labels = rng.integers(0, 2, 60)[groups]
    train = rng.normal(size=(60, 40))[groups] + 0.01 * rng.normal(size=(240, 40))
    leaky = logistic_probe(train, labels, train[:1])
    honest = logistic_probe(train, labels, train[:1], groups_N=groups)
    assert leaky.cv_accuracy > 0.85
    assert honest.cv_accuracy < 0.65


def test_logistic_never_sees_the_test_texts():
    """Other test texts, the same predictions for those that stayed: nothing is fitted or standardised on them."""
    train, labels, test, _ = features(88)
    alone = logistic_probe(train, labels, test[:1])
    among = logistic_probe(train, labels, np.concatenate([test[:1], test * 1e3]))
    assert alone.test_M[0] == among.test_M[0]
    assert alone.inverse_penalty == among.inverse_penalty


def test_logistic_searches_on_a_part_of_many_texts():
    """Above SEARCH_TEXTS the penalty is searched on a stratified part and fitted on all; a class of two texts stays."""
    rng = np.random.default_rng(89)
    labels = np.concatenate([np.arange(SEARCH_TEXTS + 500) % 2, [2, 2]])
    train = (rng.normal(size=(len(labels), 3)) + 3 * labels[:, None] * [1, 0, 0]).astype(np.float32)
    found = logistic_probe(train, labels, np.array([[0, 0, 0], [3, 0, 0]], dtype=np.float32))
    assert found.test_M.tolist() == [0, 1]
    assert found.cv_accuracy == pytest.approx(0.933, abs=0.02)  # Phi(1.5), three standard errors at 2,251 texts
