"""Seconds by stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class StageClock:
    """Adds up wall-clock seconds under names; `with clock("encode"): ...`."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self._seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the block under a stage."""
        start = perf_counter()
        try:
            yield
        finally:
            self._seconds[stage] += perf_counter() - start

    def seconds(self) -> dict[str, float]:
        """Seconds by stage, and their total since the clock was made."""
        return {**self._seconds, "total": perf_counter() - self._start}
