"""Few texts to a direction: the same numbers from decompositions of the texts as from those of their moments."""

import numpy as np
import pytest
import torch

import slow_truth as slow
from tokenworth.probes import ridge_probe
from tokenworth.scores import PooledMoments, hscore, logme
from tokenworth.scores.layer import pooled_spectrum
from tokenworth.scores.logme import centred_spectrum
from tokenworth.scores.pooled import add_up
from tokenworth.scores.ridge import pooled_whitening, ridge

FORMATS = [torch.float32, torch.bfloat16]


def texts(n, width, dtype=torch.float32, seed=0):
    """A sink of a thousand times the others, a coordinate that never varies, one that hardly does, and a text twice."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, width)) * np.logspace(0, -2, width) + 0.3
    z[:, 3], z[:, 5], z[:, 7] = 1000 + 10 * rng.normal(size=n), 2.0, 2 + 1e-6 * rng.normal(size=n)
    z[1] = z[0]
    labels = (z[:, 0] + z[:, 1] + 0.4 * rng.normal(size=n) > 0.6).astype(int)
    return torch.from_numpy(slow.as_stored(z, dtype)), torch.from_numpy(labels)


def both(z, labels):
    """Moments that know their texts, and moments that do not."""
    plain = PooledMoments(z.shape[1], 2).update(z, labels)
    known = PooledMoments(z.shape[1], 2).update(z, labels).with_texts(z)
    assert known.few_texts() is not None, "few enough to be kept"
    plain._known["distinct texts"] = known.n_distinct  # GCV's own matter
    return known, plain


@pytest.mark.parametrize("dtype", FORMATS, ids=["float32", "bfloat16"])
@pytest.mark.parametrize("n", [2, 12, 40])
def test_the_whitening_has_the_same_variances_and_spans_the_same(n, dtype):
    known, plain = (pooled_whitening(moments, center=True) for moments in both(*texts(n, 90, dtype)))
    assert known.rank == plain.rank <= n - 1
    torch.testing.assert_close(known.scale_D, plain.scale_D)
    torch.testing.assert_close(known.values_R, plain.values_R, rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(
        known.vectors_DR.T @ known.vectors_DR, torch.eye(known.rank).double(), atol=1e-12, rtol=0
    )
    torch.testing.assert_close(
        known.vectors_DR @ known.vectors_DR.T, plain.vectors_DR @ plain.vectors_DR.T, atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("dtype", FORMATS, ids=["float32", "bfloat16"])
def test_scores_are_the_same(dtype):
    known, plain = both(*texts(40, 90, dtype))
    assert logme(known) == pytest.approx(logme(plain), rel=1e-8)
    assert hscore(known) == pytest.approx(hscore(plain), rel=1e-10)
    torch.testing.assert_close(pooled_spectrum(known), pooled_spectrum(plain), atol=1e-12, rtol=1e-6)
    assert len(centred_spectrum(known).values_R) == len(centred_spectrum(plain).values_R)
    assert len(pooled_spectrum(known)) == 90


@pytest.mark.parametrize("dtype", FORMATS, ids=["float32", "bfloat16"])
def test_probes_are_the_same(dtype):
    z, labels = texts(50, 120, dtype)
    folds = torch.arange(50) % 5
    groups = [PooledMoments(120, 2).update(z[folds == fold], labels[folds == fold]) for fold in range(5)]
    known, plain = add_up(groups).with_texts(z), add_up(groups)
    plain._known["distinct texts"] = known.n_distinct
    assert ridge(known).penalty == ridge(plain).penalty
    torch.testing.assert_close(ridge(known).weights_DC, ridge(plain).weights_DC, rtol=1e-6, atol=1e-10)
    probes = [ridge_probe(z, labels, folds, z, total=total) for total in (known, plain)]
    assert torch.equal(probes[0].test_M, probes[1].test_M)
    torch.testing.assert_close(probes[0].loss_N, probes[1].loss_N, rtol=1e-6, atol=1e-10)


def test_texts_are_kept_where_it_pays_and_forgotten_with_new_ones():
    z, labels = texts(80, 90)
    assert PooledMoments(90, 2).update(z, labels).with_texts(z).few_texts() is None
    moments = PooledMoments(90, 2).update(z[:40], labels[:40]).with_texts(z[:40])
    torch.testing.assert_close(moments.few_texts().mean(0), torch.zeros(90).double(), atol=1e-9, rtol=0)
    assert moments.update(z[40:], labels[40:]).few_texts() is None
