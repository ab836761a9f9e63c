"""What is asked of a trace."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from tokenworth.adaptation.recommended_settings import as_published
from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.adaptation.route_settings import Configuration, make_config
from tokenworth.assessment.assessment_settings import ProgressCall, Started
from tokenworth.errors import SettingError
from tokenworth.settings import AsPath, Count, OutFolder, Seed
from tokenworth.tasks import Task
from tokenworth.tracing.checkpoint_settings import CheckpointChoice

STEPS = 1000
"""Optimiser steps of LoRA and scratch where nothing else is asked: a trace runs many."""
WORDS = ("ends", "last", "all", "none")


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceSettings:
    """Everything a trace's numbers depend on but the run and the tasks."""

    adapted: tuple[int, ...]
    """Tokens of the checkpoints that LoRA adapts; none: scratch is not trained either."""
    seeds: tuple[int, ...]
    """Of each learned route, one run a seed."""
    config: ResolvedConfig
    """The same for LoRA and scratch: steps, batch, learning rate and length are the adaptation budget."""
    seed: int
    """Of samples, folds and resampling."""
    max_texts: int | None
    max_length: int | None
    """Tokens kept of a text, by probe and routes alike."""

    def asdict(self) -> dict[str, Any]:
        """As JSON writes it."""
        return {
            **asdict(self),
            "adapted": list(self.adapted),
            "seeds": list(self.seeds),
            "config": self.config.asdict(),
        }


@dataclass(frozen=True, kw_only=True)
class TraceCall(CheckpointChoice):
    """What `trace` takes."""

    run: Annotated[str | Path | Sequence[str | Path], AsPath()] = field(kw_only=False)
    """Folder of a pretraining run or of checkpoints, a pattern with *, several folders, or a hub id with revisions."""
    tasks: str | Task | Sequence[str | Task] = field(kw_only=False)
    """One or more, each anything `load_task` takes, or a Task."""
    data: str | Path | None = None
    """Folder with local copies of published tasks, by name; by default the environment variable TOKENWORTH_DATA."""
    max_texts: int | None = None
    """Sample so many texts of each part, by class; by default all."""
    max_length: Count | None = None
    """Tokens kept of a text; by default what the model reads."""
    adapt: str = "ends"
    """Checkpoints that LoRA adapts: ends (first, middle, last), last, all, none, or their tokens N,N."""
    seeds: Count = 1
    """Runs of LoRA and of scratch, with seeds from `seed` on."""
    config: Configuration = None
    """Settings of LoRA and scratch, as `adapt` takes them; 1,000 steps where nothing is said."""
    seed: Seed = 0
    """Of samples, folds, resampling, and the first of the routes' seeds."""
    device: str = "auto"
    """auto (cuda, then mps, then cpu), cpu, cuda or mps."""
    cache: str | Path | bool = True
    """Folder where forward passes are kept for reuse; by default TOKENWORTH_CACHE or ~/.cache."""
    out: OutFolder = None
    """Folder for cells, trace.parquet and trace.json; by default RUN/trace, and out/trace/NAME for a list."""
    started: Started = None
    """Called with the name of each part that is begun."""
    progress: ProgressCall = None
    """Called as progress(what, done, total)."""


def choose_adapted(wish: str, tokens: list[int]) -> tuple[int, ...]:
    """The checkpoints that are adapted, by their tokens.

    Args:
        wish: "ends" (first, last, and the one nearest the middle in log tokens), "last", "all", "none", or "N,N,...".
        tokens: of the checkpoints there are, fewest first.

    Raises:
        SettingError: a word or a number that is not among them.
    """
    ready = {"none": [], "all": tokens, "last": tokens[-1:], "ends": _ends(tokens)}
    if wish in ready:
        return tuple(ready[wish])
    try:
        asked = sorted({int(part.replace("_", "")) for part in wish.split(",")})
    except ValueError as error:
        raise SettingError(
            f"--adapt {wish!r} is not understood; choose {', '.join(WORDS)}, or tokens of checkpoints such as "
            f"{tokens[0]},{tokens[-1]}"
        ) from error
    missing = [number for number in asked if number not in tokens]
    if missing:
        raise SettingError(
            f"--adapt names a checkpoint of {missing[0]} tokens; there are {', '.join(map(str, tokens))}"
        )
    return tuple(asked)


def _ends(tokens: list[int]) -> list[int]:
    """First, middle and last; the middle by log tokens of those after the first step."""
    seen = [number for number in tokens if number > 0]
    if not seen:
        return tokens
    middle = (math.log(seen[0]) + math.log(seen[-1])) / 2
    nearest = min(seen, key=lambda number: abs(math.log(number) - middle))
    return sorted({tokens[0], nearest, tokens[-1]})


def budget(config: Configuration, max_length: int | None) -> ResolvedConfig:
    """Settings of LoRA and scratch: the protocol with fewer steps, and what is given on top.

    Raises SettingError: another way to read long texts than that of the assessments beside them.
    """
    wished = make_config(config)
    if wished.long != "first":
        raise SettingError(
            f"a trace assesses checkpoints on the beginning of long texts, and LoRA with long {wished.long} would read "
            "something else; leave long out"
        )
    steps = STEPS if wished.steps is None and not wished.protocol else wished.steps
    kept = wished.max_length if max_length is None else max_length
    return as_published(replace(wished, steps=steps, max_length=kept, mislabelled=False, diagnose=False))


def seeds_from(first: int, count: int) -> tuple[int, ...]:
    """`count` seeds from `first` on.

    Raises:
        SettingError: fewer than one.
    """
    if count < 1:
        raise SettingError(f"--seeds is the number of runs of each learned route, at least 1, not {count}")
    return tuple(range(first, first + count))
