"""What doctor says an assessment will take, against counts by hand and against a run."""

import json
import sys

import numpy as np
import pytest
import torch

import tokenworth as tw
from planted import planted_task, rows_of, write_rows
from small_models import write_folder
from tokenworth.assessment.assessment_forecast import (
    FORWARD_SHARE,
    SCORES_PER_RANK,
    SCORES_PER_WIDTH,
    Rates,
    forecast,
    measure_rates,
)
from tokenworth.backbones import account_of
from tokenworth.cli import main
from tokenworth.features.layer_groups import moment_bytes


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("model") / "llama", "llama")


@pytest.fixture
def command(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tokenworth", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        streams = capsys.readouterr()
        return ended.value.code or 0, streams.out, streams.err

    return run


RATES = Rates(forward=1e9, moments=1e8, scores=1e7)


def test_counts_by_hand(model):
    account, lengths = account_of(str(model), context=10), np.full(50, 10)
    found = forecast(account, lengths, 40, RATES, memory=10**9, bytes_a_weight=4)
    assert (found.texts, found.tokens, found.passes) == (50, 500, 1)
    assert found.forward_flops == 500 * account.flops_per_token()
    assert found.moment_flops == 500 * 4 * 3.25 * 32**2
    assert found.forward_seconds == pytest.approx(found.forward_flops / (FORWARD_SHARE * 1e9))
    assert found.score_seconds == pytest.approx(4 * (SCORES_PER_WIDTH + SCORES_PER_RANK) * 32**3 / 1e7)
    assert found.moment_bytes == 4 * 16 * 32**2
    assert found.feature_bytes == 3 * 4 * 50 * 32 * 4
    assert found.seconds == found.forward_seconds + found.moment_seconds + found.score_seconds


def test_few_texts_and_little_memory(model):
    account, lengths = account_of(str(model), context=10), np.full(50, 10)
    whole = forecast(account, lengths, 40, RATES, memory=10**9, bytes_a_weight=4)
    few = forecast(account, lengths, 20, RATES, memory=moment_bytes(2, 32), bytes_a_weight=4, processes=2)
    assert few.passes == 2
    assert few.forward_flops == pytest.approx(2 * whole.forward_flops)  # the second group ends at the last layer
    assert few.forward_seconds == pytest.approx(whole.forward_seconds)
    assert whole.score_seconds - few.score_seconds == pytest.approx(4 * SCORES_PER_RANK * (32**3 - 20**3) / 1e7)


def test_rates_are_measured():
    rates = measure_rates(torch.device("cpu"), torch.float32)
    assert 1e8 < rates.scores < 1e15
    assert rates.forward > 1e8


@pytest.mark.formats
def test_doctor_forecasts_what_the_run_then_does(model, tmp_path, command):
    reviews = write_rows(tmp_path / "reviews.csv", rows_of(planted_task(60, 30)))
    code, out, err = command("doctor", "--model", model, "--task", reviews, "--dtype", "float32", "--json")
    assert code == 0, err
    said = json.loads(out)
    done = tw.assess(str(model), tw.load_task(str(reviews)), dtype="float32", cache=tmp_path / "cache")
    assert said["forecast texts"] == 90
    assert said["forecast tokens"] == done.forward_pass["tokens"]
    assert said["forecast passes"] == done.forward_pass["passes"]
    features = sum(path.stat().st_size for how in ("mean", "last", "cls") for path in tmp_path.rglob(f"{how}.npy"))
    assert said["forecast feature_bytes"] == pytest.approx(features, rel=0.02)
    code, out, _ = command("doctor", "--model", f"{model}@random", "--task", reviews)
    assert code == 0
    assert "forecast forward seconds" in out


@pytest.mark.formats
def test_doctor_needs_both(model, command):
    code, _, err = command("doctor", "--model", model)
    assert code == 2
    assert "--model and --task" in err


def test_the_cache_by_command(model, tmp_path, command):
    reviews = write_rows(tmp_path / "reviews.csv", rows_of(planted_task(60, 30)))
    cache = ("--cache", tmp_path / "cache")
    arguments = ("assess", reviews, "--model", model, "--dtype", "float32", "--layers", "last", *cache)
    assert command(*arguments, "--quiet")[0] == 0
    code, _, err = command(*arguments)
    assert code == 0
    assert "no forward pass is needed" in err
    kept = json.loads(command("cache", "list", *cache, "--json")[1])["passes"]
    assert [(one["state"], one["texts"], one["layers"]) for one in kept] == [("finished", 90, 1)]
    assert "llama" in command("cache", "list", *cache)[1]
    assert "0 passes removed" in command("cache", "clear", "--older-than-days", "1", *cache)[1]
    assert "1 passes removed" in command("cache", "clear", *cache)[1]
    assert "0 passes" in command("cache", "list", *cache)[1]
    code, _, err = command(*arguments, "--no-cache")
    assert code == 2
    assert "contradict" in err
