"""Sources: every kind of file, and everything that can be wrong with one, told in a sentence and counted."""

import gzip
import json
import tracemalloc

import pandas as pd
import pytest

from tokenworth.corpus import Document
from tokenworth.corpus.corpus_settings import Corpus, Source
from tokenworth.corpus.readers.refusals import Refused
from tokenworth.corpus.readers.sources import parts_of, read_part
from tokenworth.errors import SettingError

SMALL = 1000


def items(path, *, max_bytes=10**6, file=0, item=0, **settings):
    source = Source(name="s", path=str(path), **settings)
    found = []
    for part in parts_of(Corpus(name="c", sources=(source,), stages=()), source):
        found += [one for _, _, one in read_part(part, max_bytes=max_bytes, file=file, item=item)]
    return found


def texts(found):
    return [one.text for one in found if isinstance(one, Document)]


def refused(found):
    return [(one.reason, one.sentence) for one in found if isinstance(one, Refused)]


def squeezed(path, data):
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(data))
    elif path.suffix == ".zst":
        import pyarrow as pa

        with pa.output_stream(str(path), compression="zstd") as out:
            out.write(data)
    else:
        path.write_bytes(data)


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize(
    ("name", "data", "expected", "settings"),
    [
        ("a.txt", b"\xef\xbb\xbfone\r\n\r\ntwo\n", ["one\n\ntwo"], {}),
        ("a.txt", b"one\n\ntwo\n\n\n\nthree", ["one", "two", "three"], {"documents": "paragraphs"}),
        ("a.txt", b"one\ntwo\n\nthree\n", ["one", "two", "three"], {"documents": "lines"}),
        ("a.jsonl", b'{"text": "one"}\n\n{"text": "tw\\u00f6", "x": 1}', ["one", "twö"], {}),
        ("a.jsonl", b'{"q": "one?", "a": "yes"}\n{"q": "two?"}\n', ["one?\n\nyes", "two?"], {"text": ("q", "a")}),
        ("a.csv", b'text,x\n"one, 1",2\ntwo,3\n', ["one, 1", "two"], {}),
        ("a.tsv", b"x\ttext\n1\tone\n", ["one"], {}),
        ("a.html", b"<p>one</p>", ["<p>one</p>"], {}),
        ("a.py", b"x = 1\n", ["x = 1\n"], {}),
        ("a.tex", b"\\section{a}", ["\\section{a}"], {}),
    ],
)
def test_files_of_every_kind(tmp_path, name, data, expected, settings, ending):
    squeezed(tmp_path / (name + ending), data)
    found = items(tmp_path / (name + ending), **settings)
    assert texts(found) == expected
    assert refused(found) == []


def test_parquet_and_folders_in_order_of_names(tmp_path):
    (tmp_path / "b").mkdir()
    pd.DataFrame({"text": ["two", "three"], "n": [1, 2]}).to_parquet(tmp_path / "b" / "x.parquet")
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "c.txt").write_text("no")
    found = items(tmp_path)
    assert texts(found) == ["one", "two", "three"]
    assert [one.id for one in found] == ["s/a.txt", "s/b/x.parquet:0", "s/b/x.parquet:1"]
    assert texts(items(tmp_path / "*.txt")) == ["one"]
    with pytest.raises(SettingError, match=r"has no column body; write 'text: NAME' with one of text, n"):
        items(tmp_path / "b", text=("body",))


def test_web_archives_give_their_pages(tmp_path):
    def record(kind, address, body, content="text/html; charset=latin1"):
        http = f"HTTP/1.1 200 OK\r\nContent-Type: {content}\r\n\r\n".encode() + body
        head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {address}\r\n"
        head += f"WARC-Record-ID: <urn:x:{address}>\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
        head += f"Content-Type: application/http; msgtype={kind}\r\nContent-Length: {len(http)}\r\n\r\n"
        return head.encode() + http + b"\r\n\r\n"

    pages = [
        record("response", "http://a.example/1", b"<p>caf\xe9</p>"),
        record("response", "http://a.example/2", b"\x89PNG", "image/png"),
        record("request", "http://a.example/1", b""),
        record("response", "http://a.example/3", b"<p>three</p>"),
    ]
    (tmp_path / "a.warc.gz").write_bytes(b"".join(gzip.compress(page) for page in pages))
    found = items(tmp_path / "a.warc.gz")
    assert [(one.id, one.text, one.kind) for one in found] == [
        ("s/http://a.example/1", "<p>café</p>", "html"), ("s/http://a.example/3", "<p>three</p>", "html"),
    ]  # fmt: skip


def test_a_data_set_in_the_layout_of_the_hub(tmp_path):
    place = tmp_path / "own" / "stories"
    (place / "data").mkdir(parents=True)
    for split, rows in {"train": ["one", "two", "three"], "test": ["four"]}.items():
        pd.DataFrame({"text": rows}).to_parquet(place / "data" / f"{split}-00000-of-00001.parquet")
    (place / "README.md").write_text(
        "---\nconfigs:\n- config_name: plain\n  data_files:\n  - {split: train, path: data/train-*}\n"
        "  - {split: test, path: data/test-*}\n---\nStories.\n"
    )
    found = items(f"{place}:plain", kind="hub")
    assert texts(found) == ["one", "two", "three"]
    assert [one.id for one in found][:2] == [f"s/{place}:plain:0", f"s/{place}:plain:1"]
    assert texts(items(f"{place}@test", kind="hub")) == ["four"]
    with pytest.raises(SettingError, match=r"cannot be had .*without a network bring its files"):
        items(f"{place}@nowhere", kind="hub")


