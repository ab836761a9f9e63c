"""A task whose classes can be read from the words, for the tiny models of ``small_models``; as a Task and as a file."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from small_models import WORDS
from tokenworth.tasks import Split, Task
from tokenworth.tasks.task import count

COMMON = 10
"""Words that every class uses; each class has ten more of its own."""


def planted_task(
    n_train: int = 120, n_test: int = 60, n_classes: int = 2, *, own: float = 0.4, seed: int = 0, longest: int = 11
) -> Task:
    """Texts of 3 words or more; a share ``own`` of the words is drawn from those of the text's class."""
    rng = np.random.default_rng(seed)
    train, test = (_part(rng, n, n_classes, own, longest) for n in (n_train, n_test))
    names = tuple(f"class {c}" for c in range(n_classes))
    return Task("planted", "made up", names, train, test, (), count(train, test, n_classes), seed)


def _part(rng: np.random.Generator, n: int, n_classes: int, own: float, longest: int) -> Split:
    labels = rng.permutation(np.arange(n) % n_classes)
    texts = []
    for label in labels:
        shift = np.where(rng.random(rng.integers(3, longest + 1)) < own, COMMON * (1 + label), 0)
        texts.append(" ".join(WORDS[i] for i in shift + rng.integers(COMMON, size=len(shift))))
    return Split(texts, labels)


def with_parts(task: Task, *, train: dict | None = None, test: dict | None = None) -> Task:
    """The task with some fields (texts, labels, groups) of its parts replaced."""
    return replace(task, train=replace(task.train, **train or {}), test=replace(task.test, **test or {}))


def write_rows(path: Path, rows: list[tuple[str, str]], head: tuple[str, str] = ("text", "label")) -> Path:
    """A .csv file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def rows_of(task: Task) -> list[tuple[str, str]]:
    """Text and label of every text, both parts together."""
    parts = (task.train, task.test)
    return [(text, task.label_names[y]) for part in parts for text, y in zip(part.texts, part.labels, strict=True)]
