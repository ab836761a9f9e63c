"""What a route gives: plain data, saved as result.json and predictions.parquet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from tokenworth.base.atomic_files import jsonable, read_table, write_table, write_text, writing
from tokenworth.base.schema import (
    COUNT,
    FINITE,
    LEAF,
    NUMBER,
    OBJECT,
    TEXT,
    WHOLE,
    Each,
    Maybe,
    Shape,
    parse_object,
    read_object,
)
from tokenworth.errors import TokenworthError

RESULT = "result.json"
PREDICTIONS = "predictions.parquet"
_REMEDY = "run tokenworth adapt again into an empty folder"
SHAPE: Shape = {
    "route": TEXT,
    "task": {
        "name": TEXT,
        "fingerprint": TEXT,
        "label_names": [TEXT],
        "texts": {"train": COUNT, "test": COUNT},
        "notes?": [TEXT],
    },
    "backbone": Maybe({"name": TEXT, "fingerprint": TEXT, "dtype": TEXT, "notes?": [TEXT]}),
    "seed": WHOLE,
    "settings": {"steps": WHOLE, "batch": WHOLE, "lr": FINITE, "train_size?": Maybe(WHOLE), "metric": TEXT},
    "metrics": Each(NUMBER),
    "train_metrics": Each(NUMBER),
    "validation": Each(NUMBER),
    "temperature": FINITE,
    "parameters": {"trainable": COUNT, "total": COUNT},
    "training": {"losses?": [FINITE], "evaluations?": [OBJECT]},
    "facts": {"majority": Each(NUMBER), "products_in?": TEXT},
    "cost": {"seconds": FINITE, "train_flops?": FINITE, "tokens?": COUNT, "stages?": Each(NUMBER)},
    "resumed_from_step": WHOLE,
    "confusion": {
        "mistakes?": [{"true": TEXT, "predicted": TEXT, "texts": COUNT}],
        "labels?": [TEXT],
        "counts?": [[COUNT]],
    },
    "calibration": [{"confidence": FINITE, "accuracy": FINITE, "texts": COUNT}],
    "mislabelled": [
        {"row": COUNT, "text": TEXT, "label": TEXT, "suggested": TEXT, "p_label": FINITE, "p_suggested": FINITE}
    ],
    "diagnosis?": {
        "layers?": [{"layer": WHOLE}],
        "best_layer?": Each(WHOLE),
        "updates?": [
            {
                "name": TEXT,
                "shape": [COUNT],
                "relative_size": FINITE,
                "effective_rank": NUMBER,
                "intruders": COUNT,
                "looked_at": COUNT,
            }
        ],
    },
    "tuning?": [{"lr": FINITE, "rank": WHOLE, "steps": WHOLE}],
    "notes?": [TEXT],
    "sentences?": [TEXT],
    "environment?": Each(LEAF),
}
"""What result.json holds of that which is read again."""


@dataclass(frozen=True, kw_only=True)
class AdaptResult:
    """One route on one task.  Everything but `predictions` is JSON-able."""

    route: str
    task: dict[str, Any]
    backbone: dict[str, Any] | None
    """None for the route bow."""
    seed: int
    settings: dict[str, Any]
    metrics: dict[str, float]
    """On the test split: METRICS, each with NAME_low and NAME_high."""
    train_metrics: dict[str, float]
    """The same on training texts (a sample of many), so that the gap shows."""
    validation: dict[str, Any]
    """Texts and metric of the validation part; empty where none was cut off."""
    temperature: float
    parameters: dict[str, int]
    training: dict[str, Any]
    """losses (one a step), evaluations, micro_batch, halvings; empty where nothing was trained."""
    facts: dict[str, Any]
    """What the route chose: layer, probe, template, ..."""
    cost: dict[str, Any]
    resumed_from_step: int
    confusion: dict[str, Any]
    calibration: list[dict[str, float]]
    mislabelled: list[dict[str, Any]]
    """Training texts whose label is probably wrong, the most suspicious first."""
    diagnosis: dict[str, Any] = field(default_factory=dict)
    """Scores before and after, and spectra of the updates."""
    tuning: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    predictions: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)
    """One row a test text: text, label, predicted, correct, confidence, and p_CLASS for few classes."""

    def to_json(self) -> str:
        """All but the predictions; a number that does not exist is null."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "predictions"}
        return json.dumps(jsonable(plain), ensure_ascii=False, indent=1, allow_nan=False)

    def save(self, folder: str | Path) -> None:
        """Write predictions.parquet, then result.json: where it is, the run is finished.

        Raises:
            TokenworthError: the folder cannot be written.
        """
        with writing(folder) as place:
            write_table(place / PREDICTIONS, self.predictions)
            write_text(place / RESULT, self.to_json())

    @classmethod
    def from_json(cls, text: str) -> AdaptResult:
        """The way back from `to_json`, without predictions.

        Raises:
            TokenworthError: the text is not a result.
        """
        return cls._of(parse_object(text, SHAPE, "this text is no result of adapt", _REMEDY))

    @classmethod
    def _of(cls, data: Mapping[str, Any]) -> AdaptResult:
        return cls(**{one.name: data[one.name] for one in fields(cls) if one.name in data})

    @classmethod
    def load(cls, folder: str | Path) -> AdaptResult:
        """Read a folder that `save` wrote.

        Raises:
            TokenworthError: it is not there or not a result.
        """
        folder = Path(folder)
        found = cls._of(read_object(folder / RESULT, SHAPE, "result of adapt", _REMEDY))
        names = found.task["label_names"]
        if "counts" in found.confusion and [len(row) for row in found.confusion["counts"]] != [len(names)] * len(names):
            raise TokenworthError(f"{folder / RESULT} holds no confusion matrix of its {len(names)} classes; {_REMEDY}")
        return replace(found, predictions=_predictions(folder / PREDICTIONS, names, found.task["texts"]["test"]))


def _predictions(path: Path, names: list[str], n_texts: int) -> pd.DataFrame:
    """The table of the test texts, with class names in the places of class names.

    Raises:
        TokenworthError: it is not there, or is another table.
    """
    table = read_table(path, f"no predictions; {_REMEDY}")
    known = set(names)
    for column in ("label", "predicted"):
        if column not in table or len(table) != n_texts or not set(table[column]) <= known:
            raise TokenworthError(f"{path} does not hold the class '{column}' of {n_texts:,} test texts; {_REMEDY}")
    return table
