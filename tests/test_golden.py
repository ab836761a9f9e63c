"""What the package says of made-up inputs is what it said when the fixtures were recorded, to the bit.

Where processor, libraries or threads are others than those of the recording, numbers may differ by rounding: the names
of the tests say which of the two holds here.
"""

import json

import pytest

import golden
from golden_cases import CASES

APART = golden.unlike(golden.recorded_machine(golden.FOLDER), golden.facts_of_machine())
HOW = "rounding" if APART else "bits"
NAMES = [name for name, case in CASES.items() if not case.real]


@pytest.mark.parametrize("name", NAMES, ids=[f"{name}-{HOW}" for name in NAMES])
def test_the_numbers_are_those_of_the_recording(auto, name):
    auto("float32")
    found = golden.compared(golden.FOLDER, name, CASES[name].rounding if APART else 0.0)
    assert not found, "\n".join(found[:30])


def test_the_fixtures_are_compared_to_the_bit():
    if APART:
        pytest.skip(f"compared to rounding: {', '.join(APART)} differ from those of the recording")


def test_every_case_has_its_fixture_and_all_are_small():
    fixtures = {path.stem: path.stat().st_size for path in golden.FOLDER.glob("*.json")}
    assert {*fixtures} == {*NAMES, "machine"}
    assert sum(fixtures.values()) < 1_000_000


RECORDED = {"losses": [0.1, 2.5], "best": 3, "note": "weighted F1 0.962 at layer 3", "bits": "ab", "gone": None}


@pytest.mark.parametrize(
    ("change", "to_the_bit", "to_rounding"),
    [
        ({}, 0, 0),
        ({"losses": [0.1 + 2**-56, 2.5]}, 1, 0),
        ({"losses": [0.1001, 2.5]}, 1, 1),
        ({"losses": [0.1]}, 1, 1),
        ({"best": 3.0}, 1, 1),
        ({"note": "weighted F1 0.963 at layer 3"}, 1, 0),
        ({"note": "weighted F1 0.962 at layer 2"}, 1, 1),
        ({"note": "weighted F1: 0.962 at layer 3"}, 1, 1),
        ({"bits": "cd"}, 1, 0),
        ({"new": None}, 1, 1),
    ],
)
def test_a_difference_is_seen(change, to_the_bit, to_rounding):
    now = json.loads(json.dumps({**RECORDED, **change}))
    assert len(list(golden.differences(RECORDED, now, 0.0))) == to_the_bit
    assert len(list(golden.differences(RECORDED, now, 1e-6))) == to_rounding
    renamed = {("lost" if key == "gone" else key): value for key, value in now.items()}
    assert len(list(golden.differences(RECORDED, renamed, 0.0))) == to_the_bit + 2
