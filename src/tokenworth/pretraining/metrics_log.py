"""metrics.jsonl: one line a step and a look, cut back on resuming to what the checkpoint knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenworth.base.atomic_files import write_text, writing
from tokenworth.base.schema import COUNT, FINITE, NUMBER, Each, Shape, mistake_in

ROW: Shape = {
    "step": COUNT,
    "tokens": FINITE,
    "loss?": FINITE,
    "held_out?": Each({"nll?": NUMBER, "bits_per_byte": NUMBER}),
}
"""What a line holds of that which is read again."""


class Journal:
    """Lines behind each other; only the main process writes."""

    def __init__(self, path: Path, *, writes: bool) -> None:
        self.path, self.writes = path, writes

    def begin(self, step: int) -> None:
        """Leave the lines up to a step; what a killed run did after its checkpoint is done again."""
        if self.writes:
            kept = [json.dumps(row) for row in read_journal(self.path) if row["step"] <= step] if step else []
            write_text(self.path, "".join(f"{line}\n" for line in kept))

    def add(self, row: dict[str, Any]) -> None:
        """A line more."""
        if self.writes:
            with writing(self.path.parent), self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a journal; one cut short by a kill is passed over."""
    rows = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if mistake_in(row, ROW) is None:
                rows.append(row)
    return rows
