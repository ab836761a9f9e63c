"""One reader: whatever a table looks like, tasks, corpora and pretraining read the same rows of it, or say the same."""

import gzip
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenworth.corpus import Document
from tokenworth.corpus.corpus_settings import Corpus, Source
from tokenworth.corpus.readers.refusals import Refused
from tokenworth.corpus.readers.sources import parts_of, read_part
from tokenworth.errors import FileError, SettingError, TaskError, TokenworthError
from tokenworth.files import Delimited, Fault, files_of, saved_parts
from tokenworth.measures.token_rows import documents_of
from tokenworth.pretraining import SourceConfig
from tokenworth.tasks import load_task
from tokenworth.tasks.table_files import read_table
from tokenworth.tokenizers.document_stream import stream_documents

TEXTS = [f"Item {i}, really; said the {'neighbour' if i % 2 else 'café'} of house {i}" for i in range(12)]


def in_corpus(path, **settings):
    """Documents of a corpus source, and the sentences of what was refused."""
    source = Source(name="s", path=str(path), **settings)
    parts = parts_of(Corpus(name="c", sources=(source,), stages=()), source)
    found = [item for part in parts for _, _, item in read_part(part, max_bytes=10**6)]
    texts = [one.text for one in found if isinstance(one, Document)]
    return texts, [one.sentence for one in found if isinstance(one, Refused)]


def in_pretraining(path, **settings):
    return list(stream_documents("s", SourceConfig(path=str(path), **settings)))


def table(delimiter=",", end="\n", header="text,label", quote=True):
    """TEXTS with labels, those quoted that hold the delimiter."""
    lines = [header.replace(",", delimiter)]
    for i, text in enumerate(TEXTS):
        cell = f'"{text}"' if quote and delimiter in text else text
        lines.append(f"{cell}{delimiter}{'ab'[i % 2]}")
    return end.join(lines) + end


LONE = table().replace(f'"{TEXTS[4]}"', '"Great value 4')
"""A quote that is opened and never closed: by the letter of CSV it swallows the lines after it."""

