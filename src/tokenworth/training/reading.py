"""Settings from a YAML file: unknown keys are refused with the nearest name, values come in the type of their field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_type_hints

from tokenworth.errors import SettingError, first_line


def read_run_file(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        SettingError: it cannot be read, or holds something else.
    """
    import yaml

    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingError(f"the run file {path} cannot be read as YAML ({first_line(error)})") from error
    if not isinstance(found, dict):
        raise SettingError(f"the run file {path} must hold lines such as 'steps: 1000', not {type(found).__name__}")
    return found


def checked(values: Mapping[str, Any], kind: type, owner: str) -> dict[str, Any]:
    """Values in the types that the fields of a dataclass ask for.

    Args:
        values: by field.
        kind: the dataclass.
        owner: who has no such setting, with its verb: "the routes have".

    Raises:
        SettingError: an unknown field (with the nearest known one), or a value of the wrong kind.
    """
    hints = get_type_hints(kind)
    known = {one.name: hints[one.name] for one in fields(kind)}
    for name in values:
        if name not in known:
            near = get_close_matches(str(name), known, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
            raise SettingError(f"{owner} no setting {name!r}{hint}")
    return {name: _fitting(name, value, known[name]) for name, value in values.items()}


def _fitting(name: str, value: Any, wanted: Any) -> Any:
    """The value in the type its field asks for; YAML reads 1e-4 as text and 1 as a whole number."""
    choices = [one for one in (get_args(wanted) or (wanted,)) if one is not type(None)]
    if value is None and type(None) in get_args(wanted):
        return None
    if wanted == tuple[str, ...]:
        return tuple(value.split(",")) if isinstance(value, str) else tuple(map(str, value))
    if wanted == dict[str, Any]:
        if isinstance(value, dict):
            return value
        raise SettingError(f"{name} takes lines of its own, such as 'use_dora: true', not {value!r}")
    if all(not isinstance(one, type) for one in choices):  # literals, perhaps one level down
        literals = [inner for one in choices for inner in (get_args(one) or (one,))]
        if value in literals:
            return value
        raise SettingError(f"{name} {value!r} is not understood; choose one of {', '.join(map(str, literals))}")
    kind = choices[0]
    fits = isinstance(value, bool) if kind is bool else not isinstance(value, bool)
    try:
        if fits and (kind is not int or float(value) == int(float(value))) and (kind is not str or _is_text(value)):
            return kind(float(value)) if kind is int else kind(value)
    except (TypeError, ValueError):
        pass
    raise SettingError(f"{name} must be {_IN_WORDS[kind]}, not {value!r}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_IN_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
