"""What tasks and backbones are called in tables: the last part of their path, and more where two would be one.

A store may have been written from several places: the same model under another path is one backbone, two models whose
folders have the same name are two.  What they are made of (their fingerprints) tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenworth.assessment.short_names import short_names
from tokenworth.study.grid import Cell

Contents = tuple[str | None, str | None]
"""Fingerprints of a cell's texts and weights, as far as they are known."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names by what a cell says, tasks without the ending of their file."""

    task: dict[str, str]
    backbone: dict[str, str]

    def of(self, cell: Cell) -> tuple[str, str | None]:
        """Of the task and the backbone of a cell; None for a route without one."""
        return self.task[cell.task], None if cell.backbone is None else self.backbone[cell.backbone]


def names_of(cells: Iterable[Cell]) -> Names:
    """Names of the tasks and backbones of one study, whose paths are those of now."""
    return names_by_contents([(cell, (None, None)) for cell in cells], moved=False)


def names_by_contents(cells: Iterable[tuple[Cell, Contents]], *, moved: bool = True) -> Names:
    """Names of tasks and backbones of cells that may have been run from several places.

    Args:
        cells: with the fingerprints of their texts and weights.
        moved: whether paths that end alike may be one thing.
    """
    tasks, backbones = dict[str, set[str]](), dict[str, set[str]]()
    for cell, (texts, weights) in cells:
        tasks.setdefault(cell.task, set()).update([texts] if texts else [])
        if cell.backbone is not None:
            backbones.setdefault(cell.backbone, set()).update([weights] if weights else [])
    return Names(_called(tasks, _stem, moved=moved), _called(backbones, None, moved=moved))


def _called(prints: Mapping[str, set[str]], first: Callable[[str], str] | None, *, moved: bool) -> dict[str, str]:
    same = _same(prints) if moved else {place: place for place in prints}
    names = short_names(same.values(), first=first)
    return {place: names[one] for place, one in same.items()}


def _same(prints: Mapping[str, set[str]]) -> dict[str, str]:
    """Of each path the first one of the same thing: it ends alike and shares a fingerprint, or none is known."""
    found: dict[str, str] = {}
    known: dict[str, set[str]] = {}
    for place in sorted(prints, key=lambda one: (not prints[one], one)):  # what is known first
        alike = [one for one in known if Path(one).name == Path(place).name]
        shared = [one for one in alike if known[one] & prints[place]] or (alike if not prints[place] else [])
        found[place] = shared[0] if len(shared) == 1 else place
        known.setdefault(found[place], set()).update(prints[place])
    return found


def _stem(place: str) -> str:
    return Path(place).stem
