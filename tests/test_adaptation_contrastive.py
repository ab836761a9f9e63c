"""Contrastive training: pairs, loss and head as they are by definition; learning, stops, commands, refusals."""

import json

import numpy as np
import pytest
import torch

from commands import together, tokenworth
from number_formats import AUTO, unit
from planted import planted_task, rows_of, with_parts, write_rows
from processes import forked, killed_once_kept
from routes import SHORT, model_at, paced_run, run
from tokenworth.adaptation import AdaptConfig, AdaptResult, adapt, load_classifier
from tokenworth.adaptation.forecast.route_forecast import forecast_route
from tokenworth.adaptation.recommended_settings import TaskSize, as_published, resolve
from tokenworth.adaptation.training.text_order import Order
from tokenworth.adaptation.training.text_pairs import TextPairs
from tokenworth.backbones import load_backbone
from tokenworth.errors import AdaptError, SettingError
from tokenworth.probes.logistic import unit_logistic

pytestmark = pytest.mark.formats

PLAIN = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
"""Of a BERT whose states are the same in training."""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return model_at(tmp_path_factory.mktemp("models"), "bert", **PLAIN)


def of_each(task, *numbers):
    """The task with so many training texts of each class."""
    rows = [row for label, n in enumerate(numbers) for row in np.flatnonzero(task.train.labels == label)[:n]]
    return with_parts(task, train={"texts": [task.train.texts[row] for row in rows], "labels": task.train.labels[rows]})


# -- pairs ----------------------------------------------------------------------------------------------------------


def test_partners_are_of_the_same_class_and_of_another_and_all_are_drawn():
    labels_N, rows_B = np.array([1, 0, 2, 0, 1, 0, 1]), np.arange(7)
    pairs, seen = TextPairs(labels_N, seed=3), {(kind, row): set() for kind in ("same", "other") for row in rows_B}
    for step in range(150):
        same_B, other_B = pairs.of(step, rows_B)
        for row in rows_B:
            seen["same", row].add(int(same_B[row]))
            seen["other", row].add(int(other_B[row]))
    for row in rows_B:
        alike = set(np.flatnonzero(labels_N == labels_N[row])) - {row}
        assert seen["same", row] == (alike or {row}), "the only text of its class is its own partner"
        assert seen["other", row] == set(np.flatnonzero(labels_N != labels_N[row]))


def test_partners_depend_on_seed_step_and_text_alone():
    labels_N = np.arange(40) % 4
    pairs, rows_B = TextPairs(labels_N, seed=1), np.array([3, 17, 8])
    drawn = np.stack(pairs.of(5, rows_B))
    np.testing.assert_array_equal(np.stack(pairs.of(5, rows_B[::-1]))[:, ::-1], drawn)
    for other in (TextPairs(labels_N, seed=2).of(5, rows_B), pairs.of(6, rows_B)):
        assert (np.stack(other) != drawn).any()
    assert set(pairs.texts(5, rows_B)) == {*rows_B, *drawn.ravel()}


# -- what is learnt -------------------------------------------------------------------------------------------------


def by_hand(model, task, weight_C, batch=8):
    """The loss of the first step, text by text."""
    backbone, task_rows = load_backbone(model, dtype="float32"), Order(len(task.train), batch, 0).rows(0)
    same_B, other_B = TextPairs(task.train.labels, 0).of(0, task_rows)

    def state(row):
        ids = torch.tensor([backbone.tokenizer(task.train.texts[row])["input_ids"]])
        with torch.no_grad():
            return backbone.model(input_ids=ids).last_hidden_state[0].mean(0).double()

    total, weights = 0.0, 0.0
    for row, same, other in zip(task_rows, same_B, other_B, strict=True):
        text, near, far = (state(one) / state(one).norm() for one in (row, same, other))
        weight = weight_C[task.train.labels[row]]
        total += weight * float((text @ near - 1) ** 2 + (text @ far) ** 2) / 2
        weights += weight
    return total / weights


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("how", ["none", "balanced"])
def test_the_loss_is_that_of_the_formula(encoder, how, packing):
    task = of_each(planted_task(60), 12, 5)
    config = {**SHORT, "steps": 1, "class_weights": how, "packing": packing}
    result = adapt(encoder, task, "contrastive", config=config)
    weight_C = (17 / (2 * 12), 17 / (2 * 5)) if how == "balanced" else (1.0, 1.0)
    assert result.training["losses"][0] == pytest.approx(
        by_hand(encoder, task, weight_C), rel=max(1e-4, 8 * unit(AUTO))
    )
    assert result.facts["pooling"] == "mean"


