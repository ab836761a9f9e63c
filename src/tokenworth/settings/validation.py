"""The one checker of values: the type and the bounds a field asks for, every mistake as a sentence.

A field says what it takes by its annotation: bool, int, float, str, Literal[...], tuple[X, ...], dict[str, Any], with
`| None` where it may be off, and bounds beside it (`Annotated[int, Bounds(least=1)]`).  A settings class as a type is a
section of the file, `Class | str` a section or a word.  A value comes out in that type or not at all; a setting of
another type is given ready by the room that builds it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, get_args, get_type_hints

from tokenworth.base.keywords import line_of, unknown_names
from tokenworth.base.sentences import quoted, refusal
from tokenworth.errors import SettingError
from tokenworth.settings.bounds import Misfit
from tokenworth.settings.conversion import convert, parts_of
from tokenworth.settings.yaml_file import Section

if TYPE_CHECKING:
    from typing_extensions import Self

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


_HINTS: dict[type[Any], dict[str, Any]] = {}


def hints_of(kind: type[Any]) -> dict[str, Any]:
    """Annotations of a settings class's fields, bounds included."""
    if kind not in _HINTS:
        hints = get_type_hints(kind, include_extras=True)
        _HINTS[kind] = {field.name: hints[field.name] for field in fields(kind)}
    return _HINTS[kind]


def convert_all(
    values: Mapping[str, Any], hints: Mapping[str, Any], mistakes: list[str], where: str = ""
) -> dict[str, Any]:
    """Those values for which there is an annotation, in their types; what does not fit is left out.

    Args:
        values: by name; from a file, mistakes are told with their line.
        hints: annotations by name.
        mistakes: a sentence for each value that does not fit is added here.
        where: stands before the name: "stage quality: ".
    """
    fitted = {}
    for name in (name for name in hints if name in values):
        try:
            fitted[name] = convert(values[name], hints[name])
        except Misfit as misfit:  # noqa: PERF203 - every mistake is told, not the first
            mistakes.append(f"{line_of(values, name)}{where}{name} {misfit}")
    return fitted


def build(
    kind: type[T], values: Any, owner: str, *, where: str = "", hidden: Collection[str] = (), **ready: Any
) -> tuple[T | None, list[str]]:
    """An object of a settings class, or None and a sentence for each mistake.

    Args:
        kind: the class.
        values: by field; from a file, mistakes are told with their line.
        owner: who has no such setting, with its verb: "a route has".
        where: stands before a field's name: "stage quality: ".
        hidden: fields that a user does not have.
        ready: fields that are checked elsewhere; they may stand among the values, too.
    """
    what = where.rstrip(": ") or owner.rpartition(" ")[0]
    if not isinstance(values, Mapping):
        return None, [f"{what} takes lines of its own, such as 'key: value', not {quoted(values)}"]
    hints = {name: hint for name, hint in hints_of(kind).items() if name not in hidden}
    mistakes = [*unknown_names(values, hints, owner)]
    plain = {name: hint for name, hint in hints.items() if name not in ready}
    for name in [name for name in plain if name in values and _section_class(plain[name])]:
        ready[name], inner = _section(values[name], name, plain.pop(name))
        mistakes += with_line(values, name, inner)
    ready |= convert_all(values, plain, mistakes, where)
    needed = {each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}  # type: ignore[arg-type]
    mistakes += [f"{what} needs {name!r}" for name in sorted(needed - ready.keys() - values.keys())]
    if mistakes:
        return None, mistakes
    try:
        return kind(**ready), []
    except SettingError as error:
        return None, [text if text.startswith(where) else f"{where}{text}" for text in error.mistakes]


def _section_class(hint: Any) -> Any:
    """The settings class of `Class`, `Class | None` and `Class | str`; other unions are looked at by who takes them."""
    kind, _ = parts_of(hint)
    classes = [arm for arm in get_args(kind) or (kind,) if arm not in (str, type(None))]
    return classes[0] if len(classes) == 1 and is_dataclass(classes[0]) else None


