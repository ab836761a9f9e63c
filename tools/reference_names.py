"""Pages of the site about the public names of the package: one a room, in mkdocstrings' blocks."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import sys
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from typing_extensions import is_typeddict

sys.path.insert(0, str(Path(__file__).parent))
from settings_tables import COLUMNS, table_row

import tokenworth
from tokenworth.settings import Settings
from tokenworth.settings.declarations import declared_settings

ROOMS = {
    "tasks": "Labelled texts",
    "backbones": "Models",
    "assessment": "Assess and rank",
    "decision": "Decide",
    "adaptation": "Adapt",
    "study": "Studies",
    "corpus": "Corpora",
    "pretraining": "Pretrain",
    "scaling_laws": "Scaling laws",
    "tracing": "Trace",
    "measures": "Measures",
    "probes": "Probes",
    "scores": "Scores",
    "report": "Pages and tables",
    "errors": "Errors",
}
"""Whose public names users are told of; those of the other rooms are steps within a computation."""
MORE = {"corpus": ("build.build", "audit.audit", "audit.audited")}
"""Public calls that a front door cannot name, since its room has modules of their names."""

_FIELDS = "| field | type | |\n|---|---|---|"


def name_pages() -> dict[str, str]:
    """By file name: the front door, and a page for every room."""
    return {"index.md": _front_door(), **{f"{room}.md": _room_page(room) for room in ROOMS}}


def name_entries(folder: str) -> list[Any]:
    """Their entries in MkDocs' `nav`."""
    return [f"{folder}/index.md", *({title: f"{folder}/{room}.md"} for room, title in ROOMS.items())]


def public_names(room: str) -> dict[str, Any]:
    """What a room offers, by the shortest name that users can write."""
    door = importlib.import_module(f"tokenworth.{room}")
    names = [
        name for name in getattr(door, "__all__", vars(door)) if is_error(getattr(door, name)) == (room == "errors")
    ]
    found = {_spelled(room, name): getattr(door, name) for name in names}
    for place in MORE.get(room, ()):
        module, _, name = place.partition(".")
        found[f"tokenworth.{room}.{place}"] = getattr(importlib.import_module(f"tokenworth.{room}.{module}"), name)
    return found


def public_members(kind: type[Any]) -> dict[str, Any]:
    """What users may read or call of a class, its bases of this package among them: fields, properties, methods."""
    found: dict[str, Any] = {}
    for base in kind.__mro__:
        if base.__module__.startswith("tokenworth.") and base is not Settings:
            found = {name: None for name in vars(base).get("__annotations__", {}) if not name.startswith("_")} | found
            found |= {name: value for name, value in vars(base).items() if not name.startswith("_") and _is_call(value)}
    return found


def is_documented_by_itself(value: Any) -> bool:
    """Whether it is a call or a class: of a constant the sentence below it is its documentation."""
    return inspect.isroutine(value) or inspect.isclass(value)


def is_error(value: Any) -> bool:
    """Whether it belongs on the page of errors, whichever room hands it on."""
    return inspect.isclass(value) and issubclass(value, Exception)


def type_text(hint: Any) -> str:
    """An annotation as a reader needs it: without checks, and dictionaries with stated keys as dictionaries."""
    origin = get_origin(hint)
    if origin is Annotated:
        return type_text(get_args(hint)[0])
    arms = [type_text(arm) for arm in get_args(hint)] if origin in (Union, UnionType, list, tuple, dict) else []
    if origin in (Union, UnionType):
        return " or ".join(arms)
    if origin in (list, tuple, dict):
        return f"{origin.__name__}[{', '.join(arms)}]"
    if hint in (type(None), Ellipsis):
        return "None" if hint is type(None) else "..."
    return "dict" if is_typeddict(hint) else getattr(origin or hint, "__name__", str(hint))


