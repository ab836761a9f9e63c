"""Results as files: JSON with a schema number, checked field by field against the types of their dataclasses.

A file without a number, or with a lower one, was written earlier and is read; one with a higher number is refused, as
is one that differs from its types.  Fields that a dataclass does not have are passed over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tokenworth.base.atomic_files import jsonable, write_table, write_text, writing
from tokenworth.base.schema import Count, parse_object, read_text, restore, shape_of, stored_shape
from tokenworth.errors import TokenworthError

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self

ELSEWHERE = {"stored": False}
"""Metadata of a field that is not part of its result's JSON."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command computed, as plain data: saved as one JSON file and read again."""

    FILE: ClassVar[str]
    """Name of the file in the folder of a run."""
    HOLDS: ClassVar[str]
    """What the file holds, for sentences: "assessment"."""
    REMEDY: ClassVar[str]
    """What to do where it cannot be read, for sentences: "run it again"."""

    schema: Count = 1
    """Of the file; raised when a field changes its meaning."""

    def to_json(self) -> str:
        """The whole result as JSON; a number that does not exist is null."""
        return json.dumps(dump(self), ensure_ascii=False, indent=1, allow_nan=False)

    def tables(self) -> dict[str, pd.DataFrame]:
        """By name, Parquet files that lie beside the result's own."""
        return {}

    def save(self, folder: str | Path) -> None:
        """Write its files into a folder, each under a temporary name first, its own last: where that is, all are.

        Raises:
            TokenworthError: the folder cannot be written.
        """
        with writing(folder) as place:
            for name, table in self.tables().items():
                write_table(place / name, table)
            write_text(place / self.FILE, self.to_json())

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The way back from `to_json`.

        Raises:
            TokenworthError: the text is no such result.
        """
        return _made(cls, stored_fields(cls, text, f"this text is no {cls.HOLDS}", cls.REMEDY))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read the file, or the folder that holds it.

        Raises:
            TokenworthError: it is not there, damaged, or written by a newer version.
        """
        path = Path(path)
        return load(cls, path / cls.FILE if path.is_dir() else path)

    def contradiction(self) -> str | None:
        """What in it does not go together, as a clause, if something does not."""
        return None


def dump(result: Any) -> dict[str, Any]:
    """A dataclass as plain data for JSON, without the fields that are kept elsewhere."""
    stored = (entry.name for entry in fields(result) if entry.metadata.get("stored", True))
    return dict(jsonable({name: _plain(getattr(result, name)) for name in stored}))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return dump(value) if is_dataclass(value) else value


def load(kind: type[Any], path: Path) -> Any:
    """A result from its file.

    Raises:
        TokenworthError: it is not there, damaged, or written by a newer version.
    """
    failure = f"{path} holds no {kind.HOLDS}"
    result = _made(kind, read_stored(kind, path))
    if (mistake := result.contradiction()) is not None:
        raise TokenworthError(f"{failure} that can be used: {mistake}; {kind.REMEDY}")
    return result


def read_stored(kind: type[Any], path: Path, *, holds: str = "", remedy: str = "") -> dict[str, Any]:
    """The checked content of a result's file as it lies there; `holds` and `remedy` for other sentences than its own.

    Raises:
        TokenworthError: it is not there, damaged, or written by a newer version.
    """
    failure, remedy = f"{path} holds no {holds or kind.HOLDS}", remedy or kind.REMEDY
    return stored_fields(kind, read_text(path, failure, remedy), failure, remedy)


def stored_fields(kind: Any, text: str, failure: str, remedy: str) -> dict[str, Any]:
    """As `read_stored`, of text."""
    content = parse_object(text, stored_shape(kind), failure, remedy)
    number = content.get("schema", 0)
    if number > kind.schema:
        raise TokenworthError(
            f"{failure} that can be used: its schema is {number} and this version of tokenworth reads {kind.schema} at "
            "most; install a newer one"
        )
    return content


def _made(kind: Any, content: dict[str, Any]) -> Any:
    return restore({**content, "schema": kind.schema}, shape_of(kind))
