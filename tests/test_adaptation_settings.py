"""Settings that suit a model's size: the rule, what goes before it, the papers' protocol, and an early end."""

import json

import numpy as np
import pytest

import tokenworth.training.loop as loop
from commands import tokenworth
from planted import planted_task, rows_of, with_parts, write_rows
from routes import model_at
from tokenworth.adaptation import AdaptConfig, AdaptResult, adapt, load_classifier, make_config
from tokenworth.adaptation.recommended_settings import RULES, TaskSize, as_published, resolve
from tokenworth.adaptation.route_settings import OFF
from tokenworth.adaptation.run_settings import settings_for
from tokenworth.adaptation.training.validation_split import divide, size_of
from tokenworth.backbones import account_of
from tokenworth.errors import SettingError
from tokenworth.probes.metrics import evaluate
from tokenworth.probes.probability_metrics import log_losses
from tokenworth.settings.declarations import declared_settings
from tokenworth.study import load_study, run_local
from tokenworth.study.cell_run import keyed_cells

pytestmark = pytest.mark.formats

LARGE = TaskSize(8530, 8526)
PAPERS = {"steps": 10_000, "lr": 1e-4, "selection": "last", "validation_share": 0.1, "patience": None}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_at(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def overfitted():
    """A task whose training labels say nothing of new texts: the longer it is learnt, the worse the validation loss."""
    task = planted_task(240, 40, own=0.1)
    return with_parts(task, train={"labels": np.random.default_rng(1).permutation(task.train.labels)})


OVERFITS = {"lr": 1e-2, "rank": 4, "mislabelled": False, "eval_steps": 8, "patience": 2, "selection": "lowest_loss"}


# -- the rule -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("route", "width", "rate"), [
    ("lora", 576, 1e-3), ("lora", 64, 3e-3), ("lora", 2048, 2.9e-4), ("lora", 10**5, 1e-4),
    ("full", 32, 1e-3), ("full", 576, 1e-4), ("full", 1024, 5.9e-5), ("full", 8192, 2e-5),
    ("scratch", 64, 1e-3), ("scratch", 768, 2.6e-4), ("scratch", 8192, 1e-4),
])  # fmt: skip
def test_the_rate_falls_with_the_width_within_bounds(route, width, rate):
    assert RULES[route].rate(width) == rate


def test_lora_learns_ten_times_as_fast_as_all_weights_between_the_bounds():
    for width in (256, 640, 1024, 2048):
        assert RULES["lora"].rate(width) == pytest.approx(10 * RULES["full"].rate(width), rel=0.02)


@pytest.mark.parametrize(("size", "steps", "validated"), [
    (TaskSize(8530, 8526), 3199, 2879),  # 3 x 8,530 / 8; 3 x 7,677 / 8
    (TaskSize(10**6, 10**6), 10_000, 10_000),
    (TaskSize(400, 396), 200, 200),
    (TaskSize(600, 4), 225, 224),  # nearly every text is the last of its class
])  # fmt: skip
def test_steps_are_passes_over_the_texts_that_are_learned_from(size, steps, validated):
    config, reasons = resolve(make_config(), "lora", 576, size)
    assert (config.steps, config.selection, config.patience, config.needs_validation) == (steps, "last", None, False)
    assert reasons.keys() == {"lr", "steps"}
    for asked in ({"patience": 3}, {"selection": "best"}, {"calibrate": True}):
        assert resolve(make_config(asked), "lora", 576, size)[0].steps == validated, asked


def test_scratch_sees_every_text_more_often():
    steps = {route: resolve(make_config(), route, 576, TaskSize(2000, 1996))[0].steps for route in RULES}
    assert steps == {"lora": 750, "full": 750, "contrastive": 1250, "scratch": 2500}


