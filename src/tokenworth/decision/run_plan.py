"""What each learned route would be run with: what `adapt` takes, and no more steps than calibration runs had.

`adapt` chooses rate and steps by the model's width and the number of texts (`adaptation/recommended_settings.py`).  On
many texts these are thousands of steps, which nobody waits for to hear whether they pay, and which no prediction was
learned from: a plan ends at the longest run that was measured.
"""

from __future__ import annotations

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
_NEAR = 3.0
"""Rates that differ by less are those of one rule at other widths."""


class Measured(NamedTuple):
    """What calibration runs of a route had, from the least to the most."""

    fewest: int
    most: int
    """Steps."""
    lowest: float
    highest: float
    """Learning rates."""

    def like(self, plan: ResolvedConfig, *, chosen: bool) -> bool:
        """Whether a plan lies among them; fewer steps do, where the rule chose them because the texts are few."""
        within = plan.steps <= self.most and (chosen or plan.steps >= self.fewest)
        return within and self.lowest / _NEAR <= plan.lr <= self.highest * _NEAR

    def __str__(self) -> str:
        """For people."""
        return (
            f"{_range(f'{self.fewest:,}', f'{self.most:,}')} steps at {_range(f'{self.lowest:g}', f'{self.highest:g}')}"
        )


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def width_said(said: Mapping[str, float]) -> int:
    """Numbers of a state, from the indicators of a backbone."""
    return round(float(np.exp(said["log_width"])))


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings by route and width of the backbone."""

    asked: AdaptConfig
    """What was asked for; the rest is open."""
    measured: dict[str, Measured]
    """By route."""
    task: TaskSize
    """What the rule reads of the task."""

    def of(self, route: str, width: int) -> ResolvedConfig:
        """Settings of a route of a backbone of that width."""
        plan = resolve(self.asked, route, width, self.task)[0]
        return replace(plan, steps=self.measured[route].most) if self._is_cut(route, plan) else plan

    def _is_cut(self, route: str, plan: ResolvedConfig) -> bool:
        """Whether the rule would have more steps than were ever measured; what is asked for stays."""
        is_open = self.asked.steps is None and not self.asked.protocol
        return is_open and route in self.measured and plan.steps > self.measured[route].most

    def warnings(self, widths: Mapping[str, int]) -> list[str]:
        """A sentence a backbone whose predictions are learned from runs with other steps or rates than are planned.

        Args:
            widths: by the name of a backbone.
        """
        sentences = []
        for name, width in widths.items():
            other = [
                f"{route} {runs} (planned: {plan.steps:,} steps at {plan.lr:g})"
                for route, runs in self.measured.items()
                if not runs.like(plan := self.of(route, width), chosen=self.asked.steps is None)
            ]
            if other:
                said = f"predicted from runs with other settings, {', '.join(other)}"
                sentences.append(f"{name}: {said}; costs are those of the plan")
        return sentences

    def how_to_run(self, route: str, width: int) -> list[str]:
        """The options that make `adapt` run a learned route as it is planned."""
        if route not in self.measured:
            return []
        planned, asked, plain = self.of(route, width), self.asked, AdaptConfig()
        other = {name for name in relevant_settings(route) if getattr(asked, name) != getattr(plain, name)}
        is_cut = self._is_cut(route, resolve(asked, route, width, self.task)[0])
        words = [f"--route {route}", *(["--protocol"] if asked.protocol else [])]
        words += [f"--steps {planned.steps}"] if is_cut or asked.steps else []
        words += [f"--lr {planned.lr:g}"] if asked.lr else []
        words += [f"--{name.replace('_', '-')} {getattr(asked, name)}" for name in _FLAGS if name in other]
        file = " and your file of settings (--config)" if other - {"protocol", "steps", "lr", *_FLAGS} else ""
        return [f"As planned it is run by tokenworth adapt with {' '.join(words)}{file}."]

    def asdict(self, widths: Mapping[str, int]) -> dict[str, dict[str, dict[str, Any]]]:
        """As JSON writes it: steps and learning rate by backbone and route."""
        return {
            name: {route: _steps_and_rate(self.of(route, width)) for route in self.measured}
            for name, width in widths.items()
        }


def _steps_and_rate(plan: ResolvedConfig) -> dict[str, Any]:
    return {"steps": plan.steps, "lr": plan.lr}


def plan_for(config: Configuration, cells: pd.DataFrame, task: Task, seed: int = 0) -> Plan:
    """Settings of the learned routes for a task.

    Args:
        config: what is asked for.
        cells: whole runs, as `cells_of` gives them; a route's runs of one's own go before those of the package.
        task: its size decides the steps.
        seed: of a sample of the training texts, where train_size is asked for.

    Raises:
        SettingError: a setting that is not understood.
    """
    asked = make_config(config)
    known = {route: runs for route in TRAINED if (runs := _measured(cells[cells["route"] == route])) is not None}
    return Plan(asked, known, size_of(task, asked, seed))


def _measured(cells: pd.DataFrame) -> Measured | None:
    """Of the runs of one's own, or else of all; None where the learning rate of no run is known."""
    known = cells[np.isfinite(cells["log_rate"].to_numpy(dtype=float))]
    known = known[known["own"]] if known["own"].any() else known
    if known.empty:
        return None
    # cells are kept as logarithms of a few digits
    rates = [float(f"{np.exp(rate):.3g}") for rate in known["log_rate"]]
    return Measured(int(known["steps"].min()), int(known["steps"].max()), min(rates), max(rates))
