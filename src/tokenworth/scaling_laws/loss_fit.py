"""Scaling laws fitted to finished runs: loss by parameters N and training tokens D, with intervals.

    chinchilla   L = E + A / N^alpha + B / D^beta                     Hoffmann et al. 2022, approach 3
    kaplan       L = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D  Kaplan et al. 2020, equation 1.5
    isoflop      N_opt = k C^a, from a parabola of loss in ln N for each budget C    Hoffmann et al. 2022, approach 2

The first two are fitted to ln L under a Huber loss by L-BFGS from a grid of beginnings; N counts what the runs counted
(with or without embeddings), L is in nats a token.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from tokenworth.errors import SettingError
from tokenworth.scaling_laws.profile_likelihood import allowed_rise, profile_limits
from tokenworth.scaling_laws.run_table import run_numbers
from tokenworth.scaling_laws.scaling_settings import FitCall
from tokenworth.settings.signatures import keywords_of

Floats = NDArray[np.float64]
Objective = Callable[[Floats], tuple[float, Floats]]

HUBER = 1e-3
FORMS = ("chinchilla", "kaplan", "isoflop")
NAMES = {
    "chinchilla": ("E", "A", "alpha", "B", "beta"),
    "kaplan": ("N_c", "alpha_N", "D_c", "alpha_D"),
    "isoflop": ("k", "a"),
}
EXPONENTS = frozenset(("alpha", "beta", "alpha_N", "alpha_D"))
SCALE = 1e6
"""Of the objective: line searches stop at absolute steps."""
FARTHEST, LEAST_EXPONENT, MOST_EXPONENT = 12.0, 1e-3, 4.0
"""How far a profile looks: e-folds of an amount, and exponents; what reaches so far has no end."""
_FEWEST = {"chinchilla": 6, "kaplan": 5, "isoflop": 6}
_SAME_BUDGET = 0.15
"""Runs whose FLOPs differ by less than this share are on one parabola."""


@dataclass(frozen=True, slots=True)
class ScalingFit:
    """One form fitted to runs."""

    form: str
    constants: dict[str, float]
    low: dict[str, float]
    """95 % interval: the wider of bootstrap over runs and profile likelihood; 0 where the data give no lower end ..."""
    high: dict[str, float]
    """... and infinity where they give no upper one."""
    runs: int
    error: float
    """Root mean square of ln(predicted / true loss); of ln N_opt for isoflop."""
    notes: list[str] = field(default_factory=list)

    def loss(self, parameters: Any, tokens: Any) -> Floats:
        """Loss at N and D; not of isoflop, which knows optima only."""
        return np.exp(_log_loss(self.form, self.constants, np.asarray(parameters, float), np.asarray(tokens, float)))

    def asdict(self) -> dict[str, Any]:
        """Plain data, and back by ScalingFit(**data)."""
        return asdict(self)

    @classmethod
    def load(cls, path: Path) -> ScalingFit:
        """What a folder or file holds that `tokenworth scaling fit --out` wrote.

        Raises:
            SettingError: something else.
        """
        file = path / "fit.json" if path.is_dir() else path
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise SettingError(f"{file} is no fit; give what tokenworth scaling fit --out wrote") from error


@keywords_of(FitCall)
def fit_scaling(given: FitCall) -> ScalingFit:
    """Fit a form to runs.

    Raises:
        SettingError: an unknown form, or too few runs for it.
    """
    runs, form, bootstrap, seed = given.runs, given.form, given.bootstrap, given.seed
    if form not in FORMS:
        raise SettingError(f"form {form!r} is not understood; choose from {', '.join(FORMS)}")
    runs = run_numbers(runs, "the table of runs")
    if len(runs) < _FEWEST[form]:
        raise SettingError(f"{len(runs)} runs are too few for the form {form}: it takes {_FEWEST[form]} at least")
    values, error = _isoflop(runs) if form == "isoflop" else _parametric(runs, form)
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(bootstrap):
        rows = np.sort(rng.integers(len(runs), size=len(runs)))
        try:
            again = runs.iloc[rows]
            drawn.append(_isoflop(again)[0] if form == "isoflop" else _parametric(again, form, values)[0])
        except SettingError:
            continue  # a sample without two sizes, or without a minimum
    low, high = _ends(drawn, NAMES[form])
    notes = _notes(runs, form, len(drawn), bootstrap)
    if bootstrap and form != "isoflop":
        low, high, open_ended = _widened(runs, form, values, low, high)
        notes += open_ended
    return ScalingFit(form, values, low, high, len(runs), error, notes)


def _widened(
    runs: pd.DataFrame, form: str, values: dict[str, float], low: dict[str, float], high: dict[str, float]
) -> tuple[dict[str, float], dict[str, float], list[str]]:
    """The intervals, at least as wide as the profile's, and a sentence for each constant that has no end."""
    n, d, y = (np.log(runs[name].to_numpy()) for name in ("parameters", "tokens", "loss"))
    best = _packed(form, values)

    def residuals(packed: Floats) -> tuple[Floats, Floats]:
        predicted, slopes = _model(form, packed, n, d)
        return predicted - y, slopes.T

    rise = allowed_rise(residuals(best)[0], HUBER, len(best))
    low, high, notes = dict(low), dict(high), []
    for index, name in enumerate(NAMES[form]):
        exponent = name in EXPONENTS
        bounds = (LEAST_EXPONENT, MOST_EXPONENT) if exponent else (best[index] - FARTHEST, best[index] + FARTHEST)
        bounds = (min(bounds[0], best[index]), max(bounds[1], best[index]))
        ends = profile_limits(residuals, best, index, huber=HUBER, rise=rise, bounds=bounds, step=0.01)
        least, most = (max(end, 0.0) if exponent else float(np.exp(end)) for end in ends)
        low[name], high[name] = float(np.fmin(low[name], least)), float(np.fmax(high[name], most))
        if not all(np.isfinite(ends)):
            notes.append(_not_identified(name, low[name], high[name], runs))
    return low, high, notes


