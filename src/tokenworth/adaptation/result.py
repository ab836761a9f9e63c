"""What a route gives: plain data, saved as result.json and predictions.parquet."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from tokenworth.assessment.result import jsonable, write_table, write_text, writing
from tokenworth.errors import TokenworthError

RESULT = "result.json"
PREDICTIONS = "predictions.parquet"


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
            ValueError, TypeError: the text is not a result.
        """
        data = json.loads(text)
        return cls(**{one.name: data[one.name] for one in fields(cls) if one.name in data})

    @classmethod
    def load(cls, folder: str | Path) -> AdaptResult:
        """Read a folder that `save` wrote.

        Raises:
            TokenworthError: it is not there or not a result.
        """
        folder = Path(folder)
        try:
            found = cls.from_json((folder / RESULT).read_text(encoding="utf-8"))
            return replace(found, predictions=pd.read_parquet(folder / PREDICTIONS))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TokenworthError(f"{folder} holds no result of adapt ({error!r}); run it again") from error
