"""A value in the type that an annotation asks for, or what is wanted instead."""

from __future__ import annotations

import math
import os
import types
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from tokenworth.base.sentences import quoted
from tokenworth.settings.bounds import AsName, ByComma, Called, Mark, Misfit, OneOf

_LARGEST = 2**63 - 1
KINDS = {
    int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path",
    os.PathLike: "a path", dict: "lines of its own", Mapping: "lines of its own",
}  # fmt: skip
"""The types that values are brought to, as a sentence calls them; a value of another type passes as it is."""


def convert(value: Any, wanted: Any) -> Any:
    """The value in the wanted type, or a Misfit; what the annotation does not say anything about passes as it is."""
    kind, marks = parts_of(wanted)
    origin = get_origin(kind) or kind
    if origin in (Union, types.UnionType):
        if value is None and type(None) in get_args(kind):
            return None
        value = _first_that_fits(value, [arm for arm in get_args(kind) if arm is not type(None)], marks)
    elif origin is tuple:
        return _to_tuple(value, get_args(kind)[0], marks)
    elif origin is Literal:
        OneOf(get_args(kind))(value)
    elif origin in KINDS:
        value = _to_kind(str(value) if AsName() in marks and type(value) is int else value, origin)
    for mark in marks:
        if isinstance(mark, Mark):
            mark(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise Misfit("a finite number", value, f"must be a finite number, not {value}")
    return value


def parts_of(wanted: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type, and the marks beside it."""
    if get_origin(wanted) is not Annotated:
        return wanted, ()
    kind, *marks = get_args(wanted)
    inner, more = parts_of(kind)
    return inner, (*more, *marks)


def marks_of(wanted: Any) -> list[Any]:
    """The marks of all types that may stand there."""
    kind, marks = parts_of(wanted)
    arms = () if get_origin(kind) is Literal else get_args(kind)
    return [*marks, *(mark for arm in arms for mark in marks_of(arm))]


def _first_that_fits(value: Any, arms: list[Any], marks: tuple[Any, ...]) -> Any:
    kinds = [get_origin(kind) or kind for kind, _ in map(parts_of, arms)]
    # Python 3.10 wraps what is None by default in one more Optional.
    if any(kind not in (*KINDS, Literal, tuple, Union, types.UnionType) for kind in kinds):
        return value  # an object of a kind that is not known here may stand there, too
    misfits = []
    for arm in arms:
        try:
            return convert(value, arm)
        except Misfit as misfit:  # noqa: PERF203 - the next kind may take it
            misfits.append(misfit)
    called = next((mark.words for mark in marks if isinstance(mark, Called)), "")
    if len(misfits) == 1 and not called:
        raise misfits[0]
    raise Misfit(called or " or ".join(misfit.wanted for misfit in misfits), value)


def _to_tuple(value: Any, kind: Any, marks: tuple[Any, ...]) -> tuple[Any, ...]:
    """A list; one value stands for a list of it."""
    if isinstance(value, str) and ByComma() in marks:
        value = [part.strip() for part in value.split(",")]
    inner = Annotated[(kind, *marks)] if marks else kind
    try:
        return tuple(convert(item, inner) for item in (value if isinstance(value, (list, tuple)) else [value]))
    except Misfit as misfit:
        words = f"a list of {'names' if AsName() in parts_of(inner)[1] else 'words'}"
        wanted = words if parts_of(kind)[0] is str else f"a list, and each value in it {misfit.wanted}"
        raise Misfit(wanted, value) from None


def _to_kind(value: Any, kind: Any) -> Any:
    if kind in (int, float):
        return _number(value, kind)
    if kind in (dict, Mapping):
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            sentence = f"takes lines of its own, such as 'use_dora: true', not {quoted(value)}"
            raise Misfit(KINDS[kind], value, sentence)
        return _to_plain(value)
    if not isinstance(value, (str, os.PathLike) if kind in (Path, os.PathLike) else kind):
        raise Misfit(KINDS[kind], value)
    return value


def _number(value: Any, kind: type[int | float]) -> int | float:
    """1e3 is a whole number, true is none."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or (kind is int and not (isinstance(value, Integral) or float(value).is_integer())):
        raise Misfit(KINDS[kind], value)
    if (kind is int or isinstance(value, Integral)) and abs(int(value)) > _LARGEST:
        raise Misfit(f"{KINDS[kind]} of at most 19 digits", value)
    return kind(value)


def _to_plain(value: Any) -> Any:
    """Sections as plain mappings, which every library takes."""
    if isinstance(value, Mapping):
        return {name: _to_plain(inner) for name, inner in value.items()}
    return [_to_plain(inner) for inner in value] if isinstance(value, list) else value
