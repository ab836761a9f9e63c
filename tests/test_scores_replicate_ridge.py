"""A replicate whose moments rounding has made indefinite: its ridge grows until there is a factor, and no further."""

import pytest
import torch

from tokenworth.scores.frame import _cholesky

SIZE = 40


def matrix(least, seed=0):
    """A symmetric one with eigenvalues from 1 down to 1e-3 but for the last, which rounding put at ``least``."""
    basis, _ = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(seed)).double())
    values = torch.logspace(0, -3, SIZE, dtype=torch.float64)
    values[-1] = least
    product = basis * values @ basis.T
    return (product + product.T) / 2


def test_a_definite_matrix_has_its_own_factor():
    torch.testing.assert_close(_cholesky(matrix(1e-5)), torch.linalg.cholesky(matrix(1e-5)))


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(("least", "ridge"), [(-1e-12, 1e-8), (-1e-8, 1e-6), (-1e-6, 1e-4), (-1e-4, 1e-2)])
def test_the_ridge_is_the_least_that_is_enough(least, ridge, size):
    """It is so many times the mean of the diagonal, whatever the units."""
    indefinite = size * matrix(least)
    lower = _cholesky(indefinite)
    added = lower @ lower.T - indefinite
    assert torch.equal(lower, lower.tril())
    expected = ridge * float(indefinite.diagonal().mean())
    torch.testing.assert_close(added, expected * torch.eye(SIZE).double(), rtol=1e-6, atol=1e-12 * size)


def test_no_ridge_mends_what_is_no_matrix_of_moments():
    with pytest.raises(ValueError, match="finite"):
        _cholesky(matrix(float("nan")))