def test_what_is_given_goes_before_the_rule():
    config, reasons = resolve(make_config({"lr": 7e-4}), "lora", None, LARGE)
    assert (config.lr, config.steps, reasons.keys()) == (7e-4, 3199, {"steps"})
    config, reasons = resolve(make_config({"steps": 50}), "lora", 576, LARGE)
    assert (config.steps, config.lr, config.selection, config.patience) == (50, 1e-3, "last", None)
    assert reasons.keys() == {"lr"}
    best = resolve(make_config({"selection": "best", "patience": 5}), "lora", 576, LARGE)[0]
    assert (best.selection, best.patience) == ("best", 5)
    stopping = resolve(make_config({"steps": 50, "patience": 2}), "full", 576, LARGE)[0]
    assert (stopping.selection, stopping.patience) == ("lowest_loss", 2)
    with pytest.raises(SettingError, match="patience ends training"):
        make_config({"selection": "last", "patience": 2})


def test_what_was_resolved_is_taken_as_it_is():
    first = resolve(make_config({"rank": 8}), "lora", 576, LARGE)[0]
    again, reasons = resolve(make_config(first), "full", 64, TaskSize(100, 98))
    assert again == first
    assert not reasons


def test_the_protocol_has_the_papers_numbers_for_every_route_and_width():
    for route in RULES:
        config, reasons = resolve(make_config({"protocol": True}), route, None, LARGE)
        assert {name: getattr(config, name) for name in PAPERS} == PAPERS
        assert not reasons
    for route in ("bow", "probe", "prompt"):  # they have nothing to choose, and their records stay what they were
        assert resolve(make_config(), route, None, LARGE) == (as_published(AdaptConfig()), {})
    assert as_published(make_config({"lr": 1e-3})).lr == 1e-3


def test_a_search_chooses_steps_and_rate_itself():
    config, _ = resolve(make_config({"tune": 4}), "lora", 576, LARGE)
    assert (config.selection, config.patience) == ("last", None)


def test_records_name_neither_the_protocol_nor_what_is_off():
    """Keys of cells and folders of runs of earlier versions are those of today."""
    kept = as_published(AdaptConfig()).asdict()
    assert "protocol" not in kept
    assert "patience" not in kept
    assert resolve(make_config({"patience": 3}), "lora", 576, LARGE)[0].asdict()["patience"] == 3
    assert kept.keys() == {s.name for s in declared_settings(AdaptConfig)} - {"protocol", "patience", *OFF}
    assert as_published(AdaptConfig(url="http://host/v1")).asdict()["url"] == "http://host/v1"


def test_the_rule_reads_width_and_texts_from_model_and_task(model):
    task = planted_task(400, 40)
    config, reasons = settings_for(make_config({"train_size": 300}), "full", f"{model}@random", task, 0)
    assert config.lr == RULES["full"].rate(account_of(model).width)
    assert reasons["steps"].startswith("3 passes over 300 texts in batches of 8")
    assert size_of(task, make_config({"train_size": 300}), 0) == TaskSize(300, 296)


# -- an early end ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["lora", "full"])
def test_training_ends_early_with_the_weights_of_the_lowest_validation_loss(model, overfitted, tmp_path, route):
    """Slow truth: the loss of the classifier that was kept, on the texts that were cut off, is the least of all."""
    result = adapt(model, overfitted, route, config=OVERFITS | {"steps": 400}, out=tmp_path / "run")
    losses = [row["log_loss"] for row in result.training["evaluations"]]
    steps = [row["step"] for row in result.training["evaluations"]]
    best = int(np.argmin(losses))
    assert result.training["best_step"] == steps[best]
    assert len(losses) == best + 1 + 2, "two evaluations without a better one"
    assert len(result.training["losses"]) == steps[-1] < 400
    config = settings_for(make_config(OVERFITS | {"steps": 400}), route, model, overfitted, 0)[0]
    cut = overfitted.train.take(divide(overfitted, config, 0)[1])
    probability_NC = np.asarray(load_classifier(tmp_path / "run").predict_proba(list(cut.texts)))
    assert log_losses(cut.labels, probability_NC).mean() == pytest.approx(min(losses), rel=1e-3)
    curve = [row["weighted_f1"] for row in result.training["evaluations"]]
    assert curve[best] == pytest.approx(evaluate(cut.labels, probability_NC.argmax(1), 2).f1, abs=0.02)


