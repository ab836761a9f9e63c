"""What a pretraining run is and what came of it, as plain data in RUN/run.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from tokenworth.base.atomic_files import jsonable, write_text
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
    Shape,
    read_object,
)
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.pretraining.metrics_log import read_journal

RUN = "run.json"
SHAPE: Shape = {
    "settings": {"training": {"tokens": FINITE}},
    "parameters": {"total": COUNT, "non_embedding": COUNT, "active": COUNT},
    "train_flops_per_token": FINITE,
    "tokenizer": OBJECT,
    "sources": Each({"train_tokens": COUNT, "train_bytes": COUNT, "passes": FINITE}),
    "environment": Each(LEAF),
    "tokens?": COUNT,
    "seconds?": FINITE,
    "tokens_per_second?": FINITE,
    "resumed_from_step?": WHOLE,
    "micro_batch?": WHOLE,
    "held_out?": Each({"nll": NUMBER, "bits_per_byte": NUMBER}),
    "samples?": [Each(TEXT)],
    "finished?": TRUTH,
}
"""What run.json holds of that which is read again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainRun:
    """A run; figures of its end are empty while it goes on."""

    settings: dict[str, Any]
    parameters: dict[str, int]
    """total, non_embedding, and active: those that take part for one token (fewer with experts)."""
    train_flops_per_token: float
    """Forward and backward, counted on the model."""
    tokenizer: dict[str, Any]
    """fingerprint, vocabulary."""
    sources: dict[str, dict[str, Any]]
    """Tokens, documents and bytes of each, and how often the run sees it."""
    environment: dict[str, Any]
    tokens: int = 0
    seconds: float = 0.0
    """Of training steps."""
    tokens_per_second: float = 0.0
    resumed_from_step: int = 0
    micro_batch: int = 0
    held_out: dict[str, dict[str, float]] = field(default_factory=dict)
    """By source: nll (nats a token), perplexity, bits_per_byte."""
    samples: list[dict[str, str]] = field(default_factory=list)
    finished: bool = False

    def save(self, folder: Path) -> None:
        """Write RUN/run.json."""
        write_text(folder / RUN, json.dumps(jsonable(asdict(self)), indent=1, ensure_ascii=False))

    @classmethod
    def load(cls, folder: str | Path) -> PretrainRun:
        """Read RUN/run.json.

        Raises:
            SettingError: the folder holds no pretraining run.
        """
        try:
            data = read_object(
                Path(folder) / RUN, SHAPE, "pretraining run", "give the folder tokenworth pretrain wrote"
            )
        except TokenworthError as error:
            raise SettingError(str(error)) from error
        return cls(**{one.name: data[one.name] for one in fields(cls) if one.name in data})


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainPage:
    """A run with its curves, for the report."""

    run: PretrainRun
    journal: list[dict[str, Any]]

    @classmethod
    def load(cls, folder: str | Path) -> PretrainPage:
        """Everything the report of a run shows."""
        return cls(run=PretrainRun.load(folder), journal=read_journal(Path(folder) / "metrics.jsonl"))