def _not_identified(name: str, low: float, high: float, runs: pd.DataFrame) -> str:
    counts = f"{runs['parameters'].nunique()} sizes and {runs['tokens'].nunique()} token counts"
    return (
        f"{name} is not identified by these {len(runs)} runs ({counts}): values from {low:.4g} to {high:.4g} fit them "
        "as well, so do not extrapolate with it"
    )


def _ends(drawn: list[dict[str, float]], names: tuple[str, ...]) -> tuple[dict[str, float], dict[str, float]]:
    if len(drawn) < 20:
        return dict.fromkeys(names, float("nan")), dict.fromkeys(names, float("nan"))
    table = pd.DataFrame(drawn)
    low, high = (table.quantile(share) for share in (0.025, 0.975))
    return {name: float(low[name]) for name in names}, {name: float(high[name]) for name in names}


def _notes(runs: pd.DataFrame, form: str, kept: int, bootstrap: int) -> list[str]:
    spans = {name: float(np.log10(runs[name].max() / runs[name].min())) for name in ("parameters", "tokens")}
    found = [
        f"{name} span {span:.1f} orders of magnitude: too few to tell a power law" for name, span in spans.items()
        if span < 1 and form != "isoflop"
    ]  # fmt: skip
    if form == "isoflop" and len(isoflop_minima(runs)) == 2:
        found.append(
            "only two budgets have a minimum: a line always goes through both, so nothing checks the power law"
        )
    if kept < bootstrap:
        found.append(f"{bootstrap - kept} of {bootstrap} bootstrap samples could not be fitted")
    return found


def _log_loss(form: str, values: dict[str, float], n: Floats, d: Floats) -> Floats:
    return np.asarray(_model(form, _packed(form, values), np.log(n), np.log(d))[0])


def _packed(form: str, values: dict[str, float]) -> Floats:
    """Numbers without bounds: amounts as logarithms, exponents as they are."""
    return np.array([values[name] if name in EXPONENTS else np.log(values[name]) for name in NAMES[form]])


def _unpacked(form: str, packed: Floats) -> dict[str, float]:
    return {
        name: float(value) if name in EXPONENTS else float(np.exp(value))
        for name, value in zip(NAMES[form], packed, strict=True)
    }


def _model(form: str, p: Floats, n: Floats, d: Floats) -> tuple[Floats, Floats]:
    """ln L and its derivatives by the packed numbers (P, R), from ln N and ln D."""
    if form == "chinchilla":
        e, a, alpha, b, beta = p
        terms = np.stack([np.full_like(n, e), a - alpha * n, b - beta * d])
        share = softmax(terms, axis=0)
        slopes = np.stack([share[0], share[1], -n * share[1], share[2], -d * share[2]])
        return np.asarray(logsumexp(terms, axis=0)), slopes
    n_c, alpha_n, d_c, alpha_d = p
    ratio = alpha_n / alpha_d
    terms = np.stack([ratio * (n_c - n), d_c - d])
    share, total = softmax(terms, axis=0), np.asarray(logsumexp(terms, axis=0))
    by_ratio = alpha_d * share[0] * (n_c - n)
    slopes = np.stack(
        [alpha_n * share[0], by_ratio / alpha_d, alpha_d * share[1], total - by_ratio * alpha_n / alpha_d**2]
    )
    return alpha_d * total, slopes


