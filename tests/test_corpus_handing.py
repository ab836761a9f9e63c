"""What a corpus hands to pretraining: sources as they were mixed, the annealing phase, and packed tokens."""

import io
import json
import os
from contextlib import contextmanager, redirect_stdout
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from corpora import sentences
from test_corpus_build import made, written
from tokenworth.cli.app import app
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.pretraining import PretrainError, make_config, pretrain, read_config
from tokenworth.pretraining.data.corpus_packing import check_tokenizer, pack_corpus
from tokenworth.pretraining.data.token_shards import read_shards
from tokenworth.pretraining.data.training_data import gather, make_tokenizer, pack_all

SOURCES = {
    "web": {"path": "web.parquet", "weight": 0.75, "annealing_weight": 0.2},
    "manual": {"path": "manual.parquet", "weight": 0.25, "annealing_weight": 0.8, "repeats": 3},
}
SMALL = {"layers": 1, "width": 32, "heads": 2}
SHORT = {
    "tokens": 12 * 4 * 32,
    "context": 32,
    "batch": 4,
    "trace_per_decade": 0,
    "held_out_tokens": 500,
    "dtype": "float32",
}


@pytest.fixture
def folder(tmp_path):
    """Two sources that can be told apart by a word; the second is small and repeated."""
    pd.DataFrame({"text": sentences(300)}).to_parquet(tmp_path / "web.parquet")
    manual = [text.replace("the", "manual") for text in sentences(60, seed=1)]
    pd.DataFrame({"text": manual}).to_parquet(tmp_path / "manual.parquet")
    return tmp_path


OWN = {
    "sources": SOURCES,
    "stages": ["exact"],
    "shard_documents": 50,
    "mix": {"annealing_share": 0.25, "shard_mb": 0.02},
}
PACK = {"tokenizer": {"vocabulary": 300}, "held_out_share": 0.1}
OTHER = {"tokenizer": {"vocabulary": 320}}


def make(folder, **changes):
    return made(folder, **{**OWN, **changes})[1]


def build(folder, **changes):
    """By the command, in this process: another one would load the libraries again."""
    arguments = ["corpus", "build", str(written(folder, **{**OWN, **changes})), "--out", str(folder / "out")]
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            app(arguments, result_action="return_value")
    except TokenworthError as error:
        return SimpleNamespace(exit_code=1, exception=error, stdout=printed.getvalue())
    return SimpleNamespace(exit_code=0, exception=None, stdout=printed.getvalue())


