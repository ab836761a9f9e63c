"""What a route gives: plain data, saved as result.json and predictions.parquet."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pandas as pd
from typing_extensions import NotRequired, TypedDict

from tokenworth.assessment.assessment_result import BackboneCard, LabelRow, Parts
from tokenworth.base.atomic_files import read_table
from tokenworth.base.codec import ELSEWHERE, Result, load
from tokenworth.base.schema import (
    COUNT,
    FINITE,
    NUMBER,
    OBJECT,
    TEXT,
    WHOLE,
    Count,
    Each,
    Facts,
    Figures,
    Finite,
    Maybe,
    Number,
)
from tokenworth.errors import TokenworthError

RESULT = "result.json"
PREDICTIONS = "predictions.parquet"
NO_CLASS_NAME = ""
"""Predicted for a text whose answer names no class."""


class RunTexts(Parts):
    """Texts of the test part, and of the training part as it was cut in two."""

    validation: NotRequired[Count]


class AdaptTask(TypedDict):
    """What is kept of the task."""

    name: str
    source: NotRequired[str]
    fingerprint: str
    label_names: list[str]
    texts: RunTexts
    notes: NotRequired[list[str]]


class Mistake(TypedDict):
    """Test texts of one class that were taken for another."""

    true: str
    predicted: str
    texts: Count


class Mistakes(TypedDict, total=False):
    """The most frequent mistakes, and for few classes the whole matrix: rows true, columns predicted.

    Of several labels a text: which was given in the place of which, and every label by itself.
    """

    mistakes: list[Mistake]
    labels: list[str]
    counts: list[list[Count]]
    by_label: list[LabelRow]


class Mislabelled(TypedDict):
    """A training text whose label is probably wrong."""

    row: Count
    text: str
    label: str
    suggested: str
    p_label: Finite
    p_suggested: Finite


class Harmful(TypedDict):
    """A training text without which a probe would err less on the test texts."""

    row: Count
    text: str
    label: str
    read_as: str
    """The class that the read-out without the text gives it."""
    harm: Finite
    """Share of the error on test texts that goes with the text."""


class TextGroup(TypedDict):
    """The most harmful texts left out together: the share of the error that goes, and the sum of their own shares."""

    texts: Count
    sum: Finite
    together: Finite


class InfluenceOnTest(TypedDict, total=False):
    """What training texts do to the error of a probe's ridge read-out on test texts."""

    error: Finite
    """Mean squared error over one-hot labels."""
    agreement: Finite
    """Share of the test texts of which the ridge read-out says what the probe says."""
    harmful: list[Harmful]
    groups: list[TextGroup]


class Moved(TypedDict):
    """How much training moved a matrix."""

    shape: list[Count]
    relative_size: Finite
    effective_rank: Number
    intruders: Count
    looked_at: Count


class Update(Moved):
    """How much training moved a linear map of the backbone."""

    name: str


class Diagnosis(TypedDict, total=False):
    """Scores of every layer before and after training (NAME_before, NAME_after), and the updates."""

    layers: list[Annotated[dict[str, Any], {"layer": WHOLE}]]
    best_layer: Annotated[dict[str, int], Each(WHOLE)]
    updates: list[Update]