def test_the_head_is_where_the_gradient_of_penalised_logistic_regression_is_zero():
    """Scaled features x of mean length 1: sum of w (p - y) x + coefficients = 0, and of w (p - y) alone."""
    rng = np.random.default_rng(0)
    labels_N = np.arange(60) % 3
    x_ND = 7 * (rng.normal(size=(60, 5)) + np.eye(5)[labels_N])
    weight_C = np.array([1.0, 2.0, 0.5])
    found = unit_logistic(x_ND, labels_N, weight_C)
    length = np.linalg.norm(x_ND, axis=1).mean()
    scores_NC = found.scores(x_ND)
    chances_NC = np.exp(scores_NC) / np.exp(scores_NC).sum(1, keepdims=True)
    residual_NC = weight_C[labels_N][:, None] * (chances_NC - np.eye(3)[labels_N])
    np.testing.assert_allclose((x_ND / length).T @ residual_NC + found.weights_DC * length, 0, atol=0.02)
    np.testing.assert_allclose(residual_NC.sum(0), 0, atol=0.02)


def test_few_texts_are_enough_for_planted_words_and_classes_come_apart(tmp_path):
    """24 texts a class: new texts of one class become more alike than those of two, whose classes are then found."""
    model, task = model_at(tmp_path, "bert"), of_each(planted_task(200, 120, own=0.7), 24, 24)
    result = adapt(model, task, "contrastive", out=tmp_path / "out", config={**SHORT, "steps": 60, "lr": 3e-3})
    assert result.metrics["weighted_f1"] > 0.8, "a coin has .5"
    assert np.mean(result.training["losses"][-5:]) < 0.5 * result.training["losses"][0]
    pooled_ND = load_classifier(tmp_path / "out").predictor.pooled(task.test.texts)
    unit_ND = pooled_ND / np.linalg.norm(pooled_ND, axis=1, keepdims=True)
    alike_NN, labels_N = unit_ND @ unit_ND.T, task.test.labels
    same_NN = labels_N[:, None] == labels_N
    assert alike_NN[same_NN].mean() > alike_NN[~same_NN].mean() + 0.3


@pytest.mark.parametrize("long", ["first", "last", "ends"])
def test_texts_longer_than_the_model_reads_are_cut_as_they_are_asked_to_be(encoder, tmp_path, long):
    """The planted words stand at both ends; whatever is cut, what a pass reads fits."""
    task = planted_task(40, 12, own=0.7)
    texts = [f"{text} {'filling ' * 400}{text}" for text in task.train.texts]
    longer = with_parts(task, train={"texts": texts, "labels": task.train.labels})
    result = adapt(encoder, longer, "contrastive", out=tmp_path / "out", config={**SHORT, "steps": 5, "long": long})
    assert np.isfinite(result.training["losses"]).all()
    predictor = load_classifier(tmp_path / "out").predictor
    assert predictor.long == long
    assert np.isfinite(predictor.scores(texts[:3])).all()


def test_a_seed_gives_the_same_numbers_and_another_one_others(tmp_path):
    model = model_at(tmp_path, "bert")  # with dropout
    first, second, third = (run(model, "contrastive", None, seed=seed) for seed in (1, 1, 2))
    assert first.training["losses"] == second.training["losses"]
    assert first.metrics == second.metrics
    assert first.training["losses"] != third.training["losses"]


def test_passes_of_few_texts_have_the_gradient_of_the_whole(encoder):
    whole, parts = (run(encoder, "contrastive", None, micro_batch=size) for size in (None, 3))
    assert parts.training["losses"] == pytest.approx(whole.training["losses"], rel=max(1e-3, 8 * unit(AUTO)))


def test_the_best_step_is_kept_where_it_is_asked_for(encoder):
    """A head is fitted for every evaluation."""
    result = run(encoder, "contrastive", None, selection="best", eval_steps=4)
    assert [row["step"] for row in result.training["evaluations"]] == [4, 8, 12]
    assert result.training["best_step"] in (4, 8, 12)
    assert result.validation["weighted_f1"] >= max(row["weighted_f1"] for row in result.training["evaluations"]) - 1e-9


def test_what_the_rule_chooses():
    few, reasons = resolve(AdaptConfig(), "contrastive", 384, TaskSize(32, 3))
    many, _ = resolve(AdaptConfig(), "contrastive", 384, TaskSize(1000, 100))
    assert (few.steps, many.steps, few.lr) == (60, 625, 1.6e-4)
    assert reasons["steps"] == "5 passes over 32 texts in batches of 8, within 60 to 10,000 steps"


# -- stops and commands -------------------------------------------------------------------------------------


def test_killed_in_training_it_ends_with_equal_numbers(encoder, tmp_path):
    settings = {"steps": 30, "checkpoint_seconds": 0}
    whole = run(encoder, "contrastive", tmp_path / "whole", **settings)
    process = forked(paced_run, encoder, "contrastive", tmp_path / "killed", 0.1, settings)
    assert killed_once_kept(process, tmp_path / "killed" / "checkpoints")
    result = run(encoder, "contrastive", tmp_path / "killed", **settings)
    assert 0 < result.resumed_from_step < 30
    assert result.training["losses"] == whole.training["losses"]
    assert result.metrics == whole.metrics


