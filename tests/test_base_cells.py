"""What is made once: keys under which earlier work is found again, and cells that several processes want."""

import multiprocessing
import os
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import tokenworth.base.cell_store as cell_store
from tokenworth.base.atomic_files import read_json, write_json
from tokenworth.base.cell_store import CellStore, content_hash, content_key
from tokenworth.base.locks import BusyError, only_writer
from tokenworth.study.grid import Cell
from tokenworth.study.study_store import cell_key

# --- keys


@pytest.fixture
def of_version_2(monkeypatch):
    """Keys as they were when these were written down, whatever numbers have changed since."""
    monkeypatch.setattr(cell_store, "NUMERICS", 2)


@pytest.mark.usefixtures("of_version_2")
def test_work_that_is_kept_is_found_again():
    """Raising a layout or changing how a key is made throws away what users have kept: not by accident."""
    settings = {"rank": 8, "lr": 1e-4, "x": None, "ü": (1, 2)}
    cell = Cell(task="t", backbone="b", route="lora", seed=7, settings=settings)
    assert cell_key(cell, "t", "w") == "5f522a6c4e87cd96d6c78d4d"
    assert content_key({"kind": "bow", "weights": "", "task": "t"}) == "6156f57ca0bcf03672799289"
    assert content_key(["redact"]) == "0b9b5a5d91e3597d27725671"
    assert content_key({"model": "m", "layers": [1, 2]}, layout=2) == "bdc055e1b62f684f03c62191"
    assert content_hash([(0, 1, 2, 3), ["mean", "last", "cls"]])[:8] == "876db5ba"


def test_a_key_is_of_content_numbers_and_layout(monkeypatch):
    facts, row = {"a": 1, "b": [2.5, None]}, ["read", 1]
    assert content_key(facts) == content_key(dict(reversed(facts.items())))
    different = {
        content_key(facts), content_key({**facts, "a": 2}), content_key(facts, layout=2), content_key(row),
        content_key([*row, 0]), content_key(row, layout=2),
    }  # fmt: skip
    assert len(different) == 6
    monkeypatch.setattr(cell_store, "NUMERICS", 10**6)
    assert not {content_key(facts), content_key(row)} & different


# --- cells


@dataclass(frozen=True)
class Files(CellStore[str, str, str]):
    """Cells that are a JSON file each."""

    root: Path
    contended = True

    def find(self, name):
        path = self.root / f"{name}.json"
        return read_json(path) if path.is_file() else None

    @contextmanager
    def hold(self, name):
        work = self.root / name
        work.mkdir(parents=True, exist_ok=True)
        with only_writer(work, "another makes it"):
            yield work

    def keep(self, name, result):
        write_json(self.root / f"{name}.json", result)
        return result


def test_a_cell_is_made_once(tmp_path):
    store, calls = Files(tmp_path), []

    def make(work):
        assert work == tmp_path / "a"
        with pytest.raises(BusyError):
            store.once("a", make)
        calls.append(1)
        return "made"

    assert [store.once("a", make), store.once("a", make)] == ["made", "made"]
    assert len(calls) == 1


def test_a_cell_that_failed_is_made_by_the_next(tmp_path):
    store = Files(tmp_path)
    with pytest.raises(ZeroDivisionError):
        store.once("a", lambda _work: 1 / 0)
    assert store.find("a") is None
    assert store.once("a", lambda _work: "made") == "made"


def test_who_comes_to_hold_a_cell_looks_once_more(tmp_path):
    """Another process has finished it between the look and the lock."""

    class Late(Files):
        @contextmanager
        def hold(self, name):
            with super().hold(name) as work:
                self.keep(name, "by another")
                yield work

    assert Late(tmp_path).once("a", lambda _work: pytest.fail("made twice")) == "by another"


def _killed(root, begun):
    def make(work):
        (work / "half").write_text("half")
        begun.set()
        time.sleep(60)

    Files(root).once("a", make)


def test_a_cell_is_made_after_its_maker_was_killed(tmp_path):
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    process = context.Process(target=_killed, args=(tmp_path, begun))
    process.start()
    assert begun.wait(60)
    with pytest.raises(BusyError):
        Files(tmp_path).once("a", lambda _work: "made")
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert Files(tmp_path).once("a", lambda work: (work / "half").read_text()) == "half"
