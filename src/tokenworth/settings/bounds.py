"""What a field takes beside its type: `steps: Count = 10_000`, `name: Annotated[str, FolderName()]`.

A number is always finite; a whole number fits into 64 bits.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tokenworth.base.sentences import nearest, quoted

_LONGEST_NAME, _LONGEST_PATH = 255, 4000
"""Of files, on most systems."""


class Misfit(ValueError):  # noqa: N818 - a reason, put into a sentence by who knows the name
    """What a value must be, and what it is: "must be at least 1, not 0".

    Args:
        wanted: "at least 1".
        value: what there is instead.
        sentence: the whole reason, where it reads otherwise.
    """

    def __init__(self, wanted: str, value: Any, sentence: str = "") -> None:
        super().__init__(sentence or f"must be {wanted}, not {quoted(value)}")
        self.wanted = wanted


class Mark:
    """Stands beside a type: `Annotated[str, FolderName()]`."""

    __slots__ = ()

    def check(self, value: Any) -> None:
        """Look at a value that is already of the type.

        Raises:
            Misfit: it cannot be taken.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds(Mark):
    """Where a number may lie; None: no end on that side."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def check(self, value: Any) -> None:
        """The value lies within; nan does not."""
        low = (self.least is None or value >= self.least) and (self.above is None or value > self.above)
        if not (low and (self.most is None or value <= self.most) and (self.below is None or value < self.below)):
            shown = f"{value:g}" if isinstance(value, float) and value == round(value, 4) else value
            raise Misfit(str(self), value, f"must be {self}, not {shown}")

    def __str__(self) -> str:
        """For people: "above 0 and at most 1"."""
        ends = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return " and ".join(f"{words} {end:,}" for words, end in ends.items() if end is not None)


@dataclass(frozen=True, slots=True)
class OneOf(Mark):
    """A word out of a table that another module keeps."""

    words: Iterable[Any] | Callable[[], Iterable[str]]

    def __iter__(self) -> Iterator[Any]:
        """The words, in their order."""
        return iter(self.words() if callable(self.words) else self.words)

    def check(self, value: Any) -> None:
        """The value is one of them: the number 4.0 is not the number 4."""
        if not any(type(word) is type(value) and word == value for word in self):
            words = [*map(str, self)]
            near = nearest(value, words) if isinstance(value, str) else ""
            hint = f"; {near}" if near.startswith("did") else ""
            raise Misfit("", value, f"{quoted(value)} is not understood; choose one of {', '.join(words)}{hint}")


@dataclass(frozen=True, slots=True)
class Unit(Mark):
    """In what a number is counted, for tables and help: "seconds"."""

    name: str


@dataclass(frozen=True, slots=True)
class Called(Mark):
    """What is asked for, in the words of who knows: "a folder or settings such as 'kind: bpe'"."""

    words: str


@dataclass(frozen=True, slots=True)
class ByComma(Mark):
    """Of a list of words: one text with commas is several of them."""


@dataclass(frozen=True, slots=True)
class AsName(Mark):
    """Of words: a whole number is one, too."""


@dataclass(frozen=True, slots=True)
class Finite(Mark):
    """Of a mapping: the numbers in it are finite."""

    def check(self, value: Any) -> None:
        """However deep they stand."""
        if name := _not_finite(value):
            raise Misfit("", value, f"has a number in it that is not finite, at {name!r}")


def _not_finite(value: Any, name: str = "") -> str:
    """Where infinity or nan stands, or ""."""
    if isinstance(value, Mapping):
        return next((place for key, inner in value.items() if (place := _not_finite(inner, str(key)))), "")
    if isinstance(value, (list, tuple)):
        return next((place for inner in value if (place := _not_finite(inner, name))), "")
    return name if isinstance(value, float) and not math.isfinite(value) else ""


@dataclass(frozen=True, slots=True)
class NotEmpty(Mark):
    """Of a text or path: it says something."""

    def check(self, value: Any) -> None:
        """An empty path would be the folder one stands in."""
        if str(value) == "":
            raise Misfit("", value, "is empty; name a folder, such as out/run, or . for this one")


@dataclass(frozen=True, slots=True)
class AsPath(Mark):
    """Of a text or path: the system can be asked for it."""

    def check(self, value: Any) -> None:
        """Other values stand in for what would be loaded."""
        if not isinstance(value, (str, os.PathLike)):
            return
        path = os.fspath(value)
        try:
            parts = os.fsencode(path).split(b"/")
        except UnicodeEncodeError:
            parts = [b"\0"]
        if any(b"\0" in part or len(part) > _LONGEST_NAME for part in parts) or len(path) > _LONGEST_PATH:
            raise Misfit(f"a path, whose parts have at most {_LONGEST_NAME} bytes", path)


@dataclass(frozen=True, slots=True)
class FolderName(Mark):
    """Of a text: it names one folder, here and not elsewhere."""

    def check(self, value: str) -> None:
        """A word."""
        if not value or value in (".", "..") or set(value) & set("/\\\0") or len(value) > 200:
            wanted = "names a folder, so it is a word without / and no .."
            raise Misfit("", value, f"{wanted}, not {quoted(value)}")


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
