"""Layers side by side: the same numbers with any number of threads, and the threads are given back."""

import threading
import time

import pytest
import torch

import tokenworth as tw
from planted import planted_task
from small_models import write_folder
from tokenworth.base.layer_threads import SMALL, side_by_side
from tokenworth.base.progress import StageClock

pytestmark = pytest.mark.formats


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2, "what was set is set again"
    torch.set_num_threads(before)


@pytest.mark.parametrize(("width", "workers"), [(SMALL, 2), (SMALL + 1, 1)])
def test_results_come_in_order_of_the_pieces_and_each_has_one_thread(two_threads, width, workers):
    def work(item):
        time.sleep(0.05 / (1 + item))
        return item, threading.get_ident(), torch.get_num_threads()

    with side_by_side(width) as each:
        done = each(work, range(6))
    assert [item for item, _, _ in done] == list(range(6))
    assert len({thread for _, thread, _ in done}) == workers
    assert {threads for *_, threads in done} == {1 if workers == 2 else 2}


def test_the_first_failure_is_told_and_the_rest_is_left(two_threads):
    begun = []

    def work(item):
        begun.append(item)
        time.sleep(0.02)
        raise ValueError(f"piece {item}")

    with pytest.raises(ValueError, match="piece 0"), side_by_side(8) as each:
        each(work, range(50))
    assert len(begun) < 50


def test_an_assessment_says_the_same_with_one_thread_and_with_two(two_threads, tmp_path):
    model, task = str(write_folder(tmp_path / "model", "llama")), planted_task(80, 40)
    of_two = tw.assess(model, task, cache=tmp_path / "cache")
    torch.set_num_threads(1)
    of_one = tw.assess(model, task, cache=tmp_path / "cache")
    torch.set_num_threads(2)
    assert of_two.layers == of_one.layers
    assert of_two.poolings == of_one.poolings
    assert of_two.curves == of_one.curves
    assert {"scores", "probes"} <= set(of_two.timings)


def test_a_clock_divides_a_block_by_the_shares_of_its_parts():
    clock = StageClock()
    with clock.shared() as shares:
        time.sleep(0.04)
        shares |= {"scores": 3.0, "probes": 1.0}
    seconds = clock.seconds()
    assert seconds["scores"] == pytest.approx(3 * seconds["probes"], rel=0.01)
    assert 0.03 < seconds["scores"] + seconds["probes"] <= seconds["total"]
