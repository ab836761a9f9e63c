"""What a ranking is: backbones side by side on one task, best first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import pandas as pd
from typing_extensions import TypedDict

from tokenworth.assessment.assessment_result import Assessment, ProbeRow, TaskCard
from tokenworth.base.codec import Result
from tokenworth.base.schema import TEXT, Facts


class RankedRow(TypedDict, total=False):
    """A backbone's place and figures: of a failed one name, rank, tied and failed alone."""

    name: str
    rank: int | None
    tied: bool
    """Within the noise of the best."""
    best_layer: int
    best_probe: str
    best_f1: float
    best_f1_low: float
    best_f1_high: float
    best_accuracy: float
    causal: bool
    seconds: float
    n_parameters: int
    failed: str | None
    """A reason, or None."""


@dataclass(frozen=True, kw_only=True)
class Ranking(Result):
    """Several backbones on one task, best first."""

    FILE: ClassVar[str] = "ranking.json"
    HOLDS: ClassVar[str] = "ranking"
    REMEDY: ClassVar[str] = "run tokenworth rank again"

    task: Annotated[TaskCard, {"name": TEXT}]
    """Name and source alone where every backbone failed."""
    rows: list[RankedRow]
    """One a backbone, with the scores of its best layer."""
    assessments: list[Assessment]
    """Of the backbones that did not fail, in the order of the rows."""
    baseline: ProbeRow
    """The bag of words."""
    sentences: list[str]
    """The answer in plain words, as the page and the terminal show it."""
    environment: Facts = field(default_factory=dict)
    """Versions of the libraries, the machine and its device."""

    def table(self) -> pd.DataFrame:
        """One row a backbone, best first, failed ones last."""
        return pd.DataFrame(self.rows)

    def tables(self) -> dict[str, pd.DataFrame]:
        """ranking.parquet, which is `table`."""
        return {"ranking.parquet": self.table()}
