"""What a settings class says of its fields, for the help of commands and for tables: type, unit, bounds, sentence."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin

from tokenworth.settings.bounds import AsName, Bounds, Called, OneOf, Unit
from tokenworth.settings.conversion import KINDS, parts_of
from tokenworth.settings.validation import hints_of


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingRow:
    """A field of a settings class, in words."""

    name: str
    kind: str
    """Such as "whole number", "list of words" or "one of a, b"; "" where another type than a setting's is asked for."""
    unit: str
    default: str
    """As YAML writes it; "" where there is none."""
    bounds: str
    help: str


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


def setting_table(kind: type[Any]) -> list[SettingRow]:
    """The fields of a settings class in their order."""
    helps, hints = field_help(kind), hints_of(kind)
    return [
        SettingRow(
            name=one.name,
            kind=_kind(hints[one.name]),
            unit=next((mark.name for mark in _marks(hints[one.name]) if isinstance(mark, Unit)), ""),
            default=_default(one),
            bounds=next((str(mark) for mark in _marks(hints[one.name]) if isinstance(mark, Bounds)), ""),
            help=helps.get(one.name, ""),
        )
        for one in fields(kind)
    ]


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
    if isinstance(origin, list):  # what a callable takes
        return ""
    if origin in KINDS:
        return KINDS[origin].removeprefix("a ")
    return " or ".join(dict.fromkeys(name for arm in get_args(kind) if (name := _kind(arm))))


def _default(field: Any) -> str:
    value = field.default if field.default_factory is MISSING else field.default_factory()
    return "" if value is MISSING or is_dataclass(value) else json.dumps(value)
