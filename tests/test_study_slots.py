"""Cells that run together never take more memory than there is, of the machine or of a card."""

import pytest

from routes import model_at
from tokenworth.backbones import account_of
from tokenworth.study import slots
from tokenworth.study.grid import Cell
from tokenworth.study.slots import BASE_BYTES, MAIN, Slots, needs_of

GB = 1_000_000_000


@pytest.fixture(autouse=True)
def sizes(monkeypatch):
    monkeypatch.setattr(slots, "_parameters", {"small": GB // 20, "large": GB}.__getitem__)


def cell(backbone, route="lora"):
    return Cell(backbone=backbone, task="sst2", route=route, seed=0, settings={})


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
    places = Slots(["auto"] * 3, {MAIN: 4_500_000_000})
    assert begun(places, cell("small"), cell("small"), cell("small")) == ["auto", "auto", None]
    places.leave("auto", cell("small"))
    assert begun(places, cell(None, "bow"), cell("small")) == ["auto", "auto"]
    assert begun(places, cell(None, "bow")) == [None], "no slot is left"


def test_alone_any_cell_may_try():
    places = Slots(["auto", "auto"], {MAIN: GB})
    assert begun(places, cell("large"), cell(None, "bow")) == ["auto", None]


def test_two_cells_on_one_card_fit_into_it():
    places = Slots(["cuda:0", "cuda:1"] * 2, {MAIN: 100 * GB, "cuda:0": 24 * GB, "cuda:1": 80 * GB})
    assert begun(places, cell("large"), cell("large"), cell("large")) == ["cuda:0", "cuda:1", "cuda:1"]
    assert begun(places, cell("large")) == [None], "20 GB are taken of the 24 of the card with a free slot"
    assert begun(places, cell("small")) == ["cuda:0"]


def test_what_is_on_a_card_takes_little_main_memory():
    """Twenty bytes a parameter are needed where it is trained; weights only pass through main memory."""
    on_card, here = needs_of(cell("large"), on_card=True), needs_of(cell("large"), on_card=False)
    assert (on_card.main, on_card.card) == (BASE_BYTES + 4 * GB, 20 * GB)
    assert (here.main, here.card) == (BASE_BYTES + 20 * GB, 0)


def test_parameters_are_those_of_the_folder(monkeypatch, tmp_path):
    monkeypatch.undo()
    path = model_at(tmp_path)
    expected = BASE_BYTES + 20 * account_of(path).parameters
    assert needs_of(cell(path), on_card=False).main == needs_of(cell(f"{path}@random"), on_card=False).main == expected
    assert needs_of(cell("no/where"), on_card=False).main == BASE_BYTES
