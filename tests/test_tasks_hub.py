"""Data sets of the hub and published names, offline: local folders in the hub's layout, and no network."""

import json
import os
import subprocess
import sys

import pytest

from tokenworth.errors import TaskError
from tokenworth.tasks import PUBLISHED, hub, load_task


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """The library keeps what it read from a folder; tests must not find each other's."""
    import datasets

    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    monkeypatch.delenv("TOKENWORTH_DATA", raising=False)


def dataset(rows, **class_names):
    import datasets

    columns = {name: [row[name] for row in rows] for name in rows[0]}
    made = datasets.Dataset.from_dict(columns)
    for column, names in class_names.items():
        made = made.cast_column(column, datasets.ClassLabel(names=names))
    return made


def write_shards(folder, **parts):
    (folder / "data").mkdir(parents=True)
    for name, part in parts.items():
        half = len(part) // 2
        part.select(range(half)).to_parquet(folder / "data" / f"{name}-00000-of-00002.parquet")
        part.select(range(half, len(part))).to_parquet(folder / "data" / f"{name}-00001-of-00002.parquet")


HEADER = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
  - split: test
    path: data/test-*
---
A card.
"""


@pytest.mark.parametrize("card", [None, HEADER], ids=["read here", "read by the datasets library"])
def test_folder_in_the_layout_of_the_hub(tmp_path, card):
    rows = [{"text": f"t{i}", "label": i % 2} for i in range(60)]
    names = ["ham", "spam"]
    write_shards(tmp_path / "sms", train=dataset(rows[:40], label=names), test=dataset(rows[40:], label=names))
    if card:
        (tmp_path / "sms" / "README.md").write_text(card)
    task = load_task(tmp_path / "sms")
    assert task.name == "sms"
    assert task.label_names == ("ham", "spam")
    assert task.train.texts == [f"t{i}" for i in range(40)]
    assert task.test.texts == [f"t{i}" for i in range(40, 60)]


def hub_of(monkeypatch, **parts):
    """Let the hub answer every identifier with these splits, and record what it was asked for."""
    import datasets

    asked = []

    def answer(hub_id, config=None, **options):
        asked.append((hub_id, config))
        return datasets.DatasetDict(parts)

    monkeypatch.setattr(datasets, "load_dataset", answer)
    return asked


def test_any_identifier_with_class_names_and_unlabelled_rows(monkeypatch):
    rows = [{"sentence": f"t{i}", "label": i % 3 - 1, "idx": i} for i in range(60)]
    names = ["no", "yes"]
    hidden = [{**row, "label": -1} for row in rows[30:]]
    parts = {"train": rows, "validation": rows[:30], "test": hidden}
    asked = hub_of(monkeypatch, **{part: dataset(kept, label=names) for part, kept in parts.items()})
    task = load_task("some/data:config")
    assert asked == [("some/data", "config")]
    assert (task.name, task.source, task.label_names) == ("data", "some/data", ("no", "yes"))
    assert task.counts["rows"] == {"train": 40, "test": 20}
    assert any("test part has no labels" in note for note in task.notes)
    assert any("20 rows" in note and "no gold label" in note for note in task.notes)


def test_minus_one_is_a_class_where_classes_have_no_names(monkeypatch):
    hub_of(monkeypatch, train=dataset([{"text": f"t{i}", "label": i % 3 - 1} for i in range(60)]))
    assert load_task("some/tweets").label_names == ("-1", "0", "1")


COLUMNS = {
    "snli": lambda i: {"premise": f"p{i}", "hypothesis": f"h{i}", "label": i % 4 - 1},
    "sst2": lambda i: {"idx": i, "sentence": f"s{i} ", "label": i % 2},
    "dbpedia": lambda i: {"label": i % 14, "title": "x", "content": f" c{i}"},
    "bias_identification": lambda i: {"context": f"c{i}", "bias_type": i % 10},
    "bias_in_bios": lambda i: {"hard_text": f"b{i}", "profession": i % 28, "gender": i % 2},
    "clickbait": lambda i: {"title": f"t{i}", "clickbait": i % 2},
    "wiki_toxic": lambda i: {"id": "x", "comment_text": f"c{i}", "label": i % 2},
    "intent_classification": lambda i: {"intent": f"intent{i % 12:02}", "text": f"t{i}"},
    "sms_spam": lambda i: {"sms": f"s{i}\n", "label": i % 2},
    "medical_question_pairs": lambda i: {"dr_id": 1, "question_1": f"q{i // 2}", "question_2": f"r{i}", "label": i % 2},
    "commonsense_qa": lambda i: {"id": "x", "question": f"q{i}?", "question_concept": "x", "answerKey": "ABCDE"[i % 5],
                                 "choices": {"label": ["A", "B"], "text": [f"one{i}", "two"]}},
}  # fmt: skip
PLAIN = {
    name: lambda i, c=PUBLISHED[name].classes: {"text": f"t{i}", "label": i % c}
    for name in PUBLISHED
    if name not in COLUMNS
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_names_use_their_columns_and_parts(monkeypatch, name):
    make = {**COLUMNS, **PLAIN}[name]
    rows = [make(i) for i in range(900)]
    asked = hub_of(monkeypatch, train=dataset(rows[:600]), validation=dataset(rows[600:750]), test=dataset(rows[750:]))
    task = load_task(name)
    assert asked == [(PUBLISHED[name].hub, PUBLISHED[name].config)]
    assert (task.name, task.n_classes) == (name, PUBLISHED[name].classes)
    if PUBLISHED[name].label_names:
        assert task.label_names == PUBLISHED[name].label_names
    first = {"test": 750, "validation": 600}.get(PUBLISHED[name].test)
    held_out = task.test.texts if first else [text for text in task.test.texts if text in set(task.train.texts)]
    expected = {"sst2": "s600 ", "dbpedia": " c750", "commonsense_qa": "q600? (0) one600 (1) two"}
    if first:
        assert held_out[0].endswith(expected.get(name, f"{first}"))
    else:  # one split only: whatever the others hold is not used
        assert len(task.train) + len(task.test) == 600
        assert held_out == []
    assert load_task(PUBLISHED[name].hub).fingerprint == task.fingerprint


def test_the_two_questions_that_share_a_first_question_stay_on_one_side(monkeypatch):
    hub_of(monkeypatch, train=dataset([COLUMNS["medical_question_pairs"](i) for i in range(200)]))
    task = load_task("medical_question_pairs")
    first = [{text.split()[0] for text in part.texts} for part in (task.train, task.test)]
    assert not first[0] & first[1]
    assert task.counts["classes"]["test"] == [30, 30]


@pytest.mark.parametrize("by", ["argument", "variable"])
def test_published_name_in_a_data_folder(tmp_path, monkeypatch, by):
    folder = tmp_path / "commonsense_qa"
    folder.mkdir()
    for part, rows in {"train": range(60), "validation": range(60, 90), "test": range(90, 120)}.items():
        lines = [json.dumps(COLUMNS["commonsense_qa"](i)) for i in rows]
        (folder / f"{part}.jsonl").write_text("\n".join(lines))
    if by == "variable":
        monkeypatch.setenv("TOKENWORTH_DATA", str(tmp_path))
    task = load_task("commonsense_qa", data=tmp_path if by == "argument" else None)
    assert task.source == str(folder)
    assert task.test.texts[0] == "q60? (0) one60 (1) two"
    with pytest.raises(
        TaskError, match=r"imdb: no folder .*imdb \(.* holds commonsense_qa\); put its train and test files"
    ):
        load_task("imdb", data=tmp_path)
    with pytest.raises(TaskError, match="gone does not exist"):
        load_task("imdb", data=tmp_path / "gone")


def test_hub_identifier_in_a_data_folder(tmp_path):
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "train.csv").write_text("text,label\n" + "".join(f"t{i},{i % 2}\n" for i in range(20)))
    assert load_task("some/thing", data=tmp_path).name == "thing"


def test_no_network_says_what_to_bring_and_where_to_put_it(monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(TaskError) as caught:
        load_task("some/dataset")
    message = str(caught.value)
    assert "some/dataset: no network" in message
    assert "https://huggingface.co/datasets/some/dataset into a folder DATA/dataset and pass data=DATA" in message
    with pytest.raises(TaskError, match=r"stanfordnlp/imdb: no network.*DATA/imdb"):
        load_task("imdb")
    with pytest.raises(TaskError, match=r"did you mean 'rotten_tomatoes'\?"):
        load_task("roten_tomatoes")


def test_an_unreachable_hub_is_asked_once_a_data_set(tmp_path):
    """Told nothing of being offline: one short sentence, without the library's retries and their pauses."""
    script = "import tokenworth as tw\ntry: tw.load_task('some/dataset')\nexcept tw.TokenworthError as e: print(e)"
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.startswith("some/dataset: no network, and no copy in the cache"), done.stderr
    assert "Retry" not in done.stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("Couldn't reach"), "no network"),
        (ValueError("Config name is missing. Pick one of: ['a', 'b']"), "several configurations; write x/y:NAME"),
        (FileNotFoundError("Dataset 'x/y' doesn't exist on the Hub"), "no such data set on the hub, or it is private"),
        (RuntimeError("Dataset 'x/y' is a gated dataset"), "access must be requested"),
        (ZeroDivisionError("surprise"), r"cannot be loaded \(surprise\)"),
    ],
)
def test_what_the_library_raises_becomes_one_sentence(monkeypatch, error, message):
    import datasets

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(TaskError, match=message):
        load_task("x/y")


def test_data_sets_made_by_a_script_are_read_from_the_converted_copy(monkeypatch):
    import datasets

    def answer(hub_id, config=None, revision=None):
        if revision is None:
            raise RuntimeError("Dataset scripts are no longer supported, but found x.py")
        return {"train": dataset([{"text": "a", "label": 0}])}

    monkeypatch.setattr(datasets, "load_dataset", answer)
    assert list(hub.load_parts("x/y")) == ["train"]


def test_a_folder_the_library_cannot_read(tmp_path):
    (tmp_path / "README.md").write_text(HEADER)
    with pytest.raises(TaskError, match="the folder cannot be read"):
        load_task(tmp_path)
