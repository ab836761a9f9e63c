"""Threads of the library that multiplies for NumPy and SciPy, which is not PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """One thread within it; also a decorator.

    Fits of scikit-learn on some thousand texts are thousands of small products, for which several threads wait for each
    other, beside PyTorch's, most of the time: 2.3 s where one takes .09 (a logistic probe of 1,500 texts, width 576).
    """
    with threadpool_limits(limits=1, user_api="blas"):
        yield
