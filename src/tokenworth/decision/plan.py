"""What each learned route would be run with: what was asked for, and for the rest what the calibration's runs had.

A prediction holds for runs like those it was learned from.  A plan of ten times their steps would be priced as one run
and predicted as another; a pilot at another learning rate would be read as what it is not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tokenworth.adaptation.settings import TRAINED, AdaptConfig, make_config
from tokenworth.training.reading import read_run_file

Usual = tuple[int, float]
"""Optimiser steps and the highest learning rate."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings by route."""

    asked: AdaptConfig
    """What was asked for, with the protocol's defaults."""
    of_route: dict[str, AdaptConfig]
    usual: dict[str, Usual]
    """What most calibration runs of a route had."""

    def of(self, route: str) -> AdaptConfig:
        """Settings of a route."""
        return self.of_route.get(route, self.asked)

    def warnings(self) -> list[str]:
        """One sentence if predictions are learned from runs with other steps or rates than are planned."""
        other = [
            f"{route} {_in_words(usual)} (planned: {_in_words(planned)})"
            for route, usual in self.usual.items()
            if (planned := (self.of(route).steps, self.of(route).lr)) != usual
        ]
        if not other:
            return []
        runs = ", ".join(other)
        return [f"predictions are learned from runs with other settings: {runs}; costs are those of what is planned"]

    def how_to_run(self, route: str) -> list[str]:
        """The command for a learned route with its planned settings, which `adapt` does not take by itself."""
        if route not in self.of_route:
            return []
        own = self.of(route)
        return [f"As planned it is run by tokenworth adapt with --route {route} --steps {own.steps} --lr {own.lr:g}."]

    def asdict(self) -> dict[str, dict[str, Any]]:
        """As JSON writes it: steps and learning rate by route."""
        return {route: {"steps": own.steps, "lr": own.lr} for route, own in self.of_route.items()}


def plan_for(config: AdaptConfig | dict[str, Any] | str | Path | None, cells: pd.DataFrame) -> Plan:
    """Steps and learning rate of a route are those of most of its calibration runs where they are not asked for.

    Args:
        config: what is asked for; settings of which all fields are given are taken as they are.
        cells: whole runs, as `cells_of` gives them; a route's runs of one's own go before those of the package.

    Raises:
        SettingError: a setting that is not understood.
    """
    if isinstance(config, str | Path):
        config = read_run_file(config)
    asked = make_config(config)
    stated = {"steps", "lr"} if isinstance(config, AdaptConfig) else set(config or {})
    usual = {route: found for route in TRAINED if (found := _usual(cells[cells["route"] == route])) is not None}
    of_route = {
        route: replace(asked, steps=asked.steps if "steps" in stated else steps, lr=asked.lr if "lr" in stated else lr)
        for route, (steps, lr) in usual.items()
    }
    return Plan(asked, of_route, usual)


def _usual(cells: pd.DataFrame) -> Usual | None:
    """The commonest; None where the learning rate of no run is known."""
    known = cells[np.isfinite(cells["log_rate"].to_numpy(dtype=float))]
    known = known[known["own"]] if known["own"].any() else known
    budgets = zip(known["steps"], known["log_rate"], strict=True)
    # cells are kept as logarithms of a few digits
    counted = Counter((int(steps), float(f"{np.exp(rate):.3g}")) for steps, rate in budgets)
    return counted.most_common(1)[0][0] if counted else None


def _in_words(usual: Usual) -> str:
    steps, lr = usual
    return f"{steps:,} steps at {lr:g}"