@contextmanager
def room_for(size):
    """A limit on the size of files stands in for a full disk."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def test_the_run_file_has_the_sources_as_they_were_mixed(folder):
    make(folder)
    found = yaml.safe_load((folder / "out" / "pretrain.yaml").read_text())
    assert found == {
        "sources": {
            "web": {"path": "text-*.parquet", "source": "web", "weight": 0.75, "annealing_weight": 0.2},
            "manual": {"path": "text-*.parquet", "source": "manual", "weight": 0.25, "annealing_weight": 0.8},
        },
        "training": {"annealing_share": 0.25},
        "seed": 0,
    }  # fmt: skip


def run_of(folder, **more):
    """The run file as it is, but for a model and a run of seconds."""
    values = yaml.safe_load((folder / "out" / "pretrain.yaml").read_text())
    values["model"] = SMALL
    values["tokenizer"] = more.pop("tokenizer", {"vocabulary": 300})
    values["training"] = {**values["training"], **SHORT, "held_out_share": 0.1, **more}
    return make_config(values, home=folder / "out")


def test_a_run_starts_from_it_and_anneals_by_the_other_weights(folder):
    make(folder)
    config = run_of(folder, tokens=400 * 4 * 32)
    tokenizer = make_tokenizer(config, folder / "run")
    pack_all(config, tokenizer, folder / "run")
    mixture = gather(config, tokenizer, folder / "run").mixture
    drawn = mixture.source_Q == mixture.names.index("manual")
    assert drawn[:1200].mean() == pytest.approx(0.25, abs=0.04)
    assert drawn[1200:].mean() == pytest.approx(0.8, abs=0.06)
    run = pretrain(run_of(folder), folder / "run2")
    assert run.finished
    assert set(run.held_out) == {"web", "manual"}


def test_every_source_has_its_own_rows_and_no_copy_is_held_out_and_learnt_from(folder):
    texts = make(folder)
    config = run_of(folder)
    tokenizer = make_tokenizer(config, folder / "run")
    packed = pack_all(config, tokenizer, folder / "run")
    counts = texts["source"].value_counts()
    for name, own in packed.items():
        assert own.train_documents + own.held_documents == counts[name]
    parts = {}
    for part in ("train", "held"):
        tokens, starts = read_shards(folder / "run" / "shards" / "manual", part)
        parts[part] = {tokenizer.decode(one[1:]) for t, s in zip(tokens, starts, strict=True)
                       for one in np.split(np.asarray(t)[:-1], np.asarray(s)[1:])}  # fmt: skip
    assert len(parts["held"]) > 0
    assert not parts["held"] & parts["train"]
    assert parts["held"] | parts["train"] == set(texts.loc[texts["source"] == "manual", "text"])


def test_packed_it_is_ready_for_a_run(folder):
    done = build(folder, pack=PACK)
    assert done.exit_code == 0, done.exception
    assert "tokens, " in done.stdout
    report = json.loads((folder / "out" / "report.json").read_text())
    corpus = json.loads((folder / "out" / "corpus.json").read_text())
    assert {row["source"]: row["documents"] for row in report["tokens"]} == corpus["documents"]
    assert "Tokens packed" in (folder / "out" / "report.html").read_text()
    before = {path: path.stat().st_mtime_ns for path in (folder / "out" / "tokens").rglob("*")}
    assert pack_corpus(folder / "out").keys() == {"web", "manual"}
    run = pretrain(read_config(folder / "out" / "pretrain.yaml", **SHORT), folder / "run")
    assert run.finished
    assert not (folder / "run" / "shards").exists()
    assert {path: path.stat().st_mtime_ns for path in (folder / "out" / "tokens").rglob("*")} == before


def test_other_texts_or_settings_are_packed_anew_and_a_foreign_folder_is_left_alone(folder):
    make(folder, pack=PACK)
    first = pack_corpus(folder / "out")
    make(folder, pack=OTHER)
    second = pack_corpus(folder / "out")
    assert first["web"].tokenizer != second["web"].tokenizer
    make(folder, seed=3, pack=OTHER)
    config = read_config(folder / "out" / "pretrain.yaml")
    tokenizer = make_tokenizer(config, folder)
    with pytest.raises(SettingError, match="packed from other documents"):
        pack_all(config, tokenizer, folder)
    third = pack_corpus(folder / "out")
    assert third["web"].documents_from != second["web"].documents_from
    (folder / "out" / "tokens" / "made.json").unlink()
    make(folder, seed=4, pack=OTHER)
    with pytest.raises(SettingError, match="packed from other documents"):
        pack_corpus(folder / "out")


def test_a_tokenizer_that_cannot_be_is_told_before_anything_runs(folder):
    error = build(folder, pack={"tokenizer": {"vocabulery": 300}}).exception
    assert isinstance(error, SettingError)
    assert "a tokenizer has no setting 'vocabulery'; did you mean 'vocabulary'?" in str(error)
    assert not (folder / "out").exists()
    with pytest.raises(SettingError, match="no tokenizer can be loaded from nowhere"):
        check_tokenizer("nowhere")


@pytest.mark.skipif(os.name != "posix", reason="file size limits are those of POSIX")
def test_a_full_disk_while_packing_is_one_sentence_and_nothing_is_lost(folder):
    make(folder, pack=PACK)
    texts = {path: path.read_bytes() for path in (folder / "out").glob("text-*.parquet")}
    for size, what in ((4000, "the tokenizer cannot be written"), (30_000, "token shards cannot be written")):
        with room_for(size), pytest.raises(PretrainError, match=f"{what} .*; make room and run the same command again"):
            pack_corpus(folder / "out")
    assert not (folder / "out" / "tokens" / "tokenizer.part").exists()
    assert {path: path.read_bytes() for path in (folder / "out").glob("text-*.parquet")} == texts
    assert set(pack_corpus(folder / "out")) == {"web", "manual"}


def test_rows_of_a_source_need_a_table_with_the_column(folder):
    (folder / "a.txt").write_text("some text")
    for path, sentence in (("a.txt", "is no .parquet file"), ("web.parquet", "has no column 'source'"),
                           ("nothing-*.parquet", "holds no file that ends in")):  # fmt: skip
        config = make_config({"sources": {"a": {"path": path, "source": "web"}}}, home=folder)
        with pytest.raises(SettingError, match=sentence):
            make_tokenizer(config, folder / "run")


def test_settings_of_runs_without_rows_are_what_they_were():
    """A run begun before sources had rows goes on."""
    found = make_config({"sources": {"a": "a.txt"}}).asdict()
    assert found["sources"]["a"] == {"path": "a.txt", "weight": 1.0, "annealing_weight": None, "text": None}
