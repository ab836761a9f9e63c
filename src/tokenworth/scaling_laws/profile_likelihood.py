"""Profile likelihood: how far one constant of a fit can go while the others make up for it.

A bootstrap begun at the fit stays there on flat ground, and reports certainty where the data say nothing.  The profile
walks along the ground: the constant is held at a value, the others are fitted anew, and the interval ends where the
loss has risen by more than noise explains.  It never ends where the data cannot identify the constant.

Source: Venzon and Moolgavkar (1988), Applied Statistics 37(1), 87-94.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import f as f_distribution

from tokenworth.base.aliases import Floats

Residuals = Callable[[Floats], tuple[Floats, Floats]]
"""Constants (P,) to ln(predicted / true loss) (R,) and its derivatives (R, P)."""

FINEST = 1e-5
"""Relative error of losses below which they are rounding: runs report four or five digits."""
MOST_TRIALS = 2000
"""Of a refit: one that is given up in a flat valley looks like the end of the interval (978 were needed once)."""
_HALVINGS = 8


def allowed_rise(off_R: Floats, huber: float, constants: int, *, level: float = 0.95) -> float:
    """By how much the Huber loss, a sum over runs, may rise over its minimum inside an interval.

    For squared errors this is s^2 F / 2 with s^2 = RSS / (R - P) and F the quantile for 1 and R - P degrees of freedom;
    where errors are cut off at huber, s^2 becomes that of the cut errors over the share that is not cut.  off_R is the
    error ln(predicted / true loss) of each run, P the number of constants fitted.
    """
    spare = max(len(off_R) - constants, 1)
    cut_R, inside = np.clip(off_R, -huber, huber), max(float(np.mean(np.abs(off_R) <= huber)), 1 / len(off_R))
    variance = max(float(np.square(cut_R).sum()) / spare / inside, FINEST**2)
    return 0.5 * variance * float(f_distribution.ppf(level, 1, spare))


def profile_limits(
    residuals: Residuals,
    best_P: Floats,
    index: int,
    *,
    huber: float,
    rise: float,
    bounds: tuple[float, float],
    step: float,
) -> tuple[float, float]:
    """Where the profile of one constant has risen by `rise`, below and above its best value.

    `best_P` are the constants of least Huber loss.  The first step to either side is doubled until the end is passed;
    an end beyond the bounds is returned as minus or plus infinity.
    """
    walk = _Walk(residuals, index, huber, _loss(residuals(best_P)[0], huber) + rise)
    return walk.end(best_P, bounds[0], -step), walk.end(best_P, bounds[1], step)


def _loss(off_R: Floats, huber: float) -> float:
    size_R = np.abs(off_R)
    return float(np.where(size_R <= huber, 0.5 * off_R**2, huber * (size_R - 0.5 * huber)).sum())


@dataclass(frozen=True, slots=True)
class _Walk:
    """Along the profile of one constant, up to a ceiling."""

    residuals: Residuals
    index: int
    huber: float
    ceiling: float

    def end(self, inside_P: Floats, bound: float, step: float) -> float:
        """The first value above the ceiling in the direction of the step, or infinity in that direction."""
        while True:
            value = inside_P[self.index] + step
            if (bound - value) * step <= 0:
                value = bound
            loss, there_P = self.refit(inside_P, value)
            if loss > self.ceiling:
                break
            if value == bound:
                return float(np.copysign(np.inf, step))
            inside_P, step = there_P, 2 * step
        for _ in range(_HALVINGS):  # the crossing lies between
            middle = (inside_P[self.index] + value) / 2
            loss, there_P = self.refit(inside_P, middle)
            if loss > self.ceiling:
                value = middle
            else:
                inside_P = there_P
        return float(value)

    def refit(self, near_P: Floats, value: float) -> tuple[float, Floats]:
        """Least loss over the other constants, and where.

        Constants trade off along narrow valleys, down which a line search of gradients does not get: Gauss-Newton,
        begun where the tangent of the valley points to.
        """

        def off(others: Floats) -> Floats:
            return self.residuals(np.insert(others, self.index, value))[0]

        def slopes(others: Floats) -> Floats:
            return np.delete(self.residuals(np.insert(others, self.index, value))[1], self.index, axis=1)

        slopes_RP = self.residuals(near_P)[1]
        moved_R = slopes_RP[:, self.index] * (value - near_P[self.index])
        others_RQ = np.delete(slopes_RP, self.index, axis=1)
        begin = np.delete(near_P, self.index) - np.linalg.lstsq(others_RQ, moved_R, rcond=1e-9)[0]
        settings = {"loss": "huber", "f_scale": self.huber, "x_scale": "jac", "max_nfev": MOST_TRIALS}
        end = least_squares(off, begin, slopes, ftol=1e-10, xtol=1e-12, gtol=1e-15, **settings)
        return _loss(off(end.x), self.huber), np.insert(end.x, self.index, value)
