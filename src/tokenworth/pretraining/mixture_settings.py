"""Settings of the search for a mixture's weights, and of a longer context."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tokenworth.settings import Count, Fraction, NonNegative, OutFolder, Positive, Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class WeighingConfig(Settings):
    """How weights are looked for."""

    rounds: Count = 1
    """At most so many; each begins with the weights of the one before."""
    settled: NonNegative = 1e-3
    """Change of every weight below which no further round is made."""
    step_size: Positive = 1.0
    """How fast weights follow excess losses."""
    smoothing: Fraction = 1e-3
    """Part of the weights that all sources get alike."""


@dataclass(frozen=True, kw_only=True)
class ExtendCall(Settings):
    """What `extend_checkpoint` takes."""

    name: str | Path = field(kw_only=False)
    """Folder or hub id of a model with rotary positions."""
    out: OutFolder = field(kw_only=False)
    """Folder of the new checkpoint, made if missing; files of the same names are replaced once all are written."""
    factor: float = 4.0
    """How many times as long the context becomes, above 1."""
    method: str = "yarn"
    """yarn, ntk, linear or base."""
    base: float | None = None
    """The new base, for the method base alone."""
    trained: int | None = None
    """Tokens the model was trained to read; by default as its configuration states."""
