"""Splits and samples: every row once, in proportion, the same for one seed, groups kept whole."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planted import planted_task
from tokenworth.adaptation import make_config
from tokenworth.adaptation.evaluation.mislabelled import out_of_fold
from tokenworth.adaptation.recommended_settings import as_published
from tokenworth.adaptation.training.validation_split import divide
from tokenworth.tasks import Split
from tokenworth.tasks.split import quotas, sample, split


@st.composite
def class_counts(draw: st.DrawFn) -> np.ndarray:
    return np.array(draw(st.lists(st.integers(2, 60), min_size=2, max_size=8)))


def shuffled_labels(counts: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


@settings(deadline=None)  # the machine may be busy
@given(class_counts(), st.floats(0.05, 0.95), st.integers(0, 99))
def test_split_is_a_partition_and_the_same_for_one_seed(counts, share, seed):
    labels = shuffled_labels(counts, seed)
    train, test = split(labels, share, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(labels)))
    again = split(labels, share, seed)
    np.testing.assert_array_equal(test, again[1])


@settings(deadline=None)  # the machine may be busy
@given(class_counts(), st.floats(0.05, 0.95), st.integers(0, 99))
def test_split_is_stratified_within_rounding(counts, share, seed):
    labels = shuffled_labels(counts, seed)
    train, test = split(labels, share, seed)
    assert (np.bincount(labels[train], minlength=len(counts)) >= 2).all()
    in_test = np.bincount(labels[test], minlength=len(counts))
    assert (in_test[counts >= 3] >= 1).all()
    free = (share * counts >= 1) & ((1 - share) * counts >= 2)  # no bound can be active in any class
    if free.all():
        assert len(test) == round(share * len(labels))
        assert (abs(in_test - share * counts) < 1 + 0.5 * counts / len(labels)).all()  # and the total is itself rounded


def test_split_depends_on_the_seed():
    labels = shuffled_labels(np.array([40, 40]), 0)
    assert not np.array_equal(split(labels, 0.3, 0)[1], split(labels, 0.3, 1)[1])


@settings(deadline=None)  # the machine may be busy
@given(class_counts(), st.integers(1, 200), st.integers(0, 99))
def test_sample_keeps_two_of_every_class_and_the_proportions(counts, size, seed):
    labels = shuffled_labels(counts, seed)
    rows = sample(labels, size, seed)
    drawn = np.bincount(labels[rows], minlength=len(counts))
    assert len(np.unique(rows)) == len(rows)
    assert (drawn >= 2).all()
    assert len(rows) == min(len(labels), max(size, 2 * len(counts)))
    if (size * counts >= 2 * len(labels)).all() and size < len(labels):
        assert (abs(drawn - size * counts / len(labels)) < 1).all()
    np.testing.assert_array_equal(rows, sample(labels, size, seed))


def test_sample_takes_rare_labels_that_are_not_numbered_from_zero():
    labels = np.array([7] * 50 + [3] + [900] * 20)
    rows = sample(labels, 10, 0)
    assert 50 in rows
    assert set(labels[rows]) == {3, 7, 900}


def test_quotas_equal_the_largest_remainder_method():
    counts = np.array([53, 30, 17])
    assert quotas(counts, 10, np.zeros(3, int), counts).tolist() == [5, 3, 2]  # 5.3, 3.0, 1.7
    assert quotas(counts, 10, np.array([0, 0, 4]), counts).sum() == 10


@settings(deadline=None)  # the machine may be busy
@given(st.integers(0, 99), st.integers(1, 5), st.floats(0.1, 0.5))
def test_groups_stay_whole_and_classes_stay_in_proportion(seed, largest, share):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, largest + 1, 120)
    groups = np.repeat(np.arange(120) * 10, sizes)
    labels = rng.integers(0, 3, len(groups))
    train, test = split(labels, share, seed, groups)
    assert not set(groups[train]) & set(groups[test])
    assert len(train) + len(test) == len(labels)
    fraction = np.bincount(labels[test], minlength=3) / np.bincount(labels, minlength=3)
    np.testing.assert_allclose(fraction, share, atol=0.12)  # about five rows of the forty of a class


def test_large_groups_go_to_both_sides():
    sizes = np.array([20] * 20 + [1] * 400)
    groups = np.repeat(np.arange(420), sizes)
    labels = np.arange(len(groups)) % 2
    _, test = split(labels, 0.3, 0, groups)
    large = np.isin(np.arange(20), groups[test]).sum()
    assert large == pytest.approx(6, abs=1)  # filling test from the largest down would put 12 there


def test_a_class_in_two_groups_keeps_two_rows_in_train():
    labels = np.array([0] * 30 + [1, 1])
    groups = np.array([*range(30), 100, 101])
    train, _ = split(labels, 0.5, 0, groups)
    assert (labels[train] == 1).sum() == 2


def test_rows_of_one_group_or_else_of_one_text_are_a_unit():
    texts = ["a", "b", " a", "c", "d", "b", "cafe\u0301", "caf\u00e9"]
    labels, groups = np.zeros(len(texts), dtype=np.int64), np.arange(len(texts)) // 2
    assert Split(texts, labels).units().tolist() == [0, 1, 0, 2, 3, 1, 4, 4]
    assert Split(texts, labels, groups).units().tolist() == groups.tolist()
    assert Split(["a", "b"], labels[:2]).units() is None
    assert Split(["a", "a"], labels[:2]).units() is None, "nothing could be held out"


def test_no_repeated_text_is_on_both_sides_of_a_validation_part():
    texts = [f"text {i // 2}" for i in range(200)]
    part = Split(texts, np.arange(200) // 2 % 2)
    task = replace(planted_task(seed=0), train=part)
    kept, cut = divide(task, as_published(make_config(validation_share=0.2, selection="best")), seed=0)
    assert len(cut) == pytest.approx(40, abs=6)
    assert not {texts[row] for row in kept} & {texts[row] for row in cut}


def test_repeated_texts_with_labels_at_random_are_predicted_no_better_than_by_chance():
    """A copy in another fold would tell the label: .92 were right when folds were drawn of rows."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, 8)) for words in [[f"w{i}" for i in range(200)]] for _ in range(150)]
    labels = rng.integers(0, 2, 150)
    part = Split(texts * 2, np.tile(labels, 2))
    assert (out_of_fold(part, 2, seed=0).argmax(1) == part.labels).mean() < 0.65
    assert (out_of_fold(Split(texts, labels), 2, seed=0).argmax(1) == labels).mean() < 0.65
