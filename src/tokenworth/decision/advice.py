"""From what routes bring and cost to the one to run: the cheapest that is expected to lose little.

Whoever runs a route still has what was measured before, and keeps the better.  So a route is worth

    E[max(F, m)],   F: its F1, m: the best that was measured

and one whose F1 is expected below m may be the one to run all the same, where it is unsure enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tokenworth.base.aliases import Floats
from tokenworth.decision.budget import Budget, Machine
from tokenworth.decision.route_costs import Cost

DRAWS = 4000
FIRST_RUNG = 1 / 8
"""Share of a route's steps that its shortest pilot makes."""


@dataclass(slots=True)
class Option:
    """One route of one backbone."""

    model: str | None
    """None for bow."""
    route: str
    source: str
    """"measured" with the assessment, or "predicted"."""
    f1: float
    f1_low: float
    f1_high: float
    cost: Cost
    draws: Floats = field(repr=False)
    """(DRAWS) F1s that are as likely as each other."""
    fits: bool = True
    """Into the machine's memory."""
    affordable: bool = True
    """Whether it fits and the budget allows it."""
    f1_kept: float = float("nan")
    """Expected F1 where it is run and the better of it and what was measured is kept; of what was measured its F1."""
    shortfall: float = float("nan")
    """How far f1_kept is below the highest one that can be afforded."""
    chance_best: float = float("nan")
    """Share of draws in which it is the best affordable one."""

    @property
    def name(self) -> str:
        """For people: lora of MODEL."""
        return self.route if self.model is None else f"{self.route} of {self.model}"


def weigh(options: list[Option], budget: Budget | None = None, machine: Machine | None = None) -> None:
    """Put options in order, best expected F1 first; mark what can be had, and what each of these loses.

    Args:
        options: at least one.
        budget: limit on the cost of one option.
        machine: whose memory options must fit into; what was measured on it has fitted.
    """
    for option in options:
        cost = option.cost
        allowed = budget is None or budget.allows(seconds=cost.seconds, money=cost.money, flops=cost.flops)
        ran_here = machine is not None and machine.measured and option.source == "measured"
        option.fits = machine is None or ran_here or cost.memory_bytes <= machine.memory
        option.affordable = option.fits and allowed
    options.sort(key=lambda option: -option.f1)
    within, had = [option for option in options if option.affordable], best_measured(options)
    for option in options:
        option.f1_kept = option.f1 if option.source == "measured" else float(kept_draws(option, had).mean())
    best_S = np.argmax([option.draws for option in within], axis=0) if within else np.zeros(0)
    for place, option in enumerate(within):
        option.shortfall = max(other.f1_kept for other in within) - option.f1_kept
        option.chance_best = float((best_S == place).mean())


def best_measured(options: list[Option]) -> Option | None:
    """What one has: of the affordable options that were measured the best; None where there is none."""
    measured = [option for option in options if option.affordable and option.source == "measured"]
    return max(measured, key=lambda option: option.f1, default=None)


def kept_draws(option: Option, had: Option | None) -> Floats:
    """(DRAWS) F1s of what is kept after an option was run: its own, or what one had where that is better."""
    return option.draws if had is None or option.source == "measured" else np.maximum(option.draws, had.f1)


def at_hand(options: list[Option], tolerance: float) -> Option | None:
    """What one has: the quickest that was measured and is at most the tolerance below the best that was."""
    best = best_measured(options)
    if best is None:
        return None
    near = [o for o in options if o.affordable and o.source == "measured" and o.f1 >= best.f1 - tolerance]
    return min(near, key=lambda option: (option.cost.seconds, -option.f1))


def next_run(options: list[Option], tolerance: float) -> Option | None:
    """The quickest run expected to leave one with more than the tolerance beyond what one has; None without any.

    Among those that take at most twice as long as the quickest the one that most is known of: a time is forecast no
    better than that, and the widest interval promises most.
    """
    has = at_hand(options, tolerance)
    pays = [] if has is None else [o for o in _learned(options) if o.f1_kept > has.f1 + tolerance]
    quickest = min((option.cost.seconds for option in pays), default=0.0)
    near = [option for option in pays if option.cost.seconds <= 2 * quickest]
    return min(near, key=lambda option: (option.f1_high - option.f1_low, -option.f1), default=None)


def pick(options: list[Option], tolerance: float) -> Option | None:
    """The option to run: the next one that pays, or what one has; a dearer one where its own expectation asks for it.

    A dearer one is asked for where it is expected to bring more than the tolerance beyond what one is left with by
    then.  Its chance to be better than expected is not counted a second time: the routes are wrong together, so that
    the run before tells most of it.

    Args:
        options: weighed.
        tolerance: F1 that may be lost for a lower cost.

    Returns:
        None where nothing can be afforded.
    """
    first = next_run(options, tolerance) or at_hand(options, tolerance)
    more = [o for o in options if o.affordable and (first is None or o.f1 > first.f1_kept + tolerance)]
    best = max((option.f1 for option in more), default=0.0)
    near = [option for option in more if option.f1 >= best - tolerance - 1e-12]
    return min(near, key=lambda option: (option.cost.seconds, -option.f1), default=first)


def _learned(options: list[Option]) -> list[Option]:
    return [option for option in options if option.affordable and option.source == "predicted"]


def regret_of_missing(chosen: Option, options: list[Option], tolerance: float) -> float:
    """Chance that some affordable option is better by more than the tolerance than what is kept of the chosen one."""
    within = np.stack([option.draws for option in options if option.affordable])
    return float((within.max(0) > kept_draws(chosen, best_measured(options)) + tolerance).mean())
