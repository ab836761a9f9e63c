"""Finished parts of a trace, kept as small files and never made again.

    OUT/cells/KEY.json    what was measured, predictions of the test texts included; there only when it is finished
    OUT/work/KEY/         what a route writes while it runs, from which it goes on after a kill; removed afterwards

KEY is a hash of everything the numbers depend on: kind, weights, texts with labels and split, settings, seed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tokenworth.base.aliases import Facts
from tokenworth.base.atomic_files import jsonable, write_json, writing
from tokenworth.base.cell_store import CellStore, content_hash, content_key


@dataclass(frozen=True, slots=True)
class Cells(CellStore[Facts, Facts, Facts]):
    """The folder of a trace, which is claimed by one run as a whole; a cell is named by what its key is made of."""

    root: Path

    def find(self, name: Facts) -> Facts | None:
        """What was measured; None also where a disk has damaged what was written: it is made again."""
        return self._read(content_key(name))

    @contextmanager
    def hold(self, name: Facts) -> Iterator[Path]:
        """The folder a route may work in; gone when the cell is kept."""
        folder = self.root / "work" / content_key(name)
        with writing(self.root / "cells"):
            yield folder
        shutil.rmtree(folder, ignore_errors=True)

    def keep(self, name: Facts, result: Facts) -> Facts:
        """As JSON, and so the same whether it was made now or is read later."""
        plain: Facts = json.loads(json.dumps(jsonable(result)))
        content = {"cell": name, "found": plain, "checksum": _checksum(plain)}
        write_json(self.root / "cells" / f"{content_key(name)}.json", content, indent=None)
        return plain

    def dtype(self) -> str | None:
        """The number format the trace was begun in, as its first assessments say; None if there is none."""
        paths = sorted((self.root / "cells").glob("*.json"), key=lambda path: (path.stat().st_mtime, path.name))
        formats = ((self._read(path.stem) or {}).get("dtype") for path in paths)
        return next((dtype for dtype in formats if isinstance(dtype, str)), None)

    def _read(self, key: str) -> Facts | None:
        try:
            content = json.loads((self.root / "cells" / f"{key}.json").read_text(encoding="utf-8"))
            facts, checksum = content["found"], content["checksum"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return facts if isinstance(facts, dict) and checksum == _checksum(facts) else None


def _checksum(facts: Facts) -> str:
    return content_hash(facts)[:16]
