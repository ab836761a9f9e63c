"""What a settings class declares: name, type, unit, bounds, default and the sentence below each field."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Literal, TypeVar, get_args, get_origin

from tokenworth.settings.bounds import AsName, Bounds, Called, Mark, OneOf, Unit
from tokenworth.settings.conversion import KINDS, marks_of, parts_of
from tokenworth.settings.validation import hints_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NoOption(Mark):
    """Of a setting: an object of a program, which no command line can name."""


@dataclass(frozen=True, slots=True)
class OptionName(Mark):
    """Of a setting: what the command line calls it."""

    name: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of a settings class."""

    name: str
    hint: Any
    """Its annotation, bounds included."""
    written: str
    """The annotation as it stands in the class."""
    default: Any
    """MISSING where it must be given."""
    help: str
    by_place: bool
    """Whether a call may give it without its name."""

    @property
    def kind(self) -> str:
        """Such as "whole number", "list of words" or "one of a, b"; "" where no setting's type is asked for."""
        return _kind(self.hint)

    @property
    def unit(self) -> str:
        """In what it is counted, or ""."""
        return next((mark.name for mark in marks_of(self.hint) if isinstance(mark, Unit)), "")

    @property
    def bounds(self) -> str:
        """Such as "at least 1", or ""."""
        return next((str(mark) for mark in marks_of(self.hint) if isinstance(mark, Bounds)), "")

    @property
    def default_text(self) -> str:
        """The default as YAML writes it; "" where there is none, or it is a section."""
        return "" if self.default is MISSING or is_dataclass(self.default) else json.dumps(self.default)


def declared_settings(kind: type[Any]) -> list[Setting]:
    """The settings of a dataclass, those that it inherits among them; first those that may come without a name."""
    hints, helps = hints_of(kind), field_help(kind)
    settings = [
        Setting(field.name, hints[field.name], str(field.type), default, helps.get(field.name, ""), not field.kw_only)
        for field in fields(kind)
        for default in [field.default if field.default_factory is MISSING else field.default_factory()]
    ]
    return sorted(settings, key=lambda setting: not setting.by_place)


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


def values_of(kind: type[Any], settings: Any) -> dict[str, Any]:
    """Those values of a settings object that another class has fields for, by name: keywords to hand on."""
    return {field.name: getattr(settings, field.name) for field in fields(kind) if hasattr(settings, field.name)}


def part_of(kind: type[T], settings: Any, **changes: Any) -> T:
    """A settings object of a smaller class out of a larger one."""
    return kind(**{**values_of(kind, settings), **changes})


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