@dataclass(frozen=True, kw_only=True)
class AdaptResult(Result):
    """One route on one task.  Everything but `predictions` is JSON-able."""

    FILE: ClassVar[str] = RESULT
    HOLDS: ClassVar[str] = "result of adapt"
    REMEDY: ClassVar[str] = "run tokenworth adapt again into an empty folder"

    route: str
    """One of ROUTES."""
    task: AdaptTask
    """Name, source, classes, texts of each part and fingerprint."""
    backbone: Annotated[
        BackboneCard | None, Maybe({"name": TEXT, "fingerprint": TEXT, "dtype": TEXT, "notes?": [TEXT]})
    ]
    """None for the route bow."""
    seed: int
    """Of everything random in the run."""
    settings: Annotated[
        dict[str, Any],
        {"steps": WHOLE, "batch": WHOLE, "lr": FINITE, "train_size?": Maybe(WHOLE), "metric": TEXT},
    ]
    """Of the route, defaults among them; where settings were searched for, those that were chosen."""
    metrics: Figures
    """On the test split: METRICS, each with NAME_low and NAME_high."""
    train_metrics: Figures
    """The same on training texts (a sample of many), so that the gap shows."""
    validation: Figures
    """Texts and metric of the validation part; empty where none was cut off."""
    temperature: Finite
    """What log-odds are divided by; 1 where none was fitted."""
    parameters: Annotated[dict[str, int], {"trainable": COUNT, "total": COUNT}]
    """trainable: those that learnt; total: with the backbone and the head."""
    training: Annotated[dict[str, Any], {"losses?": [FINITE], "evaluations?": [OBJECT]}]
    """losses (one a step), evaluations, micro_batch, halvings; empty where nothing was trained."""
    facts: Annotated[dict[str, Any], {"majority": Each(NUMBER), "products_in?": TEXT}]
    """What the route chose: layer, probe, template, ..."""
    cost: Annotated[
        dict[str, Any], {"seconds": FINITE, "train_flops?": FINITE, "tokens?": COUNT, "stages?": Each(NUMBER)}
    ]
    """seconds, FLOPs and tokens of training, memory, and seconds of each stage."""
    resumed_from_step: int
    """Of the checkpoint that the last session went on from; 0 where it began."""
    confusion: Mistakes
    """Test texts by true and predicted class; for many classes the most frequent mistakes alone."""
    calibration: list[Annotated[dict[str, float], {"confidence": FINITE, "accuracy": FINITE, "texts": COUNT}]]
    """Bins of test texts by confidence: mean confidence, accuracy, texts."""
    mislabelled: list[Mislabelled]
    """Training texts whose label is probably wrong, the most suspicious first."""
    influence: InfluenceOnTest = field(default_factory=InfluenceOnTest)
    """Training texts that harm, of a probe; empty where none were looked for."""
    diagnosis: Diagnosis = field(default_factory=Diagnosis)
    """Scores before and after, and spectra of the updates."""
    tuning: list[Annotated[dict[str, Any], {"lr": FINITE, "rank": WHOLE, "steps": WHOLE}]] = field(default_factory=list)
    """Trials of the search, each with its settings and what it reached."""
    notes: list[str] = field(default_factory=list)
    """What a reader has to know of task and backbone."""
    sentences: list[str] = field(default_factory=list)
    """The result in words, as the command prints it."""
    environment: Facts = field(default_factory=dict)
    """Versions, machine and device it ran on."""
    predictions: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False, metadata=ELSEWHERE)
    """One row a test text: text, label, predicted (lists, of several labels a text), correct, confidence, and p_CLASS
    for few classes."""

    @property
    def several(self) -> bool:
        """Whether texts may have several labels."""
        return "by_label" in self.confusion

    @property
    def made_by(self) -> str:
        """The route, with its tuning where that is not LoRA."""
        tuning = self.settings.get("tuning")
        return f"{self.route} ({tuning})" if self.route == "lora" and tuning else self.route

    def tables(self) -> dict[str, pd.DataFrame]:
        """predictions.parquet."""
        return {PREDICTIONS: self.predictions}

    @classmethod
    def load(cls, folder: str | Path) -> AdaptResult:
        """Read a folder that `save` wrote.  Raises TokenworthError: it is not there or not a result."""
        place = Path(folder) / RESULT
        result: AdaptResult = load(cls, place)
        names = result.task["label_names"]
        counts = result.confusion.get("counts")
        if counts is not None and [len(row) for row in counts] != [len(names)] * len(names):
            raise TokenworthError(f"{place} holds no confusion matrix of its {len(names)} classes; {cls.REMEDY}")
        path = place.with_name(PREDICTIONS)
        table = read_table(path, f"no predictions; {cls.REMEDY}")
        n_texts = result.task["texts"]["test"]
        if result.several:
            table = _with_lists(table)
        for column in ("label", "predicted"):
            known = {*names, *([NO_CLASS_NAME] if column == "predicted" else [])}
            if column not in table or len(table) != n_texts or not _words(table[column]) <= known:
                raise TokenworthError(
                    f"{path} does not hold the class '{column}' of {n_texts:,} test texts; {cls.REMEDY}"
                )
        return replace(result, predictions=table)


def _with_lists(table: pd.DataFrame) -> pd.DataFrame:
    """Labels as lists of words, which Parquet gives back as arrays."""
    lists = {name: [list(cell) for cell in table[name]] for name in ("label", "predicted") if name in table}
    return table.assign(**{name: pd.Series(cells, index=table.index, dtype=object) for name, cells in lists.items()})


def _words(column: pd.Series) -> set[str]:
    """The classes in a column, or the labels in its lists."""
    return {word for cell in column for word in (cell if isinstance(cell, list) else [cell])}
