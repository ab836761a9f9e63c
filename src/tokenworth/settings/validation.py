"""The one checker of values: the type and the bounds a field asks for, every mistake as a sentence.

A field says what it takes by its annotation: bool, int, float, str, Literal[...], tuple[X, ...], dict[str, Any], with
`| None` where it may be off, and bounds beside it (`Annotated[int, Bounds(least=1)]`).  A settings class as a type is a
section of the file, `Class | str` a section or a word.  A value comes out in that type or not at all; a setting of
another type is given ready by the room that builds it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar, get_args, get_type_hints

from tokenworth.base.sentences import nearest, quoted, refusal
from tokenworth.errors import SettingError
from tokenworth.settings.bounds import Misfit
from tokenworth.settings.conversion import fitting, parts_of
from tokenworth.settings.yaml_file import Section

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


_HINTS: dict[Any, dict[str, Any]] = {}


def hints_of(owner: Any) -> dict[str, Any]:
    """Annotations of a settings class's fields, or of a call's parameters but those that collect the rest."""
    if owner not in _HINTS:
        hints = get_type_hints(owner, include_extras=True)
        names = [one.name for one in fields(owner)] if is_dataclass(owner) else setting_names(owner)
        _HINTS[owner] = {name: hints.get(name, Any) for name in names}
    return _HINTS[owner]


def setting_names(call: Callable[..., Any]) -> frozenset[str]:
    """Names of the parameters of a call, those that collect the rest left out."""
    parameters = inspect.signature(call).parameters.values()
    return frozenset(one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD))


def unknown_names(values: Mapping[Any, Any], known: Collection[str], owner: str) -> Iterator[str]:
    """A sentence for every name that is not known, with the nearest one that is.

    Args:
        values: by name.
        known: names.
        owner: who has no such setting, with its verb: "a route has".
    """
    for name in values:
        if name not in known:
            yield f"{_at(values, name)}{owner} no setting {quoted(name)}; {nearest(name, known)}"


def checked_values(
    values: Mapping[str, Any], hints: Mapping[str, Any], mistakes: list[str], where: str = ""
) -> dict[str, Any]:
    """Those values for which there is an annotation, in their types; a sentence for each that does not fit.

    Args:
        values: by name; from a file, mistakes are told with their line.
        hints: annotations by name.
        mistakes: sentences are added here.
        where: stands before them: "stage quality: ".
    """
    fitted = {}
    for name in (name for name in hints if name in values):
        try:
            fitted[name] = fitting(values[name], hints[name])
        except Misfit as misfit:  # noqa: PERF203 - every mistake is told, not the first
            mistakes.append(f"{_at(values, name)}{where}{name} {misfit}")
    return fitted


def build(
    kind: type[T], values: Any, owner: str, mistakes: list[str], *, where: str = "", hidden: Collection[str] = (),
    **ready: Any,
) -> T | None:  # fmt: skip
    """An object of a settings class, or None where a mistake was found.

    Args:
        kind: the class.
        values: by field; from a file, mistakes are told with their line.
        owner: who has no such setting, with its verb: "a route has".
        mistakes: sentences are added here.
        where: stands before them: "stage quality: ".
        hidden: fields that a user does not have.
        ready: fields that are checked elsewhere; they may stand among the values, too.
    """
    before, what = len(mistakes), where.rstrip(": ") or owner.rpartition(" ")[0]
    if not isinstance(values, Mapping):
        mistakes.append(f"{what} takes lines of its own, such as 'key: value', not {quoted(values)}")
        return None
    hints = {name: hint for name, hint in hints_of(kind).items() if name not in hidden}
    mistakes += unknown_names(values, hints, owner)
    plain = {name: hint for name, hint in hints.items() if name not in ready}
    for name in [name for name in plain if name in values and _section_class(plain[name])]:
        ready[name] = _section(name, values[name], plain.pop(name), mistakes)
    ready |= checked_values(values, plain, mistakes, where)
    needed = {one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING}  # type: ignore[arg-type]
    mistakes += [f"{what} needs {name!r}" for name in sorted(needed - ready.keys() - values.keys())]
    if len(mistakes) > before:
        return None
    try:
        return kind(**ready)
    except SettingError as error:
        mistakes += [one if one.startswith(where) else f"{where}{one}" for one in error.mistakes]
        return None


def _section_class(hint: Any) -> Any:
    """The settings class of `Class`, `Class | None` and `Class | str`; other unions are looked at by who takes them."""
    kind, _ = parts_of(hint)
    classes = [one for one in get_args(kind) or (kind,) if one not in (str, type(None))]
    return classes[0] if len(classes) == 1 and is_dataclass(classes[0]) else None


def _section(name: str, values: Any, hint: Any, mistakes: list[str]) -> Any:
    """An empty section is one without lines."""
    or_word = str in get_args(parts_of(hint)[0])
    if isinstance(values, _section_class(hint)) or (or_word and isinstance(values, str)):
        return values
    owner = f"a {name} has" if or_word else f"{name} has"
    return build(_section_class(hint), {} if values is None else values, owner, mistakes, where=f"{name}: ")


def build_each(
    kind: type[T], values: Mapping[str, Any], owner: str, mistakes: list[str], **ready: Callable[[str], Any]
) -> dict[str, T]:
    """Objects of a settings class by the names of their sections; a text alone is the `path` of one.

    Args:
        kind: the class.
        values: sections by name.
        owner: what they are: "the source".
        mistakes: sentences are added here; what has one is left out.
        ready: fields made of the name.
    """
    objects = {}
    for name, own in values.items():
        what, lines = f"{owner} {name}", {"path": own} if isinstance(own, str) else own
        more = {key: make_field(str(name)) for key, make_field in ready.items()}
        objects[str(name)] = build(kind, lines, f"{what} has", mistakes, where=f"{what}: ", **more)
    return {name: one for name, one in objects.items() if one is not None}


def make(kind: type[T], values: Any, owner: str, *, place: object = "", **more: Any) -> T:
    """An object of a settings class; see `build`.

    Raises:
        SettingError: every mistake there is.
    """
    mistakes: list[str] = []
    settings = build(kind, values, owner, mistakes, **more)
    if settings is None:
        raise refusal(place, mistakes)
    return settings


def check_fields(settings: Any) -> None:
    """Bring the fields of a frozen settings object to their types; for its `__post_init__`.

    Raises:
        SettingError: every field that does not fit.
    """
    hints = hints_of(type(settings))
    for name, value in _all_fitting({name: getattr(settings, name) for name in hints}, hints).items():
        object.__setattr__(settings, name, value)


def _all_fitting(values: Mapping[str, Any], hints: Mapping[str, Any], unknown: Collection[str] = ()) -> dict[str, Any]:
    mistakes = [*unknown]
    fitted = checked_values(values, hints, mistakes)
    if mistakes:
        raise refusal("", mistakes)
    return fitted


def settings_for(
    call: Callable[..., Any], values: Mapping[str, Any], owner: str, beside: Collection[str] = ()
) -> dict[str, Any]:
    """Settings that are handed on to another call, checked before anything is loaded.

    Args:
        call: takes them.
        values: by name.
        owner: who was given them, with its verb: "decide has".
        beside: names that the owner has itself.

    Raises:
        SettingError: a name that neither has (with the nearest they have), or values that do not fit.
    """
    unknown = [*unknown_names(values, setting_names(call) | set(beside), owner)]
    return {**values, **_all_fitting(values, hints_of(call), unknown)}


def checked_arguments(call: Callable[P, R]) -> Callable[P, R]:
    """The same call, which refuses names it does not have and values that do not fit its annotations.

    Raises:
        SettingError: all of them, with the nearest known name.
    """
    parameters = inspect.signature(call).parameters.values()
    by_place = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    collects = any(one.kind is one.VAR_KEYWORD for one in parameters)

    @wraps(call)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        unknown = [] if collects else [*unknown_names(kwargs, setting_names(call), f"{call.__name__} has")]
        fitted = _all_fitting(dict(zip(by_place, args, strict=False)) | kwargs, hints_of(call), unknown)
        return call(*args, **{name: fitted.get(name, value) for name, value in kwargs.items()})

    return checked


def with_changes(values: Any, changes: Mapping[str, Any]) -> Any:
    """Values and what goes before them; what is no mapping is left to the checker."""
    if not changes or not isinstance(values, Mapping):
        return values
    lines = {name: line for name, line in getattr(values, "lines", {}).items() if name not in changes}
    return Section({**values, **changes}, lines=lines)


def _at(values: Mapping[Any, Any], name: object) -> str:
    line = getattr(values, "lines", {}).get(name)
    return "" if line is None else f"line {line}: "
