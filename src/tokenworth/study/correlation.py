"""Correlations over a handful of points, with permutation p-values and bootstrap intervals."""

from __future__ import annotations

import numpy as np
from scipy.stats import linregress, rankdata

PERMUTATIONS = RESAMPLES = 5000


def rank_correlation(x_N: np.ndarray, y_N: np.ndarray, *, seed: int = 0) -> dict[str, float]:
    """Spearman r with its two-sided permutation p-value and 95 % bootstrap interval over the points."""
    rng = np.random.default_rng(seed)
    rank_N, other_N = rankdata(x_N), rankdata(y_N)
    r = float(correlations(rank_N[None], other_N[None])[0])
    shuffled_B = correlations(rank_N[None], _shuffled(other_N, rng))
    rows = rng.integers(len(x_N), size=(RESAMPLES, len(x_N)))
    drawn_B = correlations(rankdata(x_N[rows], axis=1), rankdata(y_N[rows], axis=1))
    return {"n": len(x_N), "r": r, "p": p_value(np.abs(shuffled_B), abs(r)), **_ends(drawn_B)}


def line_fit(x_N: np.ndarray, y_N: np.ndarray, *, seed: int = 0) -> dict[str, float]:
    """Least squares: slope, intercept, R2 with its bootstrap interval and permutation p-value."""
    rng, fit = np.random.default_rng(seed), linregress(x_N, y_N)
    r2 = float(correlations(x_N[None], y_N[None])[0] ** 2)
    shuffled_B = correlations(x_N[None], _shuffled(y_N, rng)) ** 2
    rows = rng.integers(len(x_N), size=(RESAMPLES, len(x_N)))
    drawn_B = correlations(x_N[rows], y_N[rows]) ** 2
    return {
        "n": len(x_N), "slope": float(fit.slope), "intercept": float(fit.intercept), "r2": r2, "r": float(fit.rvalue),
        "p": p_value(shuffled_B, r2), **_ends(drawn_B),
    }  # fmt: skip


def _shuffled(y_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.permuted(np.tile(y_N, (PERMUTATIONS, 1)), axis=1)


def p_value(shuffled_B: np.ndarray, observed: float) -> float:
    """Share of shuffles (the observed order among them) that reach what was observed."""
    return float((1 + (shuffled_B >= observed - 1e-12).sum()) / (1 + len(shuffled_B)))


def _ends(drawn_B: np.ndarray) -> dict[str, float]:
    low, high = np.nanpercentile(drawn_B, [2.5, 97.5])
    return {"low": float(low), "high": float(high)}


def correlations(x_BN: np.ndarray, y_BN: np.ndarray) -> np.ndarray:
    """Pearson r row by row (B); NaN where one side does not vary."""
    x_BN, y_BN = x_BN - x_BN.mean(1, keepdims=True), y_BN - y_BN.mean(1, keepdims=True)
    norm_B = np.sqrt((x_BN**2).sum(1) * (y_BN**2).sum(1))
    return np.asarray((x_BN * y_BN).sum(1) / np.where(norm_B > 1e-12, norm_B, np.nan))
