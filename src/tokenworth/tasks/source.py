"""What a source means: a path, a published name, a data set of the hub, or a built-in task."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from tokenworth.errors import TaskError
from tokenworth.settings.given_paths import as_named
from tokenworth.tasks.columns import Columns
from tokenworth.tasks.docstring_kinds import kind_table
from tokenworth.tasks.docstring_sections import section_table
from tokenworth.tasks.docstrings import docstring_table
from tokenworth.tasks.folder import Folder, canonical, read_folder
from tokenworth.tasks.hub import load_parts
from tokenworth.tasks.published_tasks import PUBLISHED, Published
from tokenworth.tasks.table import Table
from tokenworth.tasks.table_files import is_table, read_table

DATA_VARIABLE = "TOKENWORTH_DATA"
"""Environment variable for the folder in which tasks lie by name."""

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.-]+)?")


@dataclass(frozen=True, eq=False, slots=True)
class Origin:
    """Tables of a source with what is known about them."""

    name: str
    source: str
    parts: dict[str, Table]
    columns: Columns = field(default_factory=Columns)
    """Columns that are known beforehand."""
    label_names: tuple[str, ...] | None = None
    test_parts: tuple[str, ...] = ("test", "validation")
    """Parts that can be the test part, best first."""
    notes: tuple[str, ...] = ()
    marks_unlabelled: bool = False
    """Whether label -1 means "none" even where classes have no names."""


BUILT_IN: dict[str, tuple[Callable[[int], Table], str]] = {
    "docstrings": (docstring_table, "the docstrings"),
    "docstring-kinds": (kind_table, "the first sentences of docstrings"),
    "docstring-sections": (section_table, "what stands before the sections of docstrings"),
}
"""Tasks made from the sources of installed packages: by name what makes the table by a seed, and what of."""


def find_origin(source: str, data: str | None, seed: int) -> Origin:
    """Find and read what `source` names: a built-in task, a published name, a path, or an identifier of the hub.

    The first that fits is taken, so a folder called like a published task is written ./imdb.  With `data`, or the
    variable TOKENWORTH_DATA, a published name means the folder `<data>/<name>`, and so does a hub identifier for which
    there is such a folder.  A TaskError where nothing is found under that name, or it cannot be read.
    """
    if source in BUILT_IN:
        build, what = BUILT_IN[source]
        note = f"Built from {what} of the installed packages, with their names masked; each file is one group."
        table = build(seed)
        columns = Columns("text", None, "labels" if "labels" in table.columns else "label", "file")
        return Origin(source, source, {"train": table}, columns, notes=(note,))
    rule = PUBLISHED.get(source)
    name = source.split(":", maxsplit=1)[0].rsplit("/", 1)[-1]
    root = data or os.environ.get(DATA_VARIABLE)
    path = Path(source).expanduser()
    if rule is None and (path.exists() or _looks_like_path(source)):
        return _local(path)
    if root and (rule is not None or (Path(root) / name).is_dir()):
        return _named_folder(Path(root), name, rule)
    return _from_hub(source, rule or next((known for known in PUBLISHED.values() if known.hub == source), None))


def _looks_like_path(source: str) -> bool:
    named_file = is_table(Path(source)) or Path(source).suffix.lower() in {".txt", ".xlsx"}
    return named_file or source.startswith((".", "/", "~")) or source.count("/") > 1


def _local(path: Path) -> Origin:
    if path.is_dir():
        return _of_folder(as_named(path).name, path, read_folder(path), None)
    if path.exists():
        return Origin(path.stem, str(path), {"train": read_table(path)})
    hint = f"there is no folder {path.parent} either"
    if path.parent.is_dir():
        near = get_close_matches(path.name, [file.name for file in path.parent.iterdir()], n=1)
        hint = f"did you mean {path.with_name(near[0])}?" if near else "check the path"
    raise TaskError(f"{path}: no such file or folder; {hint}")


def _named_folder(root: Path, name: str, rule: Published | None) -> Origin:
    path = root / name
    if path.is_dir():
        return _of_folder(name, path, read_folder(path), rule)
    folders = sorted(inside.name for inside in root.iterdir() if inside.is_dir()) if root.is_dir() else []
    inside = f"holds {', '.join(folders[:20]) or 'no folders'}" if root.is_dir() else "does not exist"
    remedy = f"put its train and test files there, or leave out data= (--data, {DATA_VARIABLE}) to load it from the hub"
    raise TaskError(f"{name}: no folder {path} ({root} {inside}); {remedy}")


def _of_folder(name: str, path: Path, folder: Folder, rule: Published | None) -> Origin:
    """Our own layout is taken as it is; a folder of the hub's columns is read by the published rule."""
    if rule is None or folder.has_meta:
        group = "text_a" if rule is not None and rule.group else None  # what our layout calls the first text
        known = Columns(group=_if_there(folder.parts, group))
        return Origin(name, str(path), folder.parts, known, folder.label_names)
    return _by_rule(name, str(path), folder.parts, rule)


def _from_hub(source: str, rule: Published | None) -> Origin:
    if not _HUB_ID.fullmatch(source):
        known = f"{' or '.join(map(repr, BUILT_IN))}, or a published name: {', '.join(PUBLISHED)}"
        remedy = f"give a path, a hub identifier such as stanfordnlp/imdb, {known}"
        raise TaskError(f"'{source}' is neither a file nor a folder nor an identifier of the hub; {remedy}")
    hub_id, _, config = source.partition(":")
    name = next((known for known, entry in PUBLISHED.items() if entry is rule), hub_id.rsplit("/", 1)[-1])
    try:
        parts = canonical(load_parts(rule.hub if rule else hub_id, (rule.config if rule else config) or None))
    except TaskError as error:
        near = get_close_matches(source, [*PUBLISHED, *BUILT_IN], n=1)
        hint = f" (did you mean '{near[0]}'?)" if near and rule is None else ""
        raise TaskError(f"{error}{hint}") from error
    return Origin(name, hub_id, parts) if rule is None else _by_rule(name, rule.hub, parts, rule)


def _by_rule(name: str, source: str, parts: dict[str, Table], rule: Published) -> Origin:
    compose = rule.compose
    if compose is not None and all(_if_there(parts, column) for column in rule.composed_of):
        parts = {part: table.with_column(rule.text, compose) for part, table in parts.items()}
    columns = Columns(*(_if_there(parts, column) for column in (rule.text, rule.text_pair, rule.label, rule.group)))
    tests = () if rule.test is None else (rule.test,)
    notes = (rule.note,) if rule.note else ()
    return Origin(name, source, parts, columns, rule.label_names, tests, notes, marks_unlabelled=True)


def _if_there(parts: dict[str, Table], column: str | None) -> str | None:
    """The column where every part has it, so that a copy with other column names is still searched by name."""
    return column if column is not None and all(column in table.columns for table in parts.values()) else None