@pytest.mark.parametrize(("route", "step"), [("lora", 20), ("full", 20)])
def test_a_run_that_ends_early_goes_on_to_the_bit_after_a_kill(model, overfitted, tmp_path, monkeypatch, route, step):
    """Between two evaluations after the best: the checkpoint holds its weights, and of LoRA no others than learn."""
    config = OVERFITS | {"steps": 400, "checkpoint_seconds": 0}
    whole = adapt(model, overfitted, route, config=config, out=tmp_path / "whole")
    inner = loop.Loop._step

    def fail(self):
        if self.learner.position.step == step:
            raise KeyboardInterrupt
        inner(self)

    monkeypatch.setattr(loop.Loop, "_step", fail)
    with pytest.raises(KeyboardInterrupt):
        adapt(model, overfitted, route, config=config, out=tmp_path / "run")
    monkeypatch.setattr(loop.Loop, "_step", inner)
    held = tmp_path / "run" / "checkpoints" / f"step-{step:08d}" / "weights.safetensors"
    if route == "lora":
        assert held.stat().st_size < 4 * 2 * 1.5 * whole.parameters["trainable"]
    result = adapt(model, overfitted, route, config=config, out=tmp_path / "run")
    assert result.resumed_from_step == step
    for name in ("losses", "evaluations", "best_step"):
        assert result.training[name] == whole.training[name], name
    assert result.metrics == whole.metrics
    assert result.predictions.equals(whole.predictions)


# -- as it is called ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    model_at(home)
    write_rows(home / "reviews.csv", rows_of(planted_task(280, 70)))
    return home


def adapted(home, *more):
    call = ("adapt", "reviews.csv", "--route", "full", "--model", "llama", "--json", "--quiet", *more)
    found = tokenworth(*call, cwd=home)
    assert found.code == 0, found.err
    return AdaptResult.from_json(found.out)


def test_adapt_follows_the_rule_and_says_so(home):
    result = adapted(home, "--no-mislabelled", "--out", "rule")
    width = account_of(str(home / "llama")).width
    assert result.settings["lr"] == RULES["full"].rate(width)
    assert result.settings["selection"] == "last"
    assert not result.task["texts"].get("validation"), "all texts are learned from"
    assert result.facts["by_rule"].keys() == {"lr", "steps"}
    assert any("chosen by rule: lr 0.001 (0.06 / width" in sentence for sentence in result.sentences)
    early = adapted(home, "--no-mislabelled", "--patience", "3")
    assert early.task["texts"]["validation"] >= 20
    assert any("the weights of step" in sentence for sentence in early.sentences)
    record = json.loads((home / "rule" / "run.json").read_text(encoding="utf-8"))
    assert record["lr"] == result.settings["lr"], "a record holds what was resolved"


def test_the_protocol_is_an_option(home):
    result = adapted(home, "--protocol", "--steps", "3", "--no-mislabelled")
    assert (result.settings["lr"], result.settings["selection"]) == (1e-4, "last")
    assert result.task["texts"]["validation"] == 0
    assert "by_rule" not in result.facts


def test_a_study_runs_the_protocol_under_the_key_it_had(home):
    text = "backbones: [llama]\ntasks: [reviews.csv]\nroutes: [full]\nsettings: {steps: 3, mislabelled: false"
    for name, more in (("plain", "}"), ("said", ", protocol: true}"), ("rule", ", protocol: false}")):
        (home / f"{name}.yaml").write_text(f"{text}{more}\n")
    keys = {name: keyed_cells(load_study(home / f"{name}.yaml"))[0][1] for name in ("plain", "said", "rule")}
    assert keys["plain"] == keys["said"] != keys["rule"]
    rates = {}
    for name in ("plain", "rule"):
        run_local(load_study(home / f"{name}.yaml"), home / name, workers=1)
        rates[name] = AdaptResult.load(home / name / "cells" / keys[name] / "run").settings["lr"]
    assert rates == {"plain": 1e-4, "rule": RULES["full"].rate(account_of(str(home / "llama")).width)}
