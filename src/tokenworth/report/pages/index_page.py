"""The page of an index: the answer by task, every result, a comparison of any two, small multiples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tokenworth.report.displayed_values import clean, interval, shown
from tokenworth.report.index.folder_reader import ResultIndex
from tokenworth.report.index.index_entry import BOW, F1, Entry, Headline
from tokenworth.report.index.result_comparison import kind_words, kinds_text
from tokenworth.report.index.result_kinds import PLURALS
from tokenworth.report.pages import index_charts as charts
from tokenworth.report.pages.cards import Card
from tokenworth.report.pages.index_table import HEADS, TEXT_HEADS, compared_facts, identity, link_of, row_cells, written
from tokenworth.report.pages.rendering import render_without_library
from tokenworth.report.pages.theme import ACCENT, GREY, Key

_MOST_SENTENCES = 6
_MEASURED = ("assessment", "ranking", "run")
KEYS = (
    Key("dot", "a network as it was trained, or words alone", ACCENT),
    Key("ring", "random weights", ACCENT),
    Key("line", "bag of words", GREY),
    Key("dash", "majority class", GREY),
)


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """The best that was measured on a task, beside its bag of words."""

    task: str
    best: Entry
    headline: Headline
    bow: float | None

    @property
    def beats_words(self) -> bool:
        """Whether the lower end of its interval is above the bag of words."""
        low = self.headline.low if self.headline.low is not None else self.headline.value
        return self.bow is not None and low > self.bow

    def sentence(self) -> str:
        """In words."""
        between = interval(self.headline.low, self.headline.high)
        name = self.best.content.best or self.best.content.title
        best = f"{self.task}: the best is {name} with {F1} {shown(self.headline.value)}"
        best += f" ({between})" if between else ""
        if self.bow is None:
            return f"{best}; no bag of words was measured on these texts, so this cannot be judged."
        difference = self.headline.value - self.bow
        if self.best.content.route == "bow":
            return f"{best}: nothing that was measured is ahead of a bag of words."
        where = "ahead" if difference > 0 else "behind"
        noise = "" if self.beats_words or difference <= 0 else ", which lies within its interval"
        return f"{best}; a bag of words reaches {shown(self.bow)}: {where} by {shown(abs(difference))}{noise}."


def index_page(index: ResultIndex, *, reload_seconds: int | None = None) -> str:
    """An index of results.

    Args:
        index: what lies below a folder.
        reload_seconds: how often an open page looks whether it was written anew; None: never.
    """
    rows = {entry.file: f"row-{place}" for place, entry in enumerate(index.entries)}
    name = clean(index.root.resolve().name)
    return render_without_library(
        "index.html.j2",
        f"{name}: results",
        "index.js",
        index=index,
        name=name,
        rows=rows,
        heads=HEADS,
        text_heads=TEXT_HEADS,
        cells=row_cells,
        link_of=link_of,
        identity=identity,
        says=_says(index),
        answers=list(_sentences(index)),
        cards=_cards(index),
        kinds=_kinds(index),
        tasks=sorted({entry.content.task for entry in index.entries if entry.content.task}),
        drawings=charts.task_drawings(index, rows),
        curves=charts.curve_drawings(index, rows),
        keys=KEYS,
        made=written(index.made),
        data=compared_facts(index.entries, rows),
        reload=reload_seconds,
    )


def task_answers(index: ResultIndex) -> list[TaskAnswer]:
    """One a task, of assessments and runs, the task with the newest result first."""
    by_task: dict[tuple[str, str], list[Entry]] = {}
    for entry in index.entries:
        if entry.kind in _MEASURED and entry.content.headline is not None:
            by_task.setdefault((entry.content.task, entry.content.fingerprint), []).append(entry)
    return [_answer(task, entries) for (task, _), entries in by_task.items()]


def _answer(task: str, entries: list[Entry]) -> TaskAnswer:
    figures = [(entry.content.headline, entry) for entry in entries if entry.content.headline is not None]
    headline, best = max(figures, key=lambda pair: pair[0].value)
    words = [reference.value for entry in entries for reference in entry.content.references if reference.name == BOW]
    words += [reference.value for reference in headline.references if reference.name == BOW]
    return TaskAnswer(task, best, headline, max(words, default=None))


def _sentences(index: ResultIndex) -> Iterator[str]:
    answers = task_answers(index)
    ahead, judged = _count(answers)
    if judged:
        yield f"A bag of words is beaten beyond the interval on {_tasks(ahead, judged)}."
    elif not index.entries:
        yield "There is no result below this folder yet."
    yield from (answer.sentence() for answer in answers[:_MOST_SENTENCES])
    if len(answers) > _MOST_SENTENCES:
        more = len(answers) - _MOST_SENTENCES
        yield f"The table has {more:,} more task{'s' * (more != 1)}."


def _count(answers: list[TaskAnswer]) -> tuple[int, int]:
    """Tasks on which the bag of words is beaten, and those that have one."""
    judged = [answer for answer in answers if answer.bow is not None]
    return sum(answer.beats_words for answer in judged), len(judged)


def _tasks(ahead: int, judged: int) -> str:
    return f"{ahead:,} of {judged:,} task{'s' * (judged != 1)}"


def _says(index: ResultIndex) -> str:
    """The head of the page."""
    own = sum(not entry.part_of for entry in index.entries)
    results, (ahead, judged) = f"{own:,} result{'s' * (own != 1)}", _count(task_answers(index))
    return f"{results}, a bag of words beaten on {_tasks(ahead, judged)}" if judged else results


def _cards(index: ResultIndex) -> list[Card]:
    own = [entry for entry in index.entries if not entry.part_of]
    unfinished = sum(not entry.content.finished for entry in own)
    cards = [Card("Results", f"{len(own):,}", (kinds_text(index),), accent=True)]
    if own:
        newest, moment = own[0], written(own[0].changed)
        cards.append(
            Card("The newest", f"{moment:%d %b}", (f"{moment:%H:%M}, {newest.content.title}", clean(newest.place)))
        )
    cards.append(Card("Not finished", f"{unfinished:,}", ("the same command goes on with them",) if unfinished else ()))
    cards.append(
        Card("Not readable", f"{len(index.faults):,}", ("named below, with the reason",) if index.faults else ())
    )
    return cards


def _kinds(index: ResultIndex) -> Mapping[str, Any]:
    """By kind, what its button says; parts of other results are one button of their own."""
    own = [entry.kind for entry in index.entries if not entry.part_of]
    parts = sum(bool(entry.part_of) for entry in index.entries)
    said = {kind: f"{kind_words(kind, own.count(kind))} {own.count(kind):,}" for kind in PLURALS if kind in own}
    return said | ({"part": f"parts of others {parts:,}"} if parts else {})
