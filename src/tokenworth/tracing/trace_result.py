"""What a trace is: plain data that can be saved, read again and shown by anything."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
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
    Each,
    Maybe,
    Shape,
    read_object,
)

TRACE, TABLE, PAGE = "trace.json", "trace.parquet", "trace.html"
SHAPE: Shape = {
    "run": {"name": TEXT, "parameters": FINITE, "tokens": COUNT, "flops": FINITE, "flops_per_token": FINITE},
    "checkpoints": [{"tokens": COUNT, "flops": FINITE, "bits_per_byte": NUMBER, "fingerprint": TEXT, "adapted": TRUTH}],
    "tasks": [
        {
            "name": TEXT,
            "n_classes": COUNT,
            "texts": {"train": COUNT, "test": COUNT},
            "fingerprint": TEXT,
            "references": Each({"f1": FINITE, "low": FINITE, "high": FINITE}),
            "crossings": [{"route": TEXT, "reference": TEXT}],
            "gains": [{"route": TEXT, "gain": FINITE, "low": FINITE, "high": FINITE}],
            "fits": [{"route": TEXT}],
            "costs": Each(FINITE),
            "sentences": [TEXT],
        }
    ],
    "rows": [{"task": TEXT, "tokens": COUNT, "flops": FINITE, "probe_f1": NUMBER, "probe": Maybe(TEXT)}],
    "settings": OBJECT,
    "sentences": [TEXT],
    "notes": [TEXT],
    "environment": Each(LEAF),
}
"""What trace.json holds of that which is read again."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Perception along one pretraining run.  Every field is JSON-able; a number that does not exist is None."""

    run: dict[str, Any]
    """name, folder, parameters, tokens and flops of its last checkpoint, flops_per_token, sources of held-out text."""
    checkpoints: list[dict[str, Any]]
    """One a checkpoint, fewest tokens first: tokens, flops, bits_per_byte, loss, fingerprint, adapted."""
    tasks: list[dict[str, Any]]
    """One a task: name, source, n_classes, texts, fingerprint; references (bow, scratch), crossings, gains, fits,
    relations, costs, verdict and sentences; see docs/trace.md."""
    rows: list[dict[str, Any]]
    """One a task and checkpoint: task, tokens, flops, bits_per_byte, probe_f1, lora_f1, bow_f1, scratch_f1 (each with
    _low and _high), best_layer, and every score of measuring.SCORES at the chosen layer (NAME) and the last one
    (last_NAME).
    """
    settings: dict[str, Any]
    sentences: list[str]
    """The answer first."""
    notes: list[str] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        """One row a task and checkpoint, as in `rows`; what does not exist is NaN."""
        frame = pd.DataFrame(self.rows)
        words = [name for name in ("task", "probe") if name in frame]
        numbers = [name for name in frame.columns if name not in words]
        return frame.astype(dict.fromkeys(numbers, "float64")).astype({"tokens": "int64"})

    def to_json(self) -> str:
        """The whole result as JSON."""
        return json.dumps(jsonable(asdict(self)), ensure_ascii=False, indent=1, allow_nan=False)

    def save(self, folder: str | Path) -> None:
        """Write trace.parquet (`table`) and trace.json into a folder, each under a temporary name first.

        Raises:
            TokenworthError: the folder cannot be written.
        """
        with writing(folder) as place:
            write_table(place / TABLE, self.table())
            write_text(place / TRACE, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read trace.json, or the folder that holds it.

        Raises:
            TokenworthError: it is not there or not a trace.
        """
        path = Path(path)
        path = path / TRACE if path.is_dir() else path
        data = read_object(path, SHAPE, "trace", "run tokenworth trace again")
        return cls(**{one.name: data[one.name] for one in fields(cls)})