def test_docstrings_of_a_package():
    found = items("typer", kind="docstrings")
    assert len(found) > 10
    assert {one.source for one in found} == {"s"}
    assert len({one.id for one in found}) == len(found)


def test_a_binary_file_among_texts_is_told(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"MZ\0\1\2")
    (tmp_path / "b.txt").write_text("text")
    found = items(tmp_path)
    assert texts(found) == ["text"]
    assert refused(found) == [("binary file", f"{tmp_path / 'a.txt'} is binary, not text; it was left out")]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.txt.gz", "a.csv.gz"])
def test_of_a_broken_gzip_member_what_stands_before_is_taken(tmp_path, name):
    rows = [f'{{"text": "document {i} {"x" * (i % 50)}"}}' for i in range(20_000)]
    body = (
        "\n".join(rows)
        if "jsonl" in name
        else "\n\n".join(rows)
        if "txt" in name
        else "text\n" + "\n".join(map(json.dumps, rows))
    )
    whole = gzip.compress(body.encode())
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    found = items(tmp_path / name, **({"documents": "paragraphs"} if "txt" in name else {}))
    assert len(texts(found)) > 100
    ((_, sentence),) = [one for one in refused(found) if one[0] == "broken file"]
    assert sentence.startswith(str(tmp_path / name))


def test_bytes_that_are_not_utf8_are_kept_as_escapes(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"good\n\nb\xe4d\n\nfine")
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "b\xe4d"}\n{"text": "good"}\n')
    (tmp_path / "c.csv").write_bytes(b"text\nb\xe4d\ngood\n")
    for name, where in (("a.txt", "document 1"), ("b.jsonl", "line 1"), ("c.csv", "line 2")):
        found = items(tmp_path / name, documents="paragraphs")
        ((reason, sentence),) = refused(found)
        assert reason == "not UTF-8"
        assert f"{name}, {where}: byte 0xe4" in sentence
        assert "good" in texts(found)
        assert "\\xe4" in next(one for one in found if isinstance(one, Refused)).document.text


def test_a_page_in_the_encoding_it_names(tmp_path):
    (tmp_path / "a.html").write_bytes(b'<meta charset="latin1"><p>caf\xe9</p>')
    assert "café" in texts(items(tmp_path))[0]


def test_malformed_rows_are_told(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"text": "one"}\n{"text": \n[1]\n{"body": "x"}\n{"text": ""}\n{"text": 5}\n' + "[" * 5000
    )
    found = items(tmp_path)
    assert texts(found) == ["one"]
    assert [reason for reason, _ in refused(found)] == ["malformed row"] * 2 + ["no text in its row"] * 3 + [
        "malformed row"
    ]
    assert "line 4: no text in text; there are body" in refused(found)[2][1]
    (tmp_path / "b.parquet").write_bytes(b"PAR1 not really")
    ((reason, sentence),) = refused(items(tmp_path / "b.parquet"))
    assert reason == "broken file"
    assert "b.parquet: cannot be read as Parquet" in sentence


def test_what_is_too_long_is_cut_or_told(tmp_path):
    text = " ".join(f"word{i}" for i in range(1000))
    (tmp_path / "a.txt").write_text(text)
    found = items(tmp_path / "a.txt", max_bytes=SMALL)
    assert " ".join(texts(found)) == text
    assert max(one.size for one in found) <= SMALL
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": text}) + '\n{"text": "short"}\n')
    found = items(tmp_path / "b.jsonl", max_bytes=SMALL)
    assert texts(found) == ["short"]
    assert "line 1: 0.0 MB are longer than the 0.001 MB of max_document_mb" in refused(found)[0][1]
    (tmp_path / "c.html").write_text(text)
    assert refused(items(tmp_path / "c.html", max_bytes=SMALL))[0][0] == "longer than max_document_mb"


def test_a_line_of_200_mb_does_not_have_to_fit_into_memory(tmp_path):
    line = b"x" * 10**6
    for name, head, tail in (("a.txt", b"", b""), ("b.jsonl", b'{"text": "', b'"}\n{"text": "after"}\n')):
        with (tmp_path / name).open("wb") as file:
            file.write(head)
            for _ in range(200):
                file.write(line)
            file.write(tail)
    source = Source(name="s", path=str(tmp_path))
    (part, *more) = parts_of(Corpus(name="c", sources=(source,), stages=()), source)
    tracemalloc.start()
    size = number = 0
    told = []
    for one_part in (part, *more):
        for _, _, one in read_part(one_part, max_bytes=4 * 10**6):
            if isinstance(one, Refused):
                told.append(one.sentence)
            else:
                size, number = size + one.size, number + 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 200 * 10**6 + 5
    assert number == 51
    assert len(told) == 1
    assert "line 1: 200.0 MB" in told[0]
    assert peak < 60 * 10**6


def test_reading_goes_on_where_it_was(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text("\n\n".join(f"{name}{i}" for i in range(7)))
    whole = texts(items(tmp_path, documents="paragraphs"))
    assert len(whole) == 21
    for file, item in ((0, 3), (0, 7), (1, 1), (2, 6)):
        assert texts(items(tmp_path, documents="paragraphs", file=file, item=item)) == whole[7 * file + item :]


def test_a_source_without_a_file_is_told(tmp_path):
    with pytest.raises(SettingError, match="source s: there is no file to read"):
        items(tmp_path)
