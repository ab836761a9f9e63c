"""The local engine: a process a cell, as many at a time as devices and memory allow.

A process of its own frees what a cell took, and a cell that is killed takes no other with it: it is begun again, and
goes on where its route left a checkpoint.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tokenworth.base.keywords import known_keywords
from tokenworth.base.locks import BusyError
from tokenworth.base.worker_processes import begin_worker
from tokenworth.errors import first_line
from tokenworth.study.cell_run import keyed_cells, run_cell
from tokenworth.study.device_slots import Slots, slots_here
from tokenworth.study.grid import Cell, Study
from tokenworth.study.study_store import StudyStore, unfinished

MOST_BEGINNINGS = 3  # a cell whose process dies so often is left as failed by this run

_PRELOADED = (
    "tokenworth.study.cell_run", "tokenworth.adaptation.routes.trained_routes",
    "tokenworth.adaptation.routes.probe_route", "transformers.models.auto.modeling_auto",
    "transformers.generation.utils", "sklearn.linear_model", "peft", "accelerate",
)  # fmt: skip
"""Imported once by the server that cells are forked from."""

_log = logging.getLogger("tokenworth")
Report = Callable[[Cell, str], None]  # called as report(cell, state) when a cell ends; after "failed: " stands why


@known_keywords
def run_local(
    study: Study,
    root: str | Path,
    *,
    workers: int | None = None,
    retry_failed: bool = False,
    report: Report | None = None,
) -> Counter[str]:
    """Run every cell that is not finished; several of these may work on one folder at the same time.

    Args:
        study: what to run.
        root: folder of the study.
        workers: processes at a time; None takes one a card, or one for two processors.
        retry_failed: also run cells that failed before.
        report: called when a cell ends.

    Returns how many cells are in each state at the end.

    Raises:
        SettingError: texts or weights are not there; said before anything runs.
        TokenworthError: the folder cannot be written.
    """
    cells, store = keyed_cells(study), StudyStore(Path(root))
    store.make()
    engine = _Engine(study, store, report or (lambda *_: None), slots_here(workers))
    engine.run(unfinished(cells, store, retry_failed=retry_failed))
    return Counter(store.state(key) for _, key in cells)


@dataclass(slots=True)
class _Running:
    cell: Cell
    key: str
    process: ForkServerProcess
    device: str


class _Engine:
    """Begins processes while slots and memory last, and ends them."""

    def __init__(self, study: Study, store: StudyStore, report: Report, slots: Slots) -> None:
        self.study, self.store, self.report, self.slots = study, store, report, slots
        self.running: list[_Running] = []
        self.begun: Counter[str] = Counter()
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(list(_PRELOADED))

    def run(self, waiting: list[tuple[Cell, str]]) -> None:
        """Until nothing is left to begin or to wait for; whatever ends this ends the processes too."""
        try:
            while waiting or self.running:
                devices = ((i, self.slots.fitting(cell)) for i, (cell, _) in enumerate(waiting))
                place, device = next(((i, device) for i, device in devices if device), (0, None))
                if device is None:
                    self._wait(waiting)
                else:
                    self._begin(*waiting.pop(place), device)
        finally:
            for running in self.running:
                running.process.kill()
                running.process.join()

    def _begin(self, cell: Cell, key: str, device: str) -> None:
        self.slots.take(device, cell)
        process = self.context.Process(
            target=_work, args=(dict(os.environ), self.study, cell, key, self.store.root, device)
        )
        process.start()
        self.begun[key] += 1
        self.running.append(_Running(cell, key, process, device))

    def _wait(self, waiting: list[tuple[Cell, str]]) -> None:
        """For a process to end."""
        while not (ended := [running for running in self.running if not running.process.is_alive()]):
            time.sleep(0.05)
        for gone in ended:
            self.running.remove(gone)
            self.slots.leave(gone.device, gone.cell)
            died = self.store.state(gone.key) == "interrupted" and gone.process.exitcode != 0
            if died and self.begun[gone.key] < MOST_BEGINNINGS:
                _log.warning("%s: its process died (%s); it is begun again", gone.cell, gone.process.exitcode)
                waiting.insert(0, (gone.cell, gone.key))
                continue
            self.report(gone.cell, self.store.outcome(gone.key))


def _work(environment: dict[str, str], study: Study, cell: Cell, key: str, root: Path, device: str) -> None:
    """What the process of a cell does; a failure is kept in the store."""
    import torch

    begin_worker(environment)
    torch.set_num_threads(1 if device == "auto" else torch.get_num_threads())
    try:
        run_cell(study, cell, key, root, device=device)
    except BusyError:
        return  # another command runs it
    except Exception as error:
        if StudyStore(root).error(key) is None:  # otherwise it is kept there, and told by the engine
            _log.error("%s: %s", cell, first_line(error))
            raise SystemExit(1) from error
