"""What the results of all measures have: the model that was measured, and the way to plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Measured:
    """What one measure says of a model."""

    model: str
    """Its folder or hub id, as it was given."""

    def asdict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)
