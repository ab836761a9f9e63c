"""Two numbers the documentation quotes: brute force that loses digits, and the H-score on white features.

python bench/closed_forms.py
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
import torch

from tokenworth import scores


def main() -> None:
    """Print both."""
    brute_force_on_a_large_mean()
    hscore_on_white_features()


def brute_force_on_a_large_mean() -> None:
    """NTPS(12 of 24) from eigh(C1 C1', C0), from the SVD of L^-1 C1, and ours; states with means of about 1,000."""
    torch.manual_seed(0)
    n_texts, length, dim, n_classes = 600, 12, 24, 4
    states = torch.randn(n_texts, length, dim) @ torch.randn(dim, dim) + 1000 * torch.randn(dim)
    labels = torch.randint(0, n_classes, (n_texts,))
    states = states + torch.randn(n_classes, dim)[labels][:, None]
    states[:, 1:] += 0.5 * (states[:, :-1] - states.mean((0, 1)))
    wide = states.double().numpy()
    prefix, following = wide.cumsum(1)[:, :-1], wide[:, 1:]
    c0 = np.einsum("nti,ntj->ij", prefix, prefix) / n_texts
    c1 = np.einsum("nti,ntj->ij", prefix, following) / n_texts
    pooled = states.mean(1).double().numpy()
    one_hot = np.eye(n_classes)[labels.numpy()]
    weights = np.linalg.lstsq(pooled - pooled.mean(0), one_hot - one_hot.mean(0), rcond=None)[0]
    label_basis = np.linalg.svd(weights)[0][:, : n_classes - 1]
    lower = np.linalg.cholesky(c0)
    found = {
        "eigh(C1 C1', C0)": scipy.linalg.eigh(c1 @ c1.T, c0)[1][:, ::-1],
        "SVD of L^-1 C1": np.linalg.solve(lower.T, np.linalg.svd(np.linalg.solve(lower, c1))[0]),
    }
    print(f"condition of C0 {np.linalg.cond(c0):.1e}")
    for name, directions in found.items():
        overlap = np.linalg.qr(directions[:, :12])[0].T @ label_basis
        print(f"NTPS(12 of 24) by {name}: {np.square(overlap).sum() / (n_classes - 1):.5f}")
    mask = torch.ones(n_texts, length, dtype=torch.bool)
    moments = scores.PooledMoments(dim, n_classes).update(states.mean(1), labels)
    for name, given in {"float32": states, "float64": states.double()}.items():
        ours = scores.ntps(scores.ContextMoments(dim).update(given, mask), moments, 12)
        print(f"NTPS(12 of 24) by tokenworth, {name} states: {ours:.5f}")


def hscore_on_white_features() -> None:
    """Features of identity covariance whose first 8 of 96 coordinates carry the label."""
    for n_texts in (200, 600, 2000):
        generator = torch.Generator().manual_seed(0)
        features = torch.randn(n_texts, 96, generator=generator, dtype=torch.float64)
        noise = torch.randn(n_texts, 4, generator=generator, dtype=torch.float64)
        labels = (features[:, :8] @ torch.randn(8, 4, generator=generator, dtype=torch.float64) + 1.5 * noise).argmax(1)
        pooled = scores.PooledMoments(96, 4).update(features, labels)
        full, unshrunk = scores.hscore(pooled), scores.hscore(pooled, shrink=False)
        print(
            f"white features, N = {n_texts}: shrinkage {scores.ledoit_wolf_shrinkage(pooled):.3f}, H-score {full:.3f}, "
            f"without shrinkage {unshrunk:.3f}, ridge R2 by GCV {scores.ridge(pooled).r2:.2f}"
        )


if __name__ == "__main__":
    main()
