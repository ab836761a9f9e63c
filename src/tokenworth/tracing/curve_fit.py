"""F1 against pretraining FLOPs C, fitted where a route has four checkpoints or more beyond 0 tokens.

    line    F1 = a + b ln C
    power   F1 = top - A / C^alpha       (six checkpoints or more)

The form with the smaller leave-one-out error is kept.  Refitting to each resample of the test texts gives intervals:
they hold the noise of the test texts, not that the form may be wrong, so what lies beyond the run is an extrapolation
and called one.  Axes: B resamples, K checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokenworth.base.aliases import Floats
from tokenworth.tracing.crossing import finite, order_statistic
from tokenworth.tracing.f1_curves import Curve
from tokenworth.tracing.trace_result import FittedCurve, Meeting

FEWEST = {"line": 4, "power": 6}
LIMIT = 1000.0
"""Times the run's FLOPs; a crossing further out is not told from none."""
_ALPHAS = np.geomspace(0.02, 2.0, 60)


@dataclass(frozen=True, eq=False, slots=True)
class _Fitted:
    """B curves of one form: F1 = first_B + second_B x(C), x = ln C or -C^-alpha with C in units of the first FLOPs."""

    form: str
    first_B: Floats
    second_B: Floats
    alpha_B: Floats

    def at(self, c_M: Floats) -> Floats:
        """F1 (B, M)."""
        return self.first_B[:, None] + self.second_B[:, None] * _feature(self.form, c_M, self.alpha_B[:, None])

    def reaches(self, level_B: Floats) -> Floats:
        """C at which each curve has the level; infinity for those that never have it."""
        rising_B = self.second_B > 0
        slope_B = np.where(rising_B, self.second_B, 1.0)
        x_B = (level_B - self.first_B) / slope_B
        if self.form == "line":
            return np.where(rising_B, np.exp(np.clip(x_B, -300, 300)), np.inf)
        below_B = rising_B & (x_B < 0)
        return np.where(below_B, np.where(below_B, -x_B, 1.0) ** (-1 / self.alpha_B), np.inf)

    def constants(self, first: float) -> dict[str, float]:
        """Of the formula of the first curve, with C in FLOPs; `first` is the unit."""
        a, b, alpha = float(self.first_B[0]), float(self.second_B[0]), float(self.alpha_B[0])
        if self.form == "line":
            return {"a": a - b * float(np.log(first)), "b": b}
        return {"top": a, "A": b * first**alpha, "alpha": alpha}


def _feature(form: str, c_K: Floats, alpha: Floats | float) -> Floats:
    return np.asarray(np.log(c_K) if form == "line" else -(c_K ** -np.asarray(alpha)))


def fit_curve(flops: Sequence[float], curve: Curve, references: dict[str, Curve]) -> FittedCurve | None:
    """Fit a route's F1 by its pretraining FLOPs, and say where the fit meets each reference.

    Args:
        flops: of the route's checkpoints (K); those of 0 are left out.
        curve: of the route.
        references: each of K = 1.

    Returns:
        The curve, and by reference where it meets it; None for too few checkpoints.
    """
    c_K = np.asarray(flops, dtype=np.float64)
    kept = c_K > 0
    if kept.sum() < FEWEST["line"]:
        return None
    first, end = float(c_K[kept][0]), float(c_K[kept][-1])
    c_K, f1_1K, drawn_BK = c_K[kept] / first, curve.f1_K[None, kept], curve.drawn_BK[:, kept]
    errors = {form: _left_out_error(form, c_K, f1_1K[0]) for form, n in FEWEST.items() if kept.sum() >= n}
    form = min(errors, key=lambda name: errors[name])
    fitted, drawn = _fit(form, c_K, f1_1K), _fit(form, c_K, drawn_BK)
    decade = np.array([end / first / 10**0.5, end / first * 10**0.5])
    slope_low, slope_high = np.quantile(np.diff(drawn.at(decade), axis=1)[:, 0], [0.025, 0.975])
    return {
        "form": form,
        "constants": fitted.constants(first),
        "points": int(kept.sum()),
        "error": float(np.sqrt(np.mean((fitted.at(c_K) - f1_1K) ** 2))),
        "left_out_error": errors[form],
        "slope": float(np.diff(fitted.at(decade), axis=1)[0, 0]),
        "slope_low": float(slope_low),
        "slope_high": float(slope_high),
        "crossings": {name: _meets(fitted, drawn, reference, first, end) for name, reference in references.items()},
    }


def _meets(fitted: _Fitted, drawn: _Fitted, reference: Curve, first: float, end: float) -> Meeting:
    value = float(fitted.reaches(reference.f1_K)[0]) * first
    drawn_B = np.sort(drawn.reaches(reference.drawn_BK[:, 0]) * first)
    drawn_B = np.where(drawn_B > LIMIT * end, np.inf, drawn_B)
    flops = finite(value if value <= LIMIT * end else np.inf)
    low, high = (finite(order_statistic(drawn_B, share)) for share in (0.025, 0.975))
    return {"flops": flops, "low": low, "high": high, "beyond": flops is None or flops > end}


def _fit(form: str, c_K: Floats, y_BK: Floats) -> _Fitted:
    """Least squares for every row; the exponent of a power law is the best of a grid."""
    if form == "line":
        first_B, second_B, _ = _least_squares(_feature("line", c_K, 0.0), y_BK)
        return _Fitted("line", first_B, second_B, np.ones(len(y_BK)))
    tried = [_least_squares(_feature("power", c_K, alpha), y_BK) for alpha in _ALPHAS]
    best_B = np.array([error_B for _, _, error_B in tried]).argmin(0)
    rows = np.arange(len(y_BK))
    first_B, second_B = (np.array([coefficients[i] for coefficients in tried])[best_B, rows] for i in (0, 1))
    return _Fitted("power", first_B, second_B, _ALPHAS[best_B])


def _least_squares(x_K: Floats, y_BK: Floats) -> tuple[Floats, Floats, Floats]:
    """Intercept, slope and sum of squared errors of a straight line in x, row by row."""
    off_K, mean_B = x_K - x_K.mean(), y_BK.mean(1)
    slope_B = (y_BK - mean_B[:, None]) @ off_K / (off_K @ off_K)
    error_BK = y_BK - mean_B[:, None] - slope_B[:, None] * off_K
    return mean_B - slope_B * x_K.mean(), slope_B, (error_BK**2).sum(1)


def _left_out_error(form: str, c_K: Floats, y_K: Floats) -> float:
    """Root mean square error at the checkpoint that each fit never saw."""
    errors = []
    for k in range(len(y_K)):
        others = np.arange(len(y_K)) != k
        errors.append(_fit(form, c_K[others], y_K[None, others]).at(c_K[k : k + 1])[0, 0] - y_K[k])
    return float(np.sqrt(np.mean(np.square(errors))))
