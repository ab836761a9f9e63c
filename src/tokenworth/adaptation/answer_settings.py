"""Settings of what a classifier may answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tokenworth.settings import Bounds, Settings

Inside = Annotated[float, Bounds(above=0, below=1)]


@dataclass(frozen=True, kw_only=True)
class AnswerSettings(Settings):
    """Which predictions are given as answers."""

    risk: Inside | None = None
    """Answer only where the error among answered texts stays at or below this, by a bound from the run's test texts."""
    certainty: Inside = 0.95
    """With which the bound of --risk holds."""
    sets: Inside | None = None
    """Also name for each text a set of classes that holds the true one with this probability, such as 0.9."""
