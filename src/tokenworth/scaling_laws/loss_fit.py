"""Scaling laws fitted to finished runs: loss by parameters N and training tokens D, with intervals.

    chinchilla   L = E + A / N^alpha + B / D^beta                     Hoffmann et al. 2022, approach 3
    kaplan       L = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D  Kaplan et al. 2020, equation 1.5
    isoflop      N_opt = k C^a, from a parabola of loss in ln N for each budget C    Hoffmann et al. 2022, approach 2

The first two are fitted to ln L under a Huber loss by L-BFGS from a grid of beginnings; N counts what the runs counted
(with or without embeddings), L is in nats a token.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from tokenworth.base.aliases import Floats
from tokenworth.errors import SettingError
from tokenworth.scaling_laws.profile_likelihood import allowed_rise, profile_limits
from tokenworth.scaling_laws.run_table import run_numbers
from tokenworth.scaling_laws.scaling_settings import FitCall
from tokenworth.settings.signatures import keywords_of

HUBER = 1e-3
NAMES = {
    "chinchilla": ("E", "A", "alpha", "B", "beta"),
    "kaplan": ("N_c", "alpha_N", "D_c", "alpha_D"),
    "isoflop": ("k", "a"),
}
"""Constants of each form."""
FORMS = tuple(NAMES)
EXPONENTS = frozenset(("alpha", "beta", "alpha_N", "alpha_D"))
SCALE = 1e6
"""Of the objective: line searches stop at absolute steps."""
FARTHEST, LEAST_EXPONENT, MOST_EXPONENT = 12.0, 1e-3, 4.0
"""How far a profile looks: e-folds of an amount, and exponents; what reaches so far has no end."""
_FEWEST = {"chinchilla": 6, "kaplan": 5, "isoflop": 6}
_FEWEST_SAMPLES = 20
_SAME_BUDGET = 0.15
"""Runs whose FLOPs differ by less than this share are on one parabola."""


@dataclass(frozen=True, slots=True)
class ScalingFit:
    """One form fitted to runs."""

    form: str
    """chinchilla, kaplan or isoflop."""
    constants: dict[str, float]
    """Of the form, by name."""
    low: dict[str, float]
    """95 % interval: the wider of bootstrap over runs and profile likelihood; 0 where the data give no lower end ..."""
    high: dict[str, float]
    """... and infinity where they give no upper one."""
    runs: int
    """Rows it was fitted to."""
    error: float
    """Root mean square of ln(predicted / true loss); of ln N_opt for isoflop."""
    notes: list[str] = field(default_factory=list)
    """What the data leave open, in sentences."""

    def loss(self, parameters: Any, tokens: Any) -> Floats:
        """Loss at N and D; not of isoflop, which knows optima only."""
        n, d = np.log(np.asarray(parameters, float)), np.log(np.asarray(tokens, float))
        return np.exp(_model(self.form, _pack(self.form, self.constants), n, d)[0])

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
def fit_scaling(call: FitCall) -> ScalingFit:
    """Fit a form to runs.

    Raises:
        SettingError: an unknown form, or too few runs for it.
    """
    runs, form, bootstrap, seed = call.runs, call.form, call.bootstrap, call.seed
    if form not in FORMS:
        raise SettingError(f"form {form!r} is not understood; choose from {', '.join(FORMS)}")
    runs = run_numbers(runs, "the table of runs")
    if len(runs) < _FEWEST[form]:
        raise SettingError(f"{len(runs)} runs are too few for the form {form}: it takes {_FEWEST[form]} at least")
    values, error = _fit(runs, form)
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(bootstrap):
        rows = np.sort(rng.integers(len(runs), size=len(runs)))
        try:
            drawn.append(_fit(runs.iloc[rows], form, values)[0])
        except SettingError:
            continue  # a sample without two sizes, or without a minimum
    low, high = (dict.fromkeys(NAMES[form], float("nan")) for _ in range(2))
    if len(drawn) >= _FEWEST_SAMPLES:
        table = pd.DataFrame(drawn)
        low, high = ({name: float(table[name].quantile(q)) for name in NAMES[form]} for q in (0.025, 0.975))
    notes = _notes(runs, form, len(drawn), bootstrap)
    if bootstrap and form != "isoflop":
        notes += _widen(runs, form, values, low, high)
    return ScalingFit(form, values, low, high, len(runs), error, notes)


def _widen(
    runs: pd.DataFrame, form: str, values: dict[str, float], low: dict[str, float], high: dict[str, float]
) -> list[str]:
    """Make the intervals at least as wide as the profile's; a sentence for each constant that has no end."""
    n, d, y = (np.log(runs[name].to_numpy()) for name in ("parameters", "tokens", "loss"))
    best = _pack(form, values)

    def residuals(packed: Floats) -> tuple[Floats, Floats]:
        predicted, slopes = _model(form, packed, n, d)
        return predicted - y, slopes.T

    rise, notes = allowed_rise(residuals(best)[0], HUBER, len(best)), []
    for index, name in enumerate(NAMES[form]):
        exponent = name in EXPONENTS
        bounds = (LEAST_EXPONENT, MOST_EXPONENT) if exponent else (best[index] - FARTHEST, best[index] + FARTHEST)
        bounds = (min(bounds[0], best[index]), max(bounds[1], best[index]))
        ends = profile_limits(residuals, best, index, huber=HUBER, rise=rise, bounds=bounds, step=0.01)
        least, most = (max(end, 0.0) if exponent else float(np.exp(end)) for end in ends)
        low[name], high[name] = float(np.fmin(low[name], least)), float(np.fmax(high[name], most))
        if not all(np.isfinite(ends)):
            counts = f"{runs['parameters'].nunique()} sizes and {runs['tokens'].nunique()} token counts"
            notes.append(
                f"{name} is not identified by these {len(runs)} runs ({counts}): values from {low[name]:.4g} to "
                f"{high[name]:.4g} fit them as well, so do not extrapolate with it"
            )
    return notes


