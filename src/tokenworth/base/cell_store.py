"""What is made once and found again: keys of content, and stores of cells under them.

A key is a hash of everything that a cell's numbers depend on.  A cell is made by one process at a time, is there only
when it is whole, and is not made again.  Stores differ in what a whole cell looks like on disk:

    study       cells/KEY/run/ with a result file; error.json beside it     `study.study_store.StudyStore`
    trace       cells/KEY.json with a checksum of its own                   `tracing.trace_cells.Cells`
    search      tuning/trial-N/trial.json, tuning/long-WAY/trial.json       `hyperparameter_search.Trials` of adaptation
    corpus      KEY/... whose last file says that the others are whole      `corpus.engine.shard_store.WorkFolder`
    features    KEY-COVER/ with pass.json and a checksum of every file      `features.gather.Passes`
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from tokenworth.version import NUMERICS

Name = TypeVar("Name")
Made = TypeVar("Made")
Cell = TypeVar("Cell")


def content_hash(facts: object) -> str:
    """sha256 hex of plain data, in whatever order its names stand; what JSON has no word for counts as its text."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def content_key(facts: Mapping[str, Any] | list[Any], *, layout: int = 1) -> str:
    """24 hex digits that stand for facts, for the version of the numbers and for the layout of what is kept.

    Args:
        facts: all that the kept numbers depend on, by name or in a fixed order.
        layout: raised where what was kept before cannot be read any more.
    """
    if isinstance(facts, Mapping):
        return content_hash({"format": layout, "numerics": NUMERICS, **facts})[:24]
    return content_hash([NUMERICS, facts, *([layout] if layout > 1 else [])])[:24]


class CellStore(ABC, Generic[Name, Made, Cell]):
    """Cells that are made once.  A kind of store says what names one, where it is made and when it is whole."""

    contended: ClassVar[bool] = False
    """Whether several processes may want one cell, so that who comes to hold it must look once more."""

    @abstractmethod
    def find(self, name: Name) -> Cell | None:
        """A whole cell; None where there is none, or where a disk has damaged it."""

    @abstractmethod
    def hold(self, name: Name) -> AbstractContextManager[Path]:
        """A cell that is not whole, held for this process while the block lasts; the folder to work in.

        Raises BusyError: another process holds it.
        """

    @abstractmethod
    def keep(self, name: Name, result: Made) -> Cell:
        """Write down what `make` gave, last what shows that it is whole; returns what `find` then gives."""

    def once(self, name: Name, make: Callable[[Path], Made]) -> Cell:
        """The cell as it is kept, or as `make` makes it now in the folder it is given.

        Raises:
            BusyError: another process makes it.
            TokenworthError: as `make`, or nothing can be written.
        """
        whole = self.find(name)
        if whole is not None:
            return whole
        with self.hold(name) as folder:
            whole = self.find(name) if self.contended else None
            return self.keep(name, make(folder)) if whole is None else whole
