"""The 17 published tasks as a table: where each lies on the hub and which of its columns and splits are meant.

The columns are those of the data sets on the hub; sizes are the official ones.  Each can also lie in a folder of its
name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokenworth.tasks.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """How one published data set is read as a task."""

    hub: str
    """Identifier on the hub."""
    classes: int
    """How many the official split has."""
    rows: tuple[int, int | None]
    """Official rows of train and test; None where there is one split."""
    config: str | None = None
    """Configuration on the hub, where there are several."""
    text: str = "text"
    """Column of the text."""
    text_pair: str | None = None
    """Column of a second text, joined to the first by one space."""
    label: str = "label"
    """Column of the label."""
    test: str | None = "test"
    """Split used as test; None holds out a share of train."""
    label_names: tuple[str, ...] | None = None
    """Names of the integer labels where the data set itself does not carry them."""
    group: str | None = None
    """Column whose equal values stay in one part."""
    compose: Callable[[Table], list[Any]] | None = None
    """Computes the text column where the data set has none ..."""
    composed_of: tuple[str, ...] = ()
    """... from these columns."""
    note: str = ""
    """What a reader of results has to know."""


def question_with_choices(table: Table) -> list[Any]:
    """One text a question: `question (0) first choice (1) second choice ...`."""
    choices = [[f"({i}) {choice}" for i, choice in enumerate(row["text"])] for row in table.columns["choices"]]
    return [" ".join([question, *row]) for question, row in zip(table.columns["question"], choices, strict=True)]


PUBLISHED: dict[str, Published] = {
    "dbpedia": Published(
        hub="fancyzhx/dbpedia_14", classes=14, rows=(560_000, 70_000), text="content",
        note="The text is the abstract without the title.",
    ),
    "bias_identification": Published(
        hub="PriyaPatel/Bias_identification", classes=10, rows=(22_364, 2_796), text="context", label="bias_type",
        label_names=(
            "race-color", "socioeconomic", "gender", "disability", "nationality", "sexual-orientation",
            "physical-appearance", "religion", "age", "profession",
        ), note="Offensive language throughout.",
    ),
    "bias_in_bios": Published(
        hub="LabHC/bias_in_bios", classes=28, rows=(257_478, 99_069), text="hard_text", label="profession",
        label_names=(
            "accountant", "architect", "attorney", "chiropractor", "comedian", "composer", "dentist", "dietitian", "dj",
            "filmmaker", "interior_designer", "journalist", "model", "nurse", "painter", "paralegal", "pastor",
            "personal_trainer", "photographer", "physician", "poet", "professor", "psychologist", "rapper",
            "software_engineer", "surgeon", "teacher", "yoga_teacher",
        ),
    ),
    "climate_sentiment": Published(hub="climatebert/climate_sentiment", classes=3, rows=(1_000, 320)),
    "emotion": Published(hub="dair-ai/emotion", config="split", classes=6, rows=(16_000, 2_000)),
    "imdb": Published(hub="stanfordnlp/imdb", classes=2, rows=(25_000, 25_000)),
    "clickbait": Published(
        hub="marksverdhei/clickbait_title_classification", classes=2, rows=(32_000, None), text="title",
        label="clickbait", test=None, label_names=("not clickbait", "clickbait"),
    ),
    "rotten_tomatoes": Published(hub="cornell-movie-review-data/rotten_tomatoes", classes=2, rows=(8_530, 1_066)),
    "snli": Published(
        hub="stanfordnlp/snli", classes=3, rows=(549_367, 9_824), text="premise", text_pair="hypothesis",
        label_names=("entailment", "neutral", "contradiction"),
    ),
    "sst2": Published(
        hub="stanfordnlp/sst2", classes=2, rows=(67_349, 872), text="sentence", test="validation",
        note="The validation split is the test part, since the labels of the official test split are hidden.",
    ),
    "wiki_toxic": Published(
        hub="OxAISH-AL-LLM/wiki_toxic", classes=2, rows=(127_656, 63_978), text="comment_text",
        label_names=("non-toxic", "toxic"), note="Offensive language throughout.",
    ),
    "yelp_review_full": Published(hub="Yelp/yelp_review_full", classes=5, rows=(650_000, 50_000)),
    "intent_classification": Published(
        hub="Bhuvaneshwari/intent_classification", classes=12, rows=(13_808, None), label="intent", test=None,
        note="The files called test and valid repeat the training rows, so a share of train is held out instead.",
    ),
    "banking77": Published(hub="legacy-datasets/banking77", classes=77, rows=(10_003, 3_080)),
    "sms_spam": Published(hub="ucirvine/sms_spam", classes=2, rows=(5_574, None), text="sms", test=None),
    "medical_question_pairs": Published(
        hub="curaihealth/medical_questions_pairs", classes=2, rows=(3_048, None), text="question_1",
        text_pair="question_2", test=None, label_names=("different", "similar"), group="question_1",
        note="Every first question occurs twice, once with each label; both are kept on one side of the split.",
    ),
    "commonsense_qa": Published(
        hub="tau/commonsense_qa", classes=5, rows=(9_741, 1_221), label="answerKey", test="validation",
        compose=question_with_choices, composed_of=("question", "choices"),
        note="The validation split is the test part, since the answers of the official test split are hidden.",
    ),
}  # fmt: skip
"""Rules of the published tasks, by name."""


def published_rows() -> list[dict[str, object]]:
    """A row a task, the built-in ones last: where it comes from and how its columns are read."""
    rows: list[dict[str, object]] = [
        {
            "name": name,
            "hub id": entry.hub,
            "classes": entry.classes,
            "text": " + ".join(entry.composed_of or [c for c in (entry.text, entry.text_pair) if c]),
            "label": entry.label,
            "test": entry.test or "held out of train",
            "note": entry.note,
        }
        for name, entry in sorted(PUBLISHED.items())
    ]
    here = {"hub id": "(built from installed packages)", "note": "works offline"}
    rows += [{"name": name, **here} for name in ("docstrings", "docstring-kinds", "docstring-sections")]
    return rows
