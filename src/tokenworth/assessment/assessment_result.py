"""What an assessment and a ranking are: plain data that can be saved, read again and shown by anything."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from tokenworth.base.atomic_files import jsonable, write_table, write_text, writing
from tokenworth.base.schema import (
    COUNT,
    FINITE,
    LEAF,
    NUMBER,
    OBJECT,
    TEXT,
    TRUTH,
    WHOLE,
    Each,
    Maybe,
    Shape,
    parse_object,
    read_object,
)
from tokenworth.errors import TokenworthError

_REMEDY = "run tokenworth assess again"
FIRST_COLUMNS = (
    "layer",
    "ntps",
    "retained_auc",
    "k90",
    "ar_r2",
    "probe_accuracy",
    "probe_f1",
    "hscore",
    "logme",
    "knn_accuracy",
)

_SIZES = {"train": COUNT, "test": COUNT}
_LENGTHS = {"total": COUNT, "mean": FINITE, "max": COUNT, "truncated": COUNT}
SHAPE: Shape = {
    "task": {
        "name": TEXT,
        "label_names": [TEXT],
        "texts": _SIZES,
        "counts": {"classes": {"train": [COUNT], "test": [COUNT]}},
        "notes?": [TEXT],
        "fingerprint": TEXT,
        "tokens": {"train": _LENGTHS, "test": _LENGTHS},
    },
    "backbone": {
        "name": TEXT,
        "n_layers": COUNT,
        "width": COUNT,
        "n_parameters": COUNT,
        "dtype": TEXT,
        "causal": TRUTH,
        "random": TRUTH,
        "fingerprint": TEXT,
        "notes?": [TEXT],
    },
    "settings": OBJECT,
    "layers": [{"layer": WHOLE, **dict.fromkeys(FIRST_COLUMNS[1:], NUMBER)}],
    "best_layer": WHOLE,
    "best_layer_frequency": Each(FINITE),
    "curves": Each([NUMBER]),
    "spectrum": Each([NUMBER]),
    "probes": [{"name": TEXT, "kind": TEXT, "layer": Maybe(WHOLE), "accuracy": NUMBER, "f1": NUMBER}],
    "confusion": {"probe": TEXT, "labels": [TEXT], "counts": [[COUNT]]},
    "predictions": [WHOLE],
    "flags": [{"layer": Maybe(WHOLE), "score": TEXT, "reason": TEXT}],
    "sentences": [TEXT],
    "timings": {"total": FINITE},
    "environment": Each(LEAF),
    "forward_pass?": Each(LEAF),
}
"""What assessment.json holds of that which is read again."""


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """One backbone on one task after one forward pass.  Every field is JSON-able; a number that does not exist is NaN.

    A score M of a layer stands in its row as M, with M_low and M_high (95 % interval) and M_chance (its level under
    shuffled labels) where they exist.
    """

    task: dict[str, Any]
    backbone: dict[str, Any]
    settings: dict[str, Any]
    layers: list[dict[str, Any]]
    best_layer: int
    """Chosen on training texts only."""
    best_layer_frequency: dict[str, float]
    """How often each layer was best when one group of training texts was left out."""
    curves: dict[str, list[float]]
    """At the best layer, over k = 1 .. D."""
    spectrum: dict[str, list[float]]
    probes: list[dict[str, Any]]
    confusion: dict[str, Any]
    predictions: list[int]
    """Class predicted for each test text by the best probe, in the order of the test part."""
    flags: list[dict[str, Any]]
    sentences: list[str]
    timings: dict[str, float]
    """Seconds of load, tokenise, encode, scores, probes and their total; "encode: ..." are parts of encode."""
    environment: dict[str, Any]
    forward_pass: dict[str, Any] = field(default_factory=dict)
    """How the pass went, over all its sessions: reused, tokens, padded_tokens, batches, halvings, passes, processes,
    and seconds of forward, pooling, moments and checkpoints."""

    def table(self) -> pd.DataFrame:
        """One row a layer, the main scores first."""
        frame = pd.DataFrame(self.layers)
        rest = [column for column in frame.columns if column not in FIRST_COLUMNS]
        return frame[[*FIRST_COLUMNS, *rest]]

    def row(self, layer: int | None = None) -> dict[str, Any]:
        """The scores of a layer, the best one by default."""
        wanted = self.best_layer if layer is None else layer
        return next(row for row in self.layers if row["layer"] == wanted)

    def summary(self) -> dict[str, Any]:
        """The few figures that answer the question, with names as in `table`."""
        row = self.row()
        probes = {probe["kind"]: probe for probe in self.probes if probe["kind"] in ("bow", "majority")}
        best = next(probe for probe in self.probes if probe["name"] == self.confusion["probe"])
        return {
            "task": self.task["name"],
            "backbone": self.backbone["name"],
            "best_layer": self.best_layer,
            **{name: row[name] for name in FIRST_COLUMNS if name != "layer"},
            "best_probe": best["name"],
            "best_probe_f1": best["f1"],
            "best_probe_accuracy": best["accuracy"],
            "bow_f1": probes["bow"]["f1"],
            "bow_accuracy": probes["bow"]["accuracy"],
            "majority_accuracy": probes["majority"]["accuracy"],
            "seconds": self.timings["total"],
            "sentences": self.sentences,
        }

    def to_json(self) -> str:
        """The whole result as JSON; NaN becomes null."""
        return json.dumps(jsonable(asdict(self)), ensure_ascii=False, indent=1, allow_nan=False)

    def save(self, folder: str | Path) -> None:
        """Write assessment.json and layers.parquet into a folder, each under a temporary name first.

        Raises:
            TokenworthError: the folder cannot be written.
        """
        with writing(folder) as place:
            write_table(place / "layers.parquet", self.table())
            write_text(place / "assessment.json", self.to_json())

    @classmethod
    def from_json(cls, text: str) -> Assessment:
        """The way back from `to_json`; null among the scores is NaN again.

        Raises:
            TokenworthError: the text is not an assessment.
        """
        return cls._of(parse_object(text, SHAPE, "this text is no assessment", _REMEDY))

    @classmethod
    def _of(cls, data: Mapping[str, Any]) -> Assessment:
        known = {one.name: data[one.name] for one in fields(cls) if one.name in data or one.default_factory is MISSING}
        return cls(**{**known, **{name: _numbers(known[name]) for name in ("layers", "curves", "spectrum")}})

    @classmethod
    def load(cls, path: str | Path) -> Assessment:
        """Read assessment.json, or the folder that holds it; null among the scores is NaN again.

        Raises:
            TokenworthError: it is not there or not an assessment.
        """
        path = Path(path)
        path = path / "assessment.json" if path.is_dir() else path
        found = cls._of(read_object(path, SHAPE, "assessment", _REMEDY))
        mistake = found._contradiction()
        if mistake is not None:
            raise TokenworthError(f"{path} holds no assessment that can be used: {mistake}; {_REMEDY}")
        return found

    def _contradiction(self) -> str | None:
        """What in it does not go together, if something does not."""
        names, counts = self.confusion["labels"], self.confusion["counts"]
        if self.best_layer not in {row["layer"] for row in self.layers}:
            return f"best_layer {self.best_layer} is none of its layers"
        if not {"bow", "majority"} <= {probe["kind"] for probe in self.probes}:
            return "the probes bow and majority are not there"
        if self.confusion["probe"] not in {probe["name"] for probe in self.probes}:
            return f"confusion.probe {self.confusion['probe']!r} is none of its probes"
        if counts and [len(row) for row in counts] != [len(names)] * len(names):
            return f"the confusion matrix is not one of {len(names)} classes"
        if any(not 0 <= label < len(self.task["label_names"]) for label in self.predictions):
            return "predictions name a class that is not there"
        return None


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Several backbones on one task, best first."""

    task: dict[str, Any]
    rows: list[dict[str, Any]]
    """One a backbone: name, rank, tied (within the noise of the best), its figures, failed (a reason or None)."""
    assessments: list[Assessment]
    baseline: dict[str, Any]
    """The bag of words, a row as in Assessment.probes."""
    sentences: list[str]
    environment: dict[str, Any] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        """One row a backbone, best first, failed ones last."""
        return pd.DataFrame(self.rows)

    def to_json(self) -> str:
        """The whole result as JSON; NaN becomes null."""
        return json.dumps(jsonable(asdict(self)), ensure_ascii=False, indent=1, allow_nan=False)

    def save(self, folder: str | Path) -> None:
        """Write ranking.json and ranking.parquet into a folder.

        Raises:
            TokenworthError: the folder cannot be written.
        """
        with writing(folder) as place:
            write_table(place / "ranking.parquet", self.table())
            write_text(place / "ranking.json", self.to_json())


def _numbers(value: Any) -> Any:
    """The way back from JSON where everything is a number: null is NaN."""
    if isinstance(value, dict):
        return {key: _numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_numbers(inner) for inner in value]
    return math.nan if value is None else value
