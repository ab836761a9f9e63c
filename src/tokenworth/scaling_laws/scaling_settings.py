"""Settings of a fit of losses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tokenworth.settings import Natural, Seed, Settings

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = object


@dataclass(frozen=True, kw_only=True)
class FitCall(Settings):
    """What `fit_scaling` takes."""

    runs: DataFrame = field(kw_only=False)
    """Parameters, tokens, loss in nats and FLOPs, one row a run."""
    form: str = field(default="chinchilla", kw_only=False)
    """chinchilla, kaplan or isoflop."""
    bootstrap: Natural = 200
    """Samples of runs, drawn with replacement, for the intervals; 0 leaves the intervals out."""
    seed: Seed = 0
    """Of the samples."""
