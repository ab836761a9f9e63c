"""The 17 published tasks as they lie in the shared data folder."""

import json

import pyarrow.parquet as pq
import pytest

from tokenworth.tasks import PUBLISHED, load_task


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_task_is_what_its_meta_file_says(shared, name):
    folder = shared / "data" / "tasks"
    meta = json.loads((folder / name / "meta.json").read_text())
    task = load_task(name, data=folder)
    assert task.name == name
    assert task.source == str(folder / name)
    assert list(task.label_names) == meta["label_names"]
    assert task.counts["rows"] == meta["rows"]
    for part, split in (("train", task.train), ("test", task.test)):
        assert dict(zip(task.label_names, task.counts["classes"][part], strict=True)) == meta["class_counts"][part]
        assert task.counts["characters"][part]["mean"] == pytest.approx(meta["mean_characters"][part], abs=0.051)
        stored = pq.read_table(folder / name / f"{part}.parquet", columns=["text"]).column("text").to_pylist()
        assert split.texts == stored
    unstripped = len(set(task.train.texts) & set(task.test.texts))
    assert unstripped == meta["texts_in_both_train_and_test"]
    assert task.counts["overlap"] >= unstripped  # repeated rows count, and white space at the ends does not


@pytest.mark.parametrize("name", ["snli", "medical_question_pairs"])
def test_every_pair_has_both_texts(shared, name):
    folder = shared / "data" / "tasks" / name
    joined = load_task(folder)
    own = load_task(folder, text="text_a", text_pair="text_b")
    assert own.fingerprint == joined.fingerprint
    table = pq.read_table(folder / "train.parquet")
    second = table.column("text_b").to_pylist()
    assert all(
        text.endswith(f" {b}") and len(text) > len(b) + 1 for text, b in zip(own.train.texts, second, strict=True)
    )


def test_medical_questions_leak_as_given_and_not_when_divided_anew(shared):
    given = load_task("medical_question_pairs", data=shared / "data" / "tasks")
    assert given.counts["shared_groups"] > 600
    assert any("share their group" in note for note in given.notes)
    anew = load_task("medical_question_pairs", data=shared / "data" / "tasks", test=0.3)
    assert anew.counts["shared_groups"] == 0
    assert anew.counts["classes"] == {"train": [1067, 1067], "test": [457, 457]}


def test_sampling_seventy_seven_classes(shared):
    task = load_task("banking77", data=shared / "data" / "tasks", max_texts=200)
    assert task.counts["rows"] == {"train": 200, "test": 200}
    assert min(task.counts["classes"]["train"] + task.counts["classes"]["test"]) == 2
