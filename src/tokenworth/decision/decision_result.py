"""What a decision is: every route with what it would bring and cost, and the one that is recommended."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import pandas as pd
from typing_extensions import NotRequired, TypedDict

from tokenworth.assessment import Assessment
from tokenworth.assessment.assessment_result import TaskCard
from tokenworth.base.codec import ELSEWHERE, Result
from tokenworth.base.schema import FINITE, TEXT, Facts, Figures, Number, Settings

DECISION = "decision.json"


class CostRow(TypedDict, total=False):
    """What a route costs: the fields of `Cost`."""

    flops: Number
    seconds: Number
    money: Number
    trainable: Number
    storage_bytes: Number
    million_flops: Number
    million_seconds: Number
    million_money: Number
    memory_bytes: Number


class OptionRow(CostRow):
    """A route of a backbone, or (None) of none."""

    model: str | None
    route: str
    source: str
    """measured or predicted."""
    f1: Number
    f1_low: Number
    f1_high: Number
    """90 %."""
    fits: bool
    affordable: bool
    f1_kept: NotRequired[Number]
    """Expected where it is run and the better of it and what was measured is kept."""
    shortfall: NotRequired[Number]
    """How far that is below the most that can be afforded."""
    chance_best: NotRequired[Number]
    failed: NotRequired[str | None]


class PredictedBy(TypedDict, total=False):
    """How a prediction comes about."""

    predictor: str
    indicators: Figures
    slopes: Figures
    """How one standard deviation of each indicator moves it."""
    mean_absolute_error: Number


class Explanation(PredictedBy):
    """Of an option."""

    model: str | None
    route: str


class FurtherTexts(TypedDict):
    """Where a learning curve would go."""

    texts: float
    f1: float


class LabelCurve(TypedDict):
    """The metric of a route by the number of training texts."""

    route: str
    model: NotRequired[str | None]
    texts: list[Annotated[int, FINITE]]
    f1: list[Number]
    beyond: NotRequired[list[FurtherTexts]]


class PilotRow(TypedDict, total=False):
    """A short run, and how it moved the prediction."""

    model: str | None
    route: str
    steps: int
    f1: Number
    before: Number
    after: Number
    seconds: Number


@dataclass(frozen=True, kw_only=True)
class Decision(Result):
    """Routes of one or several backbones on one task.  Everything but `assessments` is JSON-able."""

    FILE: ClassVar[str] = DECISION
    HOLDS: ClassVar[str] = "decision"
    REMEDY: ClassVar[str] = "give the folder that tokenworth decide wrote"

    task: Annotated[TaskCard, {"name": TEXT}]
    """Name, source, classes and texts of each part."""
    options: list[OptionRow]
    """One a backbone and route, best expected F1 first."""
    recommended: OptionRow | None
    """The option that is advised; None where no route can be afforded."""
    sentences: list[str]
    """The advice, its reason, and what would change it."""
    warnings: list[str]
    """Backbones that failed, settings and indicators that the calibration does not reach."""
    settings: Settings
    """metric, tolerance, budget, machine, predictor, calibration (cells, tasks, backbones), config (what was asked),
    plan (steps and lr by backbone and route), ..."""
    explanation: list[Explanation]
    """Of each predicted option: its indicators, and how they move the prediction."""
    labels: list[LabelCurve] = field(default_factory=list)
    """Learning curves by route."""
    pilots: list[PilotRow] = field(default_factory=list)
    """Short runs that sharpened the prediction."""
    environment: Facts = field(default_factory=dict)
    """Versions and machine; measured costs are those of this machine."""
    assessments: list[Assessment] = field(default_factory=list, compare=False, repr=False, metadata=ELSEWHERE)
    """Those the advice rests on, one a backbone; not in decision.json."""

    def table(self) -> pd.DataFrame:
        """One row an option."""
        return pd.DataFrame(self.options)

    @classmethod
    def load(cls, folder: str | Path) -> Decision:
        """Read decision.json, or the folder that holds it; the assessments are not in it.

        Raises:
            TokenworthError: it is not there or no decision.
        """
        return super().load(folder)
