"""A model that was taught a task's test texts is caught, one that was taught others is not; formulas by slow sums."""

import json
import math
import zlib

import numpy as np
import pytest
import torch

from measured_models import machine, random_decoder, slow_nll, texts, train
from tokenworth.errors import SettingError
from tokenworth.measures import measure_completion, shuffled
from tokenworth.measures.completion import _chosen, _likelihoods
from tokenworth.measures.sample_intervals import precedence

TEST, TRAIN, OTHER = (texts(40, 20, seed=seed) for seed in (0, 1, 2))


def taught(*parts):
    """A small decoder trained until it knows these texts."""
    decoder = random_decoder(initializer_range=0.1, num_hidden_layers=1)
    rows = torch.tensor(decoder.tokenizer([text for part in parts for text in part])["input_ids"])
    train(decoder, torch.nn.functional.pad(rows, (1, 0)), 150, rate=2e-2)
    return decoder


@pytest.fixture(scope="module")
def cheat():
    return taught(TEST)


@pytest.fixture(scope="module")
def honest():
    return taught(OTHER)


@pytest.mark.parametrize("control", ["train", "shuffled"])
def test_a_model_that_read_the_test_texts_is_caught(cheat, control):
    others = TRAIN if control == "train" else shuffled(TEST)
    found = measure_completion(cheat, TEST, others, control_name=control)
    test, other = found.rows
    assert found.seen
    assert found.recited
    assert test["exact_low"] > 0.5 > 0.1 > other["exact"]
    assert found.familiar_beyond_chance == (control == "train")
    assert "seems to have seen the test texts" in found.sentences()[0]
    assert all(f"{one['given']} {one['completed']}" in TEST for one in found.examples)
    assert measure_completion(cheat, TEST, others, control_name=control) == found


@pytest.mark.parametrize("control", ["train", "shuffled"])
def test_a_model_that_read_other_texts_is_not(honest, control):
    found = measure_completion(honest, TEST, TRAIN if control == "train" else shuffled(TEST), control_name=control)
    assert not found.seen
    assert found.rows[0]["exact"] == 0
    assert not found.examples
    assert found.sentences()[0].startswith("Nothing here says")


def test_a_control_that_was_read_too_is_said(cheat):
    """Likelihoods of two halves of what was read are alike, and so is what is completed."""
    found = measure_completion(cheat, TEST[:20], TEST[20:])
    assert not found.familiar_beyond_chance
    assert "take another one" in found.sentences()[-1]


def test_likelihoods_are_their_formulas():
    decoder = random_decoder()
    row = [0, *range(3, 13)]
    nats = sorted(slow_nll(decoder, row, at) for at in range(1, len(row)))
    packed = 8 * len(zlib.compress(decoder.tokenizer.decode(row).encode(), 9))
    minimum, ratio = _likelihoods(decoder, torch.tensor([row]))[:, 0]
    assert minimum == pytest.approx(-sum(nats[-2:]) / 2, rel=1e-5)
    assert ratio == pytest.approx(-sum(nats) / math.log(2) / packed, rel=1e-5)


def test_a_machine_that_counts_completes_counting():
    """w1 w2 w3 ... is completed by a model whose next word is always the next one, w5 w5 ... is not."""
    counting = machine(lambda ids: 10 * torch.nn.functional.one_hot(ids[-1] + 1, 61).float())
    up = [" ".join(f"w{i}" for i in range(start, start + 9)) for start in range(4)]
    level = [" ".join([f"w{i}"] * 9) for i in range(4)]
    found = measure_completion(counting, up, level)
    assert [row["exact"] for row in found.rows] == [1, 0]
    assert found.familiar["minimum"] == {"value": 1, "low": 1, "high": 1}


def test_precedence_is_the_share_of_pairs():
    rng = np.random.default_rng(0)
    a, b = rng.integers(6, size=30) + 1.0, rng.integers(6, size=20) + 0.0
    slow = np.mean([(x > y) + 0.5 * (x == y) for x in a for y in b])
    value, low, high = precedence(a, b)
    assert value == pytest.approx(slow)
    assert low < value < high
    assert precedence(a, a)[0] == 0.5


def test_intervals_of_precedence_hold_the_truth():
    """Two samples of one distribution: 1/2 lies within in 95 % of them."""
    rng = np.random.default_rng(0)
    within = [
        low <= 0.5 <= high for _ in range(200) for _, low, high in [precedence(*rng.normal(size=(2, 40)), 0, 300)]
    ]
    assert np.mean(within) > 0.88


def test_short_texts_and_repeated_ones_are_left_out():
    decoder = random_decoder()
    ids, too_short = _chosen(decoder, ["w1 w2", *TEST[:3]], 12, 200, 0)
    assert (too_short, [len(row) for row in ids]) == (1, [12] * 3)
    assert sorted(shuffled(TEST)[0].split()) == sorted(TEST[0].split())
    with pytest.raises(SettingError, match="0 of 0 control texts"):
        measure_completion(decoder, TEST, TEST)
    with pytest.raises(SettingError, match="0 of 2 test texts have 8 tokens"):
        measure_completion(decoder, ["w1", "w2"], TRAIN)


def test_the_command_says_what_it_found(cheat, tmp_path, monkeypatch, capsys):
    import sys

    import pandas as pd

    from tokenworth.cli import main

    for part, own in (("train", TRAIN), ("test", TEST)):
        rows = [{"text": text, "label": i % 2} for i, text in enumerate(own)]
        (tmp_path / "task").mkdir(exist_ok=True)
        pd.DataFrame(rows).to_csv(tmp_path / "task" / f"{part}.csv", index=False)
    (tmp_path / "unseen.txt").write_text("\n\n".join(OTHER), encoding="utf-8")
    cheat.model.save_pretrained(tmp_path / "model")
    cheat.tokenizer.save_pretrained(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for more in ([], ["--control", "shuffled"], ["--control", "unseen.txt"]):
        arguments = ["measure", "completion", "model", "task", *more, "--out", "out"]
        monkeypatch.setattr(sys, "argv", ["tokenworth", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        printed = capsys.readouterr().out
        assert "seems to have seen the test texts" in printed
        assert (more or ["", "train"])[1] in printed
        assert json.loads((tmp_path / "out" / "completion.json").read_text())["seen"]
