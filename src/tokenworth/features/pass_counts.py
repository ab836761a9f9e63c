"""What a pass has cost so far, over all its sessions; goes into checkpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from tokenworth.encode import EncodeStats

SUMS = ("tokens", "padded_tokens", "batches", "halvings")
"""Counts that add up over processes."""
SECONDS = ("seconds", "forward_seconds", "pooling_seconds", "moments_seconds", "checkpoint_seconds")
"""Of these the slowest process's counts.  An accelerator works on after a stage has ended: read them together."""


class Counts:
    """Running totals by name."""

    def __init__(self, before: dict[str, float]) -> None:
        self._before = dict(before)
        self._start = perf_counter()
        self._now: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the block's seconds under a stage."""
        start = perf_counter()
        try:
            yield
        finally:
            self._now[stage] += perf_counter() - start

    def tokens(self, done: int) -> None:
        """Real tokens passed in this session."""
        self._now["tokens"] = done

    def finish(self, stats: EncodeStats) -> None:
        """Take over what the forward pass counted itself."""
        self._now |= {name: float(getattr(stats, name)) for name in SUMS}

    def totals(self) -> dict[str, float]:
        """This session's counts and those before it."""
        now = {**self._now, "seconds": perf_counter() - self._start}
        stages = sum(now.get(name, 0.0) for name in SECONDS[2:])
        now["forward_seconds"] = now["seconds"] - stages
        return {name: self._before.get(name, 0.0) + now.get(name, 0.0) for name in (*SUMS, *SECONDS)}
