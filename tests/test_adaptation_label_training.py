"""lora, full and scratch on texts of several labels: binary losses, several runs' ends, and what is exported."""

import json
import time

import numpy as np
import pytest
import torch

from label_sets import planted_labels
from processes import forked, killed_once_kept
from routes import SHORT, model_at
from tokenworth.adaptation import adapt, load_classifier
from tokenworth.adaptation.export.sequence_classifier import export_classifier
from tokenworth.adaptation.training.label_losses import summed_loss, text_weights

pytestmark = pytest.mark.formats

SETTINGS = {**SHORT, "steps": 60, "lr": 5e-3, "validation_share": 0.2}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_at(tmp_path_factory.mktemp("models"))


def test_the_loss_is_that_of_every_label():
    logits, y = torch.randn(5, 3), torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1]])
    weights = torch.tensor([1.0, 2.0, 5.0])
    p = torch.sigmoid(logits)
    truth = -(weights * y * p.log() + (1 - y) * (1 - p).log()).mean(1).sum()
    torch.testing.assert_close(summed_loss(logits, y.to(torch.uint8), weights), truth)
    assert text_weights(y, weights).tolist() == [1.0] * 5


@pytest.mark.parametrize("route", ["lora", "full", "scratch"])
def test_training_finds_labels(model, route, tmp_path):
    result = adapt(model, planted_labels(), route, config=SETTINGS, out=tmp_path / route)
    losses = result.training["losses"]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert result.metrics["micro_f1"] > result.facts["majority"]["micro_f1"]
    again = load_classifier(tmp_path / route).predict_labels(planted_labels().test.texts)
    assert again == list(result.predictions["predicted"])


def test_the_kept_step_is_that_of_the_least_loss(model):
    result = adapt(model, planted_labels(), "lora", config={**SETTINGS, "selection": "lowest_loss", "eval_steps": 10})
    rows = result.training["evaluations"]
    assert result.training["best_step"] == min(rows, key=lambda row: row["log_loss"])["step"]
    assert {"weighted_f1", "log_loss"} <= rows[0].keys()


def test_balanced_weights_give_labels_to_more_texts(model):
    """A label that is had seldom weighs more, so that its probabilities rise."""
    means = {}
    for weights in ("none", "balanced"):
        config = {**SETTINGS, "class_weights": weights, "thresholds": "half"}
        result = adapt(model, planted_labels(), "lora", config=config)
        means[weights] = result.predictions["p_label 2"].mean()
    assert means["balanced"] > means["none"]


def test_an_exported_model_says_that_labels_are_several(model, tmp_path):
    config = {**SETTINGS, "pooling": "last", "head_bias": False, "steps": 12}
    adapt(model, planted_labels(), "full", config=config, out=tmp_path / "full")
    export_classifier(load_classifier(tmp_path / "full"), tmp_path / "plain")
    kept = json.loads((tmp_path / "plain" / "config.json").read_text())
    assert kept["problem_type"] == "multi_label_classification"


def paced(model, folder, settings):
    """For a process that will be killed: a fast machine must not be done before."""
    adapt(model, planted_labels(), "lora", config=settings, out=folder, progress=lambda *_: time.sleep(0.02))


def test_a_killed_run_ends_with_the_same_numbers(model, tmp_path):
    """A checkpoint after every step; killed once there is one, and run again."""
    settings = {**SETTINGS, "steps": 40, "checkpoint_seconds": 0}
    whole = adapt(model, planted_labels(), "lora", config=settings)
    process = forked(paced, model, tmp_path / "killed", settings)
    assert killed_once_kept(process, tmp_path / "killed" / "checkpoints")
    result = adapt(model, planted_labels(), "lora", config=settings, out=tmp_path / "killed")
    assert result.training["losses"] == whole.training["losses"]
    assert result.metrics == whole.metrics
