"""Several backbones on one task: the order, ties within noise, failures, and what is done once."""

import json
import shutil

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import tokenworth as tw
import tokenworth.assessment.probe_table as probing
import tokenworth.assessment.rank_backbones as ranking
from planted import planted_task
from small_models import write_folder
from tokenworth.errors import SettingError, TaskError, TokenworthError


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """One that sees words, its copy, one to which all words are the same, and one whose weights are cut short."""
    home = tmp_path_factory.mktemp("models")
    sees = write_folder(home / "sees", "llama")
    copy = shutil.copytree(sees, home / "copy")
    blind = shutil.copytree(sees, home / "blind")
    weights = load_file(blind / "model.safetensors")
    weights["embed_tokens.weight"] = weights["embed_tokens.weight"][:1].repeat(64, 1)
    save_file(weights, blind / "model.safetensors", metadata={"format": "pt"})
    broken = shutil.copytree(sees, home / "broken")
    whole = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(whole[:-100])
    return {path.name: str(path) for path in (sees, copy, blind, broken)}


@pytest.fixture(scope="module")
def task():
    return planted_task(80, 60)


@pytest.fixture(scope="module")
def outcome(models, task):
    """A ranking, how often the bag of words was fitted, and which models were announced."""
    fitted, started = [], []

    def counted(task):
        fitted.append(task)
        return probing.bow_row(task)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "bow_row", counted)
        names = [models[name] for name in ("blind", "broken", "sees", "copy", "sees")]
        result = tw.rank(task, names, started=started.append, dtype="float32", layers="0-1")
    return result, fitted, started


def test_best_first_and_failures_last(outcome):
    rows = outcome[0].rows
    assert [row["name"].rsplit("/", 1)[-1] for row in rows] == ["sees", "copy", "blind", "broken"]
    assert [row["rank"] for row in rows] == [1, 2, 3, None]
    assert rows[0]["best_f1"] > 0.85
    assert rows[2]["best_f1"] < 0.6


def test_the_same_model_under_two_names_is_tied(outcome):
    rows = outcome[0].rows
    assert [row["tied"] for row in rows] == [False, True, False, False]
    assert "within its noise: copy." in outcome[0].sentences[1]
    same = ["best_f1", "best_layer", "hscore", "logme", "probe_accuracy", "n_parameters"]
    assert [rows[0][name] for name in same] == [rows[1][name] for name in same]


def test_a_backbone_that_fails_is_reported_and_the_others_go_on(outcome):
    result = outcome[0]
    assert "corrupted or cut short" in result.rows[3]["failed"]
    assert [row["failed"] for row in result.rows[:3]] == [None] * 3
    assert len(result.assessments) == 3
    assert any(sentence.startswith("Could not be assessed:") and "broken" in sentence for sentence in result.sentences)


def test_each_model_is_assessed_once_and_the_baseline_fitted_once(outcome, models):
    _, fitted, started = outcome
    assert started == [models[name] for name in ("blind", "broken", "sees", "copy")]
    assert len(fitted) == 1


def test_a_bag_of_words_that_is_there_is_not_fitted_again(models, task, monkeypatch):
    baseline = dict(probing.bow_row(task)) | {"f1": 0.123}
    monkeypatch.setattr(ranking, "bow_row", None)
    result = tw.rank(task, [models["sees"]], dtype="float32", layers="0", baseline=baseline)
    assert result.baseline["f1"] == 0.123
    assert "a bag of words (0.123)" in result.sentences[0] or "the words 0.123" in result.sentences[0]


def test_the_baseline_is_the_same_for_all(outcome):
    result = outcome[0]
    assert {assessment.summary()["bow_f1"] for assessment in result.assessments} == {result.baseline["f1"]}
    assert "predictions" not in result.baseline
    assert f"{result.baseline['f1']:.3f}" in result.sentences[0]


