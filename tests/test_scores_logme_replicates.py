"""LogME without a group of texts at low rank, against dense algebra on the texts that are left."""

import math

import numpy as np
import pytest
import torch

import slow_truth as slow
from tokenworth.scores import PooledMoments, logme_replicates
from tokenworth.scores.jackknife import interval
from tokenworth.scores.layer import score_layer
from tokenworth.scores.logme import logme
from tokenworth.scores.logme_replicates import LogmeReplicates
from tokenworth.scores.pooled import add_up

FORMATS = [torch.float32, torch.bfloat16]
SHAPES = [(120, 20, 3), (120, 119, 2), (60, 90, 3), (40, 200, 2)]


def texts(n, width, classes, dtype=torch.float64, seed=0):
    """Features with a sink of a hundred times the others, and labels they tell in part; every class in every group."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, width)) * np.logspace(0, -1.5, width) + 0.3
    labels = (z[:, :classes] + 0.5 * rng.normal(size=(n, classes))).argmax(1)
    z[:, -1] = 100 + rng.normal(size=n)
    return torch.tensor(slow.as_stored(z, dtype)), torch.tensor(labels)


def grouped(z, labels, classes, n_groups=5):
    groups = [PooledMoments(z.shape[1], classes).update(z[g::n_groups], labels[g::n_groups]) for g in range(n_groups)]
    return groups, [z[g::n_groups] for g in range(n_groups)], [labels[g::n_groups] for g in range(n_groups)]


def dense(z, truth, log_lambda):
    """Evidence of a linear model at lambda, beta at its maximum: every matrix written out, N x N."""
    n, ridge = len(z), math.exp(log_lambda)
    gram = z @ z.T / ridge
    gram.diagonal().add_(1)
    q = truth @ torch.linalg.solve(gram, truth)  # |y - Zw|^2 + lambda |w|^2
    return float(-torch.logdet(gram) / 2 + n / 2 * (math.log(n) - q.log() - 1 - math.log(2 * math.pi)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", FORMATS, ids=["float32", "bfloat16"])
def test_at_a_given_lambda_a_replicate_is_the_evidence_of_the_texts_left(shape, dtype, monkeypatch):
    monkeypatch.setattr(logme_replicates, "STEP", 0.0)
    monkeypatch.setattr(logme_replicates, "MOVES", 0)
    z, labels = texts(*shape, dtype)
    groups, rows, truth = grouped(z, labels, shape[2])
    replicates = LogmeReplicates.of(add_up(groups))
    for g in range(5):
        left = torch.arange(len(z)) % 5 != g
        heights = [
            dense(z[left], (labels[left] == c).double(), float(log_lambda))
            for c, log_lambda in enumerate(points.log_lambda_P[1] for _, points in replicates.classes)
        ]
        expected = sum(heights) / len(heights) / int(left.sum())
        assert replicates.without(replicates.along(rows[g]), truth[g]) == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_parabola_finds_the_maximum_over_lambda(shape):
    z, labels = texts(*shape)
    groups, rows, truth = grouped(z, labels, shape[2])
    total = add_up(groups)
    replicates = LogmeReplicates.of(total)
    quick = torch.tensor([replicates.without(replicates.along(z), y) for z, y in zip(rows, truth, strict=True)])
    exact = torch.tensor([logme(total - group) for group in groups])
    error = interval(torch.tensor(logme(total)), exact).error
    assert (quick - exact).abs().max() < 0.02 * error
    assert interval(torch.tensor(logme(total)), quick).error == pytest.approx(float(error), rel=0.01)


def test_a_class_that_leaves_with_its_group_is_not_among_the_classes():
    """Its labels are all 0 then, and an evidence of nothing has no bound."""
    z, labels = texts(80, 12, 2)
    labels = labels.clone()
    labels[:1] = 2
    groups, rows, truth = grouped(z, labels, 3)
    replicates = LogmeReplicates.of(add_up(groups))
    got = replicates.without(replicates.along(rows[0]), truth[0])
    assert got == pytest.approx(logme(add_up(groups) - groups[0]), abs=2e-3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_layer_has_the_same_score_and_nearly_the_same_interval_with_labels_of_the_rows(shape):
    z, labels = texts(*shape, seed=2)
    groups, rows, truth = grouped(z, labels, shape[2])
    slow_way = score_layer(None, groups).values["logme"]
    quick = score_layer(None, groups, rows=rows, labels=truth).values["logme"]
    assert quick.value == slow_way.value
    assert quick.high - quick.low == pytest.approx(slow_way.high - slow_way.low, rel=0.03)


def test_where_decompositions_cost_less_they_are_made():
    z, labels = texts(120, 4, 3)
    groups, rows, truth = grouped(z, labels, 3)
    assert not LogmeReplicates.of(add_up(groups)).pays(len(rows[0]))
    exact, other = (score_layer(None, groups, **more).values["logme"] for more in ({}, {"rows": rows, "labels": truth}))
    assert exact == other


def test_a_wide_layer_has_an_interval_too():
    """1,100 coordinates: ten decompositions of that size were not worth it."""
    z, labels = texts(50, 1100, 2)
    groups, rows, truth = grouped(z, labels, 2)
    assert "logme_interval" in score_layer(None, groups).reasons
    scores = score_layer(None, groups, rows=rows, labels=truth)
    assert scores.values["logme"].low < scores.values["logme"].value < scores.values["logme"].high
    assert "logme_interval" not in scores.reasons


def test_where_the_texts_left_give_the_labels_exactly_there_is_no_interval_either():
    """One text tells the classes' hyperplane from noise; without its group the evidence rises while lambda falls."""
    rng = np.random.default_rng(10)
    labels = torch.arange(400) % 2
    z = rng.normal(size=(400, 200))
    z[:, 0], z[:, 1] = labels, 1 - labels
    z[0, :2] = 0.5
    groups, rows, truth = grouped(torch.tensor(z), labels, 2)
    replicates = LogmeReplicates.of(add_up(groups))
    assert np.isnan(replicates.without(replicates.along(rows[0]), truth[0]))
    assert np.isfinite(replicates.without(replicates.along(rows[1]), truth[1]))
    assert np.isnan(logme(add_up(groups) - groups[0])), "as decompositions say"
