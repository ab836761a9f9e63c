"""load_task: from a source to a task, in the order in which it happens."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.errors import SettingError, TaskError
from tokenworth.files import same_form
from tokenworth.settings import known_keywords
from tokenworth.settings.signatures import keywords_of
from tokenworth.tasks.columns import Columns, choose_texts
from tokenworth.tasks.label_sets import COLUMN, are_several, encode_label_sets, label_lister
from tokenworth.tasks.labels import encode_labels
from tokenworth.tasks.rows import Rows, read_texts
from tokenworth.tasks.source import find_origin
from tokenworth.tasks.split import KEPT_IN_TRAIN, split, texts_of_each
from tokenworth.tasks.table_files import read_table
from tokenworth.tasks.task import FEW_TEXTS, Split, Task, count
from tokenworth.tasks.task_source import TaskSource
from tokenworth.tasks.train_and_test import choose_parts, known_names, labelled_rows

TEST_SHARE = 0.3
"""Share of the rows held out where the source has no test part; that of the published protocol."""


@keywords_of(TaskSource)
def load_task(call: TaskSource) -> Task:
    """Load labelled texts as a task with train and test parts.

    Raises:
        TaskError: the source is not there or its rows cannot be used; one sentence says what, where and what to do.
        SettingError: an argument outside its range.
    """
    share, max_texts, seed = _share(call.test), call.max_texts, call.seed
    if max_texts is not None and max_texts < 1:
        raise SettingError(f"max_texts = {max_texts}: {FEW_TEXTS}")
    if call.label_columns and (call.label or call.delimiter is not None):
        raise SettingError("label_columns hold the labels; leave out label and delimiter, which are of one column")
    origin = find_origin(_name_or_path(call.source), None if call.data is None else os.fspath(call.data), seed)
    notes = list(origin.notes)
    as_lists = label_lister(next(iter(origin.parts.values())), call.label_columns)
    wish = Columns(call.text, call.text_pair, COLUMN if call.label_columns else call.label, call.group)
    columns, parts = choose_parts(origin, wish, call.test if share is None else None, notes, as_lists)
    rows = [labelled_rows(table, columns, origin, notes) for table in parts]
    known = known_names(origin, parts[0], columns)
    if are_several(rows, call.delimiter):
        names, labels, label_notes = encode_label_sets(rows, known, call.delimiter)
    else:
        names, labels, label_notes = encode_labels(rows, known)
    notes += label_notes
    train, held_out = _splits(rows, labels, share, seed, notes)
    test_is_drawn = len(rows) < 2 or share is not None
    notes += _pair_notes(rows, columns)
    if call.drop_overlap:
        train = _without_overlap(train, held_out, names, notes)
    counts = count(train, held_out, len(names))
    task = Task(origin.name, origin.source, names, train, held_out, tuple(notes), counts, seed, test_is_drawn)
    task = task if max_texts is None else task.sample(max_texts)
    return replace(task, notes=(*task.notes, *_findings(task.counts)))


@known_keywords
def load_texts(source: str | os.PathLike[str], *, text: str | None = None, text_pair: str | None = None) -> list[str]:
    """The texts of a .csv, .tsv, .jsonl or .parquet file without labels, pairs joined as in `load_task`.

    Raises:
        TaskError: the file cannot be read, or which column holds the text is unclear.
    """
    table = read_table(Path(source))
    return read_texts(table, choose_texts(table, Columns(text, text_pair)))[0]


def _name_or_path(source: str | os.PathLike[str]) -> str:
    """A string as it is; a path object such that it cannot be taken for a name."""
    path = os.fspath(source)
    return path if isinstance(source, str) or os.path.isabs(path) else f"./{path}"  # noqa: PTH117 - Path drops the "./"


def _share(test: str | os.PathLike[str] | float | None) -> float | None:
    """`test` as a share in (0, 1), or None where it is a path or not given."""
    if test is None or isinstance(test, os.PathLike):
        return None
    try:
        share = float(test)
    except ValueError:
        return None
    if not 0 < share < 1:
        raise SettingError(f"test = {test}: give a share of the rows between 0 and 1, or the path of a test file")
    return share


def _splits(
    rows: list[Rows], labels: list[np.ndarray], share: float | None, seed: int, notes: list[str]
) -> tuple[Split, Split]:
    """Both parts as given, or all rows divided anew."""
    groups = _group_ids(rows)
    whole = [Split(r.texts, y, g) for r, y, g in zip(rows, labels, groups, strict=True)]
    if len(whole) == 2 and share is None:
        notes.append(f"Train and test as given: {len(whole[0]):,} and {len(whole[1]):,} texts.")
        return whole[0], whole[1]
    every = whole[0] if len(whole) == 1 else _pool(whole)
    share = TEST_SHARE if share is None else share
    train, test = split(every.labels, share, seed, every.groups)
    if len(test) == 0:
        what = f"{len(every):,} texts are too few to hold out a test part of {share:g} with two training texts left"
        remedy = "in every class; add texts or give a test file with test="
        raise TaskError(f"{rows[0].table.source}: {what} {remedy}")
    kind = "class" if every.labels.ndim == 1 else "labels and pairs of them"
    how = f"stratified by {kind}"
    if every.groups is not None:
        how = "whole groups, stratified by class as well as groups allow"
    pooled = "" if len(whole) == 1 else "All parts joined and divided anew: "
    notes.append(f"{pooled}{len(test):,} of {len(every):,} texts held out as test ({how}, seed {seed}).")
    return every.take(train), every.take(test)


def _group_ids(rows: list[Rows]) -> list[np.ndarray] | list[None]:
    if any(part.groups is None for part in rows):
        return [None for _ in rows]
    ids: dict[object, int] = {}
    return [np.array([ids.setdefault(g, len(ids)) for g in part.groups or ()], dtype=np.int64) for part in rows]


def _pool(parts: Sequence[Split]) -> Split:
    groups = [part.groups for part in parts if part.groups is not None]
    texts = [text for part in parts for text in part.texts]
    return Split(texts, np.concatenate([part.labels for part in parts]), np.concatenate(groups) if groups else None)


def _pair_notes(rows: list[Rows], columns: Columns) -> list[str]:
    if columns.text_pair is None:
        return []
    half = sum(part.half_pairs for part in rows)
    empty = f"; in {half:,} rows one of the two is empty" if half else ""
    return [f"Text pairs: '{columns.text}' and '{columns.text_pair}' joined by a space in every row{empty}."]


def _without_overlap(train: Split, test: Split, names: tuple[str, ...], notes: list[str]) -> Split:
    """Training rows whose text, or group, does not stand in test."""
    seen = set(map(same_form, test.texts))
    again = np.array([same_form(text) in seen for text in train.texts], dtype=bool)
    if train.groups is not None and test.groups is not None:
        again |= np.isin(train.groups, test.groups)
    left = texts_of_each(train.labels[~again], len(names))
    if few := [names[c] for c in np.flatnonzero(left < KEPT_IN_TRAIN)]:
        what = "removing the training texts that also stand in test leaves fewer than two in class"
        raise TaskError(f"{what} '{few[0]}'; leave out drop_overlap or remove the class")
    what = "they" if train.groups is None else "they or their groups"
    notes.append(f"{again.sum():,} training texts removed because {what} also stand in test.")
    return train.take(np.flatnonzero(~again))


def _findings(counts: dict[str, Any]) -> list[str]:
    overlap, empty, shared = counts["overlap"], counts["empty"], counts["shared_groups"]
    together = "test texts share their group with training texts"
    sentences = {
        f"{overlap:,} test texts also stand in train; drop_overlap (--drop-overlap) removes them from train.": overlap,
        f"{shared:,} {together}; test=0.3 divides all rows anew by groups.": shared,
        f"{empty['train']:,} training and {empty['test']:,} test texts are empty; they are kept.": any(empty.values()),
    }
    return [sentence for sentence, holds in sentences.items() if holds]
