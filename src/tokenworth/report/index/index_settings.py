"""What can be asked of an index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tokenworth.settings import Bounds, Settings, Unit


@dataclass(frozen=True, kw_only=True)
class IndexCall(Settings):
    """How an index is kept."""

    watch: bool = False
    """Stay, and write the page anew whenever a result appears or changes, until Ctrl-C."""
    every: Annotated[float, Bounds(least=0.2, most=3600.0), Unit("seconds")] = 2.0
    """With --watch: between two looks into the folder."""
