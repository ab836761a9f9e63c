"""Loss curves as they are drawn: thinned to what an eye can tell apart, with a running mean."""

from __future__ import annotations

POINTS = 600
"""A longer curve is drawn by means over equal stretches."""


def thinned(losses: list[float]) -> tuple[list[int], list[float]]:
    """The last place of each stretch, counted from 1, and its mean."""
    width = -(-len(losses) // POINTS)
    parts = [losses[start : start + width] for start in range(0, len(losses), width)]
    return [min((i + 1) * width, len(losses)) for i in range(len(parts))], [sum(part) / len(part) for part in parts]


def running_mean(values: list[float], share: float = 0.05) -> list[float]:
    """Exponential mean over about a twentieth of the curve."""
    weight = 2 / (max(1.0, share * len(values)) + 1)
    found, mean = [], values[0]
    for value in values:
        mean += weight * (value - mean)
        found.append(mean)
    return found
