"""Influence of training texts in closed form, against read-outs that are fitted again without them."""

import numpy as np
import pytest
import torch

from tokenworth.scores import PooledMoments, ridge
from tokenworth.scores.influence import Influence

SHAPES = pytest.mark.parametrize(("n", "width"), [(60, 8), (40, 30), (24, 90)], ids=["tall", "square", "wide"])


def sample(n, width, *, mean=0.0, seed=0):
    """Texts whose coordinates differ in size by a thousand, labels that depend on them, and texts to ask about."""
    rng = np.random.default_rng(seed)
    scale, pull = np.geomspace(0.1, 100, width), rng.normal(size=(3, width))
    parts = []
    for size in (n, 15):
        labels = np.arange(size) % 3
        rows = (rng.normal(size=(size, width)) + pull[labels]) * scale + mean
        parts += [torch.tensor(rows), torch.tensor(rng.permutation(labels) if size == 15 else labels)]
    return parts


def refitted(x, y, asked, penalty, kept):
    """The definition: ridge on one-hot labels of the kept texts, the penalty that of all of them, in their units."""
    scale = x.std(0, correction=0)
    mean, hot = x[kept].mean(0), torch.nn.functional.one_hot(y, 3).double()
    rows, share = (x[kept] - mean) / scale, hot[kept].mean(0)
    gram = rows.T @ rows + len(x) * penalty * torch.eye(x.shape[1], dtype=torch.float64)
    return (asked - mean) / scale @ torch.linalg.solve(gram, rows.T @ (hot[kept] - share)) + share


def without(n, rows):
    return np.setdiff1d(np.arange(n), rows)


@SHAPES
@pytest.mark.parametrize("mean", [0.0, 1000.0])
@pytest.mark.parametrize("penalty", [None, 1e-3])
def test_leaving_a_text_out_is_refitting_without_it(n, width, mean, penalty):
    """With a mean of 1,000 and a spread of .1, a rounding of 1e-13 becomes 1e-9."""
    x, y, asked, true = sample(n, width, mean=mean)
    penalty = penalty or ridge(PooledMoments(width, 3).update(x, y).with_texts(x)).penalty
    influence = Influence.of(x, y, 3, penalty)
    whole = refitted(x, y, asked, penalty, np.arange(n))
    torch.testing.assert_close(influence.decision(asked), whole, rtol=0, atol=1e-8)
    torch.testing.assert_close(influence.weights(asked).sum(1), torch.ones(len(asked)).double(), rtol=0, atol=1e-8)
    on_scores, on_loss = influence.on_scores(asked, true), influence.on_loss(asked, true)
    hot = torch.nn.functional.one_hot(true, 3)
    for row in range(0, n, 5):
        left = refitted(x, y, asked, penalty, without(n, [row]))
        torch.testing.assert_close(on_scores[:, row], ((whole - left) * hot).sum(1), rtol=0, atol=1e-7)
        harm = ((whole - hot) ** 2).sum(1).mean() - ((left - hot) ** 2).sum(1).mean()
        assert float(on_loss[row]) == pytest.approx(float(harm), abs=1e-7)
        own = refitted(x, y, x[row : row + 1], penalty, without(n, [row]))
        torch.testing.assert_close(influence.leave_one_out()[row : row + 1], own, rtol=0, atol=1e-7)


@SHAPES
def test_leaving_a_group_out_is_refitting_without_it_and_more_than_a_sum(n, width):
    x, y, asked, _ = sample(n, width)
    influence, group = Influence.of(x, y, 3, 0.1), torch.tensor([0, 3, 6, 7, 12])
    left = influence.decision_without(asked, group)
    torch.testing.assert_close(left, refitted(x, y, asked, 0.1, without(n, group.numpy())), rtol=0, atol=1e-9)
    summed = influence.weights(asked)[:, group] @ influence.residual_NC[group]
    assert (influence.decision(asked) - left - summed).abs().max() > 1e-3


def test_it_is_the_read_out_that_the_ridge_fits():
    x, y, asked, _ = sample(50, 12, mean=5.0)
    fitted = ridge(PooledMoments(12, 3).update(x, y).with_texts(x))
    found = Influence.of(x.float(), y, 3, fitted.penalty).decision(asked.float())
    torch.testing.assert_close(found, fitted.decision(asked), rtol=0, atol=1e-4)  # float32 texts


def test_a_coordinate_that_does_not_vary_says_nothing_and_a_copy_hides_a_text():
    x, y, asked, _ = sample(30, 6)
    still = torch.cat([x, torch.full((30, 1), 7.0)], dim=1)
    asked_still = torch.cat([asked, torch.full((15, 1), 7.0)], dim=1)
    plain = Influence.of(x, y, 3, 0.1)
    found = Influence.of(still, y, 3, 0.1)
    torch.testing.assert_close(found.residual_NC, plain.residual_NC)
    torch.testing.assert_close(found.weights(asked_still), plain.weights(asked))
    twice = Influence.of(torch.cat([x, x]), torch.cat([y, y]), 3, 0.1)
    assert twice.residual_NC[0].norm() < plain.residual_NC[0].norm()


@pytest.mark.parametrize(("n", "penalty"), [(1, 0.1), (5, 0.0)])
def test_where_a_text_cannot_be_left_out_it_is_refused(n, penalty):
    x, y, *_ = sample(5, 4)
    with pytest.raises(ValueError, match="needs two texts and a penalty above 0"):
        Influence.of(x[:n], y[:n], 3, penalty)
