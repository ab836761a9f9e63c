"""A value in the type that an annotation asks for, or what is wanted instead."""

from __future__ import annotations

import math
import os
import types
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from tokenworth.base.sentences import nearest, quoted
from tokenworth.settings.bounds import AsName, AsPath, Bounds, ByComma, Finite, FolderName, NotEmpty, OneOf

_LARGEST = 2**63 - 1
_LONGEST_NAME, _LONGEST_PATH = 255, 4000
"""Of files, on most systems."""


class Misfit(ValueError):  # noqa: N818 - a reason, told by who knows the name
    """What a value must be, and what it is: "must be at least 1, not 0"."""


def fitting(value: Any, wanted: Any) -> Any:
    """The value in the wanted type; what the annotation does not say anything about passes as it is.

    Raises:
        Misfit: it does not fit.
    """
    kind, marks = _parts(wanted)
    if get_origin(kind) in (Union, types.UnionType):
        return _one_of_several(value, get_args(kind), marks)
    if get_origin(kind) is Literal:
        return _choice(value, get_args(kind))
    if get_origin(kind) is tuple:
        return _several(value, get_args(kind)[0], marks)
    if kind in (dict, Mapping) or get_origin(kind) in (dict, Mapping):
        return _mapping(value, marks)
    if kind is str and isinstance(value, int) and not isinstance(value, bool) and AsName() in marks:
        value = str(value)
    found = _CONVERSIONS.get(get_origin(kind) or kind, _as_it_is)(value)
    return _marked(found, marks)


