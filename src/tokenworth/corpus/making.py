"""Objects of settings classes from what a YAML file says; every mistake is a sentence, and all of them are told."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from typing import Any, Union, get_args, get_origin, get_type_hints

from tokenworth.corpus.stages import FOUND
from tokenworth.errors import SettingError


def unknown(what: str, found: Mapping[Any, Any], known: set[str]) -> Iterator[str]:
    """A sentence for every key that is not known, with the nearest one that is."""
    for name in found:
        if name not in known:
            near = get_close_matches(str(name), known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known)) or 'none'}"
            yield f"{what} has no key {name!r}; {hint}"


def made(kind: type[Any], what: str, found: Any, problems: list[str], **ready: Any) -> Any:
    """An object of a settings class, or None where a problem was found; values in the type that is asked for."""
    if not isinstance(found, Mapping):
        problems.append(f"{what} takes lines such as 'key: value', not {found!r}")
        return None
    hints = get_type_hints(kind)
    own = [one for one in fields(kind) if one.name not in {*ready, *FOUND}]
    known = {one.name for one in own}
    wrong = list(unknown(what, found, known | set(ready)))
    values = {}
    for name in found.keys() & known:
        try:
            values[name] = _fitting(found[name], hints[name])
        except ValueError as error:  # noqa: PERF203 - every mistake is told, not the first
            wrong.append(f"{what}: {name} must be {error}, not {found[name]!r}")
    needed = {one.name for one in own if one.default is MISSING and one.default_factory is MISSING}
    wrong += [f"{what} needs {name!r}" for name in sorted(needed - found.keys())]
    problems += wrong
    if wrong:
        return None
    try:
        return kind(**values, **ready)
    except SettingError as error:
        problems.append(str(error))
        return None


def _fitting(value: Any, wanted: Any) -> Any:
    """The value if it has the wanted type; a single word stands for a list of one.

    Raises:
        ValueError: what is wanted, in words.
    """
    choices = get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)
    if value is None and type(None) in choices:
        return None
    (kind,) = [one for one in choices if one is not type(None)]
    if get_origin(kind) is tuple:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise ValueError("a list of words")
        return tuple(values)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise ValueError({float: "a number", int: "a whole number", bool: "true or false", str: "text"}[kind])