def constant_path(room: str, name: str) -> str:
    """The module that assigns a constant, with its name: one of the room, or of a room that hands it on."""
    rooms = sorted(sys.modules, key=lambda module: not module.startswith(f"tokenworth.{room}."))
    modules = [module for module in rooms if module.startswith("tokenworth.") and name in vars(sys.modules[module])]
    at = next(
        module for module in modules if re.search(rf"^{name}\b.* = ", inspect.getsource(sys.modules[module]), re.M)
    )
    return f"{at}.{name}"


def _is_call(value: Any) -> bool:
    return (
        inspect.isroutine(value) or isinstance(value, (property, classmethod, staticmethod)) or hasattr(value, "func")
    )


def _spelled(room: str, name: str) -> str:
    return f"tokenworth.{name}" if name in tokenworth.__all__ or room == "errors" else f"tokenworth.{room}.{name}"


def _front_door() -> str:
    head = "# Python\n\n```python\nimport tokenworth as tw\n```\n\n| name | |\n|---|---|"
    rows = [
        f"| [`{name.replace('tokenworth', 'tw')}`]({room}.md#{name}) | {_first_sentence(value)} |"
        for room in ROOMS
        for name, value in public_names(room).items()
        if name.removeprefix("tokenworth.") in tokenworth.__all__
    ]
    rows += ["| [`tw.scores`](scores.md) | Closed forms of streaming moments. |", "| `tw.__version__` | The version. |"]
    rooms = [f"- [{title}]({room}.md): `tokenworth.{room}`" for room, title in ROOMS.items()]
    return "\n".join([head, *rows, "", "## All public names, by room\n", *rooms, ""])


def _room_page(room: str) -> str:
    said = inspect.getdoc(importlib.import_module(f"tokenworth.{room}"))
    blocks = [_described(name, value, room) for name, value in public_names(room).items()]
    return "\n".join([f"# {ROOMS[room]}\n\n{said}\n", *blocks])


def _described(name: str, value: Any, room: str) -> str:
    """A call or constant as a block; a dataclass as a block, a table of its fields, and a block for every call."""
    if not is_documented_by_itself(value):
        return _block(constant_path(room, name.rpartition(".")[2]), name)
    path = f"{value.__module__}.{value.__qualname__}"
    if not dataclasses.is_dataclass(value):
        by_keywords = inspect.isfunction(value) and "__signature__" in vars(value)
        return _block(path, name, show_signature_annotations=not by_keywords)
    calls = [key for key, member in public_members(value).items() if member is not None]
    methods = [_block(f"{path}.{key}", f"{name}.{key}", level=3) for key in calls]
    return "\n".join(
        [_block(path, name, members=False, inherited_members=False, show_signature=False), *_fields(value), *methods]
    )


def _fields(kind: type[Any]) -> list[str]:
    rows = [row for row in declared_settings(kind) if not row.name.startswith("_")]
    if issubclass(kind, Settings):
        return [COLUMNS, *(table_row(row) for row in rows), ""]
    typed = [(row.name, type_text(row.hint), row.help + _keys(row.hint)) for row in rows]
    return [_FIELDS, *(f"| `{name}` | `{written}` | {said} |" for name, written, said in typed), ""]


def _keys(hint: Any) -> str:
    """Of dictionaries with stated keys their names, as a sentence."""
    if is_typeddict(hint):
        return f" Keys: {', '.join(f'`{name}`' for name in hint.__annotations__)}."
    return next(filter(None, map(_keys, get_args(hint))), "")


def _block(path: str, name: str, level: int = 2, **options: bool) -> str:
    """An object under the name that users write, whatever file holds it."""
    stated = {"heading": f'"{name}"', "toc_label": f'"{name.rpartition(".")[2]}"', "heading_level": level}
    stated |= {key: str(value).lower() for key, value in options.items()}
    lines = [f"      {key}: {value}" for key, value in stated.items()]
    return "\n".join([f'<a id="{name}"></a>\n', f"::: {path}", "    options:", *lines, ""])


def _first_sentence(value: Any) -> str:
    return " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split()).replace("|", "\\|")
