"""Texts of several labels: how files say so, how they are divided, and what is refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenworth.errors import SettingError, TaskError
from tokenworth.tasks import load_task
from tokenworth.tasks.split import sample, split, texts_of_each

NAMES = ("anger", "joy", "love")
SETS = [["joy"], ["joy", "love"], [], ["anger"], ["love", "joy"], ["anger", "love"]]
ROWS = [(f"text {i}", SETS[i % 6]) for i in range(60)]


def one_hot(held):
    return [int(name in held) for name in NAMES]


def jsonl(path):
    path.write_text("\n".join(json.dumps({"text": text, "labels": held}) for text, held in ROWS))


def delimited(path):
    path.write_text("text,labels\n" + "".join(f"{text},{'; '.join(held)}\n" for text, held in ROWS))


def columns(path):
    rows = (f"{text},{','.join(map(str, one_hot(held)))},7" for text, held in ROWS)
    path.write_text(f"text,{','.join(NAMES)},rater\n" + "\n".join(rows) + "\n")


def parquet(path):
    pq.write_table(pa.table({"text": [text for text, _ in ROWS], "labels": [held for _, held in ROWS]}), path)


LAYOUTS = {
    "list column": ("a.jsonl", jsonl, {}),
    "delimiter": ("a.csv", delimited, {"delimiter": ";"}),
    "columns": ("a.csv", columns, {"label_columns": NAMES}),
    "columns from one to another": ("a.csv", columns, {"label_columns": ("anger:love",)}),
    "Parquet lists": ("a.parquet", parquet, {}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_task(tmp_path, layout):
    name, write, arguments = LAYOUTS[layout]
    write(tmp_path / name)
    task = load_task(tmp_path / name, **arguments)
    jsonl(tmp_path / "reference.jsonl")
    assert task.several
    assert task.label_names == NAMES
    assert task.fingerprint == load_task(tmp_path / "reference.jsonl").fingerprint
    held = dict(ROWS)
    for text, row in zip(task.train.texts, task.train.labels, strict=True):
        assert row.tolist() == one_hot(held[text])
    assert task.counts["label_sets"]["train"]["sets"] == 5
    assert any("10 texts have none" in note for note in task.notes)


def test_the_layout_of_goemotions(tmp_path):
    """Numbers with commas between them and names of their own, as its files have them; and as lists with names."""
    numbers = [[NAMES.index(name) for name in held] for _, held in ROWS]
    cells = [",".join(map(str, held)) for held in numbers]
    lines = [f"{text}\t{cell}\tid{row}" for row, ((text, _), cell) in enumerate(zip(ROWS, cells, strict=True))]
    lines = [f"{text}\t{cell}\tid{row}" for row, ((text, _), cell) in enumerate(zip(ROWS, cells, strict=True))]
    (tmp_path / "a.tsv").write_text("\n".join(["text\tlabels\tid", *lines]))
    assert load_task(tmp_path / "a.tsv", delimiter=",").label_names == ("0", "1", "2")
    feature = {"feature": {"names": list(NAMES), "_type": "ClassLabel"}, "_type": "Sequence"}
    about = {"info": {"features": {"text": {"dtype": "string", "_type": "Value"}, "labels": feature}}}
    table = pa.table({"text": [text for text, _ in ROWS], "labels": numbers})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(about)}), tmp_path / "a.parquet")
    jsonl(tmp_path / "a.jsonl")
    named = load_task(tmp_path / "a.parquet")
    assert named.label_names == NAMES
    assert named.fingerprint == load_task(tmp_path / "a.jsonl").fingerprint


def test_a_test_file_has_its_label_columns_too(tmp_path):
    for name in ("train.csv", "test.csv"):
        columns(tmp_path / name)
    task = load_task(tmp_path / "train.csv", test=tmp_path / "test.csv", label_columns=NAMES)
    assert task.test.labels.shape == (60, 3)


def test_a_label_set_is_part_of_the_fingerprint(tmp_path):
    jsonl(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").write_text((tmp_path / "a.jsonl").read_text().replace('["anger"]', '["anger", "joy"]', 1))
    assert load_task(tmp_path / "a.jsonl").fingerprint != load_task(tmp_path / "b.jsonl").fingerprint


@pytest.mark.parametrize(
    ("layout", "arguments", "error", "words"),
    [
        ("list column", {"delimiter": ";"}, TaskError, "the label is a list, which needs no delimiter ';'; leave it"),
        ("delimiter", {"delimiter": ""}, TaskError, "delimiter is empty"),
        ("columns", {"label_columns": ("joy",)}, TaskError, "'joy' is one label"),
        ("columns", {"label_columns": ("joy", "rater")}, TaskError, "line 2: label column 'rater' holds '7', not 0 or"),
        ("columns", {"label_columns": ("love:anger",)}, TaskError, "write anger:love"),
        ("columns", {"label_columns": ("joy", "sad")}, TaskError, "no column 'sad'"),
        ("columns", {"label_columns": NAMES, "label": "rater"}, SettingError, "label_columns hold the labels"),
    ],
)
def test_mistakes_are_told_in_a_sentence(tmp_path, layout, arguments, error, words):
    name, write, _ = LAYOUTS[layout]
    write(tmp_path / name)
    with pytest.raises(error, match=words):
        load_task(tmp_path / name, **arguments)


@st.composite
def matrices(draw):
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    labels = rng.random((draw(st.integers(20, 120)), draw(st.integers(2, 6)))) < rng.uniform(0.03, 0.6)
    return labels[:, labels.sum(0) >= 2].astype(np.uint8)


@settings(deadline=None)  # the machine may be busy
@given(matrices(), st.floats(0.1, 0.6), st.integers(0, 9))
def test_split_keeps_two_of_every_label_in_train(labels, share, seed):
    train, test = split(labels, share, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(labels)))
    assert (texts_of_each(labels[train], 0) >= 2).all()
    np.testing.assert_array_equal(test, split(labels, share, seed)[1])


@settings(deadline=None)  # the machine may be busy
@given(matrices(), st.integers(1, 60), st.integers(0, 9))
def test_sample_keeps_two_of_every_label(labels, size, seed):
    rows = sample(labels, size, seed)
    assert (texts_of_each(labels[rows], 0) >= 2).all()
    assert len(rows) >= min(size, len(labels))
    assert len(rows) <= max(size, 2 * labels.shape[1])


def rare_pairs(n=2000, seed=0):
    """Eight frequent labels, each alone in most texts, and 20 pairs of them in 10 texts each."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((n, 8), np.uint8)
    labels[np.arange(n), rng.integers(0, 8, n)] = 1
    pairs = [(a, b) for a in range(8) for b in range(a)][:20]
    rows = rng.permutation(n)[: 10 * len(pairs)].reshape(len(pairs), 10)
    for (a, b), of_pair in zip(pairs, rows, strict=True):
        labels[of_pair] = 0
        labels[np.ix_(of_pair, [a, b])] = 1
    return labels, pairs


def test_split_keeps_rare_pairs_in_proportion():
    """Three of ten texts of every pair are held out, up to one; by chance as many as eight would be, or none."""
    labels, pairs = rare_pairs()
    _, test = split(labels, 0.3, 0)
    of_pair = np.array([(labels[test][:, a] & labels[test][:, b]).sum() for a, b in pairs])
    assert (abs(of_pair - 3) <= 1).all()
    share = texts_of_each(labels[test], 0) / texts_of_each(labels, 0)
    assert (abs(share - 0.3) < 0.01).all()
    assert abs(len(test) - 600) <= 3


def test_groups_stay_on_one_side():
    labels, _ = rare_pairs(400)
    groups = np.arange(400) // 4
    train, test = split(labels, 0.3, 0, groups)
    assert not set(groups[train]) & set(groups[test])
    assert 0.2 < len(test) / 400 < 0.4


def test_what_knows_one_class_a_text_says_so(tmp_path):
    jsonl(tmp_path / "a.jsonl")
    task = load_task(tmp_path / "a.jsonl")
    with pytest.raises(TaskError, match="a: its texts have several labels, and a trace knows one class a text; choose"):
        task.refuse_several("a trace")
