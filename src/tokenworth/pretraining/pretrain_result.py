"""What a pretraining run is and what came of it, as plain data in RUN/run.json."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from tokenworth.base.codec import Result, load
from tokenworth.base.schema import COUNT, FINITE, NUMBER, Count, Facts, Finite, Settings
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.pretraining.metrics_log import read_journal

RUN = "run.json"


Weights = Annotated[dict[str, int], {"total": COUNT, "non_embedding": COUNT, "active": COUNT}]
SourceRow = Annotated[dict[str, float], {"train_tokens": COUNT, "train_bytes": COUNT, "passes": FINITE}]
"""Tokens, documents and bytes of a source, learnt (train_) and held out (held_), and how often the run sees it."""
HeldOut = Annotated[dict[str, float], {"nll": NUMBER, "bits_per_byte": NUMBER}]
"""How well the held-out part of a source is predicted: nll (nats a token), perplexity, bits_per_byte."""


@dataclass(frozen=True, kw_only=True)
class PretrainRun(Result):
    """A run; figures of its end are empty while it goes on."""

    FILE: ClassVar[str] = RUN
    HOLDS: ClassVar[str] = "pretraining run"
    REMEDY: ClassVar[str] = "give the folder tokenworth pretrain wrote"

    settings: Annotated[dict[str, Any], {"training": {"tokens": FINITE}}]
    """The run file as it was read, defaults among it."""
    parameters: Weights
    """total, non_embedding, and active: those that take part for one token (fewer with experts)."""
    train_flops_per_token: Finite
    """Forward and backward, counted on the model."""
    tokenizer: Settings
    """fingerprint, vocabulary."""
    sources: dict[str, SourceRow]
    """Tokens, documents and bytes of each, and how often the run sees it."""
    environment: Facts
    """Versions, machine and device."""
    tokens: Count = 0
    """Learnt from so far."""
    seconds: Finite = 0.0
    """Of training steps."""
    tokens_per_second: Finite = 0.0
    """Of training steps, over all processes."""
    resumed_from_step: int = 0
    """Of the checkpoint that the last session went on from; 0 where it began."""
    micro_batch: int = 0
    """Sequences of one pass, after the halvings that memory asked for."""
    held_out: dict[str, HeldOut] = field(default_factory=dict)
    """By source."""
    samples: list[dict[str, str]] = field(default_factory=list)
    """What the model writes after each of the settings' prompts."""
    finished: bool = False
    """Whether every step was made."""

    @classmethod
    def load(cls, folder: str | Path) -> PretrainRun:
        """Read RUN/run.json.

        Raises:
            SettingError: the folder holds no pretraining run.
        """
        try:
            run: PretrainRun = load(cls, Path(folder) / RUN)
        except TokenworthError as error:
            raise SettingError(str(error)) from error
        return run


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainPage:
    """A run with its curves, for the report."""

    run: PretrainRun
    """The run itself."""
    journal: list[dict[str, Any]]
    """The lines of metrics.jsonl: one a step, and one for each look at held-out documents."""

    @classmethod
    def load(cls, folder: str | Path) -> PretrainPage:
        """Everything the report of a run shows."""
        return cls(run=PretrainRun.load(folder), journal=read_journal(Path(folder) / "metrics.jsonl"))
