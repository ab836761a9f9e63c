"""Metrics, folds and neighbours against scikit-learn and against plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from tokenworth.probes import evaluate, grouped_folds, nearest_labels, paired_difference, vote
from tokenworth.probes.metrics import confusion, weighted_f1

labels_and_predictions = st.integers(2, 6).flatmap(
    lambda c: st.tuples(
        st.just(c), st.lists(st.tuples(st.integers(0, c - 1), st.integers(0, c - 1)), min_size=1, max_size=60)
    )
)


def draw(n, n_classes, accuracy, seed):
    """Labels of unequal frequency, and predictions right with this probability."""
    rng = np.random.default_rng(seed)
    true = rng.choice(n_classes, size=n, p=np.arange(1, n_classes + 1) / np.arange(1, n_classes + 1).sum())
    return true, np.where(rng.random(n) < accuracy, true, rng.integers(0, n_classes, n))


def f1_of_lists(true, predicted):
    """Support-weighted F1 of one resample, class by class."""
    total = 0.0
    for label in set(true.tolist()):
        is_true, is_chosen = true == label, predicted == label
        total += is_true.sum() * 2 * (is_true & is_chosen).sum() / (is_true.sum() + is_chosen.sum())
    return total / len(true)


@settings(max_examples=25, deadline=None)
@given(labels_and_predictions)
def test_metrics_are_those_of_scikit_learn(drawn):
    """The same fractions of counts: equal to rounding."""
    n_classes, cells = drawn
    true, predicted = np.array(cells).T
    found = evaluate(true, predicted, n_classes)
    weighted = f1_score(true, predicted, average="weighted", zero_division=0)
    assert found.accuracy == pytest.approx(accuracy_score(true, predicted), abs=1e-12)
    assert found.f1 == pytest.approx(weighted, abs=1e-12)
    assert found.macro_f1 == pytest.approx(f1_score(true, predicted, average="macro", zero_division=0), abs=1e-12)
    assert weighted_f1(true, predicted, n_classes) == pytest.approx(weighted, abs=1e-12)
    counts = confusion(true, predicted, n_classes)
    assert counts.tolist() == confusion_matrix(true, predicted, labels=range(n_classes)).tolist()
    assert 0 <= found.accuracy_low <= found.accuracy_high <= 1
    assert 0 <= found.f1_low <= found.f1_high <= 1


@pytest.mark.parametrize("accuracy", [0.4, 0.9])
def test_the_interval_is_the_bootstrap_over_texts(accuracy):
    """Sets of 1,000 and 2,000 resamples: a quantile at 2.5 % has a standard error of some 6 % of the interval's
    half width, which is .05; .015 is four of them and more."""
    true, predicted = draw(300, 4, accuracy, 71)
    rng, f1s, accuracies = np.random.default_rng(0), [], []
    for _ in range(2000):
        rows = rng.integers(0, 300, 300)
        accuracies.append((true[rows] == predicted[rows]).mean())
        f1s.append(f1_of_lists(true[rows], predicted[rows]))
    found = evaluate(true, predicted, 4)
    low, high = np.quantile(accuracies, [0.025, 0.975])
    assert (found.accuracy_low, found.accuracy_high) == pytest.approx((low, high), abs=0.015)
    low, high = np.quantile(f1s, [0.025, 0.975])
    assert (found.f1_low, found.f1_high) == pytest.approx((low, high), abs=0.015)
    assert found.accuracy_low < found.accuracy < found.accuracy_high


def test_perfect_predictions_have_no_spread_and_the_seed_fixes_the_rest():
    true, predicted = draw(50, 3, 0.6, 72)
    perfect = evaluate(true, true, 3)
    assert {perfect.accuracy, perfect.accuracy_low, perfect.f1_low, perfect.f1_high, perfect.macro_f1} == {1.0}
    assert evaluate(true, predicted, 3, seed=5) == evaluate(true, predicted, 3, seed=5)
    assert evaluate(true, predicted, 3, seed=5) != evaluate(true, predicted, 3, seed=6)
    with pytest.raises(ValueError, match="no held-out texts to evaluate on"):
        evaluate(true[:0], predicted[:0], 3)


def test_many_classes_cost_only_the_cells_that_occur():
    true, predicted = draw(400, 77, 0.7, 73)
    found = evaluate(true, predicted, 77)
    assert found.f1 == pytest.approx(f1_score(true, predicted, average="weighted", zero_division=0), abs=1e-12)


def test_paired_difference():
    """Zero for equal predictions; otherwise the difference of the two scores, antisymmetric, and narrower than
    unpaired intervals because the two make many mistakes together."""
    true, first = draw(400, 3, 0.7, 74)
    rng = np.random.default_rng(74)
    second = np.where(rng.random(400) < 0.1, rng.integers(0, 3, 400), first)
    assert paired_difference(true, first, first, 3) == (0, 0, 0)
    value, low, high = paired_difference(true, first, second, 3)
    assert value == pytest.approx(weighted_f1(true, first, 3) - weighted_f1(true, second, 3), abs=1e-12)
    assert low < value < high
    swapped = paired_difference(true, second, first, 3)
    assert swapped[0] == pytest.approx(-value, abs=1e-12)
    alone = evaluate(true, first, 3)
    assert high - low < alone.f1_high - alone.f1_low


def test_paired_difference_is_the_bootstrap_over_texts():
    """As for one score; the interval is some .1 wide, its ends known to .004 from 500 resamples."""
    true, first = draw(300, 3, 0.75, 75)
    _, other = draw(300, 3, 0.75, 76)
    second = np.where(np.arange(300) % 3 == 0, other, first)
    rng, differences = np.random.default_rng(0), []
    for _ in range(500):
        rows = rng.integers(0, 300, 300)
        differences.append(f1_of_lists(true[rows], first[rows]) - f1_of_lists(true[rows], second[rows]))
    _, low, high = paired_difference(true, first, second, 3)
    assert (low, high) == pytest.approx(tuple(np.quantile(differences, [0.025, 0.975])), abs=0.02)
    assert high - low > 0.03  # wide enough for that tolerance to say something


# --- folds


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 8), st.integers(0, 5))
def test_folds_partition_with_every_class_spread_evenly(labels, n_folds, seed):
    labels = np.array(labels)
    folds = grouped_folds(labels, n_folds, seed=seed)
    used = min(n_folds, len(labels))
    assert sorted(set(folds.tolist())) == list(range(used))
    sizes = np.bincount(folds)
    assert sizes.max() - sizes.min() <= 1
    for label in set(labels.tolist()):
        counts = np.bincount(folds[labels == label], minlength=used)
        assert counts.max() - counts.min() <= 1
    assert (grouped_folds(labels, n_folds, seed=seed) == folds).all()


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5)), min_size=1, max_size=60), st.integers(1, 6))
def test_folds_keep_groups_together(rows, n_folds):
    labels, groups = np.array(rows).T
    folds = grouped_folds(labels, n_folds, groups_N=groups)
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups.tolist()))
    used = min(n_folds, len(set(groups.tolist())))
    assert sorted(set(folds.tolist())) == list(range(used))
    per_fold = [len(set(groups[folds == fold])) for fold in range(used)]
    assert max(per_fold) - min(per_fold) <= 1


def test_folds_of_other_seeds_differ():
    labels = np.arange(60) % 3
    assert (grouped_folds(labels, 5, seed=0) != grouped_folds(labels, 5, seed=1)).any()


# --- neighbours


@pytest.mark.parametrize("mean", [0.0, 50.0])
def test_neighbours_are_those_of_brute_force_cosine_about_the_training_mean(mean):
    """Continuous data has no ties; 2,100 test texts make more than one chunk."""
    rng = np.random.default_rng(77)
    train, test = rng.normal(size=(90, 6)) + mean, rng.normal(size=(2100, 6)) + mean
    centre = train.mean(0)
    distance, index = (
        NearestNeighbors(n_neighbors=7, metric="cosine", algorithm="brute")
        .fit(train - centre)
        .kneighbors(test - centre)
    )
    found, similarity = nearest_labels(torch.tensor(train), torch.tensor(test), k=7)
    assert (found.numpy() == index).all()
    np.testing.assert_allclose(similarity, 1 - distance, atol=1e-9)


def test_votes_are_those_of_scikit_learn_where_no_classes_tie():
    rng = np.random.default_rng(78)
    labels = rng.integers(0, 3, 120)
    train = rng.normal(size=(120, 5)) + 0.8 * rng.normal(size=(3, 5))[labels]
    test = rng.normal(size=(200, 5))
    centre = train.mean(0)
    peer = KNeighborsClassifier(10, metric="cosine", algorithm="brute").fit(train - centre, labels)
    nearest, similarity = nearest_labels(torch.tensor(train), torch.tensor(test))
    found = vote(torch.tensor(labels), nearest, similarity, 3).numpy()
    share = np.sort(peer.predict_proba(test - centre), axis=1)
    clear = share[:, -1] > share[:, -2] + 1e-9
    assert clear.sum() > 100
    assert (found == peer.predict(test - centre))[clear].all()


def test_a_tie_goes_to_the_nearer_class_and_never_outweighs_a_vote():
    labels = torch.tensor([0, 0, 1, 1, 1])
    nearest = torch.tensor([[0, 2, 3, 1], [0, 1, 2, 3], [0, 2, 3, 4]])
    similarity = torch.tensor([[0.9, 0.7, 0.1, 0.0], [-0.9, -0.9, 0.2, 0.1], [1.0, -1.0, -1.0, -1.0]])
    # two to two twice, first class 0 nearer, then class 1; last a perfect neighbour against three opposite ones
    assert vote(labels, nearest, similarity, 2).tolist() == [0, 1, 1]


def test_fewer_training_texts_than_neighbours():
    train = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    nearest, similarity = nearest_labels(train, train[:2])
    assert nearest.shape == similarity.shape == (2, 3)
    assert nearest[:, 0].tolist() == [0, 1]
    same = torch.ones(4, 2)  # no directions at all: similarities are 0, not NaN
    assert nearest_labels(same, same)[1].tolist() == [[0.0] * 4] * 4
