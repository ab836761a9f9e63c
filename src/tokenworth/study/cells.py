"""Keys of a study's cells, and the running of one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from tokenworth.adaptation import adapt
from tokenworth.assessment import assess
from tokenworth.backbones.load import RANDOM_SUFFIX, identity
from tokenworth.features.locks import BusyError
from tokenworth.study.grid import ASSESS, Cell, Study
from tokenworth.study.store import StudyStore, cell_key
from tokenworth.tasks import Task, load_task


@lru_cache(maxsize=4)
def _task(name: str, data: str | None, max_texts: int | None, seed: int) -> Task:
    task = load_task(name, data=data, seed=seed)
    return task if max_texts is None else task.sample(max_texts, seed=seed)


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of the cells of a study; texts and weights are read once each."""

    study: Study
    _weights: dict[tuple[str, int], str] = field(default_factory=dict)
    _tasks: dict[tuple[str, int], str] = field(default_factory=dict)

    def of(self, cell: Cell) -> str:
        """The key of a cell.

        Raises:
            TaskError, BackboneError: its texts or weights are not there.
        """
        place = (cell.task, cell.seed)
        if place not in self._tasks:
            self._tasks[place] = self.task(cell).fingerprint
        return cell_key(cell, self._tasks[place], self._weights_of(cell))

    def task(self, cell: Cell) -> Task:
        """The labelled texts of a cell."""
        return _task(cell.task, self.study.data, self.study.max_texts, cell.seed)

    def _weights_of(self, cell: Cell) -> str | None:
        if cell.backbone is None:
            return None
        name = cell.backbone
        if cell.route == "scratch":  # it never sees the weights
            name = name.removesuffix(RANDOM_SUFFIX) + RANDOM_SUFFIX
        place = (name, cell.seed if name.endswith(RANDOM_SUFFIX) else 0)
        if place not in self._weights:
            self._weights[place] = identity(name, seed=place[1])
        return self._weights[place]


def run_cell(study: Study, cell: Cell, key: str, root: Path, *, device: str = "auto") -> None:
    """Run one cell into its folder; one that is finished is left as it is.

    Raises:
        BusyError: another process runs it.
        TokenworthError: it failed; why is kept beside it.
    """
    store = StudyStore(root)
    with store.claimed(key, cell) as folder:
        if store.is_finished(key):
            return
        _patiently(lambda: _run(study, cell, folder, device))


def _run(study: Study, cell: Cell, folder: Path, device: str) -> None:
    task = _task(cell.task, study.data, study.max_texts, cell.seed)
    if cell.route == ASSESS:
        assert cell.backbone is not None, "checked with the study file"
        assess(cell.backbone, task, seed=cell.seed, out=folder, device=device, **cell.settings)
    else:
        adapt(cell.backbone, task, cell.route, seed=cell.seed, config=cell.settings, out=folder, device=device)


def _patiently(work: Callable[[], None]) -> None:
    """Do it when it can be: while another cell makes the forward pass that this one needs too, wait and use that."""
    pause = 0.5
    while not _done(work):
        time.sleep(pause)
        pause = min(2 * pause, 30.0)


def _done(work: Callable[[], None]) -> bool:
    try:
        work()
    except BusyError:
        return False
    return True
