"""What a settings class declares: name, type, bounds, default and the sentence below each field."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

from tokenworth.settings.bounds import Mark
from tokenworth.settings.help import field_help
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


def declared(kind: type[Any]) -> list[Setting]:
    """The settings of a dataclass, those that it inherits among them; first those that may come without a name."""
    hints, sentences = hints_of(kind), field_help(kind)
    settings = [
        Setting(
            field.name,
            hints[field.name],
            str(field.type),
            _default(field),
            sentences.get(field.name, ""),
            not field.kw_only,
        )
        for field in fields(kind)
    ]
    return sorted(settings, key=lambda setting: not setting.by_place)


def values_of(kind: type[Any], settings: Any) -> dict[str, Any]:
    """Those values of a settings object that another class has fields for, by name: keywords to hand on."""
    return {field.name: getattr(settings, field.name) for field in fields(kind) if hasattr(settings, field.name)}


def part_of(kind: type[T], settings: Any, **changes: Any) -> T:
    """A settings object of a smaller class out of a larger one."""
    return kind(**{**values_of(kind, settings), **changes})


def _default(field: Any) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
