"""A setting's value from the texts of a command line."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from tokenworth.settings.bounds import ByComma, Misfit
from tokenworth.settings.conversion import convert, marks_of
from tokenworth.settings.declarations import NoOption


def value_from(texts: Sequence[str], hint: Any, *, several: bool) -> Any:
    """What a setting takes of the texts that were given for it; where it is no list, the last one counts.

    Raises:
        Misfit: they do not fit.
    """
    values = [_value(text, hint) for text in texts]
    return convert(values if several else values[-1], hint)


def option_type(hint: Any) -> type[Any] | None:
    """The type that help shows for an annotation; None for what no text can name."""
    members = set(_members(hint))
    if any(isinstance(mark, NoOption) for mark in marks_of(hint)) or all(get_origin(kind) is dict for kind in members):
        return None
    if is_list(hint):
        return list[str]
    return next((kind for kind in (Path, str, float, int, bool) if kind in members), str)


def is_list(hint: Any) -> bool:
    """Whether an option is given several times for several values."""
    by_comma = any(isinstance(mark, ByComma) for mark in marks_of(hint))
    return not by_comma and all(get_origin(kind) in (tuple, Sequence) for kind in _members(hint))


def _members(hint: Any) -> Iterator[Any]:
    """The types of a union, without what stands beside them."""
    if get_origin(hint) is Annotated:
        yield from _members(get_args(hint)[0])
    elif get_origin(hint) in (Union, types.UnionType):
        for kind in get_args(hint):
            yield from _members(kind)
    elif hint is not type(None):
        yield hint


def _value(text: str, hint: Any) -> Any:
    """A number where the setting takes numbers and no texts."""
    members = set(_members(hint))
    words = {str(word): word for kind in members if get_origin(kind) is Literal for word in get_args(kind)}
    if str in members:
        return words.get(text, text)
    inner = {kind for member in members if get_origin(member) is tuple for kind in _members(get_args(member)[0])}
    if inner & {int, float}:
        return _numbers(text)
    if not members & {int, float}:
        return words.get(text, text)
    try:
        return _number(text)
    except ValueError:
        return text


def _numbers(text: str) -> list[float]:
    try:
        return [_number(part) for part in text.split(",")]
    except ValueError:
        sentence = f"{text!r} is no list of numbers; write them as 16,64,128"
        raise Misfit("a list of numbers", text, sentence) from None


def _number(text: str) -> float:
    return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
