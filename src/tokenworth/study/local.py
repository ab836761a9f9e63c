"""The local engine: a process a cell, as many at a time as devices and memory allow.

A process of its own frees what a cell took, and a cell that is killed takes no other with it: it is begun again, and
goes on where its route left a checkpoint.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tokenworth.backbones import account_of
from tokenworth.backbones.load import RANDOM_SUFFIX
from tokenworth.errors import TokenworthError
from tokenworth.features.groups import free_memory
from tokenworth.features.locks import BusyError
from tokenworth.study.cells import keyed_cells, run_cell
from tokenworth.study.grid import Cell, Study
from tokenworth.study.store import StudyStore, unfinished

BASE_BYTES = 800_000_000
"""Of a process with its libraries and texts."""
BYTES_PER_PARAMETER = 20
"""Weights, gradients, optimiser and a copy while evaluating."""
MOST_BEGINNINGS = 3
"""A cell whose process dies so often is left as failed by this run."""

_PRELOADED = (
    "tokenworth.study.cells",
    "tokenworth.adaptation.finetune",
    "tokenworth.adaptation.probe",
    "transformers.models.auto.modeling_auto",
    "transformers.generation.utils",
    "sklearn.linear_model",
    "peft",
    "accelerate",
)
"""Imported once by the server that cells are forked from."""

_log = logging.getLogger("tokenworth")
Report = Callable[[Cell, str], None]
"""Called as report(cell, state) when a cell ends."""


@dataclass(slots=True)
class _Running:
    cell: Cell
    key: str
    process: ForkServerProcess
    device: str
    needs: int


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
        workers: processes at a time; None takes one a device.
        retry_failed: also run cells that failed before.
        report: called when a cell ends.

    Returns:
        How many cells are in each state at the end.

    Raises:
        SettingError: texts or weights are not there; said before anything runs.
    """
    cells, store = keyed_cells(study), StudyStore(Path(root))
    engine = _Engine(study, store, report or (lambda *_: None), _devices(workers), free_memory())
    engine.run(unfinished(cells, store, retry_failed=retry_failed))
    return Counter(store.state(key) for _, key in cells)


def _devices(workers: int | None) -> list[str]:
    """One slot a worker: graphics cards in turn, else the processor."""
    import torch

    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    n = workers or cards or max(1, (os.cpu_count() or 2) // 2)
    return [f"cuda:{i % cards}" if cards else "auto" for i in range(n)]


class _Engine:
    """Begins processes while slots and memory last, and ends them."""

    def __init__(self, study: Study, store: StudyStore, report: Report, devices: list[str], memory: int) -> None:
        self.study, self.store, self.report = study, store, report
        self.free, self.memory = list(devices), memory
        self.running: list[_Running] = []
        self.begun: Counter[str] = Counter()
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(list(_PRELOADED))

    def run(self, waiting: list[tuple[Cell, str]]) -> None:
        """Until nothing is left to begin or to wait for."""
        while waiting or self.running:
            place = self._next(waiting)
            if place is None:
                self._wait(waiting)
                continue
            self._begin(*waiting.pop(place))

    def _next(self, waiting: list[tuple[Cell, str]]) -> int | None:
        """The first cell that fits into what memory is left; alone, any cell may try."""
        if not self.free:
            return None
        left = self.memory - sum(one.needs for one in self.running)
        fitting = (i for i, (cell, _) in enumerate(waiting) if not self.running or needed_bytes(cell) <= left)
        return next(fitting, None)

    def _begin(self, cell: Cell, key: str) -> None:
        device = self.free.pop(0)
        process = self.context.Process(target=_work, args=(self.study, cell, key, self.store.root, device))
        process.start()
        self.begun[key] += 1
        self.running.append(_Running(cell, key, process, device, needed_bytes(cell)))

    def _wait(self, waiting: list[tuple[Cell, str]]) -> None:
        """For a process to end."""
        while not (ended := [one for one in self.running if not one.process.is_alive()]):
            time.sleep(0.05)
        for one in ended:
            self.running.remove(one)
            self.free.append(one.device)
            state = self.store.state(one.key)
            died = state == "interrupted" and one.process.exitcode != 0
            if died and self.begun[one.key] < MOST_BEGINNINGS:
                _log.warning("%s: its process died (%s); it is begun again", one.cell, one.process.exitcode)
                waiting.insert(0, (one.cell, one.key))
                continue
            self.report(one.cell, state)


def _work(study: Study, cell: Cell, key: str, root: Path, device: str) -> None:
    """What the process of a cell does; a failure is kept in the store."""
    import torch

    threading.Thread(target=_end_with_the_command, daemon=True).start()
    torch.set_num_threads(1 if device == "auto" else torch.get_num_threads())
    try:
        run_cell(study, cell, key, root, device=device)
    except BusyError:
        return  # another command runs it
    except Exception:
        return  # kept by the store, told by the engine


def _end_with_the_command() -> None:
    """Who ends the command means its cells too: they end at once, as by kill -9, and go on with the next command."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "cells run in processes of their own"
    wait([parent.sentinel])
    os._exit(1)


def needed_bytes(cell: Cell) -> int:
    """Memory a cell may take, from its backbone's parameters."""
    if cell.backbone is None:
        return BASE_BYTES
    try:
        return BASE_BYTES + BYTES_PER_PARAMETER * account_of(cell.backbone.removesuffix(RANDOM_SUFFIX)).parameters
    except TokenworthError:
        return BASE_BYTES
