"""The Ray engine: cells as tasks with resource requests, and one forward pass shared by several workers.

The store is the truth, not Ray's memory: a task only runs its cell into the store's folder, which all workers must see
under the same path (a shared file system).  A worker that dies takes nothing with it: Ray starts the task again, and
the cell goes on from its route's checkpoint.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenworth.base.locks import BusyError
from tokenworth.errors import SettingError
from tokenworth.study.cell_memory import needs_of
from tokenworth.study.cell_run import keyed_cells, run_cell
from tokenworth.study.grid import ASSESS, Cell, Study
from tokenworth.study.local_engine import MOST_BEGINNINGS, Report
from tokenworth.study.ray_cluster import ray_cluster
from tokenworth.study.shared_pass import assess_together
from tokenworth.study.study_store import StudyStore, unfinished

if TYPE_CHECKING:
    from types import ModuleType


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
    """Run every cell that is not finished on a Ray cluster; its numbers are those of the local engine.

    Args:
        study: what to run.
        root: folder of the study, seen by all workers under this path.
        address: of a running cluster ("HOST:PORT" or "auto"); None starts one on this machine and stops it again.
        workers: processors of a cluster that is started here.
        pass_workers: workers that share the forward pass of one assessment; their moments are merged.
        retry_failed: also run cells that failed before.
        report: called when a cell ends.

    Returns:
        How many cells are in each state at the end.

    Raises:
        SettingError: Ray is not installed, the address does not answer, texts or weights are not there, or the cluster
            has fewer processors than `pass_workers`.
        TokenworthError: the folder cannot be written.
    """
    cells, store = keyed_cells(study), StudyStore(Path(root).resolve())
    ray, own = ray_cluster(address, workers)
    try:
        at_once = _passes_at_once(ray, pass_workers)
        store.make()
        waiting = unfinished(cells, store, retry_failed=retry_failed)
        submit = partial(_submit, ray, study, root=store.root, pass_workers=pass_workers)
        for cell, key in _ended(ray, waiting, submit, pass_workers, at_once):
            if report:
                report(cell, store.outcome(key))
    finally:
        if own:
            ray.shutdown()
    return Counter(store.state(key) for _, key in cells)


def _ended(
    ray: ModuleType, waiting: list[tuple[Cell, str]], submit: Callable[..., Any], pass_workers: int, at_once: int
) -> Iterator[tuple[Cell, str]]:
    """Hand all cells to the cluster, shared passes a few at a time; yields each when it has ended."""
    shared = deque(one for one in waiting if _is_shared(one[0], pass_workers))
    first = [one for one in waiting if not _is_shared(one[0], pass_workers)]
    first += [shared.popleft() for _ in range(min(at_once, len(shared)))]
    running = {submit(*one): one for one in first}
    while running:
        (ended,), _ = ray.wait(list(running), num_returns=1)
        one = running.pop(ended)
        if shared and _is_shared(one[0], pass_workers):
            further = shared.popleft()
            running[submit(*further)] = further
        yield one


def _is_shared(cell: Cell, pass_workers: int) -> bool:
    return cell.route == ASSESS and pass_workers > 1


def _passes_at_once(ray: ModuleType, pass_workers: int) -> int:
    """Shared passes that fit into the cluster; more of them would only be processes that wait.

    Raises:
        SettingError: not one does; it would be waited for without end.
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
    try:
        if pass_workers > 1:
            assess_together(study, cell, key, Path(root), workers=pass_workers, cards=cards)
        else:
            run_cell(study, cell, key, Path(root))
    except BusyError:
        return  # another command runs it
    except Exception:
        return  # kept by the store, told by the caller of `report`
