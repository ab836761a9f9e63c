"""Independent pieces of linear algebra side by side, a thread each, instead of several threads on one small matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

SMALL = 1024
"""Up to this width a factorisation hardly gains by threads of its own."""
MOST = 8
"""Pieces at a time, as each holds its matrices: a layer of twice the width takes 1.05 GB (docs/benchmarks.md)."""
Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def side_by_side(width: int) -> Iterator[Callable[[Callable[[Item], Result], Iterable[Item]], list[Result]]]:
    """A map over pieces of work on matrices of some width: results in order, as many at a time as torch has threads.

    Each piece computes with one thread, so that its numbers do not depend on how many there are.  Wide matrices get all
    threads, one piece after the other.
    """
    threads = torch.get_num_threads()
    if threads == 1 or width > SMALL:
        yield lambda work, items: [work(item) for item in items]
        return
    with ThreadPoolExecutor(min(threads, MOST), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield lambda work, items: list(pool.map(work, items))
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)
