"""What goes wrong with labelled texts, and the sentence a user reads: what, where, what to do."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenworth.errors import SettingError, TaskError
from tokenworth.tasks import load_task

GOOD = "text,label\n" + "".join(f"t{i},{'ab'[i % 2]}\n" for i in range(10))


def jsonl(labels, texts=None):
    texts = texts or [f"t{i}" for i in range(len(labels))]
    return "\n".join(json.dumps({"text": t, "label": y}) for t, y in zip(texts, labels, strict=True))


BAD_FILES = {
    "empty file": ("a.csv", "", ["a.csv is empty", "header line"]),
    "header only": ("a.csv", "text,label\n", ["a.csv holds no rows", "two texts a class"]),
    "no header": ("a.csv", "fine day,a\n" * 9, ["no column has a usual name of the text", "lacks its header line"]),
    "unknown type": ("a.xlsx", "x", ["unknown file type '.xlsx'", ".csv, .tsv, .jsonl, .json, .parquet"]),
    "latin1": ("a.csv", (GOOD + "caf\xe9,a\n").encode("latin1"),
        ["a.csv, line 12", "byte 0xe9 at offset 64", "iconv -f windows-1252 -t utf-8 a.csv > utf8-a.csv"]),
    "utf-16 cut short": ("a.csv", GOOD.encode("utf-16")[:-1],
        ["a.csv breaks off after", "its mark says utf-16-le", "copy the file again"]),
    "binary": ("a.csv", b"PK\3\4\0\0", ["a.csv is binary, not text", "export it as text or Parquet"]),
    "field too many": ("a.csv", GOOD + "one,two,a\n",
        ["a.csv, line 12: 3 fields where the header has 2", "double quotes"]),
    "field too few": ("a.csv", GOOD + "lonely\n", ["a.csv, line 12: 1 fields where the header has 2"]),
    "line after a break": ("a.csv", GOOD + '"a\nb",a\nlonely\n', ["a.csv, line 14: 1 fields"]),
    "open quote": ("a.csv", GOOD + 'x,a\n"never, closed,a\nx,b\n',
        ["a.csv, line 13: the row that starts here is malformed", "quote marks that do not pair"]),
    "text after quote": ("a.csv", GOOD + '"x"y, z,a\n',
        ["line 12: the row that starts here is malformed", "quotes inside doubled"]),
    "ragged tsv": ("a.tsv", GOOD.replace(",", "\t") + "x\n", ["a.tsv, line 12: 1 fields where the header has 2"]),
    "same name twice": ("a.csv", "text,label,text\na,b,c\n", ["names column 'text' more than once"]),
    "bad json": ("a.jsonl", '{"text": "a", "label": 1}\n{"text": \n', ["a.jsonl, line 2: not valid JSON at column 10"]),
    "deep json": ("a.jsonl", '{"text":' + "[" * 100_000, ["a.jsonl, line 1", "JSON"]),
    "json of numbers": ("a.jsonl", "1\n2\n", ["a.jsonl, line 1: expected an object", "found int"]),
    "cut-off parquet": ("a.parquet", b"PAR1 nonsense",
        ["a.parquet: cannot be read as Parquet", "export the file again"]),
    "no text column": ("a.csv", "words,label\na,b\n",
        ["no column has a usual name of the text", "'words', 'label'", "text="]),
    "no usual names": ("a.csv", "Was steht da,Sorte\n" + "one of several sentences,a\n" * 9,
        ["no column has a usual name of the text or of the label", "name them with --text (in Python text=) and",
         "such as --text 'Was steht da'"]),
    "no label column": ("a.csv", "text,mood\na,b\n",
        ["no column has a usual name of the label", "'text', 'mood'", "label="]),
    "two text columns": ("a.csv", "title,body,label\na,b,c\n",
        ["columns 'body', 'title' could all hold the text", "text="]),
    "two label columns": ("a.csv", "text,topic,stars\na,b,c\n",
        ["'stars', 'topic' could all hold the label", "label="]),
    "two pairs": ("a.csv", "premise,hypothesis,text_a,text_b,label\na,b,c,d,e\n",
                  ["premise + hypothesis or text_a + text_b", "text_pair="]),
    "real numbers": ("a.csv", "text,label\n" + "".join(f"t{i},{i / 7:.3f}\n" for i in range(10)),
                     ["a.csv, line 3: label 0.143 is a real number", "regression is not supported"]),
    "real json numbers": ("a.jsonl", jsonl([1.0, 2.5, 1.0]), ["a.jsonl, line 2: label 2.5 is a real number"]),
    "infinity": ("a.jsonl", jsonl([1.0, float("inf"), 1.0]), ["a.jsonl, line 2: label inf is a real number"]),
    "a label that is an object": ("a.jsonl", jsonl([{"a": 1}, {"b": 1}]), ["a.jsonl, line 1: the label is a dict"]),
    "lists and strings": ("a.jsonl", jsonl([["a", "b"], ["b"], "a", ["a"]]),
        ["a.jsonl, line 3: the label is 'a', no list", "other rows hold lists", "[] where it has none"]),
    "lists and nothing": ("a.jsonl", jsonl([["a", "b"], None]),
        ["a.jsonl, line 2: the label is missing", "a list, []"]),
    "lists of lists": ("a.jsonl", jsonl([["a", ["b"]], ["a"]]), ["a.jsonl, line 1: a label in the list is itself a"]),
    "empty lists": ("a.jsonl", jsonl([[], []]), ["no training text has a label", "label="]),
    "a label of one text": ("a.jsonl", jsonl([["a", "b"], ["a"]]), ["fewer than two training texts in class 'b'"]),
    "one class": ("a.jsonl", jsonl(["a"] * 9), ["every row has the label 'a'", "two classes"]),
    "lone text of a class": ("a.jsonl", jsonl(["a", "a", "a", "b"]),
        ["fewer than two training texts in class 'b'", "merge"]),
    "ids as labels": ("a.jsonl", jsonl([f"id{i}" for i in range(30)] * 1), ["30 different labels in 30 rows", "ids"]),
    "label missing": ("a.jsonl", jsonl(["a", None, "b", " "]),
        ["a.jsonl, line 2: the label is missing (and in 1 more rows)"]),
    "label missing in csv": ("a.csv", GOOD + "x,\n", ["a.csv, line 12: the label is missing; label these rows"]),
    "text missing": ("a.jsonl", jsonl(["a", "b"], ["x", None]), ["a.jsonl, line 2: column 'text' has no text"]),
    "text is a number": ("a.jsonl", jsonl(["a", "b"], ["x", 3]),
        ["a.jsonl, line 2: column 'text' holds int values", "text="]),
    "half a character": ("a.jsonl", jsonl(["a", "b"], ["x", "\ud83d"]), ["a.jsonl, line 2", "lone surrogate"]),
    "too few to split": ("a.jsonl", jsonl(["a", "a", "b", "b"]), ["4 texts are too few to hold out", "test="]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES, ids=str)
def test_bad_file(tmp_path, case):
    name, content, expected = BAD_FILES[case]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TaskError) as caught:
        load_task(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in expected:
        assert part in message


BAD_CALLS = {
    "no such text column": ({"text": "textt"}, ["no column 'textt'", "'text', 'label'", "did you mean 'text'?"]),
    "no such pair column": ({"text_pair": "other"}, ["no column 'other'"]),
    "no such label column": ({"label": "zzz"}, ["no column 'zzz'; its columns are 'text', 'label'"]),
    "no such group column": ({"group": "user"}, ["no column 'user'"]),
    "one column for both": ({"text": "label", "label": "label"}, ["'label' cannot be both text and label"]),
    "pair of one column": ({"text": "text", "text_pair": "text"}, ["both texts of the pair"]),
    "no such test file": ({"test": "gone.csv"}, ["gone.csv: no such file"]),
}


@pytest.mark.parametrize("case", BAD_CALLS, ids=str)
def test_bad_argument(tmp_path, case):
    (tmp_path / "a.csv").write_text(GOOD)
    arguments, expected = BAD_CALLS[case]
    with pytest.raises(TaskError) as caught:
        load_task(tmp_path / "a.csv", **arguments)
    for part in expected:
        assert part in str(caught.value)


@pytest.mark.parametrize("arguments", [{"test": 0}, {"test": 1.0}, {"test": "1.5"}, {"max_texts": 0}], ids=str)
def test_settings_outside_their_range(tmp_path, arguments):
    (tmp_path / "a.csv").write_text(GOOD)
    with pytest.raises(SettingError, match=r"(test|max_texts) = .*give a"):
        load_task(tmp_path / "a.csv", **arguments)


def test_group_missing_in_a_row(tmp_path):
    (tmp_path / "a.csv").write_text("text,label,user\nx,a,u1\ny,b,\n")
    with pytest.raises(TaskError, match=r"a\.csv, line 3: column 'user' names no group"):
        load_task(tmp_path / "a.csv", group="user")


def test_parquet_rows_and_missing_numbers_are_named_by_row(tmp_path):
    pq.write_table(pa.table({"text": ["x", "y", "z"], "label": [1.0, None, 1.0]}), tmp_path / "a.parquet")
    with pytest.raises(TaskError, match=r"a\.parquet, row 2: the label is missing"):
        load_task(tmp_path / "a.parquet")


def test_parquet_text_that_is_not_utf8(tmp_path):
    bad = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xe9"))
    pq.write_table(pa.table({"text": bad, "label": [0, 1]}), tmp_path / "a.parquet")
    with pytest.raises(TaskError, match="bytes that are not UTF-8"):
        load_task(tmp_path / "a.parquet")


def test_paths_that_are_not_there(tmp_path, monkeypatch):
    (tmp_path / "reviews.csv").write_text(GOOD)
    with pytest.raises(TaskError, match=r"review\.csv: no such file or folder; did you mean .*reviews\.csv\?"):
        load_task(tmp_path / "review.csv")
    with pytest.raises(TaskError, match=r"there is no folder .*nowhere"):
        load_task(tmp_path / "nowhere" / "a.csv")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TaskError, match=r"no such file or folder"):
        load_task("other.jsonl")
    with pytest.raises(TaskError, match=r"neither a file nor a folder nor an identifier.*banking77"):
        load_task("what is this?")


def test_folders_that_hold_no_task(tmp_path):
    with pytest.raises(TaskError, match=r"no train\.\* file in this folder \(in it: nothing\)"):
        load_task(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "test.csv").write_text(GOOD)
    (tmp_path / "val.csv").write_text(GOOD)
    with pytest.raises(TaskError, match="no part is called train; there are test, validation"):
        load_task(tmp_path)
    (tmp_path / "train.csv").write_text(GOOD)
    (tmp_path / "train.tsv").write_text(GOOD)
    with pytest.raises(TaskError, match=r"train\.csv and train\.tsv are both the train part"):
        load_task(tmp_path)


@pytest.mark.parametrize(
    ("meta", "message"),
    [("{", "not a JSON object"), ('{"label_names": "ab"}', "must be a list of strings"),
     ('{"label_names": ["a", "b"]}', "train.jsonl, line 3: label 2 is not one of the 2 named classes")],
)  # fmt: skip
def test_meta_that_does_not_fit(tmp_path, meta, message):
    (tmp_path / "train.jsonl").write_text(jsonl([0, 1, 2] * 4))
    (tmp_path / "meta.json").write_text(meta)
    with pytest.raises(TaskError) as caught:
        load_task(tmp_path)
    assert message in str(caught.value)


def test_label_in_test_that_train_never_saw(tmp_path):
    (tmp_path / "train.jsonl").write_text(jsonl(["a", "b"] * 5))
    (tmp_path / "test.jsonl").write_text(jsonl(["a", "b", "c", "d", "c"]))
    with pytest.raises(TaskError, match=r"test\.jsonl, line 3: test label 'c', 'd' does not occur in train"):
        load_task(tmp_path)


def test_removing_the_overlap_must_leave_two_of_a_class(tmp_path):
    (tmp_path / "train.jsonl").write_text(jsonl(["a", "b"] * 5))
    (tmp_path / "test.jsonl").write_text(jsonl(["a", "b"] * 5))
    with pytest.raises(TaskError, match="leaves fewer than two in class 'a'"):
        load_task(tmp_path, drop_overlap=True)


def test_unreadable_file(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text(GOOD)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("tokenworth.files.streams._stream", refuse)
    with pytest.raises(TaskError, match=r"a\.csv cannot be read \(Permission denied\); check its permissions"):
        load_task(tmp_path / "a.csv")