FORMS = {
    "plain.csv": (table(), TEXTS),
    "semicolons.csv": (table(";"), TEXTS),
    "comma in a header with semicolons.csv": (table(";", header='text,label').replace("label", '"label"', 1), TEXTS),
    "tabs.csv": (table("\t"), TEXTS),
    "bars.csv": (table("|"), TEXTS),
    "sep.csv": ("sep=;\r\n" + table(";", "\r\n"), TEXTS),
    "quoted sep.csv": ('"sep=;"\n' + table(";"), TEXTS),
    "old mac.csv": (table(end="\r"), TEXTS),
    "windows.csv": (table(end="\r\n"), TEXTS),
    "mark.csv": ("\ufeff" + table(), TEXTS),
    "tabs.tsv": (table("\t"), TEXTS),
    "commas.tsv": (table(), TEXTS),
    "unnamed columns.csv": (table(header="text,label,,").replace(",a\n", ",a,,\n").replace(",b\n", ",b,,\n"), TEXTS),
    "unnamed index.csv": ("\n".join(f"{i}{line}" if i else line for i, line in
        enumerate("," + line for line in table().splitlines())), TEXTS),
    "invisible header.csv": (table(header="text\u200b,label\u200b"), TEXTS),
    "lone quote.csv": (LONE, [*TEXTS[:4], '"Great value 4', *TEXTS[5:]]),
    "lone quote.tsv": (table("\t").replace(TEXTS[4], f'"{TEXTS[4]}'), [*TEXTS[:4], f'"{TEXTS[4]}', *TEXTS[5:]]),
    "two lone quotes.tsv": (table("\t").replace(TEXTS[2], f'"{TEXTS[2]}').replace(TEXTS[7], f'{TEXTS[7]}"'),
        [*TEXTS[:2], f'"{TEXTS[2]}', *TEXTS[3:7], f'{TEXTS[7]}"', *TEXTS[8:]]),
    "inches.csv": (table().replace(f'"{TEXTS[3]}"', 'a 5" pipe'), [*TEXTS[:3], 'a 5" pipe', *TEXTS[4:]]),
    "word in quotes.csv": (table().replace(f'"{TEXTS[3]}"', '"so" he said'), [*TEXTS[:3], '"so" he said', *TEXTS[4:]]),
    "line breaks.csv": (table().replace(TEXTS[5], "one\n\ntwo, three\nfour"),
        [*TEXTS[:5], "one\n\ntwo, three\nfour", *TEXTS[6:]]),
    "line breaks.tsv": (table("\t").replace(TEXTS[5], '"one\n\ntwo"'), [*TEXTS[:5], "one\n\ntwo", *TEXTS[6:]]),
    "verse.csv": (table().replace(TEXTS[5], "roses, red\nviolets, blue\nsugar, sweet\nfour"),
        [*TEXTS[:5], "roses, red\nviolets, blue\nsugar, sweet\nfour", *TEXTS[6:]]),
    "long text.csv": (table().replace(TEXTS[5], "one, " + "two " * 50_000), [*TEXTS[:5], "one, " + "two " * 50_000,
        *TEXTS[6:]]),
    "doubled quotes.csv": (table().replace(TEXTS[5], 'so ""so"", he'), [*TEXTS[:5], 'so "so", he', *TEXTS[6:]]),
    "rows.jsonl": ("\n".join(json.dumps({"text": text, "label": "ab"[i % 2]}) for i, text in enumerate(TEXTS)), TEXTS),
    "marked.jsonl": ("\ufeff" + "\n".join(json.dumps({"text": text, "label": "ab"[i % 2]}, ensure_ascii=False)
        for i, text in enumerate(TEXTS)), TEXTS),
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8.gz"])
@pytest.mark.parametrize("name", FORMS)
def test_tasks_corpora_and_pretraining_read_the_same_rows(tmp_path, name, encoding):
    content, expected = FORMS[name]
    path = tmp_path / (name + encoding[5:] if encoding.endswith("gz") else name)
    data = (content.removeprefix("\ufeff") if encoding == "utf-16" else content).encode(encoding.removesuffix(".gz"))
    path.write_bytes(gzip.compress(data) if encoding.endswith("gz") else data)
    task = load_task(path)
    assert sorted([*task.train.texts, *task.test.texts]) == sorted(expected)
    assert task.label_names == ("a", "b")
    assert in_corpus(path) == (expected, [])
    assert in_pretraining(path) == expected
    assert documents_of([path]) == expected


def test_two_quotes_that_close_each_other_lines_apart_swallow_no_rows(tmp_path):
    """By the letter of CSV lines 4 to 9 are one long text; each of them is a row with a label known from others."""
    rows = [f"house {i},{'ab'[i % 2]}" for i in range(12)]
    rows[2], rows[7] = '"house 2,a', 'house 7",b'
    (tmp_path / "a.csv").write_text("text,label\n" + "\n".join(rows))
    found = read_table(tmp_path / "a.csv")
    assert found.columns["text"] == [row.rpartition(",")[0] for row in rows]
    assert found.notes == ("Rows of a.csv with quote marks that do not pair, read as part of the text: 1.",)


def test_lone_quotes_are_counted_for_a_task(tmp_path):
    (tmp_path / "a.csv").write_text(LONE)
    notes = load_task(tmp_path / "a.csv").notes
    assert "Rows of a.csv with quote marks that do not pair, read as part of the text: 1." in notes


def test_a_comma_too_many_is_not_hidden_by_an_unnamed_column(tmp_path):
    (tmp_path / "a.csv").write_text("text,label,\ngood,a,\nbad, really,b\n")
    with pytest.raises(TaskError, match=r"a\.csv, line 3: 3 fields where the header has 2"):
        load_task(tmp_path / "a.csv")


def test_a_repeated_column_is_one_sentence_everywhere(tmp_path):
    (tmp_path / "a.csv").write_text("text,label,text\na,b,c\n")
    columns = [pa.array(["x", "y"])] * 3
    pq.write_table(pa.Table.from_arrays(columns, names=["text", "label", "text"]), tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        sentence = "names column 'text' more than once; rename one of them"
        with pytest.raises(TaskError, match=sentence):
            load_task(tmp_path / name)
        assert [sentence in said for said in in_corpus(tmp_path / name)[1]] == [True]
        with pytest.raises(SettingError, match=sentence):
            in_pretraining(tmp_path / name)


NULLS = ['{"text": "one", "label": "a"}', '{"text": null, "label": "a"}', '{"text": "", "label": "b"}',
         '{"text": 5, "label": "b"}', '{"text": "two", "label": "b"}']  # fmt: skip


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_rows_without_text_are_counted_and_left_out(tmp_path, name, caplog):
    """Never the text 'None'."""
    rows = [json.loads(line) for line in NULLS]
    if name == "a.parquet":
        rows = [row for row in rows if row["text"] != 5]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    else:
        (tmp_path / name).write_text("\n".join(NULLS))
    assert in_pretraining(tmp_path / name) == ["one", "two"]
    assert f"source s: {len(rows) - 2} rows without text are left out" in caplog.text
    texts, said = in_corpus(tmp_path / name)
    assert texts == ["one", "two"]
    assert [": no text in text; there are text" in one for one in said] == [True] * (len(rows) - 2)
    with pytest.raises(TaskError, match=r"row 2|line 2"):
        load_task(tmp_path / name)


def test_a_source_without_any_text_is_an_error(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": null}\n' * 7)
    with pytest.raises(SettingError, match="none of its 7 rows has any text"):
        in_pretraining(tmp_path / "a.jsonl")


def test_texts_with_a_mark_are_read_without_it(tmp_path):
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        (tmp_path / "a.txt").write_bytes("one é\r\n\r\ntwo".encode(encoding))
        assert in_pretraining(tmp_path / "a.txt") == ["one é", "two"]
        assert in_corpus(tmp_path / "a.txt", documents="paragraphs") == (["one é", "two"], [])
        assert documents_of([tmp_path / "a.txt"]) == ["one é", "two"]


def test_half_characters_are_replaced_in_corpora_and_refused_as_labels(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a \\ud83d b", "label": "x"}\n')
    assert in_corpus(tmp_path / "a.jsonl") == (["a \ufffd b"], [])
    assert in_pretraining(tmp_path / "a.jsonl") == ["a \ufffd b"]
    rows = [{"text": f"t{i}", "label": "x\ud83d" if i % 2 else "y"} for i in range(8)]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(TaskError, match=r"b\.jsonl, line 2: the label holds half a character"):
        load_task(tmp_path / "b.jsonl")


MALFORMED = {
    "long number": ('{"text": "a", "label": ' + "1" * 5000 + "}", "line 1: a number is too long to read"),
    "deep": ('{"text": "a", "label": ' + "[" * 20_000, "line 1: (JSON nested too deeply|not valid JSON)"),
    "half a key": ('{"text": "a", "label\\ud83d": "b"}', "line 1: a key holds half a character"),
    "list": ("[1, 2]", "line 1: expected an object .* found list"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_json_is_one_sentence_everywhere(tmp_path, case):
    content, sentence = MALFORMED[case]
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(TaskError, match=sentence):
        load_task(tmp_path / "a.jsonl")
    with pytest.raises(SettingError, match=sentence):
        in_pretraining(tmp_path / "a.jsonl")
    texts, (said,) = in_corpus(tmp_path / "a.jsonl")
    assert texts == []
    assert "\n" not in said


@pytest.mark.parametrize("label", [10**30, "1" * 5000, "1e999", 1e300])
def test_huge_numbers_are_labels_like_others(tmp_path, label):
    rows = [{"text": f"t{i}", "label": label if i % 2 else 1} for i in range(20)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert load_task(tmp_path / "a.jsonl").n_classes == 2


def test_a_class_name_with_half_a_character_is_refused(tmp_path):
    rows = pa.table({"text": [f"t{i}" for i in range(12)], "label": [0, 1] * 6})
    features = {"label": {"_type": "ClassLabel", "names": ["a", "b\ud800"]}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(rows.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    with pytest.raises(TaskError, match=r"the class name 'b\\ud800' holds half a character"):
        load_task(tmp_path / "a.parquet")


@pytest.mark.parametrize("features", [5, {"label": 5}, {"label": {"_type": "ClassLabel", "names": 5}},
                                      {"label": {"_type": "ClassLabel", "names": [1]}}, []])  # fmt: skip
def test_foreign_parquet_metadata_is_passed_over(tmp_path, features):
    rows = pa.table({"text": [f"t{i}" for i in range(12)], "label": [0, 1] * 6})
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(rows.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    assert load_task(tmp_path / "a.parquet").label_names == ("0", "1")


def test_a_hundred_thousand_columns_end_in_a_sentence(tmp_path):
    """Names were once counted one by one: minutes."""
    names = [f"c{i}" for i in range(100_000)]
    (tmp_path / "a.csv").write_text("\n".join([",".join(names)] + [",".join("1" for _ in names)] * 2))
    with pytest.raises(
        TaskError, match=r"no column has a usual name of the text or of the label; .* and 99,?980 more"
    ) as caught:
        load_task(tmp_path / "a.csv")
    assert len(str(caught.value)) < 1000
    assert in_corpus(tmp_path / "a.csv")[0] == []
    with pytest.raises(SettingError, match="say which holds the text"):
        in_pretraining(tmp_path / "a.csv")
    sparse = [json.dumps({f"k{i}-{j}": 1 for j in range(40)}) for i in range(3000)]
    (tmp_path / "a.jsonl").write_text("\n".join(sparse))
    with pytest.raises(TaskError, match="3,000 objects have 120,000 different keys"):
        load_task(tmp_path / "a.jsonl")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_missing_file_of_a_numbered_set_is_refused(tmp_path, kind):
    for i in range(3):
        rows = pa.table({"text": [f"text {i} {j}" for j in range(6)], "label": [0, 1] * 3})
        path = tmp_path / f"train-{i:05d}-of-00003.{kind}"
        pq.write_table(rows, path) if kind == "parquet" else rows.to_pandas().to_csv(path, index=False)
    assert len(load_task(tmp_path).train) + len(load_task(tmp_path).test) == 18
    assert len(in_pretraining(tmp_path)) == len(in_corpus(tmp_path)[0]) == 18
    (tmp_path / f"train-00001-of-00003.{kind}").unlink()
    sentence = rf"train-00001-of-00003\.{kind} is missing, of 3 files only 2 are there"
    with pytest.raises(TaskError, match=sentence):
        load_task(tmp_path)
    with pytest.raises(SettingError, match=sentence):
        in_pretraining(tmp_path)
    with pytest.raises(SettingError, match=sentence):
        in_corpus(tmp_path)
    with pytest.raises(SettingError, match=sentence):
        in_pretraining(tmp_path / f"train-*.{kind}")
    assert len(in_pretraining(tmp_path / f"train-00002-*.{kind}")) == 6
    assert len(in_pretraining(tmp_path / f"train-00002-of-00003.{kind}")) == 6


def test_a_missing_file_in_the_layout_of_the_hub_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    for i in (0, 2):
        rows = pa.table({"text": [f"text {i} {j}" for j in range(6)], "label": [0, 1] * 3})
        pq.write_table(rows, tmp_path / "data" / f"train-{i:05d}-of-00003.parquet")
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - {split: train, path: data/train-*}\n---\nText.\n"
    )
    sentence = r"train-00001-of-00003\.parquet is missing"
    with pytest.raises(TaskError, match=sentence):
        load_task(tmp_path)
    with pytest.raises(SettingError, match=sentence):
        in_corpus(tmp_path, kind="hub")


def saved(folder, rows, files=2):
    """A data set as `save_to_disk` leaves it, with a class label and a cache file beside the rows."""
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    own = datasets.Dataset.from_list(rows, features=features)
    own.save_to_disk(folder, num_shards=files)
    (folder / "cache-1a2b.arrow").write_bytes((folder / f"data-00000-of-{files:05d}.arrow").read_bytes())


def test_folders_of_save_to_disk(tmp_path):
    rows = [{"text": f"text {i}", "label": i % 2} for i in range(20)]
    saved(tmp_path / "one", rows)
    task = load_task(tmp_path / "one")
    assert len(task.train) + len(task.test) == 20
    assert task.label_names == ("no", "yes")
    assert in_corpus(tmp_path / "one") == ([row["text"] for row in rows], [])
    assert in_pretraining(tmp_path / "one") == [row["text"] for row in rows]
    (tmp_path / "one" / "data-00001-of-00002.arrow").unlink()
    for read, error in ((load_task, TaskError), (in_corpus, SettingError), (in_pretraining, SettingError)):
        with pytest.raises(error, match=r"data-00001-of-00002\.arrow is missing, which state\.json names"):
            read(tmp_path / "one")


def test_splits_of_save_to_disk_are_the_parts_of_a_task(tmp_path):
    for name, size in {"train": 14, "test": 6}.items():
        saved(tmp_path / name, [{"text": f"{name} {i}", "label": i % 2} for i in range(size)], files=1)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    task = load_task(tmp_path)
    assert (task.train.texts[0], len(task.train), len(task.test)) == ("train 0", 14, 6)
    assert len(in_corpus(tmp_path)[0]) == len(in_pretraining(tmp_path)) == 20
    assert len(in_pretraining(tmp_path / "train")) == 14
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test", "dev"]}')
    with pytest.raises(FileError, match=r"dev: there is no state\.json"):
        files_of(tmp_path)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["../train"]}')
    with pytest.raises(FileError, match="'splits' must list the parts"):
        saved_parts(tmp_path)


def test_a_quoted_text_that_is_too_long_is_one_row(tmp_path):
    """Its lines are not taken for rows."""
    text = "a line, and more\n" * 100
    (tmp_path / "a.csv").write_text(f'text,label\nbefore,a\n"{text}",b\nafter,a\n')
    source = Source(name="s", path=str(tmp_path / "a.csv"))
    (part,) = parts_of(Corpus(name="c", sources=(source,), stages=()), source)
    before, refused, after = (item for _, _, item in read_part(part, max_bytes=1000))
    assert (before.text, refused.reason, after.text) == ("before", "longer than max_document_mb", "after")


def test_many_lone_quotes_are_read_in_one_pass(tmp_path):
    """Looking for the end of a quoted text stops at the next quote that cannot be it."""
    lines = "".join(f'"open {i},{i % 2}\nplain {i},{i % 2}\n' for i in range(20_000))
    (tmp_path / "a.csv").write_text("text,label\n" + lines)
    reader = Delimited(tmp_path / "a.csv")
    assert sum(not isinstance(item, Fault) for item in reader) == 40_000
    assert reader.lone_quotes == 20_000


PIECES = [b'"', b'""', b",", b"\n", b"\r", b"\t", b";", b"\xff", b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"sep=,\n", b"|",
          b"\\ud800", b"[", b"{", b"}", b"null", b"NaN", b"1e999", b"9" * 5000, b"\xe2\x80\x8b"]  # fmt: skip


def whole_tables(folder):
    rows = pa.table({"text": [f"text {i}, é" for i in range(8)], "label": [0, 1] * 4})
    pq.write_table(rows, folder / "a.parquet")
    with pa.OSFile(str(folder / "a.arrow"), "wb") as file, pa.ipc.new_stream(file, rows.schema) as stream:
        stream.write_table(rows)
    lines = "".join(f'"a ""{i}"", é",{"xy"[i % 2]}\n' for i in range(8))
    return {
        ".csv": f"text,label\n{lines}".encode(),
        ".tsv": f"text,label\n{lines}".replace(",", "\t").encode(),
        ".jsonl": "\n".join(json.dumps(row, ensure_ascii=False) for row in rows.to_pylist()).encode(),
        ".parquet": (folder / "a.parquet").read_bytes(),
        ".arrow": (folder / "a.arrow").read_bytes(),
    }


def damaged(data, rng):
    data = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(data) + 1)
        how = rng.choice(["insert", "insert", "remove", "change", "cut", "double"])
        if how == "insert":
            data[place:place] = rng.choice(PIECES)
        elif how == "remove":
            del data[place : place + rng.randint(1, 20)]
        elif how == "change" and data:
            data[min(place, len(data) - 1)] = rng.randrange(256)
        elif how == "cut":
            del data[max(1, place) :]
        elif how == "double":
            data *= 2
    return bytes(data)


def outcome(read, path):
    """What a reader gives, or None and its sentence."""
    try:
        return read(path), ""
    except TokenworthError as error:
        return None, str(error)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet", ".arrow"])
def test_damaged_tables_end_in_a_sentence_or_in_the_same_rows(tmp_path, ending):
    """Never in a traceback, and what a task reads without a word a corpus reads, too."""
    whole, path = whole_tables(tmp_path)[ending], tmp_path / f"b{ending}"
    read = 0
    for seed in range(40):
        path.write_bytes(damaged(whole, random.Random(f"{ending}{seed}")))
        (rows, *said), items, texts = (outcome(reader, path) for reader in (read_table, in_corpus, in_pretraining))
        assert "\n" not in said[0] + items[1] + texts[1]
        if rows is not None and items[0] is not None:
            without = [one for one in items[0][1] if ": no text in" in one]
            assert len(rows) == len(items[0][0]) + len(without)
            assert len(without) == len(items[0][1])
        read += rows is not None
    assert 0 < read < 40
