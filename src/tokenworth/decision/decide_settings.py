"""Settings of a decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tokenworth.adaptation.route_settings import Configuration
from tokenworth.assessment.assessment_result import Assessment
from tokenworth.assessment.assessment_settings import RankCall
from tokenworth.decision.budget import HERE
from tokenworth.settings import Count, Fraction, NonNegative, OutFolder, Positive, Seed
from tokenworth.settings.declarations import NoOption

METRIC = "weighted_f1"
PREDICTOR = "what a route can know"
"""The default one of `predictors`."""


@dataclass(frozen=True, kw_only=True)
class DecideCall(RankCall):
    """What `decide` takes: its own settings and those of the ranking it rests on."""

    metric: str = METRIC
    """What routes are compared by: weighted_f1 (or f1), accuracy or macro_f1; the result's fields named f1 hold it."""
    budget: str | None = None
    """Most that a route may cost: 2h, $5 (with a price) or 1e15flops."""
    tolerance: Fraction = 0.01
    """How much of the metric may be lost for a lower cost."""
    hardware: str = HERE
    """What the learned routes would run on: here, or a card, such as t4, a100 or h100."""
    price: NonNegative | None = None
    """Money an hour of it costs."""
    calibration: Sequence[str | Path] = ()
    """Folders of studies of your own to learn from, beside the cells that come with the package; published adds the
    second paper's LoRA runs."""
    config: Configuration = None
    """Settings of the learned routes; steps and learning rate are otherwise those of the calibration's runs for
    backbones of their size, and for larger ones those of the rule that `adapt` follows."""
    predictor: str = PREDICTOR
    """Name of one of the predictors of docs/results/decision.md."""
    pilot: Positive | None = None
    """Share of the learned routes' time to spend on short runs first, such as 0.1."""
    labels: bool = False
    """Also find out how F1 grows with the number of training texts."""
    endpoint_texts: Count = 100
    """Training texts that a model on a server (endpoint:NAME) is asked about."""
    max_texts: int | None = None
    """Assess a sample of so many texts of each part; costs are those of all texts."""
    seed: Seed = 0
    """Of everything random."""
    out: OutFolder = None
    """Folder for decision.json; by default none is written."""
    assessments: Annotated[dict[str, Assessment] | None, NoOption()] = None
    """Earlier assessments of this task (as `max_texts` samples it) by the model: these are not made again."""
