"""Which training texts a prediction of a probe rests on, and which harm: as a user asks, and against refitting."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from commands import ending as tokenworth
from planted import planted_task, rows_of, with_parts, write_rows
from report_results import PWNED, adapted
from routes import model_at
from tokenworth.adaptation import AdaptResult, adapt, load_classifier
from tokenworth.adaptation.evaluation.explanation import explain
from tokenworth.errors import AdaptError
from tokenworth.report import write_report

pytestmark = pytest.mark.formats

KEPT = {"keep_training": True, "mislabelled": True}


def flipped_task(n_train=80):
    """Every tenth training label is wrong."""
    task = planted_task(n_train, 60, own=0.7)
    labels = task.train.labels.copy()
    labels[::10] = 1 - labels[::10]
    return with_parts(task, train={"labels": labels})


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    model_at(home)
    write_rows(home / "reviews.csv", rows_of(planted_task(60, 40)))
    (home / "new.csv").write_text("text\nw11 w12 w13\nw21 w22 w23\nw2 w12 w24\n")
    return home


@pytest.fixture(scope="module")
def runs(home):
    def run(*options, out):
        return tokenworth("adapt", "reviews.csv", *options, "--out", out, "--quiet", cwd=home)

    probe = ("--route", "probe", "--model", "llama")
    run(*probe, "--keep-training", out="kept")
    run(*probe, out="plain")
    run("--route", "bow", out="bow")


def same_texts(one, other):
    return [[text["row"] for text in row] for row in one] == [[text["row"] for text in row] for row in other]


def test_why_names_training_texts_in_every_format(home, runs):
    told = json.loads(tokenworth("predict", "kept", "new.csv", "--why", 3, "--json", cwd=home).out)
    assert [row["predicted"] for row in told] == ["class 0", "class 1", told[2]["predicted"]]
    for row in told:
        assert [len(row[name]) for name in ("why", "nearest")] == [3, 3]
        influences = [abs(text["influence"]) for text in row["why"]]
        assert influences == sorted(influences, reverse=True)
        likeness = [text["similarity"] for text in row["nearest"]]
        assert likeness == sorted(likeness, reverse=True)
        assert all(-1.001 <= like <= 1.001 for like in likeness)
    for file in ("found.csv", "found.jsonl", "found.parquet"):
        tokenworth("predict", "kept", "new.csv", "--why", 3, "--to", file, cwd=home)
    table = pd.read_csv(home / "found.csv")
    assert same_texts(map(json.loads, table["why"]), [row["why"] for row in told])
    lines = [json.loads(line) for line in (home / "found.jsonl").read_text().splitlines()]
    assert same_texts([line["nearest"] for line in lines], [row["nearest"] for row in told])
    assert list(pd.read_parquet(home / "found.parquet")["why"]) == list(table["why"])
    plain = json.loads(tokenworth("predict", "kept", "new.csv", "--json", cwd=home).out)
    assert [row.keys() & {"why", "nearest"} for row in plain] == [set()] * 3


def test_where_nothing_can_be_named_one_sentence_says_what_to_do(home, runs):
    cases = {
        ("predict", "plain", "new.csv", "--why", 2): "--keep-training and another --out",
        ("predict", "bow", "new.csv", "--why", 2): "only a probe's predictions can be traced",
    }
    for command, message in cases.items():
        told = tokenworth(*command, cwd=home, code=1)
        assert message in told.err
        assert told.err.count("\n") == 1
    assert "--why" in tokenworth("predict", "kept", "new.csv", "--why", 0, cwd=home, code=2).err


def test_training_texts_are_kept_only_where_asked_for(home, runs):
    kept, plain = home / "kept" / "model", home / "plain" / "model"
    assert (kept / "training.safetensors").is_file()
    assert not (plain / "training.safetensors").exists()
    text = planted_task(60, 40).train.texts[0]
    assert text in (kept / "classifier.json").read_text(encoding="utf-8")
    assert not any(text in path.read_bytes().decode(errors="replace") for path in plain.iterdir())
    numbers = [AdaptResult.load(home / name).metrics for name in ("kept", "plain")]
    assert numbers[0] == numbers[1]
    assert "keep_training" not in AdaptResult.load(home / "plain").settings


def test_a_damaged_copy_of_the_training_texts_is_one_sentence(tmp_path):
    adapt(model_at(tmp_path), planted_task(40), "probe", out=tmp_path / "out", config=KEPT)
    facts = tmp_path / "out" / "model" / "classifier.json"
    content = json.loads(facts.read_text())
    content["predictor"]["training"]["texts"].pop()
    facts.write_text(json.dumps(content))
    with pytest.raises(AdaptError, match="is not of the 39 training texts"):
        load_classifier(tmp_path / "out")


def test_influence_is_what_refitting_without_the_text_says(tmp_path):
    """scikit-learn's ridge on standardised features of 80 texts less one, the penalty and the units of all of them."""
    task = flipped_task()
    result = adapt(model_at(tmp_path), task, "probe", out=tmp_path / "out", config=KEPT)
    classifier = load_classifier(tmp_path / "out")
    training, asked = classifier.predictor.training, task.test.texts[:6]
    x, hot = training.features_ND.astype(np.float64), np.eye(2)[training.labels_N]
    scale = np.maximum(x.std(0), 1e-12)

    def scores(kept, texts):
        model = Ridge(alpha=training.penalty * len(x)).fit(x[kept] / scale, hot[kept])
        return model.predict(classifier.predictor.features(texts).astype(np.float64) / scale)

    every = np.arange(len(x))
    found = explain(classifier, asked, 4)
    for place, text in enumerate(asked):
        predicted = task.label_names.index(classifier.predict([text])[0])
        for named in found.of[place].why:
            assert named["text"] == task.train.texts[named["row"]]
            left = scores(np.delete(every, named["row"]), [text])[0, predicted]
            assert named["influence"] == pytest.approx(scores(every, [text])[0, predicted] - left, abs=1e-5)
    true = np.eye(2)[task.test.labels]
    whole = ((scores(every, task.test.texts) - true) ** 2).sum(1).mean()
    assert result.influence["error"] == pytest.approx(whole, rel=1e-4)
    for entry in result.influence["harmful"][:5]:
        left = ((scores(np.delete(every, entry["row"]), task.test.texts) - true) ** 2).sum(1).mean()
        assert entry["harm"] == pytest.approx((whole - left) / whole, abs=1e-5)
    group = [entry["row"] for entry in result.influence["harmful"][:10]]
    left = ((scores(np.delete(every, group), task.test.texts) - true) ** 2).sum(1).mean()
    (first,) = [group for group in result.influence["groups"] if group["texts"] == 10]
    assert first["together"] == pytest.approx((whole - left) / whole, abs=1e-5)


