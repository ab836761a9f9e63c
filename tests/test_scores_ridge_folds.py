"""Held-out decisions of the ridge read-out: against refits without each fold, by scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as Peer

from tokenworth.scores import PooledMoments, ridge
from tokenworth.scores.pooled import add_up
from tokenworth.scores.ridge_folds import groups_pay, held_out_decisions

FORMATS = [torch.float32, torch.bfloat16]


def texts(n, dim, *, n_classes=3, seed=0, dtype=torch.float32):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    pull = rng.normal(size=(n_classes, dim))
    z = (rng.normal(size=(n, dim)) + 0.5 * pull[labels]) * np.geomspace(0.1, 100, dim) + 3
    return torch.tensor(z).to(dtype).to(torch.float32), torch.tensor(labels)


def refitted(z, truth, folds, penalty):
    """Each fold by a read-out of the others, in the units of all texts and at the penalty of all."""
    z = z.double().numpy()
    units = (z - z.mean(0)) / np.where(z.std(0) > 0, z.std(0), 1)
    said = np.empty(truth.shape)
    for fold in range(folds.max() + 1):
        out = folds.numpy() == fold
        said[out] = Peer(alpha=penalty * len(z)).fit(units[~out], truth[~out]).predict(units[out])
    return said


@pytest.mark.parametrize("dtype", FORMATS, ids=["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("n", "dim", "n_folds"), [(120, 8, 5), (120, 8, 60), (40, 90, 5), (60, 60, 2), (30, 6, 30)],
    ids=["folds of more texts than directions", "small folds", "few texts", "as many", "one at a time"],
)  # fmt: skip
def test_every_fold_is_refitted_without_itself(n, dim, n_folds, dtype):
    z, labels = texts(n, dim, dtype=dtype)
    folds, truth = torch.arange(n) % n_folds, torch.nn.functional.one_hot(labels, 3).double()
    total = PooledMoments(dim, 3).update(z, labels).with_texts(z)
    fitted = ridge(total)
    found = held_out_decisions(z, truth, folds, total, fitted)
    np.testing.assert_allclose(found, refitted(z, truth.numpy(), folds, fitted.penalty), rtol=0, atol=1e-7)


@pytest.mark.parametrize("penalty", [1e-8, 1e-4, 1e4])
def test_at_any_penalty_even_where_the_fit_interpolates(penalty):
    z, labels = texts(30, 50)
    folds, truth = torch.arange(30) % 5, torch.nn.functional.one_hot(labels, 3).double()
    total = PooledMoments(50, 3).update(z, labels).with_texts(z)
    found = held_out_decisions(z, truth, folds, total, ridge(total, penalty=penalty))
    np.testing.assert_allclose(found, refitted(z, truth.numpy(), folds, penalty), rtol=0, atol=1e-6)


def test_a_coordinate_that_only_one_fold_varies_in_says_nothing_of_that_fold():
    """It has no weight without the fold, and the fold's texts are read as if it were not there."""
    z, labels = texts(60, 5)
    folds, truth = torch.arange(60) % 3, torch.nn.functional.one_hot(labels, 3).double()
    lone = torch.cat([z, torch.where(folds == 1, torch.randn(60, generator=torch.manual_seed(0)), 0.0)[:, None]], 1)
    totals = [PooledMoments(each.shape[1], 3).update(each, labels) for each in (z, lone)]
    found = [
        held_out_decisions(each, truth, folds, total, ridge(total, penalty=0.1))[folds == 1]
        for each, total in zip((z, lone), totals, strict=True)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", FORMATS, ids=["float32", "bfloat16"])
def test_of_many_texts_moments_of_the_folds_say_the_same(dtype):
    z, labels = texts(300, 12, dtype=dtype)
    folds, truth = torch.arange(300) % 7, torch.nn.functional.one_hot(labels, 3).double()
    groups = [PooledMoments(12, 3).update(z[folds == fold], labels[folds == fold]) for fold in range(7)]
    total = add_up(groups)
    assert groups_pay(300, 12)
    found = [held_out_decisions(z, truth, folds, total, ridge(total), given) for given in ((), groups)]
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-9)
    assert not torch.equal(*found), "one way was asked twice"


def test_texts_that_are_all_equal_are_given_the_shares_of_the_other_folds():
    z, labels = torch.full((6, 4), 2.5), torch.tensor([0, 1, 1, 0, 1, 1])
    folds, truth = torch.arange(6) % 2, torch.nn.functional.one_hot(labels, 2).double()
    total = PooledMoments(4, 2).update(z, labels)
    found = held_out_decisions(z, truth, folds, total, ridge(total))
    np.testing.assert_allclose(found, torch.stack([truth[folds != fold].mean(0) for fold in folds]), rtol=0, atol=1e-12)


def test_several_labels_a_text():
    z, number = texts(80, 6, n_classes=4)
    sets_LC = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1]]).double()
    total = PooledMoments(6, 4, sets_LC=sets_LC).update(z, number)
    folds, truth = torch.arange(80) % 4, sets_LC[number]
    fitted = ridge(total)
    found = held_out_decisions(z, truth, folds, total, fitted)
    np.testing.assert_allclose(found, refitted(z, truth.numpy(), folds, fitted.penalty), rtol=0, atol=1e-8)
