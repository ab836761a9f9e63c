"""H-score without a group of texts: the low-rank form against the moments of the texts that stay."""

import math

import numpy as np
import pytest
import torch

from tokenworth.scores import PooledMoments, hscore
from tokenworth.scores.hscore_replicates import hscore_without
from tokenworth.scores.logme_replicates import LogmeReplicates
from tokenworth.scores.pooled import add_up

CASES = {
    "many texts": (400, 20, 40), "few texts": (60, 90, 6), "as many": (50, 49, 5), "half of all": (60, 30, 30),
    "one text": (40, 12, 1),
}  # fmt: skip


def texts(n, dim, dtype=torch.float32, *, spread=1.0, mean=3.0):
    rng = np.random.default_rng(n + dim)
    labels = torch.tensor(rng.integers(0, 3, n))
    z = rng.normal(size=(n, dim)) * np.geomspace(0.1, 10, dim) * spread + mean
    z[:, 0] += labels.numpy()
    return torch.tensor(z).to(dtype).to(torch.float64), labels


def without(z, labels, rows, n_classes=3):
    """The low-rank figure, and that of the moments of the other texts."""
    part, other = (PooledMoments(z.shape[1], n_classes).update(z[each], labels[each]) for each in (rows, ~rows))
    total = add_up([part, other]).with_texts(torch.cat([z[rows], z[~rows]]))
    along = LogmeReplicates.of(total).along(z[rows])
    return hscore_without(total, part, along), hscore(
        PooledMoments(z.shape[1], n_classes).update(z[~rows], labels[~rows])
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("case", CASES)
def test_it_is_the_score_of_the_texts_that_stay(case, dtype):
    n, dim, size = CASES[case]
    z, labels = texts(n, dim, dtype)
    found, expected = without(z, labels, torch.arange(n) < size)
    assert found == pytest.approx(expected, rel=1e-9)


def test_a_common_mean_a_thousand_times_the_spread():
    z, labels = texts(80, 30, spread=1e-2, mean=1000.0)
    found, expected = without(z, labels, torch.arange(80) % 10 == 0)
    assert found == pytest.approx(expected, rel=1e-7)


def test_a_class_that_leaves_with_the_group():
    z, labels = texts(60, 10)
    found, expected = without(z, labels, labels == 2)
    assert found == pytest.approx(expected, rel=1e-9)


def test_where_everything_is_shrunk_the_factor_is_asked():
    """Texts on the corners of a cube in all directions alike: nothing but noise parts their variances."""
    z = torch.eye(8, dtype=torch.float64).repeat(2, 1)
    labels = torch.arange(16) % 2
    found, expected = without(z, labels, torch.arange(16) < 1, 2)
    assert math.isnan(found)
    assert expected == pytest.approx(0.0, abs=1e-9)
