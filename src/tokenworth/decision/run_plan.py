"""What each learned route would be run with: what was asked for, and for the rest what the calibration's runs had.

A prediction holds for runs like those it was learned from.  A plan of ten times their steps would be priced as one run
and predicted as another; a pilot at another learning rate would be read as what it is not.  A learning rate does not
carry over to much larger models, though: for those steps and rate follow the rule that `adapt` follows
(`adaptation/recommended_settings.py`), and it is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tokenworth.adaptation.recommended_settings import TaskSize, resolve
from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.adaptation.route_settings import (
    TRAINED,
    AdaptConfig,
    Configuration,
    make_config,
    relevant_settings,
)
from tokenworth.adaptation.training.validation_split import size_of
from tokenworth.tasks import Task

_FLAGS = ("batch", "rank", "max_length")
"""Settings beside steps and learning rate that commands take by name; others stand in a file."""
_REACH = 3.0
"""How many times larger than those of the calibration a backbone may be to be run as they were."""


class Usual(NamedTuple):
    """What most calibration runs of a route had."""

    steps: int
    lr: float
    """The highest learning rate."""
    largest: float
    """Natural logarithm of the parameters of their largest backbone."""

    def __str__(self) -> str:
        """For people."""
        return _in_words(self.steps, self.lr)


@dataclass(frozen=True, slots=True)
class BackboneSize:
    """What of a backbone a plan depends on."""

    log_parameters: float
    """Natural logarithm."""
    width: int
    """Numbers of a state."""


def size_said(said: Mapping[str, float]) -> BackboneSize:
    """Of a backbone, from its indicators."""
    return BackboneSize(said["log_parameters"], round(float(np.exp(said["log_width"]))))


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings by route and size of the backbone."""

    asked: AdaptConfig
    """What was asked for; the rest is open."""
    usual: dict[str, Usual]
    """What most calibration runs of a route had."""
    task: TaskSize
    """What the rule reads of the task."""

    def of(self, route: str, size: BackboneSize) -> ResolvedConfig:
        """Settings of a route of a backbone of that size."""
        usual, asked = self._known(route, size), self.asked
        if usual is not None:
            asked = replace(asked, steps=asked.steps or usual.steps, lr=asked.lr or usual.lr)
        return resolve(asked, route, size.width, self.task)[0]

    def _known(self, route: str, size: BackboneSize) -> Usual | None:
        """What runs of backbones of that size had; the papers' protocol asks for none of it."""
        usual = None if self.asked.protocol else self.usual.get(route)
        return None if usual is None or size.log_parameters > usual.largest + np.log(_REACH) else usual

    def warnings(self, sizes: Mapping[str, BackboneSize]) -> list[str]:
        """A sentence a backbone whose predictions are learned from runs with other steps or rates than are planned.

        Args:
            sizes: by the name of a backbone.
        """
        sentences = []
        for name, size in sizes.items():
            plans = self._by_route(size)
            other = [
                f"{route} {usual} (planned: {_in_words(plans[route].steps, plans[route].lr)})"
                for route, usual in self.usual.items()
                if (plans[route].steps, plans[route].lr) != (usual.steps, usual.lr)
            ]
            if other:
                runs = f"predicted from runs with other settings, {', '.join(other)}"
                sentences.append(f"{name}: {runs}; costs are those of the plan")
        return sentences

    def how_to_run(self, route: str, size: BackboneSize) -> list[str]:
        """The options that make `adapt` run a learned route as it is planned."""
        if route not in self.usual:
            return []
        planned, asked, plain = self.of(route, size), self.asked, AdaptConfig()
        other = {name for name in relevant_settings(route) if getattr(asked, name) != getattr(plain, name)}
        usual = self._known(route, size) is not None
        words = [f"--route {route}", *(["--protocol"] if asked.protocol else [])]
        words += [f"--steps {planned.steps}"] if usual or asked.steps else []
        words += [f"--lr {planned.lr:g}"] if usual or asked.lr else []
        words += [f"--{name.replace('_', '-')} {getattr(asked, name)}" for name in _FLAGS if name in other]
        file = " and your file of settings (--config)" if other - {"protocol", "steps", "lr", *_FLAGS} else ""
        return [f"As planned it is run by tokenworth adapt with {' '.join(words)}{file}."]

    def asdict(self, sizes: Mapping[str, BackboneSize]) -> dict[str, dict[str, dict[str, Any]]]:
        """As JSON writes it: steps and learning rate by backbone and route."""
        return {
            name: {route: {"steps": plan.steps, "lr": plan.lr} for route, plan in self._by_route(size).items()}
            for name, size in sizes.items()
        }

    def _by_route(self, size: BackboneSize) -> dict[str, ResolvedConfig]:
        return {route: self.of(route, size) for route in self.usual}


def plan_for(config: Configuration, cells: pd.DataFrame, task: Task, seed: int = 0) -> Plan:
    """Steps and learning rate of a route are those of most of its calibration runs where they are not asked for.

    Args:
        config: what is asked for.
        cells: whole runs, as `cells_of` gives them; a route's runs of one's own go before those of the package.
        task: its size decides the steps where the rule does.
        seed: of a sample of the training texts, where train_size is asked for.

    Raises:
        SettingError: a setting that is not understood.
    """
    asked = make_config(config)
    usual = {route: commonest for route in TRAINED if (commonest := _usual(cells[cells["route"] == route])) is not None}
    return Plan(asked, usual, size_of(task, asked, seed))


def _usual(cells: pd.DataFrame) -> Usual | None:
    """The commonest; None where the learning rate of no run is known."""
    known = cells[np.isfinite(cells["log_rate"].to_numpy(dtype=float))]
    known = known[known["own"]] if known["own"].any() else known
    if known.empty:
        return None
    budgets = zip(known["steps"], known["log_rate"], strict=True)
    # cells are kept as logarithms of a few digits
    counted = Counter((int(steps), float(f"{np.exp(rate):.3g}")) for steps, rate in budgets)
    (steps, lr), _ = counted.most_common(1)[0]
    return Usual(steps, lr, float(known["log_parameters"].max()))


def _in_words(steps: int, lr: float) -> str:
    return f"{steps:,} steps at {lr:g}"
