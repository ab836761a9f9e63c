"""The store of a study: a folder of small files on any shared file system, one folder a cell.

    STUDY/cells/KEY/cell.json       what the cell is
                    run/            what its route wrote; a result file in it means that the cell is finished
                    error.json      why it failed the last time

KEY is a hash of what the numbers depend on: route, settings, seed, texts with their labels and split, and the weights.
Who runs a cell holds a lock on its folder, which ends with its process however that ends.
"""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, ClassVar

from tokenworth.adaptation.storage.adapt_result import RESULT
from tokenworth.assessment import Assessment
from tokenworth.base import schema
from tokenworth.base.atomic_files import write_json, writing
from tokenworth.base.cell_store import CellStore, content_key
from tokenworth.base.codec import read_stored
from tokenworth.base.locks import is_held, only_writer
from tokenworth.base.schema import NUMBER, TEXT, WHOLE, Each, Maybe, Shape, read_object
from tokenworth.errors import TokenworthError, first_line
from tokenworth.study.cell_results import HOLDS_RESULT, REMEDY, RESULTS, TEXT_LOSS
from tokenworth.study.grid import ASSESS, Cell

ASSESSED = Assessment.FILE
_CELL: Shape = {"backbone": Maybe(TEXT), "task": TEXT, "route": TEXT, "seed": WHOLE, "settings": schema.OBJECT}

Contents = tuple[str | None, str | None]  # fingerprints of a cell's texts and weights, as far as they are known


@dataclass(frozen=True, slots=True)
class StudyStore(CellStore[tuple[str, Cell], None, Path]):
    """The folder of a study; a cell is named by its key and what it is."""

    root: Path
    """The folder."""
    contended: ClassVar[bool] = True

    def folder(self, key: str) -> Path:
        """Where a cell lies."""
        return self.root / "cells" / key

    def run_folder(self, key: str) -> Path:
        """Where its route writes."""
        return self.folder(key) / "run"

    def result(self, key: str) -> Path | None:
        """The result file of a finished cell."""
        paths = (self.run_folder(key) / name for name in RESULTS)
        return next((path for path in paths if path.is_file()), None)

    def is_finished(self, key: str) -> bool:
        """Whether its result is there."""
        return self.result(key) is not None

    def find(self, name: tuple[str, Cell]) -> Path | None:
        """The result file of a finished cell."""
        return self.result(name[0])

    def hold(self, name: tuple[str, Cell]) -> AbstractContextManager[Path]:
        """As `claimed`."""
        return self.claimed(*name)

    @contextmanager
    def claimed(self, key: str, cell: Cell) -> Iterator[Path]:
        """Hold a cell while it runs; what fails in the block is kept beside it.  BusyError: another process runs it."""
        folder = self.folder(key)
        with writing(folder):
            write_json(folder / "cell.json", asdict(cell))
        with only_writer(folder, f"{folder} is run by another process"):
            try:
                yield self.run_folder(key)
            except Exception as error:
                meant = isinstance(error, TokenworthError)
                message = str(error) if meant else first_line(error)
                trace = None if meant else traceback.format_exc()
                write_json(
                    folder / "error.json", {"kind": type(error).__name__, "message": message, "traceback": trace}
                )
                raise
            (folder / "error.json").unlink(missing_ok=True)

    def keep(self, name: tuple[str, Cell], result: None) -> Path:  # noqa: ARG002 - the route has written it
        """The result file that the route has left."""
        path = self.result(name[0])
        assert path is not None, "a route that ends without an error leaves a result"
        return path

    def make(self) -> None:
        """Make the folder, and try a file in it: better refused before the work than after it.

        Raises TokenworthError: it cannot be written.
        """
        with writing(self.root / "cells") as place, TemporaryFile(dir=place):
            pass

    def state(self, key: str) -> str:
        """finished, failed, running, interrupted or waiting."""
        folder = self.folder(key)
        if self.is_finished(key):
            return "finished"
        if not folder.is_dir():
            return "waiting"
        if is_held(folder):
            return "running"
        return "failed" if (folder / "error.json").is_file() else "interrupted"

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
        """Keys of all cells that were ever begun."""
        return sorted(path.name for path in (self.root / "cells").glob("*") if (path / "cell.json").is_file())

    def cell(self, key: str) -> Cell:
        """What a cell is."""
        facts = read_object(self.folder(key) / "cell.json", _CELL, "cell of a study", REMEDY)
        return Cell(**{name: facts[name] for name in _CELL})

    def contents(self, key: str, cell: Cell) -> Contents:
        """Fingerprints of the texts and weights of a finished cell; of scratch the weights are nobody's."""
        path = self.result(key)
        if path is None or path.name not in (RESULT, ASSESSED):
            return None, None
        result = read_result(path)
        weights = None if cell.route == "scratch" else (result["backbone"] or {}).get("fingerprint")
        return result["task"].get("fingerprint"), weights


def read_result(path: Path) -> dict[str, Any]:
    """A file of a finished cell, checked.

    Raises TokenworthError: it is damaged; the sentence says which one, and what to do.
    """
    if path.name == TEXT_LOSS:
        return read_object(path, Each(NUMBER), HOLDS_RESULT, REMEDY)
    return read_stored(RESULTS[path.name], path, holds=HOLDS_RESULT, remedy=REMEDY)


def unfinished(
    cells: list[tuple[Cell, str]], store: StudyStore, *, retry_failed: bool = False
) -> list[tuple[Cell, str]]:
    """The cells that are left to run; failed ones only if they are to be tried again, from their beginning."""
    states = {key: store.state(key) for _, key in cells}
    for key, state in states.items():
        if state == "failed" and retry_failed:
            store.forget(key)
    ended = {"finished"} if retry_failed else {"finished", "failed"}
    return [(cell, key) for cell, key in cells if states[key] not in ended]


def cell_key(cell: Cell, task_fingerprint: str, weights: str | None) -> str:
    """24 hex digits that stand for everything a cell's numbers depend on, libraries apart."""
    facts = {
        "route": cell.route,
        "seed": cell.seed,
        "settings": cell.settings,
        "task": task_fingerprint,
        "weights": weights,
        "kind": ASSESS if cell.route == ASSESS else "adapt",
    }
    return content_key(facts)
