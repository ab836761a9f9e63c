"""The index of results: every kind is found and stands beside what it is to be compared with; damage is named."""

import json
import math
import os
import random
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from damaged_results import damaged
from result_folders import KINDS, TEXTS, results_folder, run_text, write_result
from tokenworth.adaptation import AdaptResult
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.report import write_index
from tokenworth.report.displayed_values import ABSENT
from tokenworth.report.index.folder_reader import FolderReader
from tokenworth.report.index.index_entry import BOW, MAJORITY, fact_text, facts_of
from tokenworth.report.index.index_file import save_index, watch
from tokenworth.report.index.result_comparison import chosen_pair, compare_entries, kinds_text
from tokenworth.report.index.result_kinds import result_kinds, stated_parts
from tokenworth.report.pages.index_page import index_page, task_answers


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return results_folder(tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def index(home):
    return FolderReader(home).read()


@pytest.mark.parametrize(("tuning", "begins"), [("soft_prompt", "LoRA (soft_prompt)"), (None, "LoRA,"), (3, "LoRA,")])
def test_a_run_is_called_by_its_tuning(tmp_path, tuning, begins):
    content = json.loads(run_text())
    content["settings"]["tuning"] = tuning
    write_result(tmp_path / "run", "result.json", json.dumps(content))
    (entry,) = FolderReader(tmp_path).read().entries
    assert entry.content.title.startswith(begins)


@pytest.fixture
def own(home, tmp_path):
    """A copy to change."""
    return shutil.copytree(home, tmp_path / "out")


def at(index, place):
    return next(entry for entry in index.entries if entry.place == place)


def test_every_kind_is_found(index):
    assert {entry.place: entry.kind for entry in index.entries if not entry.part_of} == KINDS
    assert index.faults == ()
    assert kinds_text(index).startswith("2 assessments, 1 ranking, 1 decision, 4 runs, 1 study")


FIGURES = {
    "reviews": ("weighted F1", 0.87, {BOW: 0.75, MAJORITY: 0.36}),
    "ranked": ("weighted F1", 0.87, {BOW: 0.75, MAJORITY: 0.36}),
    "lora": ("weighted F1", 0.871, {BOW: 0.8, MAJORITY: 0.33}),
    "bow": ("weighted F1", 0.78, {MAJORITY: 0.33}),
    "served": ("weighted F1", 0.7, {BOW: 0.8, MAJORITY: 0.33}),
    "decided": ("weighted F1", 0.895, {BOW: 0.8}),
    "study": ("weighted F1", 0.9, {BOW: 0.8, MAJORITY: 0.33}),
    "pretrained": ("bits a byte", 1.75, {"at the start": 4.0}),
    "corpus": ("documents", 12, {"read": 20}),
    "mixture": ("nats a token", 3.0, {"on the weights before": 3.1}),
}


@pytest.mark.parametrize("place", FIGURES)
def test_a_figure_stands_beside_what_it_is_compared_with(index, place):
    name, value, references = FIGURES[place]
    headline = at(index, place).content.headline
    assert (headline.name, headline.value) == (name, pytest.approx(value))
    assert {each.name: each.value for each in headline.references} == pytest.approx(references)
    assert next(iter(references)) == headline.references[0].name


def test_less_is_better_where_it_is_a_loss(index):
    assert at(index, "pretrained").content.headline.lead == pytest.approx(2.25)
    assert at(index, "mixture").content.headline.lead == pytest.approx(0.1)
    assert at(index, "corpus").content.headline.lead is None


def test_a_trace_is_compared_at_its_end(index):
    headline = at(index, "trace").content.headline
    (curve,) = at(index, "trace").content.curves
    assert headline.value == pytest.approx(curve.y[-1])
    assert headline.references[0].name == BOW
    assert curve.x == tuple(sorted(curve.x))
    assert at(index, "trace").page == "trace/trace.html"


def test_a_bag_of_words_of_another_result_says_where_it_was_measured(index):
    (bow, majority) = at(index, "lora").content.headline.references
    assert bow.source == "study/cells/bb/run", "the strongest of three"
    assert majority.source == ""


def test_a_run_that_was_begun_and_a_run_that_is_finished_are_told_apart(index, own):
    assert not at(index, "begun").content.finished
    assert at(index, "begun").content.headline is None
    write_result(own / "begun", "result.json", run_text("full", f1=0.8))
    (entry,) = [entry for entry in FolderReader(own).read().entries if entry.place == "begun"]
    assert entry.file == "begun/result.json"
    assert entry.content.finished


def test_cells_are_parts_of_their_study(index):
    parts = {entry.place: entry.part_of for entry in index.entries if entry.part_of}
    assert parts == {f"study/cells/{key}/run": "study" for key in ("aa", "bb")}
    study = at(index, "study").content
    assert study.sentence == "2 of 3 cells are finished, 1 failed."
    assert study.finished, "a cell that failed has ended"


def test_trials_of_a_run_are_its_parts(own):
    write_result(own / "lora" / "tuning" / "trial-0", "result.json", run_text(), page="")
    write_result(own / "lora" / "later", "result.json", run_text(), page="")
    parts = {entry.place: entry.part_of for entry in FolderReader(own).read().entries}
    assert parts["lora/tuning/trial-0"] == "lora"
    assert parts["lora/later"] == ""


def test_the_answer_of_a_task_is_its_best_against_the_strongest_bag_of_words(index):
    answer = next(answer for answer in task_answers(index) if answer.task == "rotten_tomatoes")
    assert (answer.headline.value, answer.bow) == (pytest.approx(0.91), 0.8)
    assert answer.beats_words
    assert "a bag of words reaches 0.800: ahead by 0.110." in answer.sentence()


# --- reading no more than is shown


def test_parts_of_a_result_are_those_of_the_whole_file(home):
    for path in home.rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        whole = json.loads(text)
        if path.name in result_kinds():
            names = set(list(whole)[::2])
            assert stated_parts(text, names) == {name: whole[name] for name in whole if name in names}


def test_a_result_that_is_cut_short_is_never_taken_for_a_whole_one(home):
    text = (home / "reviews" / "assessment.json").read_text(encoding="utf-8").rstrip()
    rng = random.Random(0)
    for length in [0, 1, len(text) - 1, *(rng.randrange(len(text)) for _ in range(200))]:
        assert stated_parts(text[:length], {"task", "probes", "sentences"}) is None
    assert stated_parts(text, {"task"}) is not None
    assert stated_parts(json.dumps(json.loads(text)), {"task"}) is None, "laid out in another way: read whole"


def test_a_file_laid_out_in_another_way_is_read_whole(index, own):
    path = own / "reviews" / "assessment.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    assert at(FolderReader(own).read(), "reviews").content == at(index, "reviews").content


def test_what_is_as_it_was_is_not_read_again(own, monkeypatch):
    reader, read = FolderReader(own), []
    first = reader.read()
    for kind in {type(kind) for kind in result_kinds().values()}:
        whole = kind.read
        monkeypatch.setattr(kind, "read", lambda self, path, whole=whole: read.append(path.name) or whole(self, path))
    assert not reader.has_changed()
    assert reader.read().entries == first.entries
    write_result(own / "new", "result.json", run_text())
    assert reader.has_changed()
    assert len(reader.read().entries) == len(first.entries) + 1
    assert read == ["result.json"]


# --- damage


HARMS = {
    "cut": (
        lambda text: text[: len(text) // 2],
        r"^reviews/assessment\.json holds no assessment \(.+\); run tokenworth",
    ),
    "empty": (lambda _: "", "holds no assessment"),
    "foreign": (lambda _: '{"hello": [1, 2]}', "that can be used: task is missing; run tokenworth assess again"),
    "a list": (lambda _: "[]", "it is [] and not an object".replace("[", r"\[").replace("]", r"\]")),
    "newer": (lambda text: text.replace('"schema": 1', '"schema": 99', 1), "its schema is 99 .* install a newer one"),
    "other type": (
        lambda text: text.replace('"name": "rotten_tomatoes"', '"name": 5', 1),
        "task.name is 5 and not text",
    ),
    "deep": (lambda _: "[" * 100_000, "holds no assessment"),
    "not finite": (
        lambda text: text.replace('"encode": 14.2', '"encode": NaN'),
        "timings.encode is nan and not a number",
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_file_is_named_with_the_reason_and_nothing_else_is_lost(index, own, harm):
    change, sentence = HARMS[harm]
    path = own / "reviews" / "assessment.json"
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    damaged_index = FolderReader(own).read()
    (fault,) = damaged_index.faults
    assert re.search(sentence, fault.sentence)
    assert {entry.place for entry in damaged_index.entries} == {entry.place for entry in index.entries} - {"reviews"}
    page = index_page(damaged_index)
    assert 'id="faults"' in page
    assert str(own) not in page, "only what stays right when the folder is moved"


def test_what_is_no_file_cannot_stop_the_index(own):
    for name, make in {"a": os.mkfifo, "b": os.mkdir, "c": lambda path: path.symlink_to("nowhere")}.items():
        (own / name).mkdir()
        make(own / name / "result.json")
    (own / "d").mkdir()
    (own / "d" / "result.json").write_bytes(b"\xff\xfe\x00")
    (own / "loop").symlink_to(own, target_is_directory=True)
    index = FolderReader(own).read()
    assert [fault.file for fault in index.faults] == ["a/result.json", "d/result.json"]
    assert len([entry for entry in index.entries if not entry.part_of]) == len(KINDS)


@pytest.mark.parametrize("seed", range(24))
def test_however_a_folder_is_damaged_its_index_is_made(own, seed):
    rng = random.Random(seed)
    harm = [damaged(own / place, rng) for place in rng.sample(sorted(KINDS), 3)]
    index = FolderReader(own).read()
    assert len(index.entries) >= len(KINDS) - 4, harm
    assert "</html>" in index_page(index), harm


def test_a_folder_without_results_says_so(tmp_path):
    page = write_index(tmp_path)
    assert page == tmp_path / "index.html"
    assert "There is no result below this folder yet." in page.read_text(encoding="utf-8")


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(SettingError, match="is no folder; give one that holds results"):
        write_index(tmp_path / "nowhere")


def test_a_page_of_somebody_else_is_not_written_over(tmp_path):
    (tmp_path / "index.html").write_text("<title>my site</title>", encoding="utf-8")
    with pytest.raises(SettingError, match=r"index\.html was not written by tokenworth index and would be lost"):
        write_index(tmp_path)
    (tmp_path / "index.html").unlink()
    write_index(tmp_path)
    write_index(tmp_path)


# --- links


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.loads = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src"):
                (self.links if tag == "a" else self.loads).append(value)


@pytest.mark.parametrize(
    "name", ["a b#c?d%20e", "<script>window.pwned=1<", "javascript:alert(1)", "größe 大", "'\"&amp;"]
)
def test_links_lead_to_pages_wherever_the_folder_lies(tmp_path, name):
    folder = tmp_path / "out" / name / "x"
    write_result(folder, "result.json", run_text())
    write_result(tmp_path / "out" / "y", "result.json", run_text(), page="")
    write_index(tmp_path / "out")
    shutil.move(tmp_path / "out", tmp_path / "moved")
    page = (tmp_path / "moved" / "index.html").read_text(encoding="utf-8")
    found = Links(page)
    assert found.loads == []
    assert len(set(found.links)) == 2
    assert all(link.startswith("./") and (tmp_path / "moved" / unquote(link)).is_file() for link in found.links)
    assert "<script>window" not in page


def test_a_folder_whose_name_is_no_text_is_shown_and_linked(tmp_path):
    folder = os.fsencode(tmp_path) + b"/bad\xffname"
    write_result(Path(os.fsdecode(folder)), "result.json", run_text(), page="")
    page = write_index(tmp_path).read_text(encoding="utf-8")
    assert "./bad%FFname/result.json" in page


# --- comparison


def test_two_runs_differ_in_what_was_changed(own):
    write_result(own / "again", "result.json", run_text(f1=0.9, seed=1))
    index = FolderReader(own).read()
    comparison = compare_entries(at(index, "lora"), at(index, "again"))
    changes = {(change.section, change.name): change for change in comparison.changes}
    assert changes["Settings", "seed"].second == "1"
    assert [changes["Settings", f"odd {place}"].first for place in (2, 6, 7, 8)] == [
        "1.23e-05", "1.235e+05", "98,765,432", "3.3e+12"
    ]  # fmt: skip
    assert changes["Settings", "lr"].difference == pytest.approx(1e-4)
    assert changes["Numbers", "weighted f1"].difference == pytest.approx(0.029)
    assert {section for section, _ in changes} == {"Settings", "Numbers"}
    assert comparison.same_texts
    assert comparison.alike["Versions"] == 1


def test_results_of_two_kinds_are_not_compared(index):
    with pytest.raises(SettingError, match="reviews is of the kind assessment and lora of the kind run"):
        chosen_pair(index, ["reviews", "lora"])
    with pytest.raises(SettingError, match="has no result 'lara'; did you mean 'lora'"):
        chosen_pair(index, ["lara", "bow"])


def test_results_are_named_by_folder_or_file_from_here_or_from_the_folder(index, home, monkeypatch):
    wanted = at(index, "lora"), at(index, "bow")
    monkeypatch.chdir(home.parent)
    assert chosen_pair(index, ["lora", "bow/result.json"]) == wanted
    assert chosen_pair(index, [home / "lora", Path(home.name) / "bow"]) == wanted


def test_of_a_folder_with_two_results_the_one_of_the_others_kind_is_meant(own):
    shutil.copy(own / "reviews" / "assessment.json", own / "lora" / "assessment.json")
    index = FolderReader(own).read()
    assert chosen_pair(index, ["lora", "bow"])[0].kind == "run"
    shutil.copy(own / "bow" / "result.json", own / "reviews" / "result.json")
    with pytest.raises(SettingError, match=r"name two of these files: .*lora/assessment\.json"):
        chosen_pair(FolderReader(own).read(), ["lora", "reviews"])


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234567, "1,234,567"), (0.5, "0.5"), (1 / 3, "0.3333"), (7.172e12, "7.172e+12"), (True, "yes"), (None, ABSENT),
     (math.nan, ABSENT), (10**400, "beyond 1e300"), ([1, "a"], "1, a"), ([[1]], "[[1]]"), ("a\nb", "a b")],
)  # fmt: skip
def test_facts_are_told_as_people_read_them(value, text):
    assert fact_text(facts_of({"x": value})["x"]) == text


def test_long_lists_that_differ_in_the_middle_are_not_the_same():
    facts = [facts_of({"layers": [*range(100), middle, *range(100)]})["layers"] for middle in (1, 2)]
    assert facts[0] != facts[1]
    assert max(map(len, facts)) < 130


# --- the watch


def test_the_page_is_written_when_a_result_a_page_or_a_cell_comes_and_not_else(own, monkeypatch):
    reader, counts = FolderReader(own), []
    reader.read()
    (own / "notes.txt").write_text("nothing that is shown")
    steps = iter([
        lambda: None,
        lambda: write_result(own / "new", "result.json", run_text(), page=""),
        lambda: (own / "new" / "report.html").write_text("its page"),
        lambda: (own / "study" / "cells" / "dd").mkdir() or (own / "study/cells/dd/cell.json").write_text("{}"),
        lambda: shutil.rmtree(own / "new"),
    ])  # fmt: skip
    monkeypatch.setattr("tokenworth.report.index.index_file.time.sleep", lambda _: next(steps)())
    watch(reader, lambda index: counts.append(len(index.entries)), every=1.0, times=5)
    before = len(KINDS) + 2
    assert counts == [before + 1, before + 1, before + 1]
    assert not watch(reader, lambda index: counts.append(len(index.entries)), every=1.0, times=0)
    assert reader.has_changed()


def test_a_folder_that_goes_ends_the_watch_and_is_not_made_again(own):
    reader = FolderReader(own)
    reader.read()
    shutil.rmtree(own)
    with pytest.raises(TokenworthError, match="has gone while it was watched"):
        watch(reader, print, every=0.2, times=1)
    assert not own.exists()


def test_a_study_whose_cells_have_only_begun_is_dated(tmp_path):
    cell = tmp_path / "study" / "cells" / "aa"
    write_result(cell, "cell.json", "{}", page="")
    (entry,) = FolderReader(tmp_path).read().entries
    assert entry.changed == pytest.approx((tmp_path / "study" / "cells").stat().st_mtime)
    assert entry.content.sentence == "0 of 1 cells are finished."
    assert not entry.content.finished
    write_result(cell / "run", "count.json", "{}", page="")
    (entry,) = FolderReader(tmp_path).read().entries
    assert entry.content.sentence == "1 of 1 cells are finished."
    assert entry.content.finished


def test_a_folder_that_is_slow_to_walk_over_is_looked_at_less_often(own, monkeypatch):
    reader, pauses, clock = FolderReader(own), [], iter([0.0, 2.0, 10.0, 10.001])
    reader.read()
    monkeypatch.setattr("tokenworth.report.index.index_file.time.sleep", pauses.append)
    monkeypatch.setattr("tokenworth.report.index.index_file.time.perf_counter", lambda: next(clock))
    watch(reader, print, every=1.0, times=2)
    assert pauses == [pytest.approx(18.0), 1.0]


def test_only_a_watched_page_loads_itself_anew(own):
    index = FolderReader(own).read()
    assert "data-reload" not in save_index(index).read_text(encoding="utf-8").partition("<script nonce")[0]
    assert 'data-reload="5"' in save_index(index, reload_seconds=5).read_text(encoding="utf-8")


# --- what the classes say


def test_files_are_those_of_the_classes():
    assert result_kinds()[AdaptResult.FILE].holds == AdaptResult.HOLDS
    with pytest.raises(TokenworthError, match="holds no result of adapt"):
        result_kinds()[AdaptResult.FILE].read(Path(__file__))
    assert TEXTS in run_text()
