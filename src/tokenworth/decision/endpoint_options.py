"""Served models as options: asked about a sample of training texts, and priced for the test part and a million texts.

Nothing is predicted of them from finished cells: what is behind a name on a server nobody knows, so it is measured.
The sample is cut from the training texts, examples come from the rest; the test split is not touched.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tokenworth.adaptation import AdaptConfig, AdaptResult, adapt
from tokenworth.decision.advice import DRAWS, Option
from tokenworth.decision.route_costs import MILLION, Cost
from tokenworth.errors import TokenworthError
from tokenworth.tasks import Task
from tokenworth.tasks.split import sample, split

_MOST_SHARE = 0.5
"""Of the training texts, so that some are left for examples."""


def sampled_task(task: Task, n_texts: int, seed: int) -> Task:
    """The training texts alone, about so many of them in the place of the test part; groups stay together."""
    share = min(_MOST_SHARE, n_texts / len(task.train))
    kept, cut = split(task.train.labels, share, seed, task.train.units())
    part = task.train.take(cut)
    return replace(task, train=task.train.take(kept), test=part.take(sample(part.labels, n_texts, seed)))


def endpoint_options(
    models: list[str], task: Task, n_texts: int, config: AdaptConfig, *, metric: str, seed: int, **running: Any
) -> tuple[list[Option], list[str]]:
    """An option a served model, and a sentence for each that could not be asked.

    Args:
        models: endpoint:NAME each.
        task: whose training texts are asked about.
        n_texts: how many.
        config: address, prices, examples and the like.
        metric: what options are compared by.
        seed: of sample and examples.
        running: where answers are kept, for `adapt`.
    """
    options, failures = list[Option](), list[str]()
    asked = sampled_task(task, n_texts, seed)
    for model in models:
        try:
            done = adapt(model, asked, "prompt", seed=seed, config=replace(config, mislabelled=False), **running)
        except TokenworthError as error:
            failures.append(f"{model}: {error}")
            continue
        options.append(_option(model, done, metric, len(task.test), np.random.default_rng(seed)))
    return options, failures


def _option(model: str, done: AdaptResult, metric: str, n_test: int, rng: np.random.Generator) -> Option:
    """The 95 % interval of the sample is drawn in to 90 %."""
    value, low, high = (float(done.metrics[metric + end]) for end in ("", "_low", "_high"))
    n = done.task["texts"]["test"]
    spread = max((high - low) / (2 * 1.96), _least_spread(done.metrics["accuracy"], n))
    draws = np.clip(rng.normal(value, spread, DRAWS), 0.0, 1.0)
    half = 1.645 * spread
    ends = (max(0.0, value - half), min(1.0, value + half))
    return Option(model, "prompt", "measured", value, *ends, _cost(done.cost, n_test), draws)


def _least_spread(accuracy: float, n_texts: int) -> float:
    """Standard error of an accuracy with two right and two wrong texts added; above 0 even where all are right.

    Source: Agresti and Coull (1998), The American Statistician 52(2), 119-126.
    """
    share = (accuracy * n_texts + 2) / (n_texts + 4)
    return float(np.sqrt(share * (1 - share) / (n_texts + 4)))


def _cost(cost: dict[str, Any], n_test: int) -> Cost:
    """Of asking about the test part; nothing is computed or kept here."""
    million, money = cost["million_seconds"], cost.get("million_money")
    return Cost(
        flops=0,
        seconds=million * n_test / MILLION,
        money=None if money is None else money * n_test / MILLION,
        trainable=0,
        storage_bytes=0,
        million_flops=0,
        million_seconds=million,
        million_money=money,
        memory_bytes=0,
    )
