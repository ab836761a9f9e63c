"""Intervals: bootstrap over texts for means and for one sample above another, Wilson's for shares."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tokenworth.base.aliases import Floats

RESAMPLES = 1000
_Z = 1.959963984540054  # the normal distribution's 97.5 % point


def mean_interval(values_N: Floats, seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float, float]:
    """Mean over texts with its 95 % percentile bootstrap interval; NaN ends for fewer than two texts.

    Texts are drawn whole: tokens of one text are not independent.  The same seed draws the same texts, so means of
    several columns move together as they should.
    """
    values_N = np.asarray(values_N, dtype=float)
    if len(values_N) < 2:
        return float(values_N.mean()) if len(values_N) else math.nan, math.nan, math.nan
    rng = np.random.default_rng(seed)
    means_R = np.array([values_N[rng.integers(len(values_N), size=len(values_N))].mean() for _ in range(resamples)])
    low, high = np.quantile(means_R, [0.025, 0.975])
    return float(values_N.mean()), float(low), float(high)


def with_ends(name: str, values_N: Floats, seed: int) -> dict[str, float]:
    """A mean over texts under its name, and the ends of its interval."""
    mean, low, high = mean_interval(values_N, seed)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def share_interval(hits: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share: the p with |p' - p| <= z sqrt(p (1 - p) / n); NaN for nothing counted.

    Source: Wilson (1927), JASA 22(158), 209-212.
    """
    if of == 0:
        return math.nan, math.nan
    share, z2 = hits / of, _Z**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def share_with_ends(name: str, hit_N: NDArray[np.bool_]) -> dict[str, float]:
    """A share under its name, and the ends of its interval."""
    hits, of = int(hit_N.sum()), hit_N.size
    low, high = share_interval(hits, of)
    return {name: hits / of, f"{name}_low": low, f"{name}_high": high}


def precedence(a_N: Floats, b_M: Floats, seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float, float]:
    """The chance that a value of one sample lies above one of the other: the area under the ROC curve.

    P(a > b) + P(a = b) / 2, with its 95 % percentile bootstrap interval; both samples are drawn anew.
    """
    above_NM = (a_N[:, None] > b_M) + 0.5 * (a_N[:, None] == b_M)
    rng = np.random.default_rng(seed)
    drawn = [rng.multinomial(len(x), np.full(len(x), 1 / len(x)), size=resamples) / len(x) for x in (a_N, b_M)]
    chances_R = np.einsum("rn,nm,rm->r", drawn[0], above_NM, drawn[1], optimize=True)
    low, high = np.quantile(chances_R.clip(0, 1), [0.025, 0.975])  # sums of rounded shares
    return float(above_NM.mean()), float(low), float(high)
