"""A run that diverged or learned nothing at the rule's rate is made once more, at a quarter of it.

    diverged:         a loss or gradient that is no finite number, after steps that had one
    learned nothing:  mean loss of the last fifth of the steps  >=  .98 H
    H = - sum_c q_c ln q_c,   q_c: share of class c among the training texts, each counted by the weight of its class

H is the loss of saying how frequent the classes are, whatever the text: the least without reading it.  Fine-tuning of
pretrained weights fails so now and then where the rate is high for the model (Mosbach et al. 2021, On the Stability of
Fine-tuning BERT, whose failed runs end at the most frequent class), and a rule by width alone cannot know.  Of 40 runs
of lora, full and scratch with three real backbones one had more than .71 H (docs/log.md).  A rate that was given stays,
and fewer than `FEWEST` steps are no sign of a rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import entr

from tokenworth.adaptation.job import Fitted, Job
from tokenworth.base.aliases import Floats
from tokenworth.errors import DivergedError

LOWERED_BY = 4
"""The rule's rate over that of the second run."""
RESTART = "restart"
"""Folder, within that of the run, of the second one's checkpoints."""
FEWEST = 100
"""Steps of a run that is judged, half of the least that the rule chooses."""
_LAST = 5
_NOTHING = 0.98


@dataclass(frozen=True, slots=True)
class _Failed:
    """A first run."""

    how: str
    loss: float | None
    """At its end; None: no finite number."""
    cost: dict[str, float]


def with_restart(job: Job, fit: Callable[[Job], Fitted]) -> Fitted:
    """What a route gives back; where the rule chose the rate and it failed, what it gives at a lower one.

    Raises DivergedError: at a rate that was given, at the first step, where no rate has moved anything yet, or again.
    """
    failed: _Failed | None
    try:
        fitted = fit(job)
    except DivergedError as error:
        if not (_may_restart(job) and error.steps):
            raise
        failed = _Failed(f"the loss was no finite number after {error.steps} steps", None, error.cost)
    else:
        failed = _taught_nothing(job, fitted)
        if failed is None:
            return fitted
        del fitted  # memory holds one network
    return _again(job, fit, failed)


def _taught_nothing(job: Job, fitted: Fitted) -> _Failed | None:
    """The run as a failure; None: it learned something, or nothing can be said of its rate."""
    losses = fitted.training["losses"]
    if not _may_restart(job) or len(losses) < FEWEST:
        return None
    before, least = last_loss(losses), entropy_of_classes(job.train.labels, job.class_weights())
    if not learned_nothing(losses, least):
        return None
    how = f"nothing was learned (loss {before:.3f} at the end; {least:.3f} by how frequent the classes are)"
    return _Failed(how, before, fitted.cost)


def _again(job: Job, fit: Callable[[Job], Fitted], failed: _Failed) -> Fitted:
    """The second run, which pays for the first one too."""
    rate, lower = job.config.lr, job.config.lr / LOWERED_BY
    folder = None if job.folder is None else job.folder / RESTART
    again = fit(replace(job, config=replace(job.config, lr=lower), folder=folder))
    after = last_loss(again.training["losses"])
    note = (
        f"At the rate of the rule, {rate:g}, {failed.how}, so training began anew at {lower:g}, which reached "
        f"{after:.3f}; cost is of both."
    )
    return replace(
        again,
        cost={name: value + failed.cost[name] for name, value in again.cost.items()},
        facts={**again.facts, "restart": {"lr": lower, "loss": after, "loss_before": failed.loss}},
        notes=(*again.notes, note),
    )


def _may_restart(job: Job) -> bool:
    """Rates that were given or found by a search are what is asked for; of several labels H is another."""
    return "lr" in job.by_rule and not job.task.several


def last_loss(losses: Sequence[float]) -> float:
    """Mean loss of the last fifth of the steps, in nats."""
    return float(np.mean(losses[-max(1, len(losses) // _LAST) :]))


def learned_nothing(losses: Sequence[float], least: float) -> bool:
    """Whether a run ends no better than by knowing how frequent the classes are; `least` is the loss of that."""
    return last_loss(losses) >= _NOTHING * least


def entropy_of_classes(labels_N: np.ndarray, weight_C: Floats) -> float:
    """H of the module's docstring, in nats."""
    counted_C = weight_C * np.bincount(labels_N, minlength=len(weight_C))
    return float(entr(counted_C / counted_C.sum()).sum())
