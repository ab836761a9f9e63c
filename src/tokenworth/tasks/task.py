"""A task: labelled texts in two parts, with what was done to get them and a fingerprint of what they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tokenworth.errors import SettingError, TaskError
from tokenworth.files import same_form
from tokenworth.tasks.split import sample, texts_of_each

FEW_TEXTS = "give a number of texts of at least 1, or None for all of them"
"""What to do where max_texts is too small."""


@dataclass(frozen=True, eq=False, slots=True)
class Split:
    """N labelled texts."""

    texts: list[str]
    """The N texts, in the order of the source."""
    labels: np.ndarray
    """(N,) int64, index into Task.label_names; of several labels a text (N, C) uint8, 1 where the text has the
    label."""
    groups: np.ndarray | None = None
    """(N,) int64: rows with one id belong together and must not be divided between fitting and scoring; ids are shared
    by train and test.  None where no column (or file) says so."""

    def __len__(self) -> int:
        return len(self.texts)

    def units(self) -> np.ndarray | None:
        """(N,) int64, what folds and validation parts are drawn of: groups, or else texts that read the same.

        A text that stands on both sides would tell its own label.  None where no row belongs with another, or all texts
        are equal.  Groups are taken as they are: one text in many of them would make one of all.
        """
        if self.groups is not None:
            return self.groups
        forms = [same_form(text) for text in self.texts]
        places = {form: place for place, form in enumerate(dict.fromkeys(forms))}
        return np.array([places[form] for form in forms]) if 1 < len(places) < len(forms) else None

    def take(self, rows: np.ndarray) -> Split:
        """The rows with these indices, in this order."""
        groups = None if self.groups is None else self.groups[rows]
        return Split([self.texts[i] for i in rows], self.labels[rows], groups)


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """Labelled texts with train and test parts, class names and provenance."""

    name: str
    """Short, for titles and file names."""
    source: str
    """Path or hub id the texts came from."""
    label_names: tuple[str, ...]
    """C class names; a label is an index into them."""
    train: Split
    """What a route may learn from."""
    test: Split
    """What every route is judged on, and never fitted to."""
    notes: tuple[str, ...]
    """Sentences a report shows: how the parts came about, what was found in them and what was removed."""
    counts: dict[str, Any]
    """See `count`."""
    seed: int
    """Seed of split and sample."""
    test_is_drawn: bool = False
    """Whether the test part was drawn from rows that had none: another seed draws another."""
    _cache: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    @property
    def n_classes(self) -> int:
        """Number of classes, C."""
        return len(self.label_names)

    def names_of(self, labels_NC: np.ndarray) -> list[list[str]]:
        """The label names of rows of 0 and 1."""
        return label_lists(labels_NC, self.label_names)

    @property
    def several(self) -> bool:
        """Whether a text may have several labels, or none."""
        return self.train.labels.ndim == 2

    def refuse_several(self, what: str, remedy: str = "choose a label column with one class a text") -> None:
        """Raise a TaskError where texts have several labels and `what` ("a trace") knows one class a text alone."""
        if self.several:
            raise TaskError(f"{self.name}: its texts have several labels, and {what} knows one class a text; {remedy}")

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of label names, texts, labels, groups and parts: the same wherever the files lie."""
        if "fingerprint" not in self._cache:
            self._cache["fingerprint"] = _fingerprint(self.label_names, (self.train, self.test))
        return self._cache["fingerprint"]

    def sample(self, max_texts: int, *, seed: int | None = None) -> Task:
        """A task with at most `max_texts` texts in each part, drawn in proportion to the classes by `seed` (None: its
        own).

        Every class keeps at least two texts of each part (or all it has), which for many classes can exceed
        `max_texts`.

        Raises:
            SettingError: max_texts < 1.
        """
        if max_texts < 1:
            raise SettingError(f"max_texts = {max_texts}: {FEW_TEXTS}")
        if max_texts >= max(len(self.train), len(self.test)):
            return self
        seed = self.seed if seed is None else seed
        train, test = (part.take(sample(part.labels, max_texts, seed)) for part in (self.train, self.test))
        return self._with(train, test, seed)

    def sample_train(self, max_texts: int) -> Task:
        """The same with all test texts: fewer labels to learn from, judged as exactly.  Drawn by the task's seed."""
        if max_texts >= len(self.train):
            return self
        return self._with(self.train.take(sample(self.train.labels, max_texts, self.seed)), self.test, self.seed)

    def _with(self, train: Split, test: Split, seed: int) -> Task:
        """Of samples of its parts, drawn by a seed."""
        note = (
            f"Sampled, stratified by class with seed {seed}: {len(train):,} of {len(self.train):,} training and "
            f"{len(test):,} of {len(self.test):,} test texts."
        )
        counts = {**self.counts, **count(train, test, self.n_classes)}
        return replace(self, train=train, test=test, notes=(*self.notes, note), counts=counts)


def label_lists(labels_NC: np.ndarray, names: Sequence[str]) -> list[list[str]]:
    """Of each text (N, C) the names of the labels it has, in their order."""
    return [[names[int(c)] for c in np.flatnonzero(row_C)] for row_C in labels_NC]


def count(train: Split, test: Split, n_classes: int) -> dict[str, Any]:
    """What is in the two parts, as plain numbers.

    Returns:
        rows, empty (texts of nothing but white space), characters (mean and max) and classes (texts of each) for
        "train" and "test", and where texts may have several labels label_sets (labels a text in the mean, texts without
        one, different sets); overlap: test texts that also stand in train (compared by `same_form`); shared_groups:
        test texts whose group is also in train.
    """
    parts = {"train": train, "test": test}
    lengths = {name: [len(text) for text in part.texts] for name, part in parts.items()}
    seen = set(map(same_form, train.texts))
    sets = {name: _sets(part.labels) for name, part in parts.items()}
    sets = {name: _sets(part.labels) for name, part in parts.items()}
    shared = None if train.groups is None or test.groups is None else np.isin(test.groups, train.groups)
    return {
        "rows": {name: len(part) for name, part in parts.items()},
        "empty": {name: sum(not text.strip() for text in part.texts) for name, part in parts.items()},
        "characters": {
            name: {"mean": sum(n) / max(1, len(n)), "max": max(n, default=0)} for name, n in lengths.items()
        },
        "classes": {name: texts_of_each(part.labels, n_classes).tolist() for name, part in parts.items()},
        **({"label_sets": sets} if train.labels.ndim == 2 else {}),
        "overlap": sum(same_form(text) in seen for text in test.texts),
        "shared_groups": 0 if shared is None else int(shared.sum()),
    }


def _sets(labels: np.ndarray) -> dict[str, float]:
    if labels.ndim == 1:
        return {}
    held_N = labels.sum(1)
    different = len(np.unique(labels, axis=0)) if len(labels) else 0
    return {"mean": float(held_N.mean()) if len(held_N) else 0.0, "none": int((held_N == 0).sum()), "sets": different}


def _fingerprint(label_names: tuple[str, ...], parts: Sequence[Split]) -> str:
    digest = hashlib.sha256(json.dumps(label_names).encode())
    for part in parts:
        digest.update(f"|{len(part)}|".encode())
        for text in part.texts:
            data = text.encode("utf-8", "surrogatepass")
            digest.update(f"{len(data)}:".encode() + data)  # lengths keep "a", "b" apart from "ab"
        if part.labels.ndim == 2:
            digest.update(b"|several labels|")
        digest.update(part.labels.astype("<i8").tobytes())
        if part.groups is not None:
            digest.update(b"|groups|" + part.groups.astype("<i8").tobytes())
    return digest.hexdigest()
