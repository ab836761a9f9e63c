"""Weights of sources by group DRO: formulas, a planted mixture, exact resume, and what the command leaves."""

import csv
import json
import random
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from corpora import sentences
from tokenworth.cli import main
from tokenworth.errors import SettingError
from tokenworth.pretraining import ExcessLoss, WeighingConfig, find_weights, make_config, pretrain
from tokenworth.pretraining.group_dro import GroupDRO, reweighted
from tokenworth.pretraining.metrics_log import read_journal
from tokenworth.pretraining.mixture_weights import _small
from tokenworth.pretraining.next_token_objective import head_loss, token_losses

GIVEN = {"noise": 8, "common": 8, "rare": 1}
STEPS, BATCH = 60, 12


def noise(n, seed=0):
    """Documents that nothing can be learnt from: bytes at random, of those that can be printed."""
    rng = random.Random(seed)
    return ["".join(chr(rng.randint(33, 126)) for _ in range(100)) for _ in range(n)]


def mirrored(n):
    """Another learnable language: the grammar's sentences, every word backwards."""
    return [" ".join(word[::-1] for word in text.split()) for text in sentences(n, seed=7)]


def small(home, **training):
    """The settings of a run on noise, a common language, and a rare one."""
    for name, texts in (("noise", noise(300)), ("common", sentences(400)), ("rare", mirrored(400))):
        if not (home / f"{name}.txt").exists():
            (home / f"{name}.txt").write_text("\n\n".join(texts), encoding="utf-8")
    settings = {
        "sources": {name: {"path": f"{name}.txt", "weight": weight} for name, weight in GIVEN.items()},
        "tokenizer": {"vocabulary": 300},
        "model": {"layers": 1, "width": 32, "heads": 2},
        "training": {
            "tokens": STEPS * BATCH * 32, "context": 32, "batch": BATCH, "held_out_share": 0.05, "held_out_tokens": 500,
            "lr": 0.01, "dtype": "float32", **training,
        },
    }  # fmt: skip
    (home / "run.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return make_config(settings, home=home)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def found(home):
    return find_weights(small(home), home / "found", WeighingConfig(rounds=2))


# -- formulas -----------------------------------------------------------------------------------------------------


def test_a_step_is_its_formula():
    weights, excess = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 2.0])
    raised = weights * np.exp(0.7 * excess)
    expected = 0.9 * raised / raised.sum() + 0.1 / 3
    got = reweighted(weights, excess, step_size=0.7, smoothing=0.1)
    np.testing.assert_allclose(got, expected, rtol=1e-14)
    assert got.sum() == pytest.approx(1, abs=1e-15)
    np.testing.assert_allclose(reweighted(weights, excess + 1e4, step_size=0.7, smoothing=0.1), got, rtol=1e-9)


