"""What files of results hold, stated as shapes and checked where the files are read.

A shape is one of the kinds below, [shape] for a list, {"name": shape, "name?": shape} for an object (with ? it may be
missing; names that are not stated may hold anything), Each(shape) for an object of any names, Maybe(shape) for null.

`shape_of` reads the shape from a type, so that it is stated once: str, bool, int and float, lists, dictionaries of any
names, TypedDicts and dataclasses as they are (a field with a default may be missing), and Annotated[type, shape] where
a type alone says too little.  A float may be null in a file, which `restore` makes NaN again; null that means "there
is none" is written float | None and stays None.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from typing_extensions import NotRequired, get_type_hints, is_typeddict

from tokenworth.errors import TokenworthError, first_line

Shape = Any
"""A Kind, Each, Maybe, or a list or mapping of shapes."""
_LARGEST = 2**63


@dataclass(frozen=True, slots=True)
class Kind:
    """One value, in words and as a check."""

    words: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True, eq=False, slots=True)
class Each:
    """An object whose values all have one shape, but for those that are stated, which must be there."""

    shape: Shape
    stated: dict[str, Shape] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Maybe:
    """A shape, or null."""

    shape: Shape


@dataclass(frozen=True, eq=False, slots=True)
class Record:
    """An object that becomes a dataclass when it is read."""

    kind: Any
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
MEASURED = Kind("a number", _is_number)
"""As NUMBER; null is read as NaN."""
FINITE = Kind("a number", lambda value: value is not None and _is_number(value))
TRUTH = Kind("true or false", lambda value: isinstance(value, bool))
OBJECT: Shape = {}
LEAF = Kind("text, a number, or true or false", lambda value: isinstance(value, str | bool) or _is_number(value))
ANYTHING = Kind("anything", lambda _value: True)

Count = Annotated[int, COUNT]
Finite = Annotated[float, FINITE]
Number = Annotated[float, NUMBER]
"""One that does not exist is None when it is read."""
Figures = Annotated[dict[str, float], Each(NUMBER)]
"""Numbers by name."""
Facts = Annotated[dict[str, Any], Each(LEAF)]
"""Texts, numbers and truths by name."""
Settings = Annotated[dict[str, Any], OBJECT]
"""Whatever a command was asked, by name."""

_PLAIN: dict[Any, Shape] = {str: TEXT, bool: TRUTH, int: WHOLE, float: MEASURED, Any: ANYTHING, object: ANYTHING}


def shape_of(kind: Any) -> Shape:
    """The shape of values of a type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return kind.__metadata__[0]
    if origin in (Union, UnionType):
        (kept,) = (member for member in inner if member is not NoneType)
        return NUMBER if kept is float else Maybe(shape_of(kept))
    if origin is not None:
        return [shape_of(inner[0])] if origin is list else Each(shape_of(inner[1]))
    if kind in _PLAIN:
        return _PLAIN[kind]
    stated = stored_shape(kind)
    return Record(kind, stated) if is_dataclass(kind) else stated


@lru_cache(maxsize=64)
def stored_shape(kind: Any) -> dict[str, Shape]:
    """By key of a TypedDict, or field of a dataclass but for those that are kept elsewhere (metadata stored=False)."""
    hints = get_type_hints(kind, include_extras=True)
    if is_typeddict(kind):
        return dict(_entry(name, hint, needed=name in kind.__required_keys__) for name, hint in hints.items())
    assert is_dataclass(kind), f"{kind} has no shape"
    stored = [entry for entry in fields(kind) if entry.metadata.get("stored", True)]
    return dict(_entry(entry.name, hints[entry.name], needed=_has_no_default(entry)) for entry in stored)


def _has_no_default(entry: Any) -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING


def _entry(name: str, hint: Any, *, needed: bool) -> tuple[str, Shape]:
    if get_origin(hint) is NotRequired:
        hint, needed = get_args(hint)[0], False
    return name if needed else f"{name}?", shape_of(hint)


def restore(value: Any, shape: Shape) -> Any:
    """A value that fits its shape, with NaN again where a measured number is null."""
    shape = shape.shape if isinstance(shape, Maybe) else shape
    if value is None:
        return math.nan if shape is MEASURED else None
    if isinstance(shape, list):
        return [restore(inner, shape[0]) for inner in value]
    if isinstance(shape, Each):
        return {name: restore(inner, shape.stated.get(name, shape.shape)) for name, inner in value.items()}
    if isinstance(shape, dict):
        stated = {name.removesuffix("?"): inner for name, inner in shape.items()}
        return {name: restore(inner, stated.get(name)) for name, inner in value.items()}
    if isinstance(shape, Record):
        known = {name.removesuffix("?") for name in shape.shape}
        return shape.kind(**{name: inner for name, inner in restore(value, shape.shape).items() if name in known})
    return value


def mistake_in(value: Any, shape: Shape, place: str = "") -> str | None:
    """Where a value first differs from its shape, as a clause such as "cost.seconds is 'x' and not a number"."""
    if isinstance(shape, Maybe):
        return None if value is None else mistake_in(value, shape.shape, place)
    if isinstance(shape, Record):
        return mistake_in(value, shape.shape, place)
    if isinstance(shape, Kind):
        return None if shape.fits(value) else _differs(place, value, shape.words)
    is_list = isinstance(shape, list)
    if not isinstance(value, list if is_list else dict):
        return _differs(place, value, "a list" if is_list else "an object")
    inside: Any = value
    if is_list:
        return _first(mistake_in(inner, shape[0], f"{place}[{i}]") for i, inner in enumerate(inside))
    if isinstance(shape, Each):
        shape = shape.stated | {f"{name}?": shape.shape for name in inside if name not in shape.stated}
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
    failure = f"{path} holds no {holds}"
    return parse_object(read_text(path, failure, remedy), shape, failure, remedy)


def read_text(path: Path, failure: str, remedy: str) -> str:
    """The text of a file, or the failure, why, and what to do about it.

    Raises:
        TokenworthError: it is not there or cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TokenworthError(
            f"{failure} ({getattr(error, 'strerror', None) or first_line(error)}); {remedy}"
        ) from error


def parse_object(text: str, shape: Shape, failure: str, remedy: str) -> dict[str, Any]:
    """As `read_object`, of text.

    Raises:
        TokenworthError: the text is not such an object.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TokenworthError(f"{failure} ({first_line(error)}); {remedy}") from error
    mistake = mistake_in(content, shape)
    if mistake is not None:
        raise TokenworthError(f"{failure} that can be used: {mistake}; {remedy}")
    return dict(content)
