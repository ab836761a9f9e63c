"""The work folder of a build: shards of documents, each under the key of everything it depends on.

    WORK/KEY/00000.parquet        the documents that came out of a stage
             00000.dropped.parquet  those that did not, with the reason, on request
             00000.json             the stage's ledger; where it is, the shard is finished
    WORK/KEY/part.json            how many shards reading a part gave

Files get their names when they are whole.  One build at a time works in a folder; what a killed one left half-written
is removed by the next.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.base import atomic_files
from tokenworth.base.atomic_files import remove, replacing, replacing_folder, write_errors
from tokenworth.base.cell_store import CellStore
from tokenworth.corpus.document import Document, Ledger
from tokenworth.errors import TokenworthError, first_line

_UNFINISHED = re.compile(r".+\.\d+\.part")
"""A name, the process that wrote under it, and that it is not whole."""
COLUMNS = ("id", "source", "kind", "text")
_REMEDY = "make room there and run the same command again: it goes on where it was"


class WorkFolder(CellStore[Path, None, Path]):
    """What a build keeps, named by the file or folder that is written last; one run claims the build as a whole."""

    def find(self, name: Path) -> Path | None:
        """The name itself where it is whole."""
        return name if name.exists() else None

    def hold(self, name: Path) -> AbstractContextManager[Path]:
        """Nothing is held: no two workers get the same job."""
        return nullcontext(name.parent)

    def keep(self, name: Path, result: None) -> Path:  # noqa: ARG002 - it is on the disk already
        """The name: who makes a cell writes its files, that of the name last."""
        return name


WORK = WorkFolder()


def _unfinished() -> str:
    return f".{os.getpid()}.part"


def whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have a file written beside its name and renamed.  TokenworthError: no room, or no permission."""
    with write_errors(path, _REMEDY):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, _REMEDY, ending=_unfinished()) as part:
        write(part)


def remove_unfinished(folder: Path) -> None:
    """What builds that were killed have left half-written; only while no other build works there."""
    for path in list(folder.rglob("*.part")):
        if _UNFINISHED.fullmatch(path.name):
            remove(path)


def write_json(path: Path, content: object) -> None:
    """Plain data as a file that is whole or not there."""
    text = json.dumps(content, ensure_ascii=False, indent=1)
    whole(path, lambda part: part.write_text(text, encoding="utf-8", errors="backslashreplace"))


def read_json(path: Path) -> Any:
    """What `write_json` wrote.  TokenworthError: it is damaged."""
    return atomic_files.read_json(path, "remove it and run the same command again: it is made anew")


def write_table(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Columns of text as Parquet."""
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    options = {"compression": "zstd", "write_statistics": False, "write_page_checksum": True}
    whole(path, lambda part: parquet.write_table(table, part, **options))


def read_table(path: Path, names: Sequence[str]) -> Any:
    """Columns of what `write_table` wrote, every page compared with its checksum.  TokenworthError: it is damaged."""
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(columns=list(names))
    except (OSError, ValueError, KeyError) as error:  # a flipped bit among them
        raise TokenworthError(
            f"{path} is damaged ({first_line(error)}); remove its folder and run it again, which makes it anew"
        ) from error


def read_documents(path: Path) -> list[Document]:
    """The documents of a shard's file.  TokenworthError: it is damaged."""
    columns = read_table(path, COLUMNS).to_pydict()
    rows = zip(columns["text"], columns["id"], columns["source"], columns["kind"], strict=True)
    return [Document(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard of one part after one stage."""

    root: Path
    key: str
    number: int

    @property
    def path(self) -> Path:
        """Its documents."""
        return self.root / self.key / f"{self.number:05d}.parquet"

    @property
    def ledger_path(self) -> Path:
        """Its ledger."""
        return self.path.with_suffix(".json")

    @property
    def is_finished(self) -> bool:
        """Whether it is whole."""
        return self.ledger_path.is_file()

    def read(self) -> list[Document]:
        """Its documents."""
        return read_documents(self.path)

    def ledger(self) -> Ledger:
        """What the stage did."""
        return Ledger.from_json(read_json(self.ledger_path))

    def write(self, documents: Sequence[Document], ledger: Ledger, place: Sequence[int] = ()) -> None:
        """Dropped documents and documents, then the ledger (and the place in the files) that says they are whole."""
        if ledger.aside:
            dropped, reasons = zip(*ledger.aside, strict=True)
            write_table(self.path.with_suffix(".dropped.parquet"), {**_columns(dropped), "reason": reasons})
        write_table(self.path, _columns(documents))
        write_json(self.ledger_path, ledger.as_json() | ({"place": place} if place else {}))


def _columns(documents: Sequence[Document]) -> dict[str, list[str]]:
    return {name: [getattr(document, name) for document in documents] for name in COLUMNS}


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """One .npy file an array, in a folder that is whole or not there."""
    with write_errors(path, _REMEDY), replacing_folder(path, _unfinished()) as part:
        for name, array in arrays.items():
            np.save(part / f"{name}.npy", array, allow_pickle=False)


def read_array(path: Path, name: str, *, mapped: bool = False) -> np.ndarray:
    """One array of `write_arrays`; mapped, it stays on the disk."""
    array: np.ndarray = np.load(path / f"{name}.npy", mmap_mode="r" if mapped else None, allow_pickle=False)
    return array