def _section(section: Any, name: str, hint: Any) -> tuple[Any, list[str]]:
    """An empty one is one without lines."""
    kind, or_word = _section_class(hint), str in get_args(parts_of(hint)[0])
    if isinstance(section, kind) or (or_word and isinstance(section, str)):
        return section, []
    owner = f"a {name} has" if or_word else f"{name} has"
    return build(kind, {} if section is None else section, owner, where=f"{name}: ")


def build_each(
    kind: type[T], sections: Mapping[str, Any], what: str, mistakes: list[str], **ready: Any
) -> dict[str, T]:
    """Objects of a settings class by the names of their sections; a text alone is the `path` of one.

    Args:
        kind: the class.
        sections: by name.
        what: they are: "the source".
        mistakes: sentences are added here; what has one is left out.
        ready: fields that are made of the name, by what makes them.
    """
    objects: dict[str, T] = {}
    for name, section in sections.items():
        place, lines = f"{what} {name}", {"path": section} if isinstance(section, str) else section
        of_name = {key: make_field(name) for key, make_field in ready.items()}
        settings, inner = build(kind, lines, f"{place} has", where=f"{place}: ", **of_name)
        mistakes += with_line(sections, name, inner)
        if settings is not None:
            objects[str(name)] = settings
    return objects


def make(kind: type[T], values: Any, owner: str, *, place: object = "", **more: Any) -> T:
    """An object of a settings class; see `build`; every mistake there is makes one SettingError."""
    settings, mistakes = build(kind, values, owner, **more)
    if settings is None:
        raise refusal(place, mistakes)
    return settings


def check_fields(settings: Any) -> None:
    """Bring the fields of a frozen settings object to their types, for its `__post_init__`; all that do not fit make
    one SettingError.
    """
    hints = hints_of(type(settings))
    for name, value in _fit_all({name: getattr(settings, name) for name in hints}, hints).items():
        object.__setattr__(settings, name, value)


class Settings:
    """What every frozen dataclass of settings is: names it does not have, or values that do not fit its annotations,
    make one SettingError.
    """

    __slots__ = ()

    def __new__(cls, *_args: Any, **kwargs: Any) -> Self:
        """Looked at before `__init__`, which would answer in Python's words."""
        if unknown := [*unknown_names(kwargs, hints_of(cls), f"{cls.__name__} has")]:
            _fit_all(kwargs, hints_of(cls), unknown)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        check_fields(self)


def _fit_all(values: Mapping[str, Any], hints: Mapping[str, Any], unknown: Iterable[str] = ()) -> dict[str, Any]:
    mistakes = [*unknown]
    fitted = convert_all(values, hints, mistakes)
    if mistakes:
        raise refusal("", mistakes)
    return fitted


def checked_arguments(call: Callable[P, R]) -> Callable[P, R]:
    """The same call, which refuses names it does not have (with the nearest it has) and values that do not fit its
    annotations: all of them, as one SettingError.
    """
    parameters = inspect.signature(call).parameters

    @wraps(call)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        hints = {name: hint for name, hint in get_type_hints(call, include_extras=True).items() if name in parameters}
        unknown = unknown_names(kwargs, parameters, f"{call.__name__} has")
        fitted = _fit_all(dict(zip(parameters, args, strict=False)) | kwargs, hints, unknown)
        return call(*args, **{name: fitted.get(name, value) for name, value in kwargs.items()})

    return checked


def with_changes(values: Any, changes: Mapping[str, Any]) -> Any:
    """Values and what goes before them; what is no mapping is left to the checker."""
    if not changes or not isinstance(values, Mapping):
        return values
    lines = {name: line for name, line in getattr(values, "lines", {}).items() if name not in changes}
    return Section({**values, **changes}, lines=lines)


def with_line(values: Mapping[Any, Any], name: object, sentences: Iterable[str]) -> list[str]:
    """Sentences about a section, each with the section's line where it has none of its own."""
    line = line_of(values, name)
    return [text if text.startswith("line ") else f"{line}{text}" for text in sentences]
