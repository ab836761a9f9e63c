"""The store of a study: a folder of small files on any shared file system, one folder a cell.

    STUDY/cells/KEY/cell.json       what the cell is
                    run/            what its route wrote; a result file in it means that the cell is finished
                    error.json      why it failed the last time

KEY is a hash of what the numbers depend on: route, settings, seed, texts with their labels and split, and the weights.
Who runs a cell holds a lock on its folder, which ends with its process however that ends.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tokenworth.adaptation.storage.adapt_result import RESULT
from tokenworth.assessment import Assessment
from tokenworth.base.atomic_files import write_text, writing
from tokenworth.base.codec import read_stored
from tokenworth.base.locks import is_held, only_writer
from tokenworth.base.schema import NUMBER, OBJECT, TEXT, WHOLE, Each, Maybe, Shape, read_object
from tokenworth.errors import TokenworthError, first_line
from tokenworth.study.cell_results import COUNTED, PUBLISHED, RESULTS, TEXT_LOSS
from tokenworth.study.display_names import Contents
from tokenworth.study.grid import ASSESS, Cell
from tokenworth.version import NUMERICS

FORMAT = 1
ASSESSED = Assessment.FILE
_REMEDY = "remove the folder of this cell and run the study again, which makes it anew"
_CELL: Shape = {"backbone": Maybe(TEXT), "task": TEXT, "route": TEXT, "seed": WHOLE, "settings": OBJECT}
STATES = ("finished", "failed", "running", "interrupted", "waiting")


@dataclass(frozen=True, slots=True)
class StudyStore:
    """The folder of a study."""

    root: Path

    def folder(self, key: str) -> Path:
        """Where a cell lies."""
        return self.root / "cells" / key

    def run_folder(self, key: str) -> Path:
        """Where its route writes."""
        return self.folder(key) / "run"

    def state(self, key: str) -> str:
        """One of STATES."""
        folder = self.folder(key)
        if self.is_finished(key):
            return "finished"
        if not folder.is_dir():
            return "waiting"
        if is_held(folder):
            return "running"
        return "failed" if (folder / "error.json").is_file() else "interrupted"

    def make(self) -> None:
        """Make the folder, and try a file in it: better refused before the work than after it.

        Raises:
            TokenworthError: it cannot be written.
        """
        with writing(self.root / "cells") as place, TemporaryFile(dir=place):
            pass

    def is_finished(self, key: str) -> bool:
        """Whether its result is there; result files are renamed into place, so a half-written one is not."""
        return any((self.run_folder(key) / name).is_file() for name in (RESULT, ASSESSED, COUNTED, PUBLISHED))

    @contextmanager
    def claimed(self, key: str, cell: Cell) -> Iterator[Path]:
        """Hold a cell while it runs; what fails in the block is kept beside it.

        Raises:
            BusyError: another process runs it.
        """
        folder = self.folder(key)
        with writing(folder):
            write_text(folder / "cell.json", json.dumps(asdict(cell), ensure_ascii=False, indent=1))
        with only_writer(folder, f"{folder} is run by another process"):
            try:
                yield self.run_folder(key)
            except Exception as error:
                write_text(folder / "error.json", json.dumps(_described(error), ensure_ascii=False, indent=1))
                raise
            (folder / "error.json").unlink(missing_ok=True)

    def contents(self, key: str, cell: Cell) -> Contents:
        """Fingerprints of the texts and weights of a finished cell; of scratch the weights are nobody's."""
        kept = next((path for name in (RESULT, ASSESSED) if (path := self.run_folder(key) / name).is_file()), None)
        if kept is None:
            return None, None
        found = read_result(kept)
        weights = None if cell.route == "scratch" else (found["backbone"] or {}).get("fingerprint")
        return found["task"].get("fingerprint"), weights

    def error(self, key: str) -> dict[str, Any] | None:
        """Why a cell failed, if it did."""
        path = self.folder(key) / "error.json"
        if not path.is_file():
            return None
        try:
            return read_object(path, {"kind": TEXT, "message": TEXT}, "reason of a failure", "run the study again")
        except TokenworthError as error:  # a damaged note says no more than that there is one
            return {"kind": type(error).__name__, "message": str(error), "traceback": None}

    def outcome(self, key: str) -> str:
        """The state of a cell, and of a failed one why."""
        state, error = self.state(key), self.error(key)
        return state if error is None or state != "failed" else f"{state}: {error['message']}"

    def forget(self, key: str) -> None:
        """Remove a failed cell, so that it is tried again from its beginning."""
        shutil.rmtree(self.folder(key), ignore_errors=True)

    def begun(self) -> list[str]:
        """Of all cells that were ever begun."""
        return sorted(path.name for path in (self.root / "cells").glob("*") if (path / "cell.json").is_file())

    def cell(self, key: str) -> Cell:
        """What a cell is."""
        data = read_object(self.folder(key) / "cell.json", _CELL, "cell of a study", _REMEDY)
        return Cell(**{name: data[name] for name in _CELL})


def read_result(path: Path) -> dict[str, Any]:
    """A file of a finished cell, checked.

    Raises:
        TokenworthError: it is damaged; the sentence says which one, and what to do.
    """
    if path.name == TEXT_LOSS:
        return read_object(path, Each(NUMBER), "result of a cell", _REMEDY)
    return read_stored(RESULTS[path.name], path, holds="result of a cell", remedy=_REMEDY)


def _described(error: Exception) -> dict[str, Any]:
    """The sentence of an error that was meant, the traceback of one that was not."""
    meant = isinstance(error, TokenworthError)
    return {
        "kind": type(error).__name__,
        "message": str(error) if meant else first_line(error),
        "traceback": None if meant else traceback.format_exc(),
    }


def unfinished(
    cells: list[tuple[Cell, str]], store: StudyStore, *, retry_failed: bool = False
) -> list[tuple[Cell, str]]:
    """The cells that are left to run; failed ones only if they are to be tried again, from their beginning."""
    found = []
    for cell, key in cells:
        state = store.state(key)
        if state == "failed" and retry_failed:
            store.forget(key)
        elif state in ("finished", "failed"):
            continue
        found.append((cell, key))
    return found


def cell_key(cell: Cell, task_fingerprint: str, weights: str | None) -> str:
    """24 hex digits that stand for everything a cell's numbers depend on, libraries apart."""
    facts = {
        "format": FORMAT,
        "numerics": NUMERICS,
        "route": cell.route,
        "seed": cell.seed,
        "settings": cell.settings,
        "task": task_fingerprint,
        "weights": weights,
        "kind": ASSESS if cell.route == ASSESS else "adapt",
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:24]