def _parametric(runs: pd.DataFrame, form: str, near: dict[str, float] | None = None) -> tuple[dict[str, float], float]:
    """The best of many beginnings; only one, `near`, for a bootstrap sample."""
    n, d, y = (np.log(runs[name].to_numpy(float)) for name in ("parameters", "tokens", "loss"))
    objective = _objective(form, n, d, y)
    starts = _starts(form, n, d, y) if near is None else [_packed(form, near)]
    ends = [minimize(objective, start, jac=True, method="L-BFGS-B") for start in starts]
    best = min((end for end in ends if np.isfinite(end.fun)), key=lambda end: end.fun)
    for _ in range(3):  # the line search gives up early on flat ground; from where it stopped it finds further down
        best = min(best, minimize(objective, best.x, jac=True, method="L-BFGS-B", tol=1e-15), key=lambda end: end.fun)
    error = float(np.sqrt(np.mean((_model(form, best.x, n, d)[0] - y) ** 2)))
    return _unpacked(form, best.x), error


def _objective(form: str, n: Floats, d: Floats, y: Floats) -> Objective:
    def value_and_gradient(p: Floats) -> tuple[float, Floats]:
        predicted, slopes = _model(form, p, n, d)
        off = predicted - y
        inside = np.abs(off) <= HUBER
        value = np.where(inside, 0.5 * off**2, HUBER * (np.abs(off) - 0.5 * HUBER)).sum()
        return float(SCALE * value), SCALE * slopes @ np.where(inside, off, HUBER * np.sign(off))

    return value_and_gradient


def _starts(form: str, n: Floats, d: Floats, y: Floats) -> list[Floats]:
    """Beginnings whose terms are of the size of the losses at hand, for a grid of exponents and shares."""
    middle_n, middle_d, least = float(n.mean()), float(d.mean()), float(y.min())
    exponents, shares = (0.1, 0.3, 0.6, 1.0), (0.1, 0.5)
    if form == "chinchilla":
        return [
            least + np.array([np.log(1 - s), np.log(s) + a * middle_n, a - least, np.log(s) + b * middle_d, b - least])
            for a, b, s in product(exponents, exponents, (*shares, 0.9))
        ]
    return [
        np.array([middle_n + (least + np.log(share)) / a, a, middle_d + (least + np.log(share)) / b, b])
        for a, b, share in product(exponents, exponents, (*shares, 0.9))
    ]


def _isoflop(runs: pd.DataFrame) -> tuple[dict[str, float], float]:
    """The line through the minima of the parabolas."""
    minima = isoflop_minima(runs)
    if len(minima) < 2:
        raise SettingError(
            "fewer than two FLOP budgets have three sizes and a minimum between them; isoflop needs runs of several "
            "sizes at equal FLOPs"
        )
    budget, size = np.log(minima["flops"].to_numpy()), np.log(minima["parameters"].to_numpy())
    a, k = np.polyfit(budget, size, 1)
    return {"k": float(np.exp(k)), "a": float(a)}, float(np.sqrt(np.mean((k + a * budget - size) ** 2)))


def isoflop_minima(runs: pd.DataFrame) -> pd.DataFrame:
    """For each budget with three sizes or more: flops, parameters and loss at the minimum of a parabola in ln N.

    Budgets without a minimum between their smallest and largest size are left out.
    """
    ordered, rows = runs.sort_values("flops"), []
    steps = np.diff(np.log(ordered["flops"].to_numpy()), prepend=-np.inf) > _SAME_BUDGET
    for _, own in ordered.groupby(np.cumsum(steps)):
        x, y = np.log(own["parameters"].to_numpy(float)), own["loss"].to_numpy(float)
        if len(set(own["parameters"])) < 3:
            continue
        curve, slope, base = np.polyfit(x, y, 2)
        best = -slope / (2 * curve) if curve > 0 else np.nan
        if x.min() <= best <= x.max():
            loss = base - slope**2 / (4 * curve)
            rows.append({"flops": own["flops"].mean(), "parameters": float(np.exp(best)), "loss": float(loss)})
    return pd.DataFrame(rows, columns=["flops", "parameters", "loss"])
