"""Cells that run together never take more memory than there is, of the machine or of a card."""

import numpy as np
import pytest

import tokenworth.study.device_slots as slots
from routes import model_at
from tokenworth.adaptation import AdaptConfig
from tokenworth.adaptation.forecast.route_forecast import untrained
from tokenworth.adaptation.forecast.training_memory import count_memory
from tokenworth.backbones import account_of
from tokenworth.study.device_slots import BASE_BYTES, Needs, Slots, needs_of
from tokenworth.study.grid import Cell

GB = 1_000_000_000


SIZES = {None: 0, "small": GB, "large": 20 * GB}


@pytest.fixture(autouse=True)
def sizes(monkeypatch):
    """A small backbone takes a gigabyte to train, a large one twenty."""

    def needs(one, *, on_card):
        takes = SIZES[one.backbone]
        return Needs(BASE_BYTES + takes // 5, takes) if on_card else Needs(BASE_BYTES + takes)

    monkeypatch.setattr(slots, "needs_of", needs)


def cell(backbone, route="lora", **settings):
    return Cell(backbone=backbone, task="sst2", route=route, seed=0, settings=settings)


def places_of(devices, free_now=lambda: 10**15, **memory):
    return Slots(devices, {name.replace("_", ":"): size for name, size in memory.items()}, free_now)


def begun(places, *cells):
    """The devices on which cells begin, one after the other; None for those that must wait."""
    found = []
    for one in cells:
        device = places.fitting(one)
        if device:
            places.take(device, one)
        found.append(device)
    return found


def test_main_memory_is_shared():
    places = places_of(["auto"] * 3, main=2 * (BASE_BYTES + GB) + BASE_BYTES)
    assert begun(places, cell("small"), cell("small"), cell("small")) == ["auto", "auto", None]
    places.leave("auto", cell("small"))
    assert begun(places, cell(None, "bow"), cell("small")) == ["auto", "auto"]
    assert begun(places, cell(None, "bow")) == [None], "no slot is left"


def test_what_others_take_meanwhile_counts():
    """Another command on the machine has filled it since this one began."""
    free = [100 * GB]
    places = places_of(["auto"] * 3, lambda: free[0], main=100 * GB)
    assert begun(places, cell("small"), cell("small")) == ["auto", "auto"]
    free[0] = GB
    assert begun(places, cell("small")) == [None]
    places.leave("auto", cell("small"))
    places.leave("auto", cell("small"))
    assert begun(places, cell("small")) == ["auto"], "alone it may try"


def test_alone_any_cell_may_try():
    places = places_of(["auto", "auto"], main=GB)
    assert begun(places, cell("large"), cell(None, "bow")) == ["auto", None]


def test_two_cells_on_one_card_fit_into_it():
    places = places_of(["cuda:0", "cuda:1"] * 2, main=100 * GB, cuda_0=24 * GB, cuda_1=80 * GB)
    assert begun(places, cell("large"), cell("large"), cell("large")) == ["cuda:0", "cuda:1", "cuda:1"]
    assert begun(places, cell("large")) == [None], "20 GB are taken of the 24 of the card with a free slot"
    assert begun(places, cell("small")) == ["cuda:0"]


@pytest.mark.parametrize("route", ["lora", "full"])
def test_training_takes_weights_gradients_and_the_activations_of_a_batch(tmp_path, route):
    path = model_at(tmp_path)
    held = count_memory(*untrained(path, route, AdaptConfig(), 2))
    long_B = np.full(8, 24)
    expected = BASE_BYTES + held.state + 1.5 * held.kept.padded(long_B)
    assert needs_of(cell(path, route, max_length=24), on_card=False) == Needs(round(expected))
    assert needs_of(cell(f"{path}@random", route, max_length=24), on_card=False).main == round(expected)
    fewer = needs_of(cell(path, route, max_length=24, micro_batch=2), on_card=False).main
    assert held.state < fewer - BASE_BYTES < expected - BASE_BYTES


def test_weights_pass_through_main_memory_on_their_way_to_a_card(tmp_path):
    path = model_at(tmp_path)
    here, there = (needs_of(cell(path, "full", max_length=24), on_card=on_card) for on_card in (False, True))
    assert there.main == BASE_BYTES + 4 * account_of(path).parameters
    assert here.card == 0 < there.card < here.main - BASE_BYTES


def test_an_assessment_takes_its_moments_and_what_only_reads_takes_less(tmp_path):
    path = model_at(tmp_path)
    account = account_of(path)
    assessed, probed = (needs_of(cell(path, route), on_card=False).main for route in ("assess", "probe"))
    assert assessed - probed == account.moment_bytes() + 24 * account.width**2
    assert probed > BASE_BYTES + 4 * account.parameters


def test_what_cannot_be_counted_takes_a_process():
    assert needs_of(cell("no/where"), on_card=False) == Needs(BASE_BYTES)
    assert needs_of(cell("no/where", "count"), on_card=False) == Needs(BASE_BYTES)
    assert needs_of(cell(None, "bow"), on_card=True) == Needs(BASE_BYTES)
