"""Positions put together: a mean over a few positions has an interval worth reading, one position's has not."""

from __future__ import annotations

from itertools import pairwise


def doubling(count: int) -> list[tuple[int, int]]:
    """Half-open ranges over 0..count-1 of widths 1, 2, 4, ...: what changes fast at first is seen finely there.

    A rest of less than half its range belongs to the range before it.
    """
    ranges, start, width = [], 0, 1
    while start < count:
        end = start + width if count - start - width >= width else count
        ranges.append((start, end))
        start, width = end, 2 * width
    return ranges


def equal(count: int, bins: int) -> list[tuple[int, int]]:
    """Half-open ranges over 0..count-1, as equal as whole positions allow; fewer where there are fewer positions."""
    bins = max(1, min(bins, count))
    edges = [round(i * count / bins) for i in range(bins + 1)]
    return list(pairwise(edges))
