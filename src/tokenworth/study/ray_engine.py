"""The Ray engine: cells as tasks with resource requests, and one forward pass shared by several workers.

The store is the truth, not Ray's memory: a task only runs its cell into the store's folder, which all workers must see
under the same path (a shared file system).  A worker that dies takes nothing with it: Ray starts the task again, and
the cell goes on from its route's checkpoint.

The workers of a shared pass each take a share of the texts, and their moments are merged.  They are placed together or
not at all: two passes that each hold half of the processors and wait for the other half would wait for ever.  If one of
them dies the others cannot go on; all begin again, from the pass's checkpoint.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenworth.base.keywords import known_keywords
from tokenworth.base.ray_cluster import ray_cluster
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.study.cell_run import assess_cell, keyed_cells, patiently, run_cell, task_of
from tokenworth.study.device_slots import needs_of
from tokenworth.study.grid import ASSESS, Cell, Study
from tokenworth.study.local_engine import MOST_BEGINNINGS, Report
from tokenworth.study.study_store import StudyStore, unfinished

if TYPE_CHECKING:
    from types import ModuleType

_log = logging.getLogger("tokenworth")


@known_keywords
def run_on_ray(
    study: Study,
    root: str | Path,
    *,
    address: str | None = None,
    workers: int | None = None,
    pass_workers: int = 1,
    retry_failed: bool = False,
    report: Report | None = None,
) -> Counter[str]:
    """`run_local` on a Ray cluster, with the same numbers; all workers must see the folder under the same path.

    `address` is that of a running cluster ("HOST:PORT" or "auto"); None starts one here with `workers` processors and
    stops it again.  `pass_workers` share the forward pass of one assessment; their moments are merged.  The rest is as
    of `run_local`.

    Raises:
        SettingError: Ray is not installed, the address does not answer, texts or weights are not there, or the cluster
            has fewer processors than `pass_workers`.
        TokenworthError: the folder cannot be written.
    """
    cells, store = keyed_cells(study), StudyStore(Path(root).resolve())
    ray, is_ours = ray_cluster(address, workers)
    try:
        at_once = _passes_at_once(ray, pass_workers)
        store.make()
        waiting = unfinished(cells, store, retry_failed=retry_failed)
        submit = partial(_submit, ray, study, root=store.root, pass_workers=pass_workers)
        for cell, key in _ended(ray, waiting, submit, pass_workers, at_once):
            if report:
                report(cell, store.outcome(key))
    finally:
        if is_ours:
            ray.shutdown()
    return Counter(store.state(key) for _, key in cells)


def _ended(
    ray: ModuleType, waiting: list[tuple[Cell, str]], submit: Callable[..., Any], pass_workers: int, at_once: int
) -> Iterator[tuple[Cell, str]]:
    """Hand all cells to the cluster, shared passes a few at a time; yields each when it has ended."""
    shared = deque(cell for cell in waiting if _is_shared(cell[0], pass_workers))
    first = [cell for cell in waiting if not _is_shared(cell[0], pass_workers)]
    first += [shared.popleft() for _ in range(min(at_once, len(shared)))]
    running = {submit(*cell): cell for cell in first}
    while running:
        (ended,), _ = ray.wait(list(running), num_returns=1)
        cell = running.pop(ended)
        if shared and _is_shared(cell[0], pass_workers):
            further = shared.popleft()
            running[submit(*further)] = further
        yield cell


def _is_shared(cell: Cell, pass_workers: int) -> bool:
    return cell.route == ASSESS and pass_workers > 1


def _passes_at_once(ray: ModuleType, pass_workers: int) -> int:
    """Shared passes that fit into the cluster; more of them would only be processes that wait.

    Raises SettingError: not one does; it would be waited for without end.
    """
    resources = ray.cluster_resources()
    kind = "graphics cards" if resources.get("GPU") else "processors"
    room = int(resources.get("GPU") or resources.get("CPU", 0))
    if 1 < pass_workers > room:
        raise SettingError(
            f"{pass_workers} workers cannot share a forward pass on {room} {kind}; give --pass-workers at most {room}"
        )
    return max(1, room // pass_workers)


def _submit(ray: Any, study: Study, cell: Cell, key: str, *, root: Path, pass_workers: int) -> Any:
    shared = _is_shared(cell, pass_workers)
    cards = 1 if ray.cluster_resources().get("GPU") and cell.backbone is not None else 0
    task = ray.remote(
        num_cpus=0 if shared else 1,  # the workers of the pass ask for theirs
        num_gpus=0 if shared else cards,
        memory=0 if shared else min(needs_of(cell, on_card=cards > 0).main, _largest_memory(ray)),
        max_retries=MOST_BEGINNINGS - 1,
    )(_work)
    return task.remote(study, cell, key, str(root), pass_workers if shared else 1, cards)


def _largest_memory(ray: Any) -> int:
    """Of one node: a cell that asks for more would be waited for without end, and may as well try."""
    return int(max((node["Resources"].get("memory", 0) for node in ray.nodes() if node["Alive"]), default=0))


def _work(study: Study, cell: Cell, key: str, root: str, pass_workers: int, cards: int) -> None:
    """What the task of a cell does; a failure is kept in the store."""
    import torch

    torch.set_num_threads(1)
    with suppress(Exception):  # another command runs it, or it failed: kept by the store, said by `report`
        if pass_workers > 1:
            assess_together(study, cell, key, Path(root), workers=pass_workers, cards=cards)
        else:
            run_cell(study, cell, key, Path(root))


def assess_together(study: Study, cell: Cell, key: str, root: Path, *, workers: int, cards: int = 0) -> None:
    """`run_cell` of the route assess by several workers, each with a processor and so many graphics cards."""
    StudyStore(root).once(
        (key, cell), lambda folder: patiently(lambda: _persistently(study, cell, folder, workers, cards))
    )


def _persistently(study: Study, cell: Cell, folder: Path, workers: int, cards: int) -> None:
    import ray
    from ray.exceptions import RayActorError, RayTaskError

    for left in reversed(range(MOST_BEGINNINGS)):
        try:
            with _members(workers, cards) as members:
                place = ray.get(members[0].place.remote())
                shares = enumerate(member.assess for member in members)
                ray.get([assess.remote(study, cell, str(folder), i, workers, place) for i, assess in shares])
        except (RayActorError, RayTaskError) as error:  # noqa: PERF203 - a few times at most
            cause = error.cause if isinstance(error, RayTaskError) else error
            if isinstance(cause, TokenworthError) or not left:
                raise cause from None  # meant for people, without Ray's account of where it was raised
            _log.warning("%s: a worker of its pass died; the pass is begun again", cell)
        else:
            return


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
