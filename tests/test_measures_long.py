"""Loss by position and retrieval by depth, against passes text by text and against machines that do or do not find."""

import numpy as np
import pytest
import torch

from measured_models import machine, random_decoder, slow_nll, texts
from tokenworth.errors import SettingError
from tokenworth.measures import measure_positions, measure_retrieval, rows_of
from tokenworth.measures.loss_by_position import recent_nll
from tokenworth.measures.retrieval import value_scores

ASKED = "w57 w58 {key} w59"


@pytest.mark.parametrize("window", [2, 3, 8, 9])
def test_recent_context_is_between_half_a_window_and_a_window(window):
    """The loss of every token is that after some number of tokens right before it, within these bounds."""
    decoder = random_decoder()
    rows = rows_of(decoder, texts(2, 30), 25, most=2)
    found = recent_nll(decoder, rows, window)
    for i, row in enumerate(rows.tolist()):
        for at in range(1, 25):
            least = min(at, window // 2)
            possible = [slow_nll(decoder, row[at - n : at + 1], n) for n in range(least, min(at, window - 1) + 1)]
            assert min(abs(found[i, at - 1] - loss) for loss in possible) < 1e-5


def test_bins_are_means_of_slow_losses():
    decoder = random_decoder()
    found = measure_positions(decoder, texts(3, 30), length=24, window=8, bins=4)
    rows = rows_of(decoder, texts(3, 30), 24, most=100).tolist()
    assert (found.bins[0]["first"], found.bins[-1]["last"]) == (2, 24)
    for row in found.bins:
        places = range(row["first"] - 1, row["last"])
        assert row["full"] == pytest.approx(
            np.mean([slow_nll(decoder, ids, at) for ids in rows for at in places]), rel=1e-5
        )
        assert row["gain"] == pytest.approx(row["recent"] - row["full"])
        assert row["beyond"] == (row["first"] > 8)
    assert found.bins[0]["gain"] == pytest.approx(0, abs=1e-6)


def test_a_model_that_remembers_everything_gains_beyond_the_window():
    """Documents have a period of 20 words; a window of 16 cannot know, the whole document can."""

    def rule(ids):
        logits = torch.zeros(61)
        if len(ids) > 20:
            logits[ids[-20]] = 9.0
        return logits

    documents = [" ".join([*text.split()] * 4) for text in texts(4, 20)]
    found = measure_positions(machine(rule), documents, length=60, window=16, bins=3)
    assert [row["gain_low"] > 1 for row in found.bins] == [False, True, True]


def test_lengths_that_cannot_be_read():
    with pytest.raises(SettingError, match="has positions for 16 tokens and none behind"):
        measure_positions(random_decoder("GPT2", max_position_embeddings=16), texts(3, 40), length=32)
    with pytest.raises(SettingError, match="two tokens and one bin"):
        measure_positions(random_decoder(), texts(3, 40), length=1)


def test_scores_of_values_are_those_of_a_pass_each():
    decoder, text = random_decoder(), [0, 5, 9, 2, 7]
    values = [[3], [4, 8, 6], [10, 11], [3, 3]]
    expected = [-sum(slow_nll(decoder, text + ids, len(text) + i) for i in range(len(ids))) for ids in values]
    assert value_scores(decoder, text, values) == pytest.approx(expected, rel=1e-5)


def copying(reach):
    """Says what followed when it last saw the four tokens it has just read, within so many tokens."""

    def rule(ids):
        logits = torch.zeros(61)
        window, asked = ids[-reach:].tolist(), ids[-4:].tolist()
        for at in range(len(window) - 5, -1, -1):
            if window[at : at + 4] == asked:
                logits[window[at + 4]] = 9.0
                break
        return logits

    return machine(rule)


@pytest.fixture
def sentences(monkeypatch):
    """Documents, and keys and values in words of the small tokenizer that do not stand in them."""
    monkeypatch.setattr("tokenworth.measures.retrieval._words", lambda _: np.array([f"w{i}" for i in range(20, 50)]))
    return texts(20, 60, words=20)


def test_who_copies_finds_at_every_depth_and_who_forgets_only_what_is_near(sentences):
    settings = {"lengths": [40, 120], "depths": (0, 50, 100), "values": 5, "probes": 6, "question": ASKED}
    found = measure_retrieval(copying(10**6), sentences, **settings)
    assert found.chance == 0.2
    assert [cell["accuracy"] for cell in found.cells] == [1.0] * 6
    assert all(cell["gain_low"] == pytest.approx(9.0) for cell in found.cells)
    near = measure_retrieval(copying(40), sentences, **settings)
    assert [cell["accuracy"] == 1 for cell in near.cells] == [True, True, True, False, False, True]
    assert [cell["gain"] for cell in near.cells][3:5] == pytest.approx([0, 0])


def test_who_has_a_favourite_is_right_by_chance_and_gains_nothing(sentences):
    favourite = machine(lambda ids: torch.linspace(0, 9, 61))
    found = measure_retrieval(favourite, sentences, lengths=[40], depths=(50,), values=5, probes=100, question=ASKED)
    cell = found.cells[0]
    assert cell["gain_low"] == cell["gain_high"] == 0
    assert cell["accuracy"] == pytest.approx(0.2, abs=0.06)


def test_the_sentence_stands_at_its_depth(sentences):
    seen = []

    def rule(ids):
        seen.append(ids.tolist())
        return torch.zeros(61)

    measure_retrieval(machine(rule), sentences, lengths=[60], depths=(0, 50, 100), values=3, probes=2, question=ASKED)
    whole = [ids for ids in seen if len(ids) == 60]
    assert len(whole) == 12
    places = [next(i for i in range(60) if ids[i : i + 2] == [58, 59]) for ids in whole]
    room = 60 - 2 * 4 - 2
    assert places == [0] * 4 + [room // 2] * 4 + [room] * 4


def test_texts_without_room_are_refused(sentences):
    with pytest.raises(SettingError, match="leave no room"):
        measure_retrieval(random_decoder(), sentences, lengths=[10], question=ASKED)
    with pytest.raises(SettingError, match="more words than values"):
        measure_retrieval(random_decoder(), sentences, lengths=[60], values=50)
