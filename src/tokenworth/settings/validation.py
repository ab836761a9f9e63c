"""The one checker of values: the type and the bounds a field asks for, every mistake as a sentence.

A field says what it takes by its annotation: bool, int, float, str, Literal[...], tuple[X, ...], dict[str, Any], with
`| None` where it may be off, and bounds beside it (`Annotated[int, Bounds(least=1)]`).  A value comes out in that type
or not at all; a setting of another type is given ready by the room that builds it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

from tokenworth.base.sentences import nearest, quoted, refusal
from tokenworth.errors import SettingError
from tokenworth.settings.conversion import Misfit, fitting
from tokenworth.settings.yaml_file import Section

T = TypeVar("T")


_HINTS: dict[type[Any], dict[str, Any]] = {}


def hints_of(kind: type[Any]) -> dict[str, Any]:
    """Annotations of a dataclass's fields, bounds included."""
    if kind not in _HINTS:
        hints = get_type_hints(kind, include_extras=True)
        _HINTS[kind] = {one.name: hints[one.name] for one in fields(kind)}
    return _HINTS[kind]


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


def refuse_unknown(values: Mapping[Any, Any], known: Collection[str], owner: str) -> None:
    """Nothing, where all names are known.

    Raises:
        SettingError: see `unknown_names`.
    """
    if mistakes := list(unknown_names(values, known, owner)):
        raise refusal("", mistakes)


def check_values(
    values: Any, kind: type[Any], owner: str, mistakes: list[str], *, where: str = "", ready: Collection[str] = (),
    hidden: Collection[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """Values in the types that the fields of a dataclass ask for; what does not fit is told and left out.

    Args:
        values: by field; from a file, mistakes are told with their line.
        kind: the dataclass.
        owner: who has no such setting, with its verb: "a route has".
        mistakes: sentences are added here.
        where: stands before them: "stage quality: ".
        ready: fields that are checked elsewhere; they may stand among the values and are left out.
        hidden: fields that a user does not have.
    """
    if not isinstance(values, Mapping):
        what = where.rstrip(": ") or owner.rpartition(" ")[0]
        mistakes.append(f"{what} takes lines of its own, such as 'key: value', not {quoted(values)}")
        return {}
    hints = {name: hint for name, hint in hints_of(kind).items() if name not in hidden}
    mistakes += unknown_names(values, hints, owner)
    return fit_all(values, {name: hint for name, hint in hints.items() if name not in ready}, mistakes, where)


def fit_all(
    values: Mapping[str, Any], hints: Mapping[str, Any], mistakes: list[str], where: str = ""
) -> dict[str, Any]:
    """Those values for which there is an annotation, in their types; what does not fit is told and left out."""
    found = {}
    for name in (name for name in hints if name in values):
        try:
            found[name] = fitting(values[name], hints[name])
        except Misfit as misfit:  # noqa: PERF203 - every mistake is told, not the first
            mistakes.append(f"{_at(values, name)}{where}{name} {misfit}")
    return found


def build(
    kind: type[T], values: Any, owner: str, mistakes: list[str], *, where: str = "", hidden: Collection[str] = (),
    **ready: Any,
) -> T | None:  # fmt: skip
    """An object of a settings class, or None where a mistake was found; see `check_values`.

    `ready` are fields that are checked elsewhere.
    """
    before = len(mistakes)
    found = check_values(values, kind, owner, mistakes, where=where, ready=ready, hidden=hidden)
    needed = {one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING}  # type: ignore[arg-type]
    lacking = sorted(needed - ready.keys() - values.keys()) if isinstance(values, Mapping) else []
    mistakes += [f"{where.rstrip(': ') or owner.rpartition(' ')[0]} needs {name!r}" for name in lacking]
    if len(mistakes) > before:
        return None
    try:
        return kind(**found, **ready)
    except SettingError as error:
        mistakes += [one if one.startswith(where) else f"{where}{one}" for one in error.mistakes]
        return None


def make(kind: type[T], values: Any, owner: str, *, place: object = "", **more: Any) -> T:
    """An object of a settings class; see `build`.

    Raises:
        SettingError: every mistake there is.
    """
    mistakes: list[str] = []
    found = build(kind, values, owner, mistakes, **more)
    if found is None:
        raise refusal(place, mistakes)
    return found


def check_fields(settings: Any) -> None:
    """Bring the fields of a frozen settings object to their types; for its `__post_init__`.

    Raises:
        SettingError: every field that does not fit.
    """
    mistakes: list[str] = []
    hints = hints_of(type(settings))
    for name, value in fit_all({name: getattr(settings, name) for name in hints}, hints, mistakes).items():
        object.__setattr__(settings, name, value)
    if mistakes:
        raise refusal("", mistakes)


def with_changes(values: Any, changes: Mapping[str, Any]) -> Any:
    """Values and what goes before them; what is no mapping is left to the checker."""
    if not changes or not isinstance(values, Mapping):
        return values
    lines = {name: line for name, line in getattr(values, "lines", {}).items() if name not in changes}
    return Section({**values, **changes}, lines=lines)


def _at(values: Mapping[Any, Any], name: object) -> str:
    line = getattr(values, "lines", {}).get(name)
    return "" if line is None else f"line {line}: "
