"""What a settings class says of its fields, for the help of commands and for tables: type, unit, bounds, sentence."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin

from tokenworth.settings.bounds import AsName, Bounds, Called, OneOf, Unit
from tokenworth.settings.conversion import KINDS, parts_of
from tokenworth.settings.validation import hints_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """A field of a settings class, in words."""

    name: str
    kind: str
    """Such as "whole number", "list of words" or "one of a, b"; "" where another type than a setting's is asked for."""
    unit: str
    default: str
    """As YAML writes it; "" where there is none."""
    bounds: str
    help: str


def field_help(kind: type[Any]) -> Mapping[str, str]:
    """The docstring under each field of a settings class as one line; fields of its bases among them."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body  # type: ignore[attr-defined]
        for field, text in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
                texts[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return texts


def setting_table(kind: type[Any]) -> list[Setting]:
    """The fields of a settings class in their order."""
    helps, hints = field_help(kind), hints_of(kind)
    return [
        Setting(
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
    if origin in KINDS:
        return KINDS[origin].removeprefix("a ")
    return " or ".join(name for arm in get_args(kind) if (name := _kind(arm)))


def _default(field: Any) -> str:
    value = field.default if field.default_factory is MISSING else field.default_factory()
    return "" if value is MISSING or is_dataclass(value) else json.dumps(value)
