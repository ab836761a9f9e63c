"""Time as people say it, and how much of it went into which stage."""

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

    @contextmanager
    def shared(self) -> Iterator[dict[str, float]]:
        """Count a block whose parts went on side by side: divided in proportion to what is put into the mapping."""
        start, shares = perf_counter(), dict[str, float]()
        try:
            yield shares
        finally:
            whole = sum(shares.values()) or 1.0
            for stage, share in shares.items():
                self._seconds[stage] += (perf_counter() - start) * share / whole

    def seconds(self) -> dict[str, float]:
        """Seconds by stage, and their total since the clock was made."""
        return {**self._seconds, "total": perf_counter() - self._start}


def clock_time(seconds: float) -> str:
    """For tables: "12.3 s", "4 min 05 s", "2 h 07 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def duration(seconds: float) -> str:
    """For sentences, in the unit a person would use: "about a second", "3.5 minutes", "2.0 days"."""
    for unit, size in (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 1.5 else "about a second"
