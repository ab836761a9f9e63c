"""Products of NumPy and SciPy on one thread, where they are small."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info, threadpool_limits

from tokenworth.base.blas_threads import one_blas_thread
from tokenworth.probes import logistic_probe
from tokenworth.probes.bag_of_words import bag_of_words


def threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_one_thread_within_and_as_many_as_before_behind_it():
    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        with one_blas_thread():
            assert threads() == {1}
        assert threads() == before
        with pytest.raises(ZeroDivisionError), one_blas_thread():
            1 / 0  # noqa: B018
        assert threads() == before


@pytest.mark.parametrize("what", ["frozen features", "bag of words"])
def test_fits_have_one_thread(monkeypatch, what):
    seen, fit = [], LogisticRegression.fit

    def watched(self, *of, **more):
        seen.append(threads())
        return fit(self, *of, **more)

    monkeypatch.setattr(LogisticRegression, "fit", watched)
    labels = np.arange(40) % 2
    with threadpool_limits(limits=2, user_api="blas"):
        if what == "frozen features":
            z = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
            logistic_probe(z, labels, z)
        else:
            words = [f"{'good' if label else 'bad'} thing {place % 5}" for place, label in enumerate(labels)]
            bag_of_words(words, labels, words)
    assert seen
    assert all(one == {1} for one in seen)
