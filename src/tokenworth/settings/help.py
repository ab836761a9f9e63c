"""What a settings class says of its fields, for the help of commands and for tables: type, unit, bounds, sentence."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin

from tokenworth.settings.bounds import AsName, Bounds, Called, OneOf, Unit
from tokenworth.settings.conversion import KINDS, parts_of
from tokenworth.settings.validation import hints_of


def field_help(kind: type[Any]) -> dict[str, str]:
    """The docstring under each field of a settings class, its bases among them, as one line; none without source."""
    helps: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        helps |= _helps_of(base.__module__).get(base.__name__, {})
    return helps


@cache
def _helps_of(module: str) -> dict[str, dict[str, str]]:
    """By class and field."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):
        return {}
    helps: dict[str, dict[str, str]] = {}
    for owner in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, below in pairwise(owner.body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                helps.setdefault(owner.name, {})[ast.unparse(field.target)] = " ".join(str(below.value.value).split())
    return helps


def setting_table(kind: type[Any]) -> list[dict[str, str]]:
    """The fields of a settings class in their order, in words.

    Returns:
        name; type, such as "whole number", "list of words" or "one of a, b"; unit; default as YAML writes it; bounds;
        help: the sentence.  What there is not is "".
    """
    helps, rows = field_help(kind), []
    for name, field in zip(hints_of(kind), fields(kind), strict=True):
        hint = hints_of(kind)[name]
        default = field.default if field.default_factory is MISSING else field.default_factory()
        rows.append(
            {
                "name": name,
                "type": _kind(hint),
                "unit": next((mark.name for mark in _marks(hint) if isinstance(mark, Unit)), ""),
                "default": "" if default is MISSING or is_dataclass(default) else json.dumps(default),
                "bounds": next((str(mark) for mark in _marks(hint) if isinstance(mark, Bounds)), ""),
                "help": helps.get(name, ""),
            }
        )
    return rows


def _marks(hint: Any) -> list[Any]:
    """Those of all types that may stand there."""
    kind, marks = parts_of(hint)
    inner = [] if get_origin(kind) is Literal else [mark for arm in get_args(kind) for mark in _marks(arm)]
    return [*marks, *inner]


def _kind(hint: Any) -> str:
    kind, marks = parts_of(hint)
    origin = get_origin(kind) or kind
    called = next((mark.words for mark in marks if isinstance(mark, Called)), "")
    words = [word for mark in marks if isinstance(mark, OneOf) for word in mark]
    words += get_args(kind) if origin is Literal else []
    if called or words:
        return called or f"one of {', '.join(map(str, words))}"
    if origin is tuple:
        inner = "name" if AsName() in marks else _kind(get_args(kind)[0]).replace("text", "word")
        return f"list of {inner}s" if inner else "list"
    if origin in KINDS:
        return KINDS[origin].removeprefix("a ")
    return " or ".join(name for arm in get_args(kind) if (name := _kind(arm)))
