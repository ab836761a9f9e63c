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
    """What is wanted and what there is, "must be at least 1, not 0", or a whole `sentence` where it reads otherwise."""

    def __init__(self, wanted: str, value: Any, sentence: str = "") -> None:
        super().__init__(sentence or f"must be {wanted}, not {quoted(value)}")
        self.wanted = wanted


class Mark:
    """Stands beside a type, `Annotated[str, FolderName()]`, and is called with a value of that type."""

    __slots__ = ()

    def __call__(self, value: Any) -> None:
        """Take any value; other marks may raise a Misfit."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds(Mark):
    """Where a number may lie, nan nowhere; None: no end on that side."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def __call__(self, value: Any) -> None:
        """Refuse a number outside."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return
        low = (self.least is None or value >= self.least) and (self.above is None or value > self.above)
        if not (low and (self.most is None or value <= self.most) and (self.below is None or value < self.below)):
            shown = f"{value:g}" if isinstance(value, float) and value == round(value, 4) else value
            raise Misfit(str(self), value, f"must be {self}, not {shown}")

    def __str__(self) -> str:
        ends = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return " and ".join(f"{words} {end:,}" for words, end in ends.items() if end is not None)


@dataclass(frozen=True, slots=True)
class OneOf(Mark):
    """A word out of a table that another module keeps; the number 4.0 is not the number 4."""

    words: Iterable[Any] | Callable[[], Iterable[str]]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.words() if callable(self.words) else self.words)

    def __call__(self, value: Any) -> None:
        """Refuse another word, with the nearest."""
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


class ByComma(Mark):
    """Of a list of words: one text with commas is several of them."""


class AsName(Mark):
    """Of words: a whole number is one, too."""


class Finite(Mark):
    """Of a mapping: the numbers in it are finite."""

    def __call__(self, value: Any) -> None:
        """Refuse infinity and nan, however deep they stand."""
        if name := _not_finite(value):
            raise Misfit("", value, f"has a number in it that is not finite, at {name!r}")


def _not_finite(value: Any, name: str = "") -> str:
    """Where infinity or nan stands, or ""."""
    if isinstance(value, Mapping):
        return next((place for key, inner in value.items() if (place := _not_finite(inner, str(key)))), "")
    if isinstance(value, (list, tuple)):
        return next((place for inner in value if (place := _not_finite(inner, name))), "")
    return name if isinstance(value, float) and not math.isfinite(value) else ""


class NotEmpty(Mark):
    """Of a text or path: it says something; an empty path would be the folder one stands in."""

    def __call__(self, value: Any) -> None:
        """Refuse an empty one."""
        if str(value) == "":
            raise Misfit("", value, "is empty; name a folder, such as out/run, or . for this one")


class AsPath(Mark):
    """Of a text or path: the system can be asked for it.  Other values stand in for what would be loaded."""

    def __call__(self, value: Any) -> None:
        """Refuse what no file can be called."""
        path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else ""
        try:
            parts = os.fsencode(path).split(b"/")
        except UnicodeEncodeError:
            parts = [b"\0"]
        if any(b"\0" in part or len(part) > _LONGEST_NAME for part in parts) or len(path) > _LONGEST_PATH:
            raise Misfit(f"a path, whose parts have at most {_LONGEST_NAME} bytes", path)


class FolderName(Mark):
    """Of a text: it names one folder, here and not elsewhere."""

    def __call__(self, value: str) -> None:
        """Refuse a way to another folder."""
        if not value or value in (".", "..") or set(value) & set("/\\\0") or len(value) > 200:
            raise Misfit("", value, f"names a folder, so it is a word without / and no .., not {quoted(value)}")


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
