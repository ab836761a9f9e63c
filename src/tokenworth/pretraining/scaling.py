"""Scaling laws fitted to finished runs: loss by parameters N and training tokens D, with bootstrap intervals.

    chinchilla   L = E + A / N^alpha + B / D^beta                     Hoffmann et al. 2022, approach 3
    kaplan       L = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D  Kaplan et al. 2020, equation 1.5
    isoflop      N_opt = k C^a, from a parabola of loss in ln N for each budget C    Hoffmann et al. 2022, approach 2

The first two are fitted to ln L under a Huber loss by L-BFGS from a grid of beginnings; N counts what the runs counted
(with or without embeddings), L is in nats a token.
"""

from __future__ import annotations

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

from tokenworth.errors import SettingError, TaskError
from tokenworth.pretraining.result import PretrainRun
from tokenworth.tasks.files import read_table

Floats = NDArray[np.float64]
Objective = Callable[[Floats], tuple[float, Floats]]

HUBER = 1e-3
FORMS = ("chinchilla", "kaplan", "isoflop")
NAMES = {
    "chinchilla": ("E", "A", "alpha", "B", "beta"),
    "kaplan": ("N_c", "alpha_N", "D_c", "alpha_D"),
    "isoflop": ("k", "a"),
}
_FEWEST = {"chinchilla": 6, "kaplan": 5, "isoflop": 6}
_SAME_BUDGET = 0.15
"""Runs whose FLOPs differ by less than this share are on one parabola."""


@dataclass(frozen=True, slots=True)
class ScalingFit:
    """One form fitted to runs."""

    form: str
    constants: dict[str, float]
    low: dict[str, float]
    """95 % bootstrap interval over runs ..."""
    high: dict[str, float]
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


def read_runs(path: str | Path) -> pd.DataFrame:
    """Runs from a .csv, .tsv, .jsonl or .parquet file with columns parameters, tokens, loss (nats) and perhaps flops.

    Or from a folder of finished pretraining runs: all their parameters, FLOPs as counted, and the loss on the first of
    their held-out sources.

    Raises:
        SettingError: it cannot be read, a column is missing, or a value is not positive.
    """
    if Path(path).is_dir():
        return _finished_runs(Path(path))
    try:
        found = read_table(path)
    except TaskError as error:
        raise SettingError(f"{path} cannot be read as a table of runs ({error})") from error
    table = pd.DataFrame(found.columns)
    needed = ("parameters", "tokens", "loss")
    for name in needed:
        if name not in table:
            raise SettingError(f"{path} has no column {name}; it has {', '.join(list(found.columns)[:20])}")
    for name in (*needed, *({"flops"} & set(table))):
        numbers = pd.to_numeric(table[name], errors="coerce").astype(float)  # also of decimals and of text
        wrong = table.index[~((numbers > 0) & np.isfinite(numbers))]
        if len(wrong):
            raise SettingError(f"{path}, row {wrong[0] + 1}: {name} must be above 0, not {table[name][wrong[0]]}")
        table[name] = numbers
    if "flops" not in table:
        table["flops"] = 6.0 * table["parameters"] * table["tokens"]
    return table


def _finished_runs(folder: Path) -> pd.DataFrame:
    found = (PretrainRun.load(place.parent) for place in sorted(folder.glob("*/run.json")))
    rows = [
        {
            "parameters": run.parameters["total"],
            "tokens": run.tokens,
            "loss": next(iter(run.held_out.values()))["nll"],
            "flops": run.train_flops_per_token * run.tokens,
        }
        for run in found
        if run.finished and run.held_out
    ]
    if not rows:
        raise SettingError(f"{folder} holds no finished pretraining runs (no */run.json that is finished)")
    return pd.DataFrame(rows)


def fit_scaling(runs: pd.DataFrame, form: str = "chinchilla", *, bootstrap: int = 200, seed: int = 0) -> ScalingFit:
    """Fit a form to runs.

    Args:
        runs: parameters, tokens, loss and flops, one row a run.
        form: one of FORMS.
        bootstrap: samples of runs, drawn with replacement, for the intervals; 0 leaves them out.
        seed: of the samples.

    Raises:
        SettingError: an unknown form, or too few runs for it.
    """
    if form not in FORMS:
        raise SettingError(f"form {form!r} is not understood; choose from {', '.join(FORMS)}")
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
    return ScalingFit(form, values, low, high, len(runs), error, _notes(runs, form, len(drawn), bootstrap))


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
    if kept < bootstrap:
        found.append(f"{bootstrap - kept} of {bootstrap} bootstrap samples could not be fitted")
    return found


def _log_loss(form: str, values: dict[str, float], n: Floats, d: Floats) -> Floats:
    return np.asarray(_model(form, _packed(form, values), np.log(n), np.log(d))[0])


def _packed(form: str, values: dict[str, float]) -> Floats:
    """Numbers without bounds: amounts as logarithms, exponents as they are."""
    exponents = ("alpha", "beta", "alpha_N", "alpha_D")
    return np.array([values[name] if name in exponents else np.log(values[name]) for name in NAMES[form]])


def _unpacked(form: str, packed: Floats) -> dict[str, float]:
    exponents = ("alpha", "beta", "alpha_N", "alpha_D")
    return {
        name: float(value) if name in exponents else float(np.exp(value))
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
        return float(1e6 * value), 1e6 * slopes @ np.where(inside, off, HUBER * np.sign(off))

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
