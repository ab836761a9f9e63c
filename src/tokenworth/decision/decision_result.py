"""What a decision is: every route with what it would bring and cost, and the one that is recommended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from tokenworth.assessment import Assessment
from tokenworth.base.atomic_files import jsonable, write_text, writing
from tokenworth.base.schema import FINITE, LEAF, NUMBER, OBJECT, TEXT, TRUTH, Each, Maybe, Shape, read_object

DECISION = "decision.json"
_OPTION: Shape = {
    "model": Maybe(TEXT),
    "route": TEXT,
    "source": TEXT,
    "f1": NUMBER,
    "f1_low": NUMBER,
    "f1_high": NUMBER,
    "fits": TRUTH,
    "affordable": TRUTH,
    "failed?": Maybe(TEXT),
}
SHAPE: Shape = {
    "task": {"name": TEXT},
    "options": [_OPTION],
    "recommended": Maybe(_OPTION),
    "sentences": [TEXT],
    "warnings": [TEXT],
    "settings": OBJECT,
    "explanation": [{"model": Maybe(TEXT), "route": TEXT}],
    "labels?": [{"route": TEXT, "texts": [FINITE], "f1": [NUMBER]}],
    "pilots?": [OBJECT],
    "environment?": Each(LEAF),
}
"""What decision.json holds of that which is read again."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Routes of one or several backbones on one task.  Everything but `assessments` is JSON-able."""

    task: dict[str, Any]
    options: list[dict[str, Any]]
    """One a backbone and route, best expected F1 first: model, route, f1, f1_low, f1_high (90 %), source ("measured" or
    "predicted"), chance_best, shortfall, fits, affordable, failed, and the fields of `Cost`."""
    recommended: dict[str, Any] | None
    """The option that is advised; None where no route can be afforded."""
    sentences: list[str]
    """The advice, its reason, and what would change it."""
    warnings: list[str]
    """Backbones that failed, settings and indicators that the calibration does not reach."""
    settings: dict[str, Any]
    """metric, tolerance, budget, machine, predictor, calibration (cells, tasks, backbones), config (what was asked),
    plan (steps and lr by backbone and route), ..."""
    explanation: list[dict[str, Any]]
    """Of each predicted option: its indicators, and how they move the prediction."""
    labels: list[dict[str, Any]] = field(default_factory=list)
    """Learning curves by route: texts, f1."""
    pilots: list[dict[str, Any]] = field(default_factory=list)
    """Short runs that sharpened the prediction."""
    environment: dict[str, Any] = field(default_factory=dict)
    assessments: list[Assessment] = field(default_factory=list, compare=False, repr=False)

    def table(self) -> pd.DataFrame:
        """One row an option."""
        return pd.DataFrame(self.options)

    def to_json(self) -> str:
        """All but the assessments; a number that does not exist is null."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "assessments"}
        return json.dumps(jsonable(plain), ensure_ascii=False, indent=1, allow_nan=False)

    def save(self, folder: str | Path) -> None:
        """Write decision.json into a folder.

        Raises:
            TokenworthError: the folder cannot be written.
        """
        with writing(folder) as place:
            write_text(place / DECISION, self.to_json())

    @classmethod
    def load(cls, folder: str | Path) -> Decision:
        """Read decision.json, or the folder that holds it; the assessments are not in it.

        Raises:
            TokenworthError: it is not there or no decision.
        """
        path = Path(folder) / DECISION if Path(folder).is_dir() else Path(folder)
        data = read_object(path, SHAPE, "decision", "give the folder that tokenworth decide wrote")
        return cls(**{one.name: data[one.name] for one in fields(cls) if one.name in data})


def as_options(rows: list[Any]) -> list[dict[str, Any]]:
    """Dataclasses as plain rows."""
    return [asdict(row) for row in rows]