def test_scaled_losses_and_single_ones_are_those_of_all_logits():
    torch.manual_seed(0)
    states, head = torch.randn(700, 8, requires_grad=True), torch.randn(11, 8, requires_grad=True)
    targets, scale = torch.randint(-1, 11, (700,)), torch.rand(700)
    plain = torch.nn.functional.cross_entropy(states @ head.T, targets.clamp(min=0), reduction="none") * (targets >= 0)
    torch.testing.assert_close(token_losses(states, head, targets), plain)
    expected = torch.autograd.grad((plain * scale).sum(), [states, head])
    loss = head_loss(states, head, targets, scale)
    torch.testing.assert_close(loss, (plain * scale).sum())
    for got, wanted in zip(torch.autograd.grad(loss, [states, head]), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_a_step_weighs_sources_by_their_clipped_excess():
    """Losses by hand: three sequences of source 0, one of source 2, none of source 1."""
    dro = GroupDRO(None, ["a", "b", "c"], step_size=1.0, smoothing=0.01)
    dro.excess_K = np.array([9.0, 0.5, 9.0])
    own = [(0, 0), (2, 0), (0, 1), (0, 2)]
    proxy = torch.tensor([[2.0, 1.0], [3.0, 3.0], [2.0, 2.0], [1.0, 1.0]])
    other = torch.tensor([[1.0, 4.0], [1.0, 2.0], [2.0, 1.0], [1.0, 3.0]])

    def losses_of(_chosen, objective="in training"):
        return proxy if objective == "in training" else other

    dro.weigh(own, losses_of, lambda tensor: tensor)
    excess = np.array([(1 + 0 + 0 + 1 + 0 + 0) / 6, 0.5, (2 + 1) / 2])
    expected = reweighted(np.full(3, 1 / 3), excess, step_size=1.0, smoothing=0.01)
    scale = dro.scale(own)
    torch.testing.assert_close(scale, torch.tensor(expected[[0, 2, 0, 0]] / np.array([0.75, 0.25, 0.75, 0.75])).float())
    per_source = expected[0] * proxy[[0, 2, 3]].mean() + expected[2] * proxy[1].mean()
    assert (scale[:, None] * proxy).mean().item() == pytest.approx(per_source.item(), rel=1e-6)
    row = dro.accept()
    assert list(row["weights"].values()) == pytest.approx(expected)
    assert list(row["excess"].values()) == pytest.approx(excess)


# -- a planted mixture --------------------------------------------------------------------------------------------


def test_noise_loses_its_weight_and_a_rare_language_gains(found):
    """Noise costs the proxy what it costs the reference; of the rare language there is more to be had."""
    first, last = found.rounds
    assert sum(first.given.values()) == pytest.approx(1)
    assert first.given["noise"] == pytest.approx(8 / 17)
    for one in found.rounds:
        assert sum(one.weights.values()) == pytest.approx(1)
        assert one.weights["noise"] < one.given["noise"] / 1.5
        assert one.weights["rare"] > 1.5 * one.given["rare"]
    assert last.weights["noise"] < 0.15 < last.weights["rare"]
    assert first.proxy["rare"] < first.reference["rare"]
    assert last.given == first.weights
    assert found.weights == {name: pytest.approx(weight, abs=2e-6) for name, weight in last.weights.items()}
    assert not found.settled


def test_weights_are_the_means_of_the_trajectory(found, home):
    with (home / "found" / "trajectory.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["round"] == "1"]
    assert len(rows) == STEPS
    for name, weight in found.rounds[0].weights.items():
        assert np.mean([float(row[f"weight {name}"]) for row in rows]) == pytest.approx(weight)
    kept = json.loads((home / "found" / "mixture.json").read_text())
    assert kept["weights"] == found.weights
    assert kept["rounds"][0]["change"] == found.rounds[0].change


def test_the_run_file_takes_the_weights(found, home):
    again = make_config(yaml.safe_load((home / "found" / "run.yaml").read_text()), home=home)
    assert {name: one.weight for name, one in again.sources.items()} == found.weights
    assert replace(again, sources={}) == replace(small(home), sources={})
    assert sum(found.weights.values()) == pytest.approx(1, abs=1e-12)
    assert sum(found.bytes.values()) == pytest.approx(1, abs=1e-12)
    assert found.bytes["noise"] < found.weights["noise"]  # random letters take more tokens a byte


# -- interruption -------------------------------------------------------------------------------------------------


def lines(run):
    return [
        {key: row[key] for key in ("step", "loss", "weights", "excess")}
        for row in read_journal(run / "metrics.jsonl")
        if "loss" in row
    ]


def with_reference(home, name):
    """A folder in which the first round's reference has been made."""
    for part in ("tokens", "round-1/reference"):
        shutil.copytree(home / "found" / part, home / name / part)


def test_an_interrupted_proxy_ends_with_the_same_weights(found, home):
    """Stopped in the middle of a round's second run, in another folder: equal to the last bit."""
    config = small(home, checkpoint_seconds=0)
    with_reference(home, "again")

    def stop(_what, done, _steps):
        calls.append(done)
        if len(calls) == 30:
            raise KeyboardInterrupt

    calls = []
    with pytest.raises(KeyboardInterrupt):
        find_weights(config, home / "again", progress=stop)
    assert len(calls) == 30  # the reference is read
    assert find_weights(config, home / "again").rounds[0] == found.rounds[0]
    assert lines(home / "again" / "round-1" / "proxy") == lines(home / "found" / "round-1" / "proxy")
    assert json.loads((home / "again" / "round-1" / "proxy" / "run.json").read_text())["resumed_from_step"] == 29


def test_smaller_passes_change_no_weight(found, home):
    reference = home / "found" / "round-1" / "reference" / "checkpoints" / f"tokens-{STEPS * BATCH * 32}"
    config = _small(small(home, micro_batch=5), dict.fromkeys(GIVEN, 1.0), home / "found")
    pretrain(config, home / "parts", emphasis=ExcessLoss(reference=str(reference)))
    for got, wanted in zip(lines(home / "parts"), lines(home / "found" / "round-1" / "proxy"), strict=True):
        assert list(got["weights"].values()) == pytest.approx(list(wanted["weights"].values()), rel=1e-2)


def test_another_reference_in_the_folder_is_refused(found, home):
    config = replace(small(home), shards=str(home / "found" / "tokens"))
    one, two = (
        str(home / "found" / f"round-{n}" / "reference" / "checkpoints" / f"tokens-{STEPS * BATCH * 32}")
        for n in (1, 2)
    )
    short = replace(config, training=replace(config.training, tokens=2 * BATCH * 32))
    pretrain(short, home / "proxy", emphasis=ExcessLoss(reference=one))
    with pytest.raises(SettingError, match="emphasis was"):
        pretrain(short, home / "proxy", emphasis=ExcessLoss(reference=two))


# -- what a user meets --------------------------------------------------------------------------------------------


def test_what_cannot_be_is_refused(home):
    config = small(home)
    alone = {name: replace(one, weight=float(name == "rare")) for name, one in config.sources.items()}
    with pytest.raises(SettingError, match="two sources at least"):
        find_weights(replace(config, sources=alone), home / "alone")
    with pytest.raises(SettingError, match="step_size must be above 0"):
        WeighingConfig(step_size=0)
    with pytest.raises(SettingError, match="smoothing must be at least 0 and below 1"):
        WeighingConfig(smoothing=1)


def test_the_command_goes_on_and_leaves_a_page(found, home, monkeypatch, capsys):
    """The runs are there already: the same command reads them."""
    small(home)
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "argv", ["tokenworth", "mixture", "run.yaml", "--out", "found", "--rounds", "2"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert f"{found.weights['rare']:.3f}" in printed
    assert "2 rounds, still moving" in printed
    assert "chart-weights" in (home / "found" / "report.html").read_text(encoding="utf-8")
