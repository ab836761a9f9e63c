"""Tokenizers: every byte string comes back, digits stand alone, the same documents give the same tokenizer."""

import json

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from commands import tokenworth
from tokenworth.errors import SettingError
from tokenworth.tokenizers.tokenizer import SEPARATOR, ByteCodec, TokenizerConfig, fertility, train_tokenizer

DOCUMENTS = [f"The {animal} number {i} ran home in {1900 + i}, naïve and glad.\n\tEnd" for i in range(60)
             for animal in ("cat", "horse", "Löwe", "狐")]  # fmt: skip
KINDS = ("bpe", "unigram")
TRAINED = {kind: train_tokenizer(DOCUMENTS, TokenizerConfig(kind=kind, vocabulary=400)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_every_byte_string_comes_back(kind, data):
    codec = ByteCodec(TRAINED[kind])
    assert codec.decode(codec.encode(data)) == data


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_every_text_comes_back_through_the_plain_tokenizer(kind, text):
    tokenizer = TRAINED[kind]
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


@pytest.mark.parametrize("kind", KINDS)
def test_what_looks_like_a_special_token_is_text(kind):
    codec = ByteCodec(TRAINED[kind])
    data = f"a{SEPARATOR}b".encode()
    ids = codec.encode(data)
    assert TRAINED[kind].convert_tokens_to_ids(SEPARATOR) not in ids
    assert codec.decode(ids) == data


@pytest.mark.parametrize("kind", KINDS)
def test_digits_stand_alone(kind):
    tokens = TRAINED[kind].tokenize("in 1987")
    assert tokens[-4:] == list("1987")
    whole = train_tokenizer(DOCUMENTS, TokenizerConfig(kind=kind, vocabulary=400, split_digits=False))
    assert len(whole.tokenize("1920 1921 1922")) < len(TRAINED[kind].tokenize("1920 1921 1922"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_documents_give_the_same_tokenizer(kind, tmp_path):
    again = train_tokenizer(DOCUMENTS, TokenizerConfig(kind=kind, vocabulary=400))
    assert again.get_vocab() == TRAINED[kind].get_vocab()
    assert len(again) <= 400
    again.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded(DOCUMENTS)["input_ids"] == TRAINED[kind](DOCUMENTS)["input_ids"]


def test_fertility_counts_tokens_words_and_bytes():
    found = fertility(TRAINED["bpe"], ["The cat", "狐"])
    ids = TRAINED["bpe"](["The cat", "狐"], add_special_tokens=False)["input_ids"]
    tokens = len(ids[0]) + len(ids[1])
    assert found == {"texts": 2, "tokens": tokens, "tokens_per_word": tokens / 3, "bytes_per_token": 10 / tokens}


def test_mistakes_are_named():
    with pytest.raises(SettingError, match="choose one of bpe, unigram"):
        TokenizerConfig(kind="words")
    with pytest.raises(SettingError, match="bytes and special tokens take 257"):
        TokenizerConfig(vocabulary=256)
    with pytest.raises(SettingError, match="needs one special token"):
        TokenizerConfig(special=())


def test_the_command_line(tmp_path):
    (tmp_path / "stories.txt").write_text("\n\n".join(DOCUMENTS))
    (tmp_path / "rows.csv").write_text("text\n" + "\n".join(f"row {i}" for i in range(50)))
    (tmp_path / "t.yaml").write_text("kind: bpe\nvocabulary: 300\nsources: {stories: stories.txt, rows: rows.csv}\n")
    done = tokenworth("tokenizer", "train", "t.yaml", "--out", "made", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert [row["source"] for row in report["sources"]] == ["stories", "rows"]
    assert json.loads((tmp_path / "made" / "fertility.json").read_text()) == report
    assert len(AutoTokenizer.from_pretrained(tmp_path / "made")) == report["vocabulary"]
    (tmp_path / "t.yaml").write_text("kind: bpe\nvocab: 3\nsources: {rows: rows.csv}\n")
    done = tokenworth("tokenizer", "train", "t.yaml", cwd=tmp_path)
    assert done.code == 2
    assert "no setting 'vocab'; did you mean 'vocabulary'?" in done.err


def test_the_command_line_reads_the_sources_of_a_run(tmp_path):
    """A packed text, and one source of a table; what a source says of itself is written as for `pretrain`."""
    with pa.CompressedOutputStream(str(tmp_path / "stories.txt.zst"), "zstd") as file:
        file.write("\n\n".join(DOCUMENTS).encode())
    pd.DataFrame({"text": ["aa bb", "cc dd"] * 20, "source": ["one", "other"] * 20}).to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.yaml").write_text(
        "vocabulary: 300\nsources: {stories: stories.txt.zst, one: {path: t.parquet, source: one}}\n"
    )
    done = tokenworth("tokenizer", "train", "t.yaml", "--out", "made", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    counted = {row["source"]: row["texts"] for row in json.loads(done.out)["sources"]}
    assert counted == {"stories": len(DOCUMENTS), "one": 20}
    (tmp_path / "t.yaml").write_text("vocabulary: 300000\nsources: {stories: stories.txt.zst}\n")
    done = tokenworth("tokenizer", "train", "t.yaml", cwd=tmp_path)
    assert done.code == 2
    assert "support a vocabulary of" in done.err