@pytest.mark.parametrize(
    ("lead", "said"),
    [
        ((-0.214, -0.25, -0.18), "A bag of words wins: weighted F1 0.625, 0.214 (0.180 to 0.250) above the best"),
        ((0.12, 0.08, 0.15), "a wins: weighted F1 0.411, 0.120 (0.080 to 0.150) above a bag of words (0.625)."),
        ((0.01, -0.01, 0.03), "No backbone beats a bag of words: a reaches weighted F1 0.411 and the words 0.625"),
    ],
)  # fmt: skip
def test_the_first_sentence_is_what_a_choice_needs(lead, said):
    row = {"name": "a", "failed": None, "tied": False, "best_f1": 0.411, "best_f1_low": 0.3, "best_probe": "ridge"}
    assert ranking._sentences([row], {"f1": 0.625}, lead)[0].startswith(said)


def test_a_ranking_is_saved_whole(outcome, tmp_path):
    result = outcome[0]
    result.save(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"ranking.json", "ranking.parquet"}
    data = json.loads((tmp_path / "out" / "ranking.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in data["rows"]] == [row["name"] for row in result.rows]
    again = tw.Ranking.load(tmp_path / "out")
    assert again.to_json() == outcome[0].to_json()
    assert again.assessments[0].row().keys() == outcome[0].assessments[0].row().keys()
    table = pd.read_parquet(tmp_path / "out" / "ranking.parquet")
    assert table["name"].tolist() == result.table()["name"].tolist()
    assert table["best_f1"].isna().tolist() == [False, False, False, True]
    (tmp_path / "file").touch()
    with pytest.raises(TokenworthError, match="cannot be written"):
        result.save(tmp_path / "file")


@pytest.mark.formats
def test_all_may_fail(models, task, tmp_path):
    result = tw.rank(task, [models["broken"], str(tmp_path / "gone")])
    assert [row["failed"] is None for row in result.rows] == [False, False]
    assert "there is no folder" in result.rows[1]["failed"]
    assert result.assessments == []
    assert "No backbone could be assessed" in result.sentences[0]
    assert json.loads(result.to_json())["task"]["name"] == "planted"
    result.save(tmp_path)
    assert tw.write_report(result, tmp_path / "report.html").exists()


def test_a_layer_that_only_some_have(models, task, tmp_path):
    deep = write_folder(tmp_path / "deep", "llama", num_hidden_layers=5)
    result = tw.rank(task, [models["sees"], str(deep)], dtype="float32", layers="5")
    assert [row["failed"] is None for row in result.rows] == [True, False]
    assert "layer 5 does not exist" in result.rows[1]["failed"]


@pytest.mark.formats
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling": "foo"}, "pooling 'foo' is not understood"),
        ({"prefix": "foo"}, "prefix 'foo' is not understood"),
        ({"dtype": "foo"}, "foo"),
        ({"device": "foo"}, "foo"),
        ({"max_texts": 0}, "max_texts = 0"),
    ],
)
def test_what_no_backbone_could_do_is_refused_at_once(models, task, settings, message):
    with pytest.raises(SettingError, match=message):
        tw.rank(task, [models["sees"]], started=lambda name: pytest.fail(f"{name} was begun"), **settings)


@pytest.mark.formats
def test_nothing_to_rank(task, tmp_path):
    with pytest.raises(SettingError, match="no backbone is named"):
        tw.rank(task, [])
    with pytest.raises(TaskError, match="no such file"):
        tw.rank(str(tmp_path / "gone.csv"), ["x"])


def test_max_texts_draws_one_sample_for_all(models, task):
    result = tw.rank(task, [models["sees"], models["copy"]], max_texts=20, dtype="float32", layers="0")
    assert len({assessment.task["fingerprint"] for assessment in result.assessments}) == 1
    assert all(assessment.task["texts"] == {"train": 20, "test": 20} for assessment in result.assessments)


def test_nothing_of_one_model_stays_for_the_next(models, task):
    """Alone or after others, a model has the same numbers."""
    alone = tw.rank(task, [models["copy"]], dtype="float32", layers="0-1").assessments[0]
    after = tw.rank(task, [models["blind"], models["copy"]], dtype="float32", layers="0-1").assessments[0]
    assert torch.equal(torch.tensor(alone.row()["hscore"]), torch.tensor(after.row()["hscore"]))
    pd.testing.assert_frame_equal(alone.table(), after.table(), check_exact=True)
