"""Routes on texts of several labels: figures, thresholds, saved classifiers, and the commands on real files."""

import json

import numpy as np
import pandas as pd
import pytest

import commands
from label_sets import planted_labels, write_labels
from planted import planted_task
from routes import model_at
from tokenworth.adaptation import AdaptResult, adapt, load_classifier
from tokenworth.adaptation.evaluation.comparison import compare_results
from tokenworth.errors import AdaptError, SettingError, TaskError
from tokenworth.probes.label_set_metrics import LABEL_SET_METRICS, measure_label_sets
from tokenworth.tasks import load_texts

pytestmark = pytest.mark.formats

ROUTES = ("bow", "probe")
SETTINGS = {"validation_share": 0.2}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_at(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def runs(model, tmp_path_factory):
    home = tmp_path_factory.mktemp("runs")
    task = planted_labels()
    return {
        route: (adapt(None if route == "bow" else model, task, route, config=SETTINGS, out=home / route), home / route)
        for route in ROUTES
    }


@pytest.mark.parametrize("route", ROUTES)
def test_figures_are_those_of_the_saved_predictions(runs, route):
    result, _ = runs[route]
    task, table = planted_labels(), result.predictions
    probability = table[[f"p_{name}" for name in task.label_names]].to_numpy()
    thresholds = np.array([row["threshold"] for row in result.confusion["by_label"]])
    truth = measure_label_sets(task.test.labels, probability, thresholds, seed=0)
    assert result.metrics == pytest.approx(truth)
    assert set(LABEL_SET_METRICS) <= result.metrics.keys()
    assert list(table["label"]) == task.names_of(task.test.labels)
    assert list(table["predicted"]) == task.names_of(probability >= thresholds)
    assert result.settings["thresholds"] == "chosen"
    assert result.task["texts"]["validation"] > 0
    rows, given_NC = result.confusion["by_label"], probability >= thresholds
    for row, has, given in zip(rows, task.test.labels.T, given_NC.T, strict=True):
        assert (row["texts"], row["predicted"], row["right"]) == (has.sum(), given.sum(), (has & given).sum())


@pytest.mark.parametrize("route", ROUTES)
def test_labels_are_found(runs, route):
    """A bag of words reads them off; a network of random weights keeps enough of the words for more than chance."""
    result, _ = runs[route]
    assert result.metrics["micro_f1"] > result.facts["majority"]["micro_f1"] + (0.3 if route == "bow" else 0.05)


@pytest.mark.parametrize("route", ROUTES)
def test_a_classifier_comes_back_with_its_thresholds(runs, route):
    result, folder = runs[route]
    again, texts = load_classifier(folder), planted_labels().test.texts
    assert again.predict_labels(texts) == list(result.predictions["predicted"])
    np.testing.assert_allclose(again.predict_proba(texts)[:, 0], result.predictions["p_label 0"], atol=1e-6)
    with pytest.raises(AdaptError, match="several labels, or none; call predict_labels"):
        again.predict(texts)


def test_a_result_is_read_again(runs):
    result, folder = runs["bow"]
    again = AdaptResult.load(folder)
    assert again == result
    assert list(again.predictions["predicted"]) == list(result.predictions["predicted"])


def test_two_runs_are_compared(runs):
    first, second = compare_results({route: runs[route][0] for route in ROUTES}, metric="micro_f1")
    assert first["f1_difference"] == 0
    f1 = [runs[route][0].metrics["weighted_f1"] for route in ROUTES]
    assert second["f1_difference"] == pytest.approx(f1[1] - f1[0])
    right = [runs[route][0].predictions["correct"].to_numpy() for route in ROUTES]
    assert second["only_this"] == (right[1] & ~right[0]).sum()


def test_thresholds_of_a_half_need_no_validation_part():
    result = adapt(None, planted_labels(), "bow", config={"thresholds": "half", "validation_share": 0.0})
    assert result.task["texts"]["validation"] == 0
    assert {row["threshold"] for row in result.confusion["by_label"]} == {0.5}
    assert any("a probability of a half" in sentence for sentence in result.sentences)


def test_a_temperature_is_fitted_for_labels_too():
    result = adapt(None, planted_labels(300), "bow", config={"calibrate": True})
    assert result.temperature != 1.0


@pytest.mark.parametrize(
    ("task", "route", "settings", "error", "words"),
    [
        ("several", "bow", {"validation_share": 0.0}, SettingError, "thresholds are chosen on a validation part, and"),
        ("few", "bow", {}, TaskError, "too few to cut a validation part .* and thresholds half, or bring more texts"),
        ("one", "bow", {"thresholds": "chosen"}, SettingError, "thresholds chosen is of several labels a text, and in"),
        ("one", "bow", {"metric": "micro_f1"}, SettingError, "metric micro_f1 is of several labels a text"),
        ("several", "bow", {"diagnose": True}, SettingError, "a diagnosis knows one class; leave it out"),
        ("one", "lora", {"thresholds": "half"}, SettingError, "thresholds half is of several labels a text"),
        ("several", "prompt", {"template": "{text}:"}, SettingError, "does not say where the label goes; put {label}"),
        ("served", "prompt", {"url": "http://127.0.0.1:9/v1"}, SettingError, "a model on a server is asked for one"),
    ],
)
def test_mistakes_are_told_in_a_sentence(task, route, settings, error, words):
    tasks = {"several": planted_labels, "served": planted_labels, "few": lambda: planted_labels(4), "one": planted_task}
    with pytest.raises(error, match=words):
        adapt("endpoint:m" if task == "served" else None, tasks[task](), route, config=settings)


# --- the commands


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    write_labels(home / "reviews.jsonl", planted_labels())
    (home / "new.csv").write_text("text\nw11 w12 w13 w1\nw1 w2\n")
    arguments = ("--route", "bow", "--out", "bow", "--validation-share", 0.2, "--metric", "micro_f1", "--quiet")
    assert commands.tokenworth("adapt", "reviews.jsonl", *arguments, cwd=home).code == 0
    return home


def test_the_page_has_every_label(home):
    page = (home / "bow" / "report.html").read_text()
    assert "micro F1" in page
    assert "samples F1" in page
    assert 'id="by-label"' in page
    assert page.count("label 2") >= 1
    assert 'id="confusion"' not in page


def test_predict_prints_labels(home):
    found = commands.tokenworth("predict", "bow", "new.csv", "--json", cwd=home)
    assert found.code == 0, found.err
    assert json.loads(found.out)[1]["predicted"] == []
    found = commands.tokenworth("predict", "bow", "reviews.jsonl", "--to", "out.csv", cwd=home)
    assert found.code == 0, found.err
    assert set(pd.read_csv(home / "out.csv", keep_default_na=False)["predicted"]) >= {"", "label 0", "label 0; label 1"}
    found = commands.tokenworth("predict", "bow", "reviews.jsonl", "--to", "out.parquet", cwd=home)
    held = [list(cell) for cell in pd.read_parquet(home / "out.parquet")["predicted"]]
    assert held == load_classifier(home / "bow").predict_labels(load_texts(home / "reviews.jsonl"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "bow", "new.csv", "--risk", 0.1),
        ("predict", "bow", "new.csv", "--sets", 0.9),
        ("suggest", "bow", "new.csv"),
    ],
)
def test_what_is_of_one_class_a_text_says_so(home, arguments):
    found = commands.tokenworth(*arguments, cwd=home)
    assert found.code in (1, 2)
    assert "names several labels a text" in found.err
    assert "Traceback" not in found.err


def test_training_texts_are_kept_for_one_class_a_text(model):
    with pytest.raises(SettingError, match="several labels a text"):
        adapt(model, planted_labels(), "probe", config={**SETTINGS, "keep_training": True})


def test_compare_prints_the_metric(home):
    found = commands.tokenworth("compare", "bow", "bow", "--metric", "micro_f1", cwd=home)
    assert found.code == 0, found.err
    assert "micro" in found.out


def test_labels_in_columns_and_with_a_delimiter_reach_the_command(home):
    cells = "".join(f"t{i % 9} w{i},{'a;b' if i % 3 else ''}\n" for i in range(60))
    (home / "cells.csv").write_text("text,labels\n" + cells)
    arguments = ("--route", "bow", "--delimiter", ",", "--json", "--quiet")
    found = commands.tokenworth("adapt", "cells.csv", *arguments, cwd=home)
    assert found.code == 1
    assert "every row has the label 'a;b'; a task needs two classes" in found.err
