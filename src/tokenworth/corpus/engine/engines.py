"""Where jobs run: in this process, in several local ones, or on Ray.  Results come back in the order of the jobs."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import starmap
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from tokenworth.base.worker_processes import begin_worker
from tokenworth.corpus.corpus_settings import EngineChoice
from tokenworth.errors import SettingError, TokenworthError

R = TypeVar("R")
F = TypeVar("F")
ENGINES = ("local", "ray")
Job = tuple[Any, ...]
"""Arguments of a call."""
_AHEAD = 2
"""Jobs under way, a worker."""


def _in_order(jobs: Iterable[Job], waiting: deque[F], ahead: int, submit: Callable[..., F]) -> Iterator[F]:
    """What was submitted, in order, while so many jobs more are waiting for their results."""
    for job in jobs:
        if len(waiting) >= ahead:
            yield waiting.popleft()
        waiting.append(submit(*job))
    while waiting:
        yield waiting.popleft()


class Local:
    """Local processes, which stay until `close`; with one worker, this process."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._until: tuple[Connection, Connection] | None = None
        """A pipe: as long as this process keeps its second end open the workers go on."""

    def map(self, function: Callable[..., R], jobs: Sequence[Job]) -> Iterator[R]:
        """Results in order; twice as many jobs as workers are under way.  TokenworthError: a worker was killed."""
        if self.workers == 1:
            yield from starmap(function, jobs)
            return
        running: deque[Future[R]] = deque()
        try:
            submit = partial(self._workers().submit, function)
            for future in _in_order(jobs, running, _AHEAD * self.workers, submit):
                yield future.result()
        except BrokenProcessPool as error:
            raise TokenworthError(
                "a worker was killed, perhaps for want of memory; run the same command again with fewer --workers or a "
                "smaller shard_mb: it goes on where it was"
            ) from error
        finally:
            for future in running:
                future.cancel()

    def _workers(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["tokenworth.corpus.engine.jobs"])
            self._until = context.Pipe(duplex=False)
            self._pool = ProcessPoolExecutor(self.workers, context, begin_worker, (dict(os.environ), self._until[0]))
        return self._pool

    def close(self, *, now: bool = False) -> None:
        """End the processes, when their jobs are done or now."""
        if self._until is not None and now:
            self._until[1].close()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = self._until = None


class OnRay:
    """A Ray cluster whose workers see the work folder under the same path."""

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        from tokenworth.base.ray_cluster import ray_cluster

        self.ray: Any
        self.ray, self.started_here = ray_cluster(address, workers)

    def map(self, function: Callable[..., R], jobs: Sequence[Job]) -> Iterator[R]:
        """Results in order; a worker that dies has its job begun again."""
        task = self.ray.remote(num_cpus=1, max_retries=3)(function)
        ahead = _AHEAD * max(1, int(self.ray.cluster_resources().get("CPU", 1)))
        try:
            for reference in _in_order(jobs, deque(), ahead, task.remote):
                yield self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, TokenworthError) else error from error

    def close(self, *, now: bool = False) -> None:  # noqa: ARG002 - a cluster always ends at once
        """Stop a cluster that was started here."""
        if self.started_here:
            self.ray.shutdown()


Engine = Local | OnRay
"""Runs a function over jobs."""


@contextmanager
def chosen_engine(choice: EngineChoice) -> Iterator[Engine]:
    """The engine that is asked for; what it started is given back at the end, at once where something failed.

    Raises:
        SettingError: there is no such engine.
    """
    if choice.engine not in ENGINES:
        raise SettingError(f"engine {choice.engine!r} is not understood; choose from {', '.join(ENGINES)}")
    engine: Engine = Local(choice.workers) if choice.engine == "local" else OnRay(choice.workers, choice.address)
    try:
        yield engine
    except BaseException:
        engine.close(now=True)
        raise
    engine.close()
