"""A local folder of train and test files: ours with meta.json, plain files, or the hub's layout."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenworth.errors import TaskError
from tokenworth.files import saved_parts, stem, whole_sets
from tokenworth.files.data_files import SHARD
from tokenworth.tasks.hub import load_parts
from tokenworth.tasks.table import Table, concatenate
from tokenworth.tasks.table_files import READERS, is_table, read_table, task_errors

PART_NAMES = {"train": "train", "training": "train", "test": "test"}
PART_NAMES |= dict.fromkeys(("validation", "valid", "val", "dev"), "validation")
"""How a part may be called, and what it is called here."""

_HUB_HEADER = re.compile(r"\A---\s.*^(configs|dataset_info):.*?^---", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, eq=False, slots=True)
class Folder:
    """What a folder holds."""

    parts: dict[str, Table]
    """Tables by part: train, test, validation, or other names as they are."""
    label_names: tuple[str, ...] | None = None
    """From meta.json."""
    has_meta: bool = False
    """Whether the folder is in our own layout, whose parts are taken as they are."""


@task_errors()
def read_folder(path: Path) -> Folder:
    """Read a folder's train.* and test.* files, its meta.json, or its data in the hub's layout.

    A folder that `save_to_disk` of the `datasets` library wrote has the parts it names.  A README.md with the hub's
    header says which file is which and what the classes are called; then the `datasets` library reads the folder.  Else
    files named after a part are read, here or in `data/`, also in numbered shards.  A TaskError where none is, two
    files are the same part, or a file cannot be read.
    """
    if (saved := saved_parts(path)) is not None:
        return Folder(canonical({name: _join(path, name, files) for name, files in saved.items()}))
    meta = path / "meta.json"
    if meta.is_file():
        return Folder(_read_parts(path), _label_names(meta), has_meta=True)
    readme = path / "README.md"
    if readme.is_file() and _HUB_HEADER.search(readme.read_text("utf-8", errors="replace")):
        whole_sets(file for place in (path, path / "data") for file in place.glob("*") if is_table(file))
        return Folder(canonical(load_parts(str(path))))
    return Folder(_read_parts(path))


def canonical(parts: dict[str, Table]) -> dict[str, Table]:
    """The same parts under the names used here: `dev` and its like become `validation`."""
    return {PART_NAMES.get(name.lower(), name): table for name, table in parts.items()}


def _read_parts(path: Path) -> dict[str, Table]:
    files: dict[str, list[Path]] = {}
    for folder in (path, path / "data"):
        for file in sorted(folder.glob("*")):
            part = PART_NAMES.get(SHARD.sub("", stem(file)).lower())
            if part and file.is_file() and is_table(file):
                files.setdefault(part, []).append(file)
    if not files:
        inside = ", ".join(sorted(file.name for file in path.iterdir())[:10]) or "nothing"
        remedy = f"name the files train and test with one of the endings {', '.join(READERS)}, or give the file itself"
        raise TaskError(f"{path}: no train.* file in this folder (in it: {inside}); {remedy}")
    for part, of_part in files.items():
        if len(of_part) > 1 and not all(SHARD.search(stem(file)) for file in of_part):
            named = " and ".join(str(file.relative_to(path)) for file in of_part)
            raise TaskError(f"{path}: {named} are both the {part} part; keep one of them, or give the file itself")
        whole_sets(of_part)
    return {part: _join(path, part, of_part) for part, of_part in files.items()}


def _join(path: Path, part: str, files: Sequence[Path]) -> Table:
    return concatenate([read_table(file) for file in files], f"{path} ({part})")


def _label_names(meta: Path) -> tuple[str, ...] | None:
    try:
        names = json.loads(meta.read_text("utf-8")).get("label_names")
    except (ValueError, AttributeError) as error:
        raise TaskError(f"{meta}: not a JSON object ({error}); mend it, or remove it and name the columns") from None
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise TaskError(f"{meta}: label_names must be a list of strings, the name of label 0 first")
    return None if names is None else tuple(names)