def _parts(wanted: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type, and what stands beside it."""
    if get_origin(wanted) is Annotated:
        kind, *marks = get_args(wanted)
        inner, more = _parts(kind)
        return inner, (*more, *marks)
    return wanted, ()


def _one_of_several(value: Any, kinds: tuple[Any, ...], marks: tuple[Any, ...]) -> Any:
    """None where it may be; else the first kind that takes it."""
    if value is None and type(None) in kinds:
        return None
    others = [one for one in kinds if one is not type(None)]
    if any(not _is_known(_parts(one)[0]) for one in others):
        return _marked(value, marks)  # an object of a kind that is not known here may stand there, too
    reasons = []
    for one in others:
        try:
            found = fitting(value, one)
        except Misfit as misfit:  # noqa: PERF203 - the next kind may take it
            reasons.append(misfit)
        else:
            return _marked(found, marks)
    raise reasons[0] if len(reasons) == 1 else Misfit(_either(reasons, value))


def _is_known(kind: Any) -> bool:
    return kind in _CONVERSIONS or get_origin(kind) in (*_CONVERSIONS, *_CHECKED)


def _either(reasons: list[Misfit], value: Any) -> str:
    wanted = [str(one).rpartition(", not ")[0].removeprefix("must be ") for one in reasons]
    return f"must be {' or '.join(wanted)}, not {quoted(value)}"


def _choice(value: Any, literals: tuple[Any, ...]) -> Any:
    for one in literals:
        if type(one) is type(value) and one == value:
            return one
    words = ", ".join(map(str, literals))
    near = nearest(value, map(str, literals)) if isinstance(value, str) else ""
    hint = f"; {near}" if near.startswith("did") else ""
    raise Misfit(f"{quoted(value)} is not understood; choose one of {words}{hint}")


def _several(value: Any, kind: Any, marks: tuple[Any, ...]) -> tuple[Any, ...]:
    """A list; one value stands for a list of it."""
    if isinstance(value, str) and any(isinstance(mark, ByComma) for mark in marks):
        value = [part.strip() for part in value.split(",")]
    inner = Annotated[(kind, *marks)] if marks else kind
    values = value if isinstance(value, (list, tuple)) else [value]
    try:
        return tuple(fitting(one, inner) for one in values)
    except Misfit as misfit:
        of = "names" if AsName() in _parts(inner)[1] else "words"
        reason = str(misfit).removeprefix("must be ").rpartition(", not ")[0]
        wanted = f"a list of {of}" if _parts(kind)[0] is str else f"a list, and each value in it {reason}"
        raise Misfit(f"must be {wanted}, not {quoted(value)}") from None


def _mapping(value: Any, marks: tuple[Any, ...]) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise Misfit(f"takes lines of its own, such as 'use_dora: true', not {quoted(value)}")
    if Finite() in marks and (name := _unreal(value)):
        raise Misfit(f"has a number in it that is not finite, at {name!r}")
    return _plain(value)


def _unreal(value: Any, name: str = "") -> str:
    """Where infinity or nan stands, or ""."""
    if isinstance(value, Mapping):
        return next((at for key, inner in value.items() if (at := _unreal(inner, str(key)))), "")
    if isinstance(value, (list, tuple)):
        return next((at for inner in value if (at := _unreal(inner, name))), "")
    return name if isinstance(value, float) and not math.isfinite(value) else ""


def _plain(value: Any) -> Any:
    """Sections as plain mappings, which every library takes."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _whole(value: Any) -> int:
    """1e3 is whole, true is not."""
    fits = not isinstance(value, bool) and isinstance(value, Real)
    if not fits or not (isinstance(value, Integral) or float(value).is_integer()):
        raise Misfit(f"must be a whole number, not {quoted(value)}")
    if abs(number := int(value)) > _LARGEST:
        raise Misfit(f"must be a whole number of at most 19 digits, not {quoted(value)}")
    return number


def _real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise Misfit(f"must be a number, not {quoted(value)}")
    if isinstance(value, Integral) and abs(int(value)) > _LARGEST:
        raise Misfit(f"must be a number of at most 19 digits, not {quoted(value)}")
    return float(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Misfit(f"must be true or false, not {quoted(value)}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Misfit(f"must be text, not {quoted(value)}")
    return value


def _path(value: Any) -> Any:
    if not isinstance(value, (str, os.PathLike)):
        raise Misfit(f"must be a path, not {quoted(value)}")
    return value


def _as_it_is(value: Any) -> Any:
    return value


_CONVERSIONS = {
    int: _whole,
    float: _real,
    bool: _truth,
    str: _text,
    Path: _path,
    os.PathLike: _path,
    type(None): _as_it_is,
}
_CHECKED = (Literal, tuple, dict)


def _marked(value: Any, marks: tuple[Any, ...]) -> Any:
    """The value, if it lies within what stands beside its type."""
    bounds = next((mark for mark in marks if isinstance(mark, Bounds)), None)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if bounds is not None and not bounds.hold(value):
            raise Misfit(f"must be {bounds}, not {_number(value)}")
        if not math.isfinite(value):
            raise Misfit(f"must be a finite number, not {value}")
    for mark in marks:
        if isinstance(mark, OneOf):
            _choice(value, tuple(mark))
        if isinstance(mark, NotEmpty) and str(value) == "":
            raise Misfit("is empty; name a folder, such as out/run, or . for this one")
        if isinstance(mark, AsPath) and isinstance(value, (str, os.PathLike)):
            _can_be_asked_for(os.fspath(value))
        if isinstance(mark, FolderName):
            _one_folder(value)
    return value


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) and value == round(value, 4) else str(value)


def _can_be_asked_for(path: str) -> None:
    try:
        parts = os.fsencode(path).split(b"/")
    except UnicodeEncodeError:
        parts = [b"\0"]
    if any(b"\0" in part or len(part) > _LONGEST_NAME for part in parts) or len(path) > _LONGEST_PATH:
        raise Misfit(f"must be a path, whose parts have at most {_LONGEST_NAME} bytes, not {quoted(path)}")


def _one_folder(value: str) -> None:
    if not value or value in (".", "..") or set(value) & set("/\\\0") or len(value) > 200:
        raise Misfit(f"names a folder, so it is a word without / and no .., not {quoted(value)}")
