"""A task whose several labels can be read from the words, as a Task and as a file."""

import json
from pathlib import Path

import numpy as np

from planted import COMMON
from small_models import WORDS
from tokenworth.tasks import Split, Task
from tokenworth.tasks.task import count

SHARES = (0.5, 0.35, 0.2)
"""Of the texts, those that have each label."""


def planted_labels(n_train: int = 150, n_test: int = 80, *, seed: int = 0) -> Task:
    """Texts of five words that all use, and for each label two of its own."""
    rng = np.random.default_rng(seed)
    train, test = _part(rng, n_train), _part(rng, n_test)
    names = tuple(f"label {c}" for c in range(len(SHARES)))
    return Task("labels", "made up", names, train, test, (), count(train, test, len(names)), seed)


def _part(rng: np.random.Generator, n: int) -> Split:
    labels = (rng.random((n, len(SHARES))) < SHARES).astype(np.uint8)
    texts = []
    for row in labels:
        own = np.concatenate([COMMON * (1 + c) + rng.integers(COMMON, size=2) for c in np.flatnonzero(row)] or [[]])
        places = rng.permutation(np.concatenate([rng.integers(COMMON, size=5), own]).astype(int))
        texts.append(" ".join(WORDS[i] for i in places))
    return Split(texts, labels)


def write_labels(path: Path, task: Task) -> Path:
    """A .jsonl file of both parts, with a list of labels a text."""
    parts = (task.train, task.test)
    rows = [pair for part in parts for pair in zip(part.texts, task.names_of(part.labels), strict=True)]
    path.write_text("\n".join(json.dumps({"text": text, "labels": held}) for text, held in rows))
    return path