@pytest.mark.slow
def test_the_commands_from_a_file_to_predictions(encoder, tmp_path):
    task = of_each(planted_task(60, 30, own=0.7), 12, 12)
    write_rows(tmp_path / "reviews.csv", rows_of(task))
    flags = ("--model", encoder, "--route", "contrastive", "--steps", 20, "--lr", 1e-3)
    said = tokenworth("adapt", "reviews.csv", *flags, "--out", "out", cwd=tmp_path).out
    assert "Contrastive training of all weights, then logistic regression, reached" in " ".join(said.split())
    result = AdaptResult.load(tmp_path / "out")
    assert len(result.training["losses"]) == 20
    assert "contrastive" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8").lower()
    assert "ontrastive" in (tmp_path / "out" / "model" / "README.md").read_text(encoding="utf-8")
    tokenworth("predict", "out", "reviews.csv", "--to", "found.csv", cwd=tmp_path)
    assert (tmp_path / "found.csv").read_text(encoding="utf-8").count("class ") >= 54
    forecast = tokenworth("doctor", "--task", "reviews.csv", *flags[:6], "--json", cwd=tmp_path).out
    facts = json.loads(forecast)
    assert facts["contrastive train_flops"] == pytest.approx(result.cost["train_flops"], rel=0.2)


@pytest.mark.parametrize(("selection", "fits"), [("last", 1), ("best", 3)])
def test_texts_that_a_head_is_fitted_to_are_forecast(encoder, selection, fits):
    """Beside what full reads: the training texts that are learnt from, once at the end and for each evaluation."""
    settings = {"steps": 8, "eval_steps": 4, "selection": selection, "lr": 1e-3, "pooling": "mean", "dtype": "float32"}
    config, lengths_N = as_published(AdaptConfig(**settings)), np.arange(3, 33)
    learnt_N = lengths_N[round(0.1 * 30) if selection == "best" else 0 :]
    read = {
        route: forecast_route(encoder, route, config, 2, lengths_N, test, 1e9).evaluate_flops
        for route, test in (("full", np.concatenate([lengths_N, np.tile(learnt_N, fits)])), ("contrastive", lengths_N))
    }
    assert read["contrastive"] == pytest.approx(read["full"], rel=1e-9)


# -- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("numbers", "said"), [
    ((8, 0), "all training texts of planted are of one class, and the route contrastive learns from texts of two"),
    ((1, 1), "planted has one training text a class, and the route contrastive pairs texts of one class"),
])  # fmt: skip
def test_classes_without_pairs_are_one_sentence(encoder, numbers, said):
    with pytest.raises(AdaptError, match=said):
        adapt(encoder, of_each(planted_task(60), *numbers), "contrastive", config=SHORT)


def test_a_class_of_one_text_is_said(encoder):
    result = adapt(encoder, of_each(planted_task(60, 30, 3), 6, 6, 1), "contrastive", config=SHORT)
    assert result.notes[-1] == "Classes of one training text, which has no pair of its own class: class 2."


def test_what_it_does_not_do_is_one_sentence(encoder, tmp_path):
    with pytest.raises(SettingError, match=r"is for encoders, and .*llama is a decoder; choose lora or full"):
        adapt(model_at(tmp_path), planted_task(40), "contrastive", config=SHORT)
    with pytest.raises(SettingError, match="needs a backbone"):
        adapt(None, planted_task(40), "contrastive", config=SHORT)
    with pytest.raises(SettingError, match=r"compares whole texts in pairs.*choose long first, last or ends"):
        adapt(encoder, planted_task(40), "contrastive", config={**SHORT, "long": "choose"})
    with pytest.raises(SettingError, match="the route contrastive compares texts of one class"):
        adapt(encoder, "docstring-sections", "contrastive", config={**SHORT, "train_size": 100})


@pytest.mark.slow
def test_processes_share_batches_and_find_the_losses_of_one(encoder, tmp_path):
    """8 texts with their partners over 2 processes; weights spread over them are refused."""
    write_rows(tmp_path / "reviews.csv", rows_of(planted_task(60, 40)))
    (tmp_path / "run.yaml").write_text("steps: 8\nlr: 0.001\nmislabelled: false\ndtype: float32\n")
    flags = ("adapt", "reviews.csv", "--model", encoder, "--route", "contrastive", "--config", "run.yaml")
    tokenworth(*flags, "--out", "one", cwd=tmp_path)
    assert [done.code for done in together(2, *flags, "--out", "two", cwd=tmp_path)] == [0, 0]
    one, two = (AdaptResult.load(tmp_path / name) for name in ("one", "two"))
    assert two.cost["processes"] == 2
    assert two.training["losses"] == pytest.approx(one.training["losses"], rel=1e-4)
    refused = together(2, *flags, "--out", "spread", "--shard", cwd=tmp_path)
    assert any("does not spread weights over processes" in done.err for done in refused)
