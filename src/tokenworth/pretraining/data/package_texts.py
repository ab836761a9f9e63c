"""Documents to pretrain on that are on every machine: docstrings and comments of the installed dependencies.

They are brought into the form of the `docstrings` task: names masked, each a single line.  The task never shows a
package's name, and shows the word that replaced it in every sixth text; a model that had learnt the names and not that
word would meet another kind of text there.  Nothing that the task shows may be among them.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from itertools import chain, zip_longest
from pathlib import Path

from tokenworth.base.keywords import known_keywords
from tokenworth.errors import TaskError
from tokenworth.tasks.docstrings import PACKAGES, comments_of, docstrings_of, mask_names, source_files

OTHERS = (
    "anyio", "click", "datasets", "dateutil", "dill", "filelock", "fsspec", "huggingface_hub", "jinja2", "joblib",
    "markdown_it", "mpmath", "multiprocess", "narwhals", "packaging", "plotly", "psutil", "pyarrow", "pygments", "rich",
    "safetensors", "setuptools", "threadpoolctl", "tokenizers", "tqdm", "typer", "yaml",
)  # fmt: skip
"""Dependencies beside those of the task, by the name to import; what is not installed is passed over."""

MIN_CHARACTERS = 60
"""Shorter documents are left out, as in the task."""

_MAX_SOURCE_BYTES = 200_000  # a larger file costs half a second, and most of it is generated
_KEY = 40  # characters by which an excluded text is looked up at every word of a document
_WORD = re.compile(r"\S+")


@known_keywords
def package_texts(*, exclude: Collection[str] = (), seed: int = 0, max_bytes: int = 3_000_000) -> list[str]:
    """Documents of at least 60 characters from files in seeded order, as many files of one package as of another.

    A file is left out as a whole if one of its documents contains an excluded text (of 40 characters or more) at any
    word: what stands around a text of the test split tells about it, too.  Of exact duplicates the first is kept.
    Neighbouring comment lines are one document, a docstring is one.  Nothing is imported.

    Args:
        exclude: texts that must not occur, such as all of a task's: `[*task.train.texts, *task.test.texts]`.
        seed: of the order of the files.  One seed, one set of installed packages, one result.
        max_bytes: reading stops with the document that reaches this many bytes of UTF-8.
    """
    excluded = defaultdict(list)  # by how they begin
    for text in map(_plain, exclude):
        if len(text) >= _KEY:
            excluded[text[:_KEY]].append(text)
    documents: dict[str, None] = {}  # an ordered set
    size = 0
    for path in _files(seed):
        for document in _documents_of(path, excluded):
            if size >= max_bytes:
                return list(documents)
            if document not in documents:
                documents[document] = None
                size += len(document.encode())
    return list(documents)


def _files(seed: int) -> Iterator[Path]:
    """Source files in turns: one of each package, then the next of each, every package in an order of its own."""
    orders: list[list[Path]] = []
    for package in (*PACKAGES.values(), *OTHERS):
        with suppress(TaskError):  # not installed here
            files = [path for path in source_files(package) if path.stat().st_size <= _MAX_SOURCE_BYTES]
            random.Random(f"{seed}:{package}").shuffle(files)  # noqa: S311 - a sample, not a secret
            orders.append(files)
    return (path for path in chain.from_iterable(zip_longest(*orders)) if path is not None)


def _documents_of(path: Path, excluded: Mapping[str, list[str]]) -> list[str]:
    """Docstrings, then comments; none at all if an excluded text is in one of them."""
    documents: list[str] = []
    for read in (docstrings_of, comments_of):  # in this order: finding comments takes three times as long
        plain = [document for text in read(path) if len(document := _plain(text)) >= MIN_CHARACTERS]
        if any(_contains(document, excluded) for document in plain):
            return []
        documents += plain
    return documents


def _plain(text: str) -> str:
    """The task's own form: names masked, white space of any length one space."""
    return " ".join(mask_names(text).split())


def _contains(document: str, excluded: Mapping[str, list[str]]) -> bool:
    """Whether an excluded text begins at any word of the document."""
    begins = [word.start() for word in _WORD.finditer(document)]
    return any(document.startswith(text, i) for i in begins for text in excluded.get(document[i : i + _KEY], ()))
