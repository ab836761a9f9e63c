"""load_task on files and folders: formats, columns, labels, parts, overlap, sampling, fingerprint."""

import csv
import json
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenworth.errors import TaskError
from tokenworth.tasks import load_task

WORDS = ["fine", "good, really", 'so "so"', "line\nbreak", "schön", "  ", "NA", "null", "tab\there", "1.5"]
ROWS = [{"text": f"{WORDS[i % 10]} {i}", "label": "pos" if i % 3 else "neg"} for i in range(60)]


def write_csv(path, rows, delimiter=",", encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, rows[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return path


def write_parquet(path, rows):
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def all_texts(task):
    return sorted([*task.train.texts, *task.test.texts])


@pytest.mark.parametrize(
    "write",
    [
        lambda p: write_csv(p / "a.csv", ROWS),
        lambda p: write_csv(p / "bom.csv", ROWS, encoding="utf-8-sig"),
        lambda p: write_csv(p / "semicolon.csv", ROWS, ";"),
        lambda p: write_csv(p / "a.tsv", ROWS, "\t"),
        lambda p: write_jsonl(p / "a.jsonl", ROWS),
        lambda p: write_jsonl(p / "lines.json", ROWS),
        lambda p: write_parquet(p / "a.parquet", ROWS),
    ],
    ids=["csv", "csv with a byte-order mark", "csv with semicolons", "tsv", "jsonl", "json lines", "parquet"],
)
def test_every_format_gives_the_same_task(tmp_path, write):
    task = load_task(write(tmp_path))
    reference = load_task(write_jsonl(tmp_path / "reference.jsonl", ROWS))
    assert all_texts(task) == sorted(row["text"] for row in ROWS)
    assert task.label_names == ("neg", "pos")
    assert task.fingerprint == reference.fingerprint


def test_json_list_of_objects(tmp_path):
    path = tmp_path / "list.json"
    path.write_text(json.dumps(ROWS, indent=1), "utf-8")
    assert load_task(path).fingerprint == load_task(write_jsonl(tmp_path / "a.jsonl", ROWS)).fingerprint


def test_a_lone_quote_in_a_tsv_swallows_nothing(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("label\ttext\n" + "".join(f'{"ab"[i % 2]}\t"quote opens {i}\n' for i in range(10)))
    task = load_task(path)
    assert all_texts(task) == [f'"quote opens {i}' for i in range(10)]


def test_labels_stay_with_their_texts(tmp_path):
    task = load_task(write_csv(tmp_path / "a.csv", ROWS))
    truth = {row["text"]: row["label"] for row in ROWS}
    for part in (task.train, task.test):
        assert part.labels.dtype == np.int64
        assert [task.label_names[label] for label in part.labels] == [truth[text] for text in part.texts]


def test_default_split_is_seventy_thirty_stratified_and_seeded(tmp_path):
    path = write_csv(tmp_path / "a.csv", ROWS)
    task = load_task(path)
    assert task.counts["classes"] == {"train": [14, 28], "test": [6, 12]}
    assert task.fingerprint == load_task(path).fingerprint
    assert task.fingerprint != load_task(path, seed=1).fingerprint
    assert load_task(path, test=0.5).counts["rows"] == {"train": 30, "test": 30}
    assert any("18 of 60 texts held out as test (stratified by class, seed 0)" in note for note in task.notes)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([10, 9, -1], ("-1", "9", "10")),
        (["10", "9", "-1"], ("-1", "9", "10")),
        ([1.0, 2.0, 11.0], ("1", "2", "11")),
        (["1.0", "2.0", "11.0"], ("1", "2", "11")),
        (["b", " a", "a "], ("a", "b")),
        ([True, False], ("false", "true")),
        (["01", "1", "2"], ("01", "1", "2")),
        ([1, "x"], ("1", "x")),
        (["nan", "inf"], ("inf", "nan")),
    ],
)
def test_classes_are_sorted_as_what_they_are(tmp_path, labels, names):
    rows = [{"text": f"t{i}", "label": labels[i % len(labels)]} for i in range(30)]
    assert load_task(write_jsonl(tmp_path / "a.jsonl", rows)).label_names == names


def test_labels_that_look_alike_are_one_class_and_that_is_said(tmp_path):
    """Composed and decomposed, with characters that show nothing: five classes were read."""
    labels = ["réclamation", "re\u0301clamation", "réclamation\u200b", "éloge", "e\u0301loge\u00ad"]
    rows = [{"text": f"t{i}", "label": labels[i % 5]} for i in range(50)]
    task = load_task(write_jsonl(tmp_path / "a.jsonl", rows))
    assert task.label_names == ("réclamation", "éloge")
    (note,) = [note for note in task.notes if note.startswith("Labels that differ only")]
    assert "'réclamation' (3 ways), 'éloge' (2 ways); 30 rows were written otherwise" in note
    write_jsonl(tmp_path / "train.jsonl", [{**row, "label": "éloge" if i % 2 else "b"} for i, row in enumerate(rows)])
    write_jsonl(tmp_path / "test.jsonl", [{"text": "x", "label": "e\u0301loge"}, {"text": "y", "label": "b"}])
    assert load_task(tmp_path).label_names == ("b", "éloge")


def test_joiners_inside_a_label_tell_classes_apart(tmp_path):
    family, three = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\U0001f469\U0001f467"
    rows = [{"text": f"t{i}", "label": (family, three)[i % 2]} for i in range(20)]
    assert load_task(write_jsonl(tmp_path / "a.jsonl", rows)).n_classes == 2


def test_a_label_that_shows_nothing_is_missing(tmp_path):
    rows = [{"text": f"t{i}", "label": "\u200b" if i == 3 else "ab"[i % 2]} for i in range(20)]
    with pytest.raises(TaskError, match=r"a\.jsonl, line 4: the label is missing"):
        load_task(write_jsonl(tmp_path / "a.jsonl", rows))


def test_overlap_is_found_in_any_unicode_form(tmp_path):
    rows = [{"text": f"déjà vu {i}", "label": i % 2} for i in range(20)]
    write_jsonl(tmp_path / "train.jsonl", rows)
    write_jsonl(
        tmp_path / "test.jsonl", [{**row, "text": unicodedata.normalize("NFD", row["text"])} for row in rows[:4]]
    )
    assert load_task(tmp_path).counts["overlap"] == 4
    assert len(load_task(tmp_path, drop_overlap=True).train) == 16


def test_groups_that_look_alike_are_one_group(tmp_path):
    """Or texts of one user would stand on both sides of the split."""
    users = ["José", "Jose\u0301", "José "]
    rows = [{"text": f"t{i}", "label": i % 2, "user": f"{users[i % 3]}{i // 12}"} for i in range(72)]
    task = load_task(write_jsonl(tmp_path / "a.jsonl", rows), group="user")
    ids = {*task.train.groups.tolist(), *task.test.groups.tolist()}
    assert len(ids) == 12  # six users; "José 1" has a space inside
    assert not set(task.train.groups) & set(task.test.groups)


def test_columns_are_found_in_any_case_and_named_ones_win(tmp_path):
    rows = [
        {"id": i, "Title": f"title {i}", "Review": f"review {i}", "Sentiment": i % 2, "topic": i % 3} for i in range(30)
    ]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    task = load_task(path, text="review", label="topic")
    assert all_texts(task)[0] == "review 0"
    assert task.n_classes == 3


@pytest.mark.parametrize("names", [("premise", "hypothesis"), ("Question1", "question2"), ("text_a", "text_b")])
def test_pairs_are_found_and_joined_in_every_row(tmp_path, names):
    rows = [{names[0]: f"first {i}", names[1]: f"second {i}", "label": i % 2} for i in range(40)]
    task = load_task(write_csv(tmp_path / "a.csv", rows))
    assert all_texts(task) == sorted(f"first {i} second {i}" for i in range(40))
    assert any("joined by a space in every row" in note for note in task.notes)


def test_pairs_can_be_named_and_a_text_column_counts_as_joined(tmp_path):
    rows = [{"text": f"whole {i}", "text_a": "a", "text_b": f"b{i}", "label": i % 2} for i in range(40)]
    path = write_csv(tmp_path / "a.csv", rows)
    assert all_texts(load_task(path))[0] == "whole 0"
    assert all_texts(load_task(path, text="text_b", text_pair="text_a"))[0] == "b0 a"
    assert all_texts(load_task(path, text_pair="text_b"))[0] == "a b0"


def test_test_file_and_folder_of_files_agree(tmp_path):
    write_csv(tmp_path / "train.csv", ROWS[:40])
    write_jsonl(tmp_path / "test.jsonl", [{"TEXT": row["text"], "Label": row["label"]} for row in ROWS[40:]])
    by_file = load_task(tmp_path / "train.csv", test=tmp_path / "test.jsonl")
    by_folder = load_task(tmp_path)
    assert by_file.test.texts == [row["text"] for row in ROWS[40:]]
    assert by_file.fingerprint == by_folder.fingerprint
    assert by_folder.name == tmp_path.name


def test_a_share_divides_given_parts_anew(tmp_path):
    write_csv(tmp_path / "train.csv", ROWS[:40])
    write_csv(tmp_path / "test.csv", ROWS[40:])
    task = load_task(tmp_path, test=0.5)
    assert task.counts["rows"] == {"train": 30, "test": 30}
    assert any("divided anew" in note for note in task.notes)


def test_meta_names_integer_labels_and_marks_rows_without_one(tmp_path):
    rows = [{"text": f"t{i}", "label": i % 3 - 1, "other": i % 2} for i in range(60)]
    write_parquet(tmp_path / "train.parquet", rows[:40])
    write_parquet(tmp_path / "test.parquet", rows[40:])
    (tmp_path / "meta.json").write_text(json.dumps({"label_names": ["zero", "one", "two"]}))
    task = load_task(tmp_path)
    assert task.label_names == ("zero", "one")
    assert task.counts["rows"] == {"train": 26, "test": 14}
    assert any("14 rows" in note and "-1" in note for note in task.notes)
    assert any("1 of the 3 named classes have no texts" in note for note in task.notes)
    assert load_task(tmp_path, label="other").label_names == ("0", "1")


def test_test_part_without_labels_is_said_and_not_used(tmp_path):
    write_csv(tmp_path / "train.csv", ROWS)
    write_csv(tmp_path / "test.csv", [{"text": "hidden"}])
    task = load_task(tmp_path)
    assert len(task.train) + len(task.test) == 60
    assert any("test part has no labels" in note for note in task.notes)
    write_csv(tmp_path / "dev.csv", ROWS[:30])
    task = load_task(tmp_path)
    assert len(task.test) == 30
    assert any("validation part is used as test" in note for note in task.notes)


def test_overlap_is_counted_and_removed_from_train_only(tmp_path):
    rows = [{"text": f"t{i}", "label": i % 2} for i in range(40)]
    write_jsonl(tmp_path / "train.jsonl", rows)
    write_jsonl(tmp_path / "test.jsonl", [{"text": f" t{i}\n", "label": i % 2} for i in range(36, 46)])
    task = load_task(tmp_path)
    assert task.counts["overlap"] == 4
    assert any("4 test texts also stand in train" in note for note in task.notes)
    clean = load_task(tmp_path, drop_overlap=True)
    assert clean.train.texts == [f"t{i}" for i in range(36)]
    assert clean.test.texts == task.test.texts
    assert clean.counts["overlap"] == 0
    assert any("4 training texts removed" in note for note in clean.notes)


def test_groups_stay_on_one_side_and_shared_ones_are_reported(tmp_path):
    rows = [{"text": f"t{i}", "label": i % 2, "user": f"u{i // 4}"} for i in range(80)]
    path = write_csv(tmp_path / "train.csv", rows)
    task = load_task(path, group="user")
    assert not set(task.train.groups) & set(task.test.groups)
    assert load_task(path).train.groups is None
    user = {row["text"]: row["user"] for row in rows}
    ids = [*zip([user[t] for t in task.train.texts], task.train.groups, strict=True)]
    assert len(set(ids)) == len({name for name, _ in ids})
    write_csv(tmp_path / "test.csv", [{"text": f"new{i}", "label": i % 2, "user": f"u{i}"} for i in range(30)])
    shared = load_task(tmp_path, group="user")
    assert shared.counts["shared_groups"] == 20
    assert any("20 test texts share their group" in note for note in shared.notes)
    assert load_task(tmp_path, group="user", test=0.3).counts["shared_groups"] == 0


def test_empty_texts_are_kept_counted_and_noted(tmp_path):
    rows = [{"text": " " if i < 2 else f"t{i}", "label": i % 2} for i in range(40)]
    task = load_task(write_csv(tmp_path / "a.csv", rows))
    assert sum(task.counts["empty"].values()) == 2
    assert any("are empty" in note for note in task.notes)
    assert sum(task.counts["rows"].values()) == 40


def test_counts_of_characters(tmp_path):
    write_csv(tmp_path / "train.csv", [{"text": "x" * n, "label": n % 2} for n in (1, 2, 3, 6)])
    write_csv(tmp_path / "test.csv", [{"text": "y" * n, "label": n % 2} for n in (5, 8)])
    assert load_task(tmp_path).counts["characters"] == {"train": {"mean": 3, "max": 6}, "test": {"mean": 6.5, "max": 8}}


def test_sampling_applies_to_each_part_and_to_a_loaded_task(tmp_path):
    path = write_csv(tmp_path / "a.csv", [{"text": f"t{i}", "label": int(i % 20 == 0)} for i in range(200)])
    task = load_task(path, max_texts=30)
    assert task.counts["rows"] == {"train": 30, "test": 30}
    assert min(task.counts["classes"]["train"] + task.counts["classes"]["test"]) >= 2
    assert task.fingerprint == load_task(path).sample(30).fingerprint
    assert task.fingerprint != load_task(path).sample(30, seed=5).fingerprint
    assert load_task(path).sample(10_000).fingerprint == load_task(path).fingerprint
    assert any("30 of 140 training and 30 of 60 test texts" in note for note in task.notes)


@pytest.mark.parametrize(
    "change",
    [
        lambda train, test: train[0].update(text="t0!"),
        lambda train, test: train[0].update(label="b"),
        lambda train, test: [row.update(label=row["label"].upper()) for row in (*train, *test)],
        lambda train, test: test.append(train.pop()),
        lambda train, test: (train[0].update(text="t0t"), train[1].update(text="1")),
        lambda train, test: test.reverse(),
    ],
    ids=["text", "label", "label names", "split", "border between texts", "order"],
)
def test_fingerprint_changes_with_what_is_in_the_task_only(tmp_path, change):
    train, test = ([{"text": f"t{i}", "label": "ab"[i % 2]} for i in rows] for rows in (range(20), range(20, 30)))
    prints = []
    for folder in ("one", "two", "three"):
        if folder == "three":
            change(train, test)
        (tmp_path / folder).mkdir()
        write_jsonl(tmp_path / folder / "train.jsonl", train)
        write_jsonl(tmp_path / folder / "test.jsonl", test)
        prints.append(load_task(tmp_path / folder).fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_two_texts_of_a_class_stay_in_train(tmp_path):
    rows = [{"text": f"t{i}", "label": "rare" if i < 2 else "often"} for i in range(20)]
    task = load_task(write_csv(tmp_path / "a.csv", rows))
    assert task.counts["classes"] == {"train": [12, 2], "test": [6, 0]}
