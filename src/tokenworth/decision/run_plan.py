"""What each learned route would be run with: what was asked for, and for the rest what the calibration's runs had.

A prediction holds for runs like those it was learned from.  A plan of ten times their steps would be priced as one run
and predicted as another; a pilot at another learning rate would be read as what it is not.  A learning rate does not
carry over to much larger models, though: for those the protocol's stands, and it is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tokenworth.adaptation.route_settings import TRAINED, AdaptConfig, make_config, relevant_settings
from tokenworth.settings import read_settings

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
class Plan:
    """Settings by route and size of the backbone."""

    asked: AdaptConfig
    """What was asked for, with the protocol's defaults."""
    stated: frozenset[str]
    """Which of steps and lr were asked for."""
    usual: dict[str, Usual]

    def of(self, route: str, log_parameters: float) -> AdaptConfig:
        """Settings of a route of a backbone with so many parameters (their natural logarithm)."""
        usual = self.usual.get(route)
        if usual is None or log_parameters > usual.largest + np.log(_REACH):
            return self.asked
        known = {"steps": usual.steps, "lr": usual.lr}
        return replace(self.asked, **{name: known[name] for name in known.keys() - self.stated})  # type: ignore[arg-type]

    def warnings(self, sizes: Mapping[str, float]) -> list[str]:
        """A sentence a backbone whose predictions are learned from runs with other steps or rates than are planned.

        Args:
            sizes: natural logarithm of the parameters by the name of a backbone.
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

    def how_to_run(self, route: str, log_parameters: float) -> list[str]:
        """The options that make `adapt` run a learned route as it is planned."""
        if route not in self.usual:
            return []
        planned, plain = self.of(route, log_parameters), AdaptConfig()
        other = {name for name in relevant_settings(route) if getattr(planned, name) != getattr(plain, name)}
        words = [f"--route {route} --steps {planned.steps} --lr {planned.lr:g}"]
        words += [f"--{name.replace('_', '-')} {getattr(planned, name)}" for name in _FLAGS if name in other]
        file = " and your file of settings (--config)" if other - {"steps", "lr", *_FLAGS} else ""
        return [f"As planned it is run by tokenworth adapt with {' '.join(words)}{file}."]

    def asdict(self, sizes: Mapping[str, float]) -> dict[str, dict[str, dict[str, Any]]]:
        """As JSON writes it: steps and learning rate by backbone and route."""
        return {
            name: {route: {"steps": plan.steps, "lr": plan.lr} for route, plan in self._by_route(size).items()}
            for name, size in sizes.items()
        }

    def _by_route(self, log_parameters: float) -> dict[str, AdaptConfig]:
        return {route: self.of(route, log_parameters) for route in self.usual}


def plan_for(config: AdaptConfig | dict[str, Any] | str | Path | None, cells: pd.DataFrame) -> Plan:
    """Steps and learning rate of a route are those of most of its calibration runs where they are not asked for.

    Args:
        config: what is asked for; settings of which all fields are given are taken as they are.
        cells: whole runs, as `cells_of` gives them; a route's runs of one's own go before those of the package.

    Raises:
        SettingError: a setting that is not understood.
    """
    if isinstance(config, str | Path):
        config = read_settings(config)
    asked = make_config(config)
    stated = {"steps", "lr"} if isinstance(config, AdaptConfig) else {"steps", "lr"} & set(config or {})
    usual = {route: commonest for route in TRAINED if (commonest := _usual(cells[cells["route"] == route])) is not None}
    return Plan(asked, frozenset(stated), usual)


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
