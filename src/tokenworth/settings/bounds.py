"""Bounds of numbers, said beside the type of a field: `steps: Count = 10_000`.

A number is always finite; a whole number fits into 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

ENDS = ("least", "above", "most", "below")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """Where a number may lie; None: no end on that side."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def hold(self, value: float) -> bool:
        """Whether the value lies within; nan does not."""
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """For people: "above 0 and at most 1"."""
        words = {"least": "at least", "above": "above", "most": "at most", "below": "below"}
        ends = [f"{words[name]} {end:,}" for name in ENDS if (end := getattr(self, name)) is not None]
        return " and ".join(ends)


@dataclass(frozen=True, slots=True)
class OneOf:
    """A word out of a table that another module keeps."""

    words: Iterable[str] | Callable[[], Iterable[str]]

    def __iter__(self) -> Iterator[str]:
        """The words, in their order."""
        return iter(self.words() if callable(self.words) else self.words)


@dataclass(frozen=True, slots=True)
class ByComma:
    """Of a list of words: one text with commas is several of them."""


@dataclass(frozen=True, slots=True)
class AsName:
    """Of words: a whole number is one, too."""


@dataclass(frozen=True, slots=True)
class Finite:
    """Of a mapping: the numbers in it are finite."""


@dataclass(frozen=True, slots=True)
class NotEmpty:
    """Of a text or path: it says something."""


@dataclass(frozen=True, slots=True)
class AsPath:
    """Of a text or path: the system can be asked for it."""


@dataclass(frozen=True, slots=True)
class FolderName:
    """Of a text: it names one folder, here and not elsewhere."""


Count = Annotated[int, Bounds(least=1)]
Natural = Annotated[int, Bounds(least=0)]
Seed = Annotated[int, Bounds(least=0, most=2**32 - 1)]
"""What every generator in use takes; scikit-learn's take no more."""
Positive = Annotated[float, Bounds(above=0)]
NonNegative = Annotated[float, Bounds(least=0)]
Share = Annotated[float, Bounds(least=0, most=1)]
Fraction = Annotated[float, Bounds(least=0, below=1)]
"""A share that leaves something."""
Names = Annotated[tuple[str, ...], AsName()]
Place = Annotated[str | Path, AsPath()]
OutFolder = Annotated[str | Path | None, NotEmpty(), AsPath()]
