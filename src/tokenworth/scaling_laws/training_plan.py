"""What to train with a budget: sizes and tokens that are best for training alone, or for training and serving."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from tokenworth.base.keywords import known_keywords
from tokenworth.errors import SettingError
from tokenworth.scaling_laws.loss_fit import ScalingFit

TRAIN_FLOPS, SERVE_FLOPS = 6.0, 2.0
"""Of a token and parameter: forward and backward, forward alone."""
RULE_OF_THUMB = 20.0
"""Training tokens a parameter, as Hoffmann et al. are usually quoted."""


class Plan(NamedTuple):
    """One way to spend a budget."""

    name: str
    """What it is best for, or the rule it follows."""
    parameters: float
    """N, of the model to train."""
    tokens: float
    """D, to train it on."""
    train_flops: float
    """6 N D."""
    serve_flops: float
    """2 N for each token to be served; 0 where none is."""
    loss: float
    """By the fitted law, in nats a token; NaN where the form knows optima only."""

    @property
    def tokens_per_parameter(self) -> float:
        """D / N."""
        return self.tokens / self.parameters


@known_keywords
def plans(fit: ScalingFit, flops: float, served: float = 0.0) -> list[Plan]:
    """Compute-optimal, by the rule of thumb, and, for tokens to be served, optimal over training and serving.

    Args:
        fit: of losses.
        flops: all that may be spent; serving included where tokens are served.
        served: tokens that the model will read or write in its life.

    Raises:
        SettingError: a budget that is not positive, or serving asked of a form that knows no losses.
    """
    if not flops > 0 or served < 0:
        raise SettingError(f"a plan needs a budget above 0 FLOPs and no negative tokens, not {flops:g} and {served:g}")
    by_rule = float(np.sqrt(flops / (TRAIN_FLOPS * RULE_OF_THUMB)))
    ways = [("compute-optimal", compute_optimal(fit, flops), 0.0), ("20 tokens a parameter", by_rule, 0.0)]
    if served > 0:
        if fit.form == "isoflop":
            raise SettingError("the form isoflop knows no losses, so serving cannot be weighed; fit chinchilla")
        ways.append(("training and serving", inference_optimal(fit, flops, served), served))
    return [_plan(fit, name, parameters, flops, tokens) for name, parameters, tokens in ways]


def compute_optimal(fit: ScalingFit, flops: float) -> float:
    """Parameters of least loss when all FLOPs are spent on training.

    Closed forms: N = G (C / 6)^(beta / (alpha + beta)) with G = (alpha A / (beta B))^(1 / (alpha + beta)) for
    chinchilla, k C^a for isoflop; by search for kaplan.
    """
    v = fit.constants
    if fit.form == "isoflop":
        return float(v["k"] * flops ** v["a"])
    if fit.form == "chinchilla":
        total = v["alpha"] + v["beta"]
        scale = (v["alpha"] * v["A"] / (v["beta"] * v["B"])) ** (1 / total)
        return float(scale * (flops / TRAIN_FLOPS) ** (v["beta"] / total))
    return inference_optimal(fit, flops, 0.0)


def inference_optimal(fit: ScalingFit, flops: float, served: float) -> float:
    """Parameters of least loss when 6 N D + 2 N S stay within the FLOPs, S the tokens served; by search over ln N."""
    most = flops / (SERVE_FLOPS * served) if served > 0 else flops / TRAIN_FLOPS

    def loss(log_n: float) -> float:
        n = np.exp(log_n)
        tokens = (flops - SERVE_FLOPS * n * served) / (TRAIN_FLOPS * n)
        return float(fit.loss(n, max(tokens, 1e-9)))

    grid = np.linspace(np.log(most) - 40, np.log(most) - 1e-6, 400)
    at = int(np.argmin([loss(x) for x in grid]))
    bounds = (grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)])
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x))


def _plan(fit: ScalingFit, name: str, parameters: float, flops: float, served: float) -> Plan:
    serving = SERVE_FLOPS * parameters * served
    tokens = (flops - serving) / (TRAIN_FLOPS * parameters)
    loss = float("nan") if fit.form == "isoflop" else float(fit.loss(parameters, tokens))
    return Plan(name, parameters, tokens, flops - serving, serving, loss)