def test_wrong_labels_are_found_among_what_harms(tmp_path):
    result = adapt(model_at(tmp_path, hidden_size=64), flipped_task(200), "probe", config={"mislabelled": True})
    first = [entry["row"] for entry in result.influence["harmful"][:20]]
    assert sum(row % 10 == 0 for row in first) >= 12  # 20 of 200 are wrong: by chance 2
    assert AdaptResult.from_json(result.to_json()).influence == result.influence


def test_rows_are_those_of_the_task_where_a_part_was_cut_off(tmp_path):
    """A sample of the training texts, less a validation part."""
    task = planted_task(120, 40)
    config = {**KEPT, "train_size": 60, "calibrate": True}
    result = adapt(model_at(tmp_path), task, "probe", out=tmp_path / "out", config=config)
    classifier = load_classifier(tmp_path / "out")
    assert len(classifier.predictor.training.texts) == result.task["texts"]["train"] == 54
    for named in explain(classifier, task.test.texts[:3], 5).of:
        assert all(text["text"] == task.train.texts[text["row"]] for text in named.why + named.nearest)
        assert all(text["label"] == task.label_names[task.train.labels[text["row"]]] for text in named.why)
    assert all(entry["text"] == task.train.texts[entry["row"]] for entry in result.influence["harmful"])


@pytest.mark.parametrize("route", ["bow", "lora"])
def test_other_routes_and_those_that_do_not_look_have_no_influence(tmp_path, route):
    settings = {"steps": 4, "lr": 1e-3}
    model = None if route == "bow" else model_at(tmp_path)
    assert adapt(model, planted_task(40), route, config=settings).influence == {}
    assert adapt(model_at(tmp_path), planted_task(40), "probe", config={"mislabelled": False}).influence == {}


def test_the_page_lists_what_harms_beside_what_is_suspicious(tmp_path):
    page = write_report(adapted(route="probe"), tmp_path / "report.html").read_text(encoding="utf-8")
    section = page[page.index("Training texts that harm") :]
    section = section[: section.index("</section>")]
    assert "0.40%" in section
    assert "2.50%" in section
    assert 'data-head="Also suspicious">yes</td>' in section  # row 3 is, too
    assert PWNED not in page
    without = write_report(adapted(route="probe", whole=False), tmp_path / "other.html").read_text(encoding="utf-8")
    assert "Training texts that harm" not in without
