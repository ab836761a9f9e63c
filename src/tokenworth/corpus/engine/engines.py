"""Where jobs run: in this process, in several local ones, or on Ray.  Results come back in the order of the jobs."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar

from tokenworth.base.worker_processes import end_with_parent
from tokenworth.corpus.corpus_options import EngineChoice
from tokenworth.errors import SettingError, TokenworthError

J = TypeVar("J")
R = TypeVar("R")
ENGINES = ("local", "ray")
_AHEAD = 2


class Engine(Protocol):
    """Runs a function over jobs."""

    def map(self, function: Callable[[J], R], jobs: Sequence[J]) -> Iterator[R]:
        """Results in the order of the jobs."""
        ...

    def close(self, *, now: bool = False) -> None:
        """Give back what was started, when its jobs are done or now."""
        ...


class Local:
    """Local processes, which stay until `close`; with one worker, this process."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._until: tuple[Connection, Connection] | None = None
        """A pipe: as long as this process keeps its second end open the workers go on."""

    def map(self, function: Callable[[J], R], jobs: Sequence[J]) -> Iterator[R]:
        """Results in order; twice as many jobs as workers are under way.

        Raises:
            TokenworthError: a worker was killed.
        """
        if self.workers == 1:
            yield from map(function, jobs)
            return
        running: deque[Future[R]] = deque()
        try:
            for job in jobs:
                if len(running) >= _AHEAD * self.workers:
                    yield running.popleft().result()
                running.append(self._workers().submit(function, job))
            while running:
                yield running.popleft().result()
        except BrokenProcessPool as error:
            raise TokenworthError(
                "a worker was killed, perhaps for want of memory; run the same command again with fewer --workers or a "
                "smaller shard_mb: it goes on where it was"
            ) from error
        finally:
            for one in running:
                one.cancel()

    def _workers(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["tokenworth.corpus.engine.jobs"])
            self._until = context.Pipe(duplex=False)
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=context, initializer=end_with_parent, initargs=(self._until[0],)
            )
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

        ray: Any
        ray, self.own = ray_cluster(address, workers)
        self.ray = ray

    def map(self, function: Callable[[J], R], jobs: Sequence[J]) -> Iterator[R]:
        """Results in order; a worker that dies has its job begun again."""
        task = self.ray.remote(num_cpus=1, max_retries=3)(function)
        ahead = _AHEAD * max(1, int(self.ray.cluster_resources().get("CPU", 1)))
        running: deque[Any] = deque()
        for job in jobs:
            if len(running) >= ahead:
                yield self._result(running.popleft())
            running.append(task.remote(job))
        while running:
            yield self._result(running.popleft())

    def _result(self, reference: Any) -> Any:
        try:
            return self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, TokenworthError) else error from error

    def close(self, *, now: bool = False) -> None:  # noqa: ARG002 - a cluster always ends at once
        """Stop a cluster that was started here."""
        if self.own:
            self.ray.shutdown()


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