def _notes(runs: pd.DataFrame, form: str, kept: int, bootstrap: int) -> list[str]:
    notes = []
    for name in ("parameters", "tokens"):
        span = float(np.log10(runs[name].max() / runs[name].min()))
        if span < 1 and form != "isoflop":
            notes.append(f"{name} span {span:.1f} orders of magnitude: too few to tell a power law")
    if form == "isoflop" and len(isoflop_minima(runs)) == 2:
        notes.append(
            "only two budgets have a minimum: a line always goes through both, so nothing checks the power law"
        )
    if kept < bootstrap:
        notes.append(f"{bootstrap - kept} of {bootstrap} bootstrap samples could not be fitted")
    return notes


def _pack(form: str, values: dict[str, float]) -> Floats:
    """Numbers without bounds: amounts as logarithms, exponents as they are."""
    return np.array([values[name] if name in EXPONENTS else np.log(values[name]) for name in NAMES[form]])


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


def _fit(runs: pd.DataFrame, form: str, near: dict[str, float] | None = None) -> tuple[dict[str, float], float]:
    """Constants and error: the best of many beginnings; only one, `near`, for a bootstrap sample."""
    if form == "isoflop":
        return _line(isoflop_minima(runs))
    n, d, y = (np.log(runs[name].to_numpy(float)) for name in ("parameters", "tokens", "loss"))

    def objective(p: Floats) -> tuple[float, Floats]:
        predicted, slopes = _model(form, p, n, d)
        off = predicted - y
        inside = np.abs(off) <= HUBER
        value = np.where(inside, 0.5 * off**2, HUBER * (np.abs(off) - 0.5 * HUBER)).sum()
        return float(SCALE * value), SCALE * slopes @ np.where(inside, off, HUBER * np.sign(off))

    starts = _starts(form, n, d, y) if near is None else [_pack(form, near)]
    ends = [minimize(objective, start, jac=True, method="L-BFGS-B") for start in starts]
    best = min((end for end in ends if np.isfinite(end.fun)), key=lambda end: end.fun)
    for _ in range(3):  # the line search gives up early on flat ground; from where it stopped it finds further down
        best = min(best, minimize(objective, best.x, jac=True, method="L-BFGS-B", tol=1e-15), key=lambda end: end.fun)
    error = float(np.sqrt(np.mean((_model(form, best.x, n, d)[0] - y) ** 2)))
    named = zip(NAMES[form], best.x, strict=True)
    return {name: float(x) if name in EXPONENTS else float(np.exp(x)) for name, x in named}, error


def _starts(form: str, n: Floats, d: Floats, y: Floats) -> list[Floats]:
    """Beginnings whose terms are of the size of the losses at hand, for a grid of exponents and shares."""
    middle_n, middle_d, least = float(n.mean()), float(d.mean()), float(y.min())
    exponents = (0.1, 0.3, 0.6, 1.0)
    grid = product(exponents, exponents, (0.1, 0.5, 0.9))
    if form == "chinchilla":
        return [
            least + np.array([np.log(1 - s), np.log(s) + a * middle_n, a - least, np.log(s) + b * middle_d, b - least])
            for a, b, s in grid
        ]
    return [
        np.array([middle_n + (least + np.log(share)) / a, a, middle_d + (least + np.log(share)) / b, b])
        for a, b, share in grid
    ]


def _line(minima: pd.DataFrame) -> tuple[dict[str, float], float]:
    """The line through the minima of the parabolas."""
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
    for _, same in ordered.groupby(np.cumsum(steps)):
        x, y = np.log(same["parameters"].to_numpy(float)), same["loss"].to_numpy(float)
        if len(set(same["parameters"])) < 3:
            continue
        curve, slope, base = np.polyfit(x, y, 2)
        best = -slope / (2 * curve) if curve > 0 else np.nan
        if x.min() <= best <= x.max():
            loss = base - slope**2 / (4 * curve)
            rows.append({"flops": same["flops"].mean(), "parameters": float(np.exp(best)), "loss": float(loss)})
    return pd.DataFrame(rows, columns=["flops", "parameters", "loss"])
