"""Which files make up a data set: those of a folder or a pattern, all of a numbered set, those of `save_to_disk`."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tokenworth.errors import FileError
from tokenworth.files.endings import stem

SHARD = re.compile(r"-(\d{5})-of-(\d{5})(-[0-9a-f]+)?$")
"""How the stem of one file of a numbered set ends."""
STATE, PARTS = "state.json", "dataset_dict.json"
_AGAIN = "save the data set again with save_to_disk"
_PASSED_OVER = frozenset({".git", ".hg", ".svn", "__pycache__", "node_modules", ".venv", "venv"})


def files_of(path: Path, is_wanted: Callable[[Path], bool] = lambda _: True) -> list[Path]:
    """A file itself, the files below a folder, or those whose names fit a pattern with *; sorted.

    Of a folder of `save_to_disk` the files of its rows are given, not what the library keeps beside them.  Of a folder
    or pattern those count that `is_wanted`.

    Raises:
        FileError: a file of a numbered set is missing, or a folder of `save_to_disk` is not whole.
    """
    if path.is_file():
        return [path]
    if path.is_dir():
        base, pattern = path, "**/*"
    else:  # the folder before the first *, and the rest
        place = next((i for i, part in enumerate(path.parts) if "*" in part), len(path.parts) - 1)
        base, pattern = Path(*path.parts[:place]), str(Path(*path.parts[place:]))
    files = [file for file in base.glob(pattern) if file.is_file() and not _PASSED_OVER.intersection(file.parts)]
    marks = [file for file in files if file.name in (STATE, PARTS)] if path.is_dir() else []
    saved = {folder: parts for folder in {mark.parent for mark in marks} if (parts := saved_parts(folder)) is not None}
    rows = {file for parts in saved.values() for part in parts.values() for file in part}
    wanted = [file for file in files if is_wanted(file) and (file in rows or file.parent not in saved)]
    whole_sets(wanted, None if path.is_dir() else path.name)
    return sorted(wanted)


def whole_sets(files: Iterable[Path], pattern: str | None = None) -> None:
    """Check that of every numbered set (NAME-00000-of-00003.parquet) all files are there, else a FileError names one.

    Args:
        files: to read together.
        pattern: of names that were asked for; a file that does not fit it is not missed.
    """
    sets: dict[tuple[Path, str, str], dict[int, Path]] = defaultdict(dict)
    for file in files:
        if numbers := SHARD.search(stem(file)):
            sets[file.parent, stem(file)[: numbers.start()], numbers[2]][int(numbers[1])] = file
    for (folder, name, total), present in sets.items():
        some = next(iter(present.values()))
        ending = some.name.removeprefix(stem(some))
        names = [f"{name}-{i:05d}-of-{total}{ending}" for i in range(min(int(total), 100_000)) if i not in present]
        if missing := [file for file in names if pattern is None or fnmatch(file, pattern)]:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            what = f"{missing[0]}{more} is missing, of {int(total)} files only {len(present)} are there"
            raise FileError(f"{folder}: {what}; fetch it, or name the files to read one by one")


def saved_parts(folder: Path) -> dict[str, list[Path]] | None:
    """Files of a folder of `save_to_disk` by part: those it names, or "train" where it is one data set alone.

    None where it is no such folder; a FileError where it is not whole.
    """
    if (folder / STATE).is_file() and (folder / "dataset_info.json").is_file():
        return {"train": rows_of(folder)}
    if not (folder / PARTS).is_file():
        return None
    names: Any = _read(folder / PARTS).get("splits")
    if not isinstance(names, list) or any(not isinstance(name, str) or Path(name).name != name for name in names):
        raise FileError(f"{folder / PARTS}: 'splits' must list the parts; {_AGAIN}")
    return {name: rows_of(folder / name) for name in names}


def rows_of(folder: Path) -> list[Path]:
    """The Arrow files of one data set of `save_to_disk`, in order; a FileError where one that it lists is not there, or
    its rows are chosen by a separate index.
    """
    if not (folder / STATE).is_file():
        raise FileError(f"{folder}: there is no {STATE} in it, so its rows cannot be found; {_AGAIN}")
    state = _read(folder / STATE)
    try:
        names = [str(file["filename"]) for file in state["_data_files"]]
    except (KeyError, TypeError):
        raise FileError(f"{folder / STATE}: '_data_files' must list the files of the rows; {_AGAIN}") from None
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise FileError(f"{folder}: its rows are chosen by an index beside them; call flatten_indices() and {_AGAIN}")
    files = [folder / Path(name).name for name in names]
    if gone := [file.name for file in files if not file.is_file()]:
        raise FileError(f"{folder}: {gone[0]} is missing, which {STATE} names; copy the folder again as a whole")
    return files


def _read(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        raise FileError(f"{path}: not a JSON object; {_AGAIN}")
    return settings
