"""tokenworth adapt, predict, compare, export and the forecast of a route, as a user starts them."""

import json

import numpy as np
import pandas as pd
import pytest

from commands import ending as tokenworth
from planted import planted_task, rows_of, write_rows
from routes import model_at
from tokenworth.adaptation import AdaptConfig, adapt
from tokenworth.adaptation.forecast.route_forecast import forecast_route
from tokenworth.adaptation.recommended_settings import as_published
from tokenworth.backbones import load_backbone
from tokenworth.encode import tokenise
from tokenworth.errors import SettingError

pytestmark = pytest.mark.formats

SETTINGS = "steps: 12\nlr: 0.001\nrank: 4\nmislabelled: false\npooling: last\nhead_bias: false\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    model_at(home)
    write_rows(home / "reviews.csv", rows_of(planted_task(60, 40)))
    (home / "run.yaml").write_text(SETTINGS)
    (home / "new.csv").write_text("text\nw11 w12 w13\nw21 w22 w23\n")
    return home


@pytest.fixture(scope="module")
def runs(home):
    """A LoRA run and a bag of words."""
    lora = ("--route", "lora", "--model", "llama", "--config", "run.yaml", "--steps", 14, "--out", "lora")
    return {
        "lora": tokenworth("adapt", "reviews.csv", *lora, cwd=home),
        "bow": tokenworth("adapt", "reviews.csv", "--route", "bow", "--out", "bow", "--json", "--quiet", cwd=home),
    }


def test_adapt_writes_result_predictions_model_and_page(home, runs):
    files = {path.name for path in (home / "lora").iterdir()}
    assert files == {"result.json", "predictions.parquet", "model", "report.html", "run.json"}
    result = json.loads((home / "lora" / "result.json").read_text(encoding="utf-8"))
    assert 0 <= result["metrics"]["weighted_f1"] <= 1
    assert {"accuracy", "macro_f1", "log_loss", "ece", "brier", "balanced_accuracy"} <= result["metrics"].keys()
    assert result["cost"]["train_flops"] > 0
    assert result["settings"]["steps"] == 14  # the flag goes before the file
    assert result["settings"]["rank"] == 4
    assert result["resumed_from_step"] == 0
    assert len(pd.read_parquet(home / "lora" / "predictions.parquet")) == result["task"]["texts"]["test"]
    assert "weighted F1" in runs["lora"].out
    assert json.loads(runs["bow"].out)["route"] == "bow"
    assert runs["bow"].err == ""


def test_a_finished_run_is_not_run_again_and_another_is_refused(home, runs):
    again = tokenworth("adapt", "reviews.csv", "--route", "bow", "--out", "bow", "--json", "--quiet", cwd=home)
    assert again.out == runs["bow"].out
    other = tokenworth("adapt", "reviews.csv", "--route", "bow", "--out", "bow", "--train-size", 20, cwd=home, code=2)
    assert "train_size was None and is 20" in other.err


def test_predict_reads_what_adapt_saved(home, runs):
    table = tokenworth("predict", "lora", "new.csv", cwd=home).out.splitlines()
    assert table[0] == "text,predicted,confidence,p_class 0,p_class 1"
    assert len(table) == 3
    tokenworth("predict", "bow", "new.csv", "--to", "found.jsonl", cwd=home)
    found = [json.loads(line) for line in (home / "found.jsonl").read_text().splitlines()]
    assert [row["predicted"] for row in found] == ["class 0", "class 1"]
    bad = tokenworth("predict", "bow", "new.csv", "--to", "found.xls", cwd=home, code=2)
    assert "predictions are written as .csv" in bad.err
    assert "holds no classifier" in tokenworth("predict", ".", "new.csv", cwd=home, code=1).err


def test_compare_and_export(home, runs):
    rows = json.loads(tokenworth("compare", "bow", "lora", "--json", cwd=home).out)
    assert [row["route"] for row in rows] == ["bow", "lora"]
    assert 0 <= rows[1]["p_value"] <= 1
    assert "McNemar" in tokenworth("compare", "bow", "lora", cwd=home).out
    assert "needs two runs" in tokenworth("compare", "bow", cwd=home, code=2).err
    assert "logits equal" in tokenworth("export", "lora", "plain", cwd=home).out
    assert (home / "plain" / "model.safetensors").is_file()


def test_misuse_is_one_line(home):
    cases = {
        ("--route", "lorra"): "choose one of bow, prompt, probe",
        ("--route", "lora"): "needs a backbone",
        ("--route", "lora", "--model", "llama", "--targets", "nothing"): "there are down_proj (3)",
        ("--route", "bow", "--metric", "f2"): "choose one of weighted_f1",
    }
    for arguments, message in cases.items():
        found = tokenworth("adapt", "reviews.csv", *arguments, cwd=home, code=2)
        assert message in found.err
        assert found.err.count("\n") == 1


def test_doctor_forecasts_a_route(home):
    out = tokenworth("doctor", "--model", "llama", "--task", "reviews.csv", "--route", "lora", "--steps", 50, "--json",
                     cwd=home).out  # fmt: skip
    facts = json.loads(out)
    assert facts["lora train_flops"] > 0
    assert facts["lora seconds"] > 0


@pytest.mark.parametrize("route", ["lora", "full", "contrastive"])
def test_the_forecast_of_flops_and_parameters_is_what_happens(tmp_path, route):
    """All steps are drawn beforehand as they will be drawn, so counts are equal and only seconds are guesses."""
    name = model_at(tmp_path, "bert" if route == "contrastive" else "llama")
    task = planted_task(60, 20)
    config = as_published(AdaptConfig(steps=30, rank=4, mislabelled=False))
    backbone = load_backbone(name, dtype="float32")
    train_N, test_M = (tokenise(backbone, part.texts).lengths for part in (task.train, task.test))
    planned = forecast_route(name, route, config, 2, train_N, test_M, 1e9)
    result = adapt(name, task, route, config=config)
    assert planned.trainable == result.parameters["trainable"]
    assert planned.total == result.parameters["total"]
    near = 0.05 if route == "contrastive" else 1e-6  # partners are drawn as from classes of like size
    assert planned.tokens == pytest.approx(result.cost["tokens"], rel=near)
    assert planned.train_flops == pytest.approx(result.cost["train_flops"], rel=near)


def test_routes_without_training_are_not_forecast(tmp_path):
    with pytest.raises(SettingError, match="trains no network"):
        forecast_route(model_at(tmp_path), "bow", as_published(AdaptConfig()), 2, np.ones(4), np.ones(2), 1e9)


def wandb_run(home, out, code=0):
    pytest.importorskip("wandb", reason="an extra: pip install tokenworth[wandb]")
    plain = ("--route", "full", "--model", "llama", "--config", "run.yaml", "--quiet")
    return tokenworth("adapt", "reviews.csv", *plain, "--track", "wandb", "--out", out, cwd=home, code=code)


def test_wandb_keeps_the_curves_without_an_account(home, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    wandb_run(home, "offline")
    (kept,) = (home / "offline").rglob("run-*.wandb")
    held = kept.read_bytes()
    assert all(name in held for name in (b"loss", b"learning_rate", b"gradient_norm"))


def test_wandb_without_an_account_is_one_sentence(home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))  # nobody is logged in there
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    told = wandb_run(home, "online", code=2).err
    assert "No API key" in told
    assert "WANDB_MODE=offline" in told
