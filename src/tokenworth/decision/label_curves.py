"""How many labels does it need?  F1 of each route after learning from fewer texts, and a power law beyond them.

bow and probe are run on parts of the training texts (their features are there already); the learned routes are
predicted from what these parts say.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from tokenworth.adaptation import adapt
from tokenworth.decision.decision_metric import DEFAULT_METRIC
from tokenworth.decision.decision_result import FurtherTexts
from tokenworth.decision.forecaster import Forecaster
from tokenworth.tasks import Task

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
SEEDS = 2
_BEYOND = (2, 4)
"""Multiples of the labels there are, at which the power law is read."""
_FEWEST = 4
"""Texts a class, for a part to be worth its run."""


def part_sizes(task: Task) -> list[int]:
    """Numbers of training texts of the parts, then all."""
    n, least = len(task.train), _FEWEST * task.n_classes
    return [*(round(share * n) for share in SHARES if share * n >= least), n]


def run_curve(
    model: str | None,
    task: Task,
    route: str,
    sizes: Iterable[int],
    *,
    metric: str = DEFAULT_METRIC,
    max_length: int | None = None,
    **running: Any,
) -> list[float]:
    """Mean of the metric of bow or probe after learning from so many texts; parts are drawn SEEDS times."""
    means = []
    for size in sizes:
        config = {"train_size": size, "mislabelled": False, "max_length": max_length}
        seeds = range(SEEDS if size < len(task.train) else 1)
        with _silent():
            runs = [adapt(model, task, route, seed=seed, config=config, **running) for seed in seeds]
        means.append(float(np.mean([run.metrics[metric] for run in runs])))
    return means


@contextmanager
def _silent() -> Iterator[None]:
    """A dozen small runs need not each say that no forward pass is needed."""
    logger = logging.getLogger("tokenworth")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def predicted_curve(
    forecaster: Forecaster, route: str, said: dict[str, float], sizes: list[int], bow: list[float], probe: list[float]
) -> list[float]:
    """The metric of a learned route at each size, from what bow and probe reach there."""
    rows = [
        {**said, "route": route, "task": "", "bow_f1": b, "probe_f1": p, "log_texts": float(np.log(n))}
        for n, b, p in zip(sizes, bow, probe, strict=True)
    ]
    fitted, _ = forecaster.learned(route)
    return [float(value) for value in fitted.predict(pd.DataFrame(rows))]


def beyond(sizes: list[int], f1: list[float]) -> list[FurtherTexts]:
    """F1 at multiples of the texts there are, by a - b n^-c fitted to the sizes; empty below three sizes.

    The exponent is searched on a grid, 0.05 to 2; a and b follow by least squares, with b >= 0 and a <= 1.
    """
    if len(sizes) < 3:
        return []
    n_N, y_N = np.array(sizes, dtype=float), np.array(f1)
    best = min((_fit(n_N, y_N, exponent) for exponent in np.linspace(0.05, 2.0, 40)), key=lambda fit: fit[0])
    _, top, drop, exponent = best
    return [
        {"texts": float(m * sizes[-1]), "f1": float(max(y_N[-1], top - drop * (m * n_N[-1]) ** -exponent))}
        for m in _BEYOND
    ]


def _fit(n_N: np.ndarray, y_N: np.ndarray, exponent: float) -> tuple[float, float, float, float]:
    x_N = n_N**-exponent
    slope, top = np.polyfit(x_N, y_N, 1)
    if slope > 0:
        slope, top = 0.0, float(y_N.mean())
    if top > 1:
        top = 1.0
        slope = float((x_N @ (y_N - 1.0)) / (x_N @ x_N))
    return float(((top + slope * x_N - y_N) ** 2).sum()), float(top), float(-slope), float(exponent)
