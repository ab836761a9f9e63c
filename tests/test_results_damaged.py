"""Results read again: whatever became of their files, they are read as they were or refused in one sentence."""

import contextlib
import dataclasses
import json
import math
import random
import shutil

import pytest
import torch
from typing_extensions import NotRequired, TypedDict

from damaged_results import ODD_VALUES, damaged
from planted import planted_task
from routes import model_at, run
from tokenworth.adaptation import AdaptResult, load_classifier
from tokenworth.adaptation.evaluation.comparison import compare_results
from tokenworth.adaptation.storage.adapt_result import RESULT
from tokenworth.assessment import Assessment, assess
from tokenworth.base.codec import ELSEWHERE
from tokenworth.base.run_record import OtherRunError, note_or_compare
from tokenworth.base.schema import COUNT, NUMBER, TEXT, Each, Finite, Maybe, mistake_in, restore, stored_shape
from tokenworth.decision.decision_result import DECISION, Decision
from tokenworth.errors import AdaptError, SettingError, TokenworthError
from tokenworth.report import write_report
from tokenworth.report.terminal.tables import adapt_table, comparison_table
from tokenworth.study.study_store import StudyStore
from tokenworth.tracing.run_reader import _stated
from tokenworth.training.checkpoints import Checkpoint, Checkpoints


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run of bow, one of lora, and an assessment."""
    home = tmp_path_factory.mktemp("results")
    model = model_at(home)
    run(None, "bow", home / "bow")
    run(model, "lora", home / "lora", steps=2, tune=2, diagnose=True, calibrate=True, dtype="float32")
    assess(model, planted_task(40, 20), out=home / "assess", dtype="float32", cache=False)
    return home


def _use(folder, other):
    """Everything that reads a result again."""
    if (folder / "assessment.json").exists() or folder.name == "assess":
        result = Assessment.load(folder)
        assert len(result.table()) == len(result.layers)
        assert result.summary()["task"] == result.task["name"]
        write_report(result, folder / "page.html")
        return
    result = AdaptResult.load(folder)
    comparison_table(compare_results({"that": other, "this": result}), "weighted_f1")
    adapt_table(result)
    write_report(result, folder / "page.html")
    load_classifier(folder).predict(["w1 w2"])


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_folder_is_read_or_refused_in_one_sentence(home, tmp_path, seed):
    rng = random.Random(seed)
    name = rng.choice(["bow", "lora", "assess"])
    folder = tmp_path / name
    shutil.copytree(home / name, folder, ignore=shutil.ignore_patterns("config.json", "tokenizer*"))
    shutil.rmtree(folder / "model" / "backbone", ignore_errors=True)  # a model's own files are tested with models
    what = damaged(folder, rng)
    try:
        _use(folder, AdaptResult.load(home / "bow"))
    except TokenworthError as error:
        refusal = str(error)
    else:
        refusal = f"{folder}: none"
    assert "\n" not in refusal, what
    assert str(folder) in refusal or "this" in refusal, what


@pytest.mark.parametrize(
    ("name", "load"), [("lora/result.json", AdaptResult.load), ("assess/assessment.json", Assessment.load)]
)
def test_every_stated_field_is_checked(home, tmp_path, name, load):
    """Each field of the file that has a shape, replaced by what does not fit it, is named in the sentence."""
    whole = json.loads((home / name).read_text())
    folder = shutil.copytree((home / name).parent, tmp_path / "run")
    for field, value in whole.items():
        wrong = 5 if isinstance(value, str) else "five"
        (folder / (home / name).name).write_text(json.dumps({**whole, field: wrong}))
        with pytest.raises(TokenworthError, match=rf"that can be used: {field} is {wrong!r} and not"):
            load(folder)


def test_equal_runs_write_equal_adapters(home):
    """peft writes its targets in the order of a set, which is another one in every process."""
    config = json.loads((home / "lora" / "model" / "adapter" / "adapter_config.json").read_text())
    assert len(config["target_modules"]) > 5
    assert config["target_modules"] == sorted(config["target_modules"])
    assert list(config) == sorted(config)


def test_shapes_name_the_first_mistake():
    shape = {"a": [{"b": COUNT}], "c?": Maybe(TEXT), "d": Each(NUMBER)}
    assert mistake_in({"a": [{"b": 1, "more": []}], "d": {"x": None, "y": 1.5}}, shape) is None
    assert mistake_in({"a": [{"b": 1}, {"b": -2}], "d": {}}, shape) == "a[1].b is -2 and not a count"
    assert mistake_in({"a": [], "d": {"x": 10**400}}, shape).startswith("d.x is 1000")
    assert mistake_in({"a": [], "d": {"x": True}}, shape) == "d.x is True and not a number"
    assert mistake_in({"a": [], "c": 3, "d": {}}, shape) == "c is 3 and not text"
    assert mistake_in({"a": []}, shape) == "d is missing"
    assert mistake_in([], shape) == "it is [] and not an object"


def test_what_was_written_fits_its_shape(home):
    for name in ("bow", "lora"):
        assert mistake_in(json.loads((home / name / RESULT).read_text()), stored_shape(AdaptResult)) is None


@pytest.mark.parametrize(
    ("name", "load"), [("lora/result.json", AdaptResult.load), ("assess/assessment.json", Assessment.load)]
)
def test_older_files_are_read_and_newer_ones_refused(home, tmp_path, name, load):
    whole = json.loads((home / name).read_text())
    folder = shutil.copytree((home / name).parent, tmp_path / "run")
    path, numbered = folder / (home / name).name, whole.pop("schema")
    path.write_text(json.dumps(whole | {"a field of another time": 5}))
    assert json.loads(load(folder).to_json()) == {"schema": numbered, **whole}
    path.write_text(json.dumps({**whole, "schema": numbered + 1}))
    with pytest.raises(TokenworthError, match=rf"schema is {numbered + 1} and .* reads {numbered} at most; install a"):
        load(folder)


def test_shapes_are_those_of_types():
    class Row(TypedDict):
        name: str
        more: NotRequired[int | None]

    @dataclasses.dataclass(frozen=True)
    class Rows:
        rows: list[Row]
        by_name: dict[str, Finite]
        score: float = 0.0
        table: object = dataclasses.field(default=None, metadata=ELSEWHERE)

    shape = stored_shape(Rows)
    assert set(shape) == {"rows", "by_name", "score?"}
    value = {"rows": [{"name": "a", "more": None}], "by_name": {"b": 1.5}, "score": None}
    assert mistake_in(value, shape) is None
    assert math.isnan(restore(value, shape)["score"])
    assert mistake_in({"rows": [{"more": 1}], "by_name": {}}, shape) == "rows[0].name is missing"
    assert mistake_in({"rows": [], "by_name": {"b": None}}, shape) == "by_name.b is null and not a number"
    assert mistake_in({"rows": [{"name": "a", "more": "x"}], "by_name": {}}, shape).startswith("rows[0].more is 'x'")


def test_runs_whose_labels_differ_are_not_compared(home, tmp_path):
    """Once 1.0 against itself less a label: silently another F1."""
    folder = shutil.copytree(home / "bow", tmp_path / "bow")
    first, changed = AdaptResult.load(home / "bow"), json.loads((folder / RESULT).read_text())
    changed["task"]["label_names"].reverse()
    (folder / RESULT).write_text(json.dumps(changed))
    with pytest.raises(SettingError, match="name their classes or label their test texts in different ways"):
        compare_results({"first": first, "second": AdaptResult.load(folder)})


@pytest.mark.parametrize(
    ("field", "value"), [("format", 2), ("kind", "oracle"), ("temperature", 0), ("label_names", [])]
)
def test_a_classifier_of_another_kind_is_refused(home, tmp_path, field, value):
    folder = shutil.copytree(home / "bow", tmp_path / "bow")
    facts = json.loads((folder / "model" / "classifier.json").read_text())
    (folder / "model" / "classifier.json").write_text(json.dumps({**facts, field: value}))
    with pytest.raises(AdaptError, match=r"classifier\.json holds (a|no) classifier"):
        load_classifier(folder)


@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
def test_odd_notes_of_runs_are_sentences(tmp_path, value):
    """run.json of adapt and of a pretraining run, the notes of a study's cell, and a decision."""
    (tmp_path / "run.json").write_text(json.dumps(value))
    with contextlib.suppress(OtherRunError):
        note_or_compare(tmp_path / "run.json", {"seed": 1})
    for facts in (value, {"parameters": value}, {"parameters": {"total": value}}, {"train_flops_per_token": value}):
        (tmp_path / "run.json").write_text(json.dumps(facts))
        with contextlib.suppress(SettingError):
            assert isinstance(_stated(tmp_path), dict)
    place = tmp_path / "cells" / "key"
    place.mkdir(parents=True)
    for name in ("cell.json", "error.json"):
        (place / name).write_text(json.dumps(value))
    with pytest.raises(TokenworthError, match="holds no cell of a study"):
        StudyStore(tmp_path).cell("key")
    assert "holds no reason of a failure" in StudyStore(tmp_path).error("key")["message"]
    (tmp_path / DECISION).write_text(json.dumps(value))
    with pytest.raises(TokenworthError, match="holds no decision"):
        Decision.load(tmp_path)


def test_a_changed_number_of_a_checkpoint_is_noticed(tmp_path, caplog):
    kept = Checkpoints(tmp_path)
    for step in (1, 2):
        kept.save(Checkpoint(step, {"w": torch.full((2,), float(step))}, {}, {"loss": 0.25 * step}))
    path = tmp_path / "step-00000002" / "state.json"
    path.write_text(path.read_text().replace("0.5", "0.7"))
    newest = kept.newest()
    assert (newest.step, newest.state) == (1, {"loss": 0.25})
    assert "state.json is not the file that was written" in caplog.text
