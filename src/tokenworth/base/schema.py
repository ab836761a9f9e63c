"""What files of results hold, stated as shapes and checked where the files are read.

A shape is one of the kinds below, [shape] for a list, {"name": shape, "name?": shape} for an object (with ? it may be
missing; names that are not stated may hold anything), Each(shape) for an object of any names, Maybe(shape) for null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenworth.errors import TokenworthError, first_line

Shape = Any
"""A Kind, Each, Maybe, or a list or mapping of shapes."""
_LARGEST = 2**63


@dataclass(frozen=True, slots=True)
class Kind:
    """One value, in words and as a check."""

    words: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Each:
    """An object whose values all have one shape."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Maybe:
    """A shape, or null."""

    shape: Shape


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST


def _is_number(value: Any) -> bool:
    return value is None or _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


TEXT = Kind("text", lambda value: isinstance(value, str))
WHOLE = Kind("a whole number", _is_whole)
COUNT = Kind("a count", lambda value: _is_whole(value) and value >= 0)
NUMBER = Kind("a number", _is_number)
"""null stands for a number that does not exist."""
FINITE = Kind("a number", lambda value: value is not None and _is_number(value))
TRUTH = Kind("true or false", lambda value: isinstance(value, bool))
OBJECT: Shape = {}
LIST = Kind("a list", lambda value: isinstance(value, list))
LEAF = Kind("text, a number, or true or false", lambda value: isinstance(value, str | bool) or _is_number(value))


def mistake_in(value: Any, shape: Shape, place: str = "") -> str | None:
    """Where a value first differs from its shape, as a clause such as "cost.seconds is 'x' and not a number"."""
    if isinstance(shape, Maybe):
        return None if value is None else mistake_in(value, shape.shape, place)
    if isinstance(shape, Kind):
        return None if shape.fits(value) else _differs(place, value, shape.words)
    is_list = isinstance(shape, list)
    if not isinstance(value, list if is_list else dict):
        return _differs(place, value, "a list" if is_list else "an object")
    inside: Any = value
    if is_list:
        return _first(mistake_in(inner, shape[0], f"{place}[{i}]") for i, inner in enumerate(inside))
    if isinstance(shape, Each):
        return _first(mistake_in(inner, shape.shape, _below(place, name)) for name, inner in inside.items())
    return _first(_mistake_at(inside, name, inner, place) for name, inner in shape.items())


def _mistake_at(value: Mapping[str, Any], stated: str, shape: Shape, place: str) -> str | None:
    name = stated.removesuffix("?")
    if name in value:
        return mistake_in(value[name], shape, _below(place, name))
    return None if name != stated else f"{_below(place, name)} is missing"


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _first(mistakes: Any) -> str | None:
    return next((mistake for mistake in mistakes if mistake is not None), None)


def _differs(place: str, value: Any, words: str) -> str:
    shown = "null" if value is None else repr(value)
    return f"{place or 'it'} is {shown if len(shown) <= 60 else shown[:57] + '...'} and not {words}"


def read_object(path: Path, shape: Shape, holds: str, remedy: str) -> dict[str, Any]:
    """The object in a JSON file that a command wrote, checked.

    Args:
        path: the file.
        shape: what it must hold.
        holds: what it is, for the sentence: "a result of adapt".
        remedy: what to do where it is not that: "run it again".

    Raises:
        TokenworthError: it is not there, cannot be read, or differs from its shape; the sentence says where.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TokenworthError(f"{path} holds no {holds} ({_why(error)}); {remedy}") from error
    return parse_object(text, shape, f"{path} holds no {holds}", remedy)


def parse_object(text: str, shape: Shape, failure: str, remedy: str) -> dict[str, Any]:
    """As `read_object`, of text.

    Raises:
        TokenworthError: the text is not such an object.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TokenworthError(f"{failure} ({first_line(error)}); {remedy}") from error
    mistake = mistake_in(found, shape)
    if mistake is not None:
        raise TokenworthError(f"{failure} that can be used: {mistake}; {remedy}")
    return dict(found)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or first_line(error)
