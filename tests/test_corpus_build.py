"""Building: the same documents however it is cut, killed or spread; what changed is made anew and nothing else."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

import tokenworth.corpus.engine.pipeline as staging
import tokenworth.corpus.output.output_files as output_of
import tokenworth.tasks as tasks
from commands import tokenworth
from tokenworth.base.locks import BusyError, only_writer
from tokenworth.corpus.build import build
from tokenworth.corpus.corpus_file import load_corpus
from tokenworth.corpus.engine.engines import Local
from tokenworth.corpus.engine.pipeline import ledgers
from tokenworth.corpus.engine.shard_store import read_documents
from tokenworth.corpus.output.build_report import describe
from tokenworth.errors import TokenworthError

WORDS = ["the", "of", "and", "to", "with", "have", "that", "be", "lamp", "river", "stone", "cloud", "garden", "window",
         "engine", "letter", "morning", "winter", "paper", "ship", "music", "table", "street", "forest", "island",
         "bridge", "market", "orange", "silver", "doctor", "teacher", "captain"]  # fmt: skip


def prose(rng, words=90):
    return " ".join(rng.choices(WORDS, k=words)).capitalize() + "."


def files(folder, seed=0):
    """Two sources with duplicates of both kinds, personal data, a short text and test texts of a task."""
    rng = random.Random(seed)
    test = [prose(rng, 30) for _ in range(10)]
    train = pd.DataFrame({"text": [prose(rng, 30) for _ in range(20)], "label": ["a", "b"] * 10})
    (folder / "task").mkdir(parents=True)
    train.to_csv(folder / "task" / "train.csv", index=False)
    pd.DataFrame({"text": test, "label": ["a", "b"] * 5}).to_csv(folder / "task" / "test.csv", index=False)
    one = [prose(rng) for _ in range(60)]
    one += [one[0], one[1].upper(), one[2] + " lamp", "too short", prose(rng) + " mail jane@example.org today"]
    two = [prose(rng) for _ in range(40)] + [one[3], f"{prose(rng)} {test[0]} {prose(rng)}", prose(rng) + " schÃ¶n"]
    pd.DataFrame({"text": one}).to_parquet(folder / "one.parquet")
    pd.DataFrame({"text": two}).to_json(folder / "two.jsonl", orient="records", lines=True)
    return folder


BASE = {
    "sources": {"one": {"path": "one.parquet"}, "two": {"path": "two.jsonl"}},
    "stages": {"extract": None, "normalise": None, "quality": None, "redact": None, "exact": None, "near": None,
               "decontaminate": {"tasks": ["TASK"]}},
    "shard_documents": 16,
    "mix": {"shard_mb": 0.01},
    "keep_dropped": True,
}  # fmt: skip


def written(folder, **changes):
    found = {**BASE, **changes}
    text = yaml.safe_dump(found, sort_keys=False).replace("TASK", "task")
    (folder / "corpus.yaml").write_text(text)
    return folder / "corpus.yaml"


@pytest.fixture
def folder(tmp_path):
    return files(tmp_path)


def output(out):
    return pd.concat([pd.read_parquet(path) for path in sorted(out.glob("text-*.parquet"))], ignore_index=True)


def made(folder, out="out", engine=None, **changes):
    corpus = load_corpus(written(folder, **changes))
    flow = build(corpus, folder / out, engine=engine)
    return flow, output(folder / out)


def state(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*.json") if path.stem.isdigit()}


def test_every_document_is_kept_or_dropped_for_a_reason(folder):
    flow, texts = made(folder)
    report = describe(flow, folder / "out")
    dropped = {}
    for row in report["stages"]:
        assert row["taken"]["documents"] == row["given"]["documents"] + sum(
            r["documents"] for r in row["dropped"].values()
        )
        for reason, amount in row["dropped"].items():
            dropped[row["stage"], row["source"], reason] = amount["documents"]
    assert dropped == {
        ("quality", "one", "min_words"): 1,
        ("exact", "one", "exact duplicate"): 2, ("exact", "two", "exact duplicate"): 1,
        ("near", "one", "near duplicate"): 1, ("decontaminate", "two", "holds test text of task"): 1,
    }  # fmt: skip
    assert len(texts) == 65 + 43 - sum(dropped.values()) == report["output"]["documents"]
    assert texts["text"].str.contains("<EMAIL>").sum() == report["facts"]["personal"]["EMAIL"] == 1
    assert texts["text"].str.contains("schön").sum() == 1
    assert report["contamination"] == [{"task": "task", "split": "test", "documents": 1, "texts": 1}]
    assert report["clusters"]["exact"]["clusters"] == 3
    assert report["clusters"]["near"]["sizes"]["2"] == 1
    assert {sample["reason"] for sample in report["samples"]} >= {"min_words", "EMAIL", "mojibake", "near duplicate"}
    kept_aside = pd.concat([pd.read_parquet(path) for path in (folder / "out" / "work").rglob("*.dropped.parquet")])
    assert sorted(kept_aside["reason"]) == sorted(reason for (_, _, reason), n in dropped.items() for _ in range(n))


def test_shards_and_workers_change_no_document_and_workers_not_even_their_order(folder):
    _, one = made(folder)
    with closing(Local(2)) as workers:
        _, two = made(folder, "two", engine=workers)
    pd.testing.assert_frame_equal(one, two)
    _, large = made(folder, "large", shard_documents=1000)
    assert sorted(large["id"]) == sorted(one["id"])


def test_a_killed_worker_is_one_sentence(folder):
    with closing(Local(2)) as workers, pytest.raises(TokenworthError, match="a worker was killed"):
        list(workers.map(_dies, [(0,), (1,)]))


def _dies(job):
    os.kill(os.getpid(), signal.SIGKILL)


def keys_behind(flow, stage):
    return [part.keys[stage] for part in flow.parts]


def test_a_second_build_makes_nothing_and_a_changed_setting_only_what_depends_on_it(folder):
    flow, first = made(folder)
    before = state(flow.root)
    _, again = made(folder)
    assert state(flow.root) == before
    pd.testing.assert_frame_equal(first, again)
    stages = {**BASE["stages"], "near": {"threshold": 0.99}}
    changed, _ = made(folder, stages=stages)
    after = state(flow.root)
    assert {path: after[path] for path in before} == before
    new = {path.parent.name for path in set(after) - set(before)}
    assert new == {*keys_behind(changed, "near"), *keys_behind(changed, "decontaminate")}


def test_a_changed_file_is_read_anew_and_the_other_source_is_not(folder):
    flow, _ = made(folder)
    before = state(flow.root)
    path = folder / "two.jsonl"
    path.write_text(path.read_text() + '{"text": "' + prose(random.Random(9)) + '"}\n')
    changed, texts = made(folder)
    new = {path.parent.name for path in set(state(flow.root)) - set(before)}
    assert keys_behind(changed, "redact")[0] == keys_behind(flow, "redact")[0]
    assert keys_behind(changed, "read")[1] in new
    assert len(texts) == 103


def test_another_seed_is_another_order_of_the_same_documents(folder):
    _, one = made(folder)
    _, two = made(folder, seed=1)
    assert sorted(one["id"]) == sorted(two["id"])
    assert one["id"].tolist() != two["id"].tolist()
    assert one["source"].tolist() != sorted(one["source"]), "sources are mixed"


def test_weights_are_met(folder):
    sources = {"one": {"path": "one.parquet", "weight": 0.2}, "two": {"path": "two.jsonl", "weight": 0.8, "repeats": 3}}
    flow, texts = made(folder, sources=sources)
    mix = {row["source"]: row for row in describe(flow, folder / "out")["mix"]}
    assert mix["two"]["got_share"] == pytest.approx(0.8, abs=0.01)
    assert texts["id"].value_counts()[lambda counts: counts.index.str.startswith("two")].between(2, 3).all()


def test_a_stage_can_be_skipped_by_a_source(folder):
    sources = {"one": {"path": "one.parquet", "skip": ["quality", "redact"]}, "two": {"path": "two.jsonl"}}
    flow, texts = made(folder, sources=sources)
    assert "too short" in set(texts["text"])
    assert texts["text"].str.contains("jane@example.org").any()
    assert {source for name, own in ledgers(flow) if name == "quality" for source in own} == {"two"}


def test_killed_anywhere_it_goes_on(folder):
    _, whole = made(folder, "whole")
    command = [sys.executable, "-m", "tokenworth", "corpus", "build", "corpus.yaml", "--out", "killed", "-q"]
    rng = random.Random(0)
    kills = 0
    for _ in range(6):
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        time.sleep(2.2 + 2 * rng.random())
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        if process.wait() == 0:
            break
    assert tokenworth("corpus", "build", "corpus.yaml", "--out", "killed", "-q", cwd=folder).code == 0
    pd.testing.assert_frame_equal(output(folder / "killed"), whole)


@pytest.mark.parametrize(
    ("module", "name"), [(output_of, "collect"), (staging, "apply"), (staging, "chain"), (output_of, "scatter")]
)
def test_stopped_within_a_stage_it_goes_on(folder, module, name, monkeypatch):
    """A stop after the third job of a kind; what was made before is not made again."""
    _, whole = made(folder, "whole")
    real, calls = getattr(module, name), []

    def stops(*job):
        calls.append(job)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*job)

    monkeypatch.setattr(module, name, stops)
    with pytest.raises(KeyboardInterrupt):
        made(folder, "stopped")
    monkeypatch.undo()
    before = state(folder / "stopped" / "work")
    _, resumed = made(folder, "stopped")
    after = state(folder / "stopped" / "work")
    assert {path: after[path] for path in before} == before
    pd.testing.assert_frame_equal(resumed, whole)


def test_what_was_written_before_is_no_whole_corpus_while_another_is_made(folder, monkeypatch):
    made(folder)
    real = output_of.collect

    def stops(*job):
        if job[1] == 2:
            raise KeyboardInterrupt
        return real(*job)

    monkeypatch.setattr(output_of, "collect", stops)
    with pytest.raises(KeyboardInterrupt):
        made(folder, seed=5)
    assert not (folder / "out" / "corpus.json").exists()
    assert len(list((folder / "out").glob("text-*.parquet"))) == 2
    monkeypatch.undo()
    _, texts = made(folder, seed=6)
    _, fresh = made(folder, "fresh", seed=6)
    pd.testing.assert_frame_equal(texts, fresh)
    assert (folder / "out" / "corpus.json").exists()


def test_an_empty_source_is_told_and_nothing_left_is_an_error(folder):
    (folder / "empty.txt").write_text(" \n")
    sources = {**BASE["sources"], "empty": {"path": "empty.txt"}}
    flow, _ = made(folder, sources=sources)
    assert flow.notes == [f"source empty: {folder / 'empty.txt'} holds no document"]
    with pytest.raises(TokenworthError, match="no document is left to write: quality dropped 108"):
        made(folder, stages={"quality": {"min_words": 2000}})


def test_a_task_without_a_test_part_is_told(folder, monkeypatch):
    """Whatever the notes of tasks say: once the warning hung on their wording."""
    flow, _ = made(folder)
    assert not any("has no test part of its own" in note for note in flow.notes)
    (folder / "task" / "test.csv").unlink()
    load = tasks.load_task
    monkeypatch.setattr(tasks, "load_task", lambda *args, **more: replace(load(*args, **more), notes=("reworded",)))
    flow, _ = made(folder)
    assert any("has no test part of its own" in note for note in flow.notes)


def test_a_second_build_in_the_same_folder_is_refused_in_a_sentence(folder):
    """Once both ended in FileNotFoundError."""
    made(folder)
    held = {path: path.read_bytes() for path in (folder / "out").glob("text-*.parquet")}
    with only_writer(folder / "out", ""), pytest.raises(BusyError, match="another run is writing its results into"):
        made(folder, seed=5)
    assert {path: path.read_bytes() for path in (folder / "out").glob("text-*.parquet")} == held
    made(folder, seed=5)


def test_what_a_killed_build_left_half_written_is_removed_by_the_next(folder):
    made(folder)
    stage = next((folder / "out" / "work").iterdir())
    debris = [
        folder / "out" / "text-00000.parquet.4711.part",
        stage / "00000.json.4711.part",
        stage / "x.seen.4711.part",
    ]
    for path in debris[:2]:
        path.write_text("half")
    (debris[2] / "inside").mkdir(parents=True)
    (folder / "out" / "mine.part").write_text("of somebody else")
    made(folder)
    assert not any(path.exists() for path in debris)
    assert (folder / "out" / "mine.part").exists()


def test_a_flipped_bit_in_a_shard_is_noticed(folder):
    made(folder)
    shard = next((folder / "out" / "work").rglob("00000.parquet"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 3] ^= 16
    shard.write_bytes(content)
    with pytest.raises(TokenworthError, match=r"00000\.parquet is damaged .* run it again, which makes it anew"):
        read_documents(shard)


@pytest.mark.skipif(os.name != "posix", reason="file size limits are those of POSIX")
def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(folder):
    """A limit on the size of files stands in for the disk."""
    written(folder)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "sys.argv = ['tokenworth', 'corpus', 'build', 'corpus.yaml', '--out', 'out', '-q']\n"
        "from tokenworth.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cannot be written (" in done.stderr
    assert "make room there and run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(Path(folder / "out").rglob("*.part"))
    assert tokenworth("corpus", "build", "corpus.yaml", "--out", "out", "-q", cwd=folder).code == 0
    assert len(output(folder / "out")) == 102
