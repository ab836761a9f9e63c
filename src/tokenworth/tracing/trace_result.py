"""What a trace is: plain data that can be saved, read again and shown by anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import pandas as pd
from typing_extensions import NotRequired, TypedDict

from tokenworth.assessment.assessment_result import Parts
from tokenworth.base.codec import Result
from tokenworth.base.schema import COUNT, FINITE, NUMBER, TEXT, Count, Each, Facts, Finite, Maybe, Number, Settings

TRACE, TABLE, PAGE = "trace.json", "trace.parquet", "trace.html"
TraceRow = Annotated[
    dict[str, Any], {"task": TEXT, "tokens": COUNT, "flops": FINITE, "probe_f1": NUMBER, "probe": Maybe(TEXT)}
]
"""A task at a checkpoint, as in `Trace.rows`."""


class RunFacts(TypedDict):
    """The pretraining run: tokens and flops are those of its last checkpoint."""

    name: str
    folder: NotRequired[str]
    parameters: Finite
    tokens: Count
    flops: Finite
    flops_per_token: Finite
    held_out_sources: NotRequired[list[str]]


class CheckpointRow(TypedDict):
    """A checkpoint."""

    tokens: Count
    flops: Finite
    bits_per_byte: Number
    train_loss: NotRequired[Number]
    fingerprint: str
    adapted: bool
    name: NotRequired[str]
    """Where tokens do not say which it is: its folder or revision, or random weights."""


class Figure(TypedDict):
    """A weighted F1 with its 95 % interval."""

    f1: Finite
    low: Finite
    high: Finite


class CrossingPoint(TypedDict, total=False):
    """After how many tokens a route is above a reference for good."""

    state: str
    """start, inside or never."""
    tokens: float | None
    """None for never."""
    low: float | None
    high: float | None
    """None beyond the run."""
    share_start: float
    share_never: float
    """Of the resamples."""
    sure_from: int | None
    """The first checkpoint from which on the difference is above 0 beyond its noise; None: at none."""
    end: int
    """Tokens of the last checkpoint, at which the difference is lead (lead_low to lead_high)."""
    lead: float
    lead_low: float
    lead_high: float


class Crossing(CrossingPoint):
    """Of a route over a reference, or over the best of them ("both")."""

    route: str
    reference: str


class Gain(TypedDict):
    """Last checkpoint of a route minus its first, with a paired 95 % interval."""

    route: str
    from_tokens: NotRequired[int]
    to_tokens: NotRequired[int]
    gain: Finite
    low: Finite
    high: Finite


class Verdict(Crossing):
    """The answer, with the crossing and the gain that it rests on."""

    answer: str
    """yes, no, unclear or without."""
    gain: Gain | None


class Meeting(TypedDict):
    """FLOPs at which a fitted curve meets a reference, None where it does not within a thousand runs."""

    flops: float | None
    low: float | None
    high: float | None
    beyond: bool
    """Outside the run."""


class FittedCurve(TypedDict, total=False):
    """A curve through F1 by pretraining FLOPs C."""

    form: str
    """line or power."""
    constants: dict[str, float]
    points: int
    error: float
    left_out_error: float
    """Root mean squares, F1."""
    slope: float
    slope_low: float
    slope_high: float
    """F1 a factor of ten in FLOPs at the end of the run."""
    crossings: dict[str, Meeting]


class Fit(FittedCurve):
    """Of a route."""

    route: str


class Relation(TypedDict):
    """Rank correlation of a score with the loss or the F1 along the run."""

    score: str
    layer: str
    target: str
    n: NotRequired[int]
    r: Number
    p: NotRequired[Number]
    low: Number
    high: Number


class TaskEntry(TypedDict):
    """What the run was worth for one task."""

    name: str
    source: NotRequired[str]
    n_classes: Count
    texts: Parts
    fingerprint: str
    notes: NotRequired[list[str]]
    references: dict[str, Figure]
    crossings: list[Crossing]
    gains: list[Gain]
    fits: list[Fit]
    relations: NotRequired[list[Relation]]
    costs: Annotated[dict[str, float], Each(FINITE)]
    verdict: NotRequired[Verdict]
    sentences: list[str]


@dataclass(frozen=True, kw_only=True)
class Trace(Result):
    """Perception along one pretraining run.  Every field is JSON-able; a number that does not exist is None."""

    FILE: ClassVar[str] = TRACE
    HOLDS: ClassVar[str] = "trace"
    REMEDY: ClassVar[str] = "run tokenworth trace again"

    run: RunFacts
    """What was trained: name, parameters, tokens, FLOPs a token."""
    checkpoints: list[CheckpointRow]
    """Fewest tokens first."""
    tasks: list[TaskEntry]
    """See docs/trace.md."""
    rows: list[TraceRow]
    """One a task and checkpoint: task, tokens, flops, bits_per_byte, probe_f1, lora_f1, bow_f1, scratch_f1 (each with
    _low and _high), best_layer, and every score of measurer.SCORES at the chosen layer (NAME) and the last one
    (last_NAME).
    """
    settings: Settings
    """What was asked for."""
    sentences: list[str]
    """The answer first."""
    notes: list[str] = field(default_factory=list)
    """What had to be assumed."""
    environment: Facts = field(default_factory=dict)
    """Versions and machine of the last session."""

    def table(self) -> pd.DataFrame:
        """One row a task and checkpoint, as in `rows`; what does not exist is NaN."""
        frame = pd.DataFrame(self.rows)
        words = [name for name in ("task", "probe") if name in frame]
        numbers = [name for name in frame.columns if name not in words]
        return frame.astype(dict.fromkeys(numbers, "float64")).astype({"tokens": "int64"})

    def tables(self) -> dict[str, pd.DataFrame]:
        """trace.parquet, which is `table`."""
        return {TABLE: self.table()}
