"""Finished parts of a trace, kept as small files and never made again.

    OUT/cells/KEY.json    what was measured, predictions of the test texts included; there only when it is finished
    OUT/work/KEY/         what a route writes while it runs, from which it goes on after a kill; removed afterwards

KEY is a hash of everything the numbers depend on: kind, weights, texts with labels and split, settings, seed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenworth.base.atomic_files import jsonable, write_text, writing
from tokenworth.version import NUMERICS

FORMAT = 1
Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cells:
    """The folder of a trace."""

    root: Path

    def once(self, what: Facts, make: Callable[[Path], Facts]) -> Facts:
        """What `make` found the first time; it gets a folder to work in.

        Raises:
            TokenworthError: as `make`, or nothing can be written.
        """
        key = _key(what)
        known = self._read(key)
        if known is not None:
            return known
        work = self.root / "work" / key
        with writing(self.root / "cells") as place:
            found: Facts = json.loads(json.dumps(jsonable(make(work))))  # the same whether made now or read later
            kept = {"cell": what, "found": found, "checksum": _checksum(found)}
            write_text(place / f"{key}.json", json.dumps(kept, ensure_ascii=False))
        shutil.rmtree(work, ignore_errors=True)
        return found

    def dtype(self) -> str | None:
        """The number format the trace was begun in, as its first assessments say; None if there is none."""
        cells = sorted((self.root / "cells").glob("*.json"), key=lambda path: (path.stat().st_mtime, path.name))
        kept = (self._read(path.stem) or {} for path in cells)
        return next((one["dtype"] for one in kept if isinstance(one.get("dtype"), str)), None)

    def _read(self, key: str) -> Facts | None:
        """None also where a disk has damaged what was written: it is made again."""
        try:
            kept = json.loads((self.root / "cells" / f"{key}.json").read_text(encoding="utf-8"))
            found, checksum = kept["found"], kept["checksum"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return found if isinstance(found, dict) and checksum == _checksum(found) else None


def _checksum(found: Facts) -> str:
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def _key(what: Facts) -> str:
    facts = {"format": FORMAT, "numerics": NUMERICS, **what}
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:24]
