"""A second built-in task: does a one-line description belong to a class, a function or a module?

How words stand says more here than which occur ("Compute the ...", "A container of ...", "Tools for ..."), so that it
asks something else of a model than the task `docstrings`, whose classes differ by subject.
"""

from __future__ import annotations

import ast
import random
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tokenworth.errors import TaskError
from tokenworth.tasks.docstrings import MAX_BYTES, PACKAGES, described, mask_names, source_files
from tokenworth.tasks.table import Table

KINDS = {ast.ClassDef: "class", ast.FunctionDef: "function", ast.AsyncFunctionDef: "function", ast.Module: "module"}
MAX_TEXTS, MAX_PER_FILE = 125, 3
"""Texts of one kind in a package, and of one kind in a file."""
MIN_CHARACTERS, MAX_CHARACTERS = 30, 160

_END = re.compile(r"\n\s*\n|(?<=[.!?])\s")
_ORNAMENT = re.compile(r"[=~*^-]{3,}|:mod:|:class:|:func:|\(`")
"""Headings and roles, which give the kind away by their layout."""


def kind_table(seed: int = 0) -> Table:
    """Texts with columns `text`, `label` (class, function or module) and `file`; one seed and one set of packages give
    one result.

    Up to 125 texts of each kind from a seeded sample of each package's files, at most 3 of a kind from one file: the
    first sentence of a docstring as one line of 30 to 160 characters that begins with a capital, package names masked.
    Of texts that occur twice the first is kept.  A TaskError where none of the packages has its sources here.
    """
    rows = list(chain.from_iterable(_package_rows(name, package, seed) for name, package in PACKAGES.items()))
    first = {text: (label, file) for text, label, file in reversed(rows)}
    if len({label for label, _ in first.values()}) < len(set(KINDS.values())):
        raise TaskError(f"docstring-kinds: no sources of the packages are here; run: pip install {' '.join(PACKAGES)}")
    labels, files = zip(*first.values(), strict=True)
    return Table({"text": list(first), "label": list(labels), "file": list(files)}, "docstring-kinds")


def _package_rows(name: str, package: str, seed: int) -> Iterator[tuple[str, str, str]]:
    """Text, kind and file from files in seeded order, until there are enough of each kind."""
    try:
        files = [path for path in source_files(package) if path.stat().st_size <= MAX_BYTES]
    except TaskError:
        return
    random.Random(f"{seed}:{name}").shuffle(files)  # noqa: S311 - a sample, not a secret
    taken: Counter[str] = Counter()
    for path in files:
        if len(taken) == len(set(KINDS.values())) and min(taken.values()) >= MAX_TEXTS:
            return
        here: Counter[str] = Counter()
        for text, kind in _summaries(path):
            if taken[kind] < MAX_TEXTS and here[kind] < MAX_PER_FILE:
                taken[kind] += 1
                here[kind] += 1
                yield text, kind, f"{name}/{path.parent.name}/{path.name}"


def _summaries(path: Path) -> Iterator[tuple[str, str]]:
    for node, docstring in described(path):
        text = " ".join(mask_names(_END.split(docstring.strip(), maxsplit=1)[0]).split())
        if MIN_CHARACTERS <= len(text) <= MAX_CHARACTERS and text[0].isupper() and not _ORNAMENT.search(text):
            yield text, KINDS[type(node)]
