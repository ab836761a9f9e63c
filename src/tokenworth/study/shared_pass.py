"""One assessment by several Ray workers: each passes a share of the texts, their moments are merged.

The workers are placed together or not at all: two passes that each hold half of the processors and wait for the other
half would wait for ever.  If one of them dies the others cannot go on; all begin again, from the pass's checkpoint.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenworth.errors import TokenworthError
from tokenworth.study.cell_run import assess_cell, patiently, task_of
from tokenworth.study.grid import Cell, Study
from tokenworth.study.local_engine import MOST_BEGINNINGS
from tokenworth.study.study_store import StudyStore

_log = logging.getLogger("tokenworth")


def assess_together(study: Study, cell: Cell, key: str, root: Path, *, workers: int, cards: int = 0) -> None:
    """Run one cell of the route assess by several workers; one that is finished is left as it is.

    Args:
        study: where the cell is from.
        cell: what to assess.
        key: of the cell.
        root: folder of the study, seen by all workers under this path.
        workers: how many of them, each with a processor.
        cards: graphics cards of each.

    Raises:
        BusyError: another process runs it.
        TokenworthError: it failed; why is kept beside it.
    """
    store = StudyStore(root)
    with store.claimed(key, cell) as folder:
        if not store.is_finished(key):
            patiently(lambda: _persistently(study, cell, folder, workers, cards))


def _persistently(study: Study, cell: Cell, folder: Path, workers: int, cards: int) -> None:
    from ray.exceptions import RayActorError, RayTaskError

    for left in reversed(range(MOST_BEGINNINGS)):
        try:
            _together(study, cell, folder, workers, cards)
        except (RayActorError, RayTaskError) as error:  # noqa: PERF203 - a few times at most
            cause = error.cause if isinstance(error, RayTaskError) else error
            if isinstance(cause, TokenworthError) or not left:
                raise cause from None  # meant for people, without Ray's account of where it was raised
            _log.warning("%s: a worker of its pass died; the pass is begun again", cell)
        else:
            return


def _together(study: Study, cell: Cell, folder: Path, workers: int, cards: int) -> None:
    import ray

    with _members(workers, cards) as members:
        place = ray.get(members[0].place.remote())
        ray.get([one.assess.remote(study, cell, str(folder), i, workers, place) for i, one in enumerate(members)])


@contextmanager
def _members(workers: int, cards: int) -> Iterator[list[Any]]:
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    needs = {"CPU": 1.0} | ({"GPU": float(cards)} if cards else {})
    group = placement_group([needs] * workers)
    try:
        ray.get(group.ready())
        placed = PlacementGroupSchedulingStrategy(group)
        yield [
            ray.remote(_Member).options(num_cpus=1, num_gpus=cards, scheduling_strategy=placed).remote()
            for _ in range(workers)
        ]
    finally:
        remove_placement_group(group)  # which ends its workers


class _Member:
    """One worker of a shared pass: an actor that joins the others as torchrun would have it."""

    def place(self) -> tuple[str, int]:
        """Where the first one can be found by the others."""
        import ray

        with socket.socket() as free:
            free.bind(("", 0))
            return str(ray.util.get_node_ip_address()), int(free.getsockname()[1])  # type: ignore[no-untyped-call]

    def assess(self, study: Study, cell: Cell, folder: str, rank: int, size: int, place: tuple[str, int]) -> None:
        """Join, and make a share of the pass; the first one scores and writes."""
        import torch

        torch.set_num_threads(1)
        names = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": 0, "MASTER_ADDR": place[0], "MASTER_PORT": place[1]}
        os.environ.update({name: str(value) for name, value in names.items()})
        assess_cell(cell, task_of(study, cell), Path(folder))
