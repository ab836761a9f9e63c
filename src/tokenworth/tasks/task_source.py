"""Where labelled texts come from and how they are read: settings that every call with a task shares."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Annotated

from tokenworth.settings import AsPath, ByComma, Seed, Settings


@dataclass(frozen=True, kw_only=True)
class TaskSource(Settings):
    """What `load_task` takes."""

    source: Annotated[str | os.PathLike[str], AsPath()] = field(kw_only=False)
    """A .csv, .tsv, .jsonl or .parquet file; a folder with train.* and test.* files; a hub id (owner/name, or
    owner/name:configuration); a published name (see `PUBLISHED`); or built-in: docstrings, docstring-kinds,
    docstring-sections."""
    text: str | None = None
    """Column that holds the text; by default found by name (see `TEXT_NAMES`)."""
    text_pair: str | None = None
    """Column of a pair's second text, joined to the first by one space; by default found by name (`PAIR_NAMES`)."""
    label: str | None = None
    """Column that holds the label, or lists of several; by default found by name (see `LABEL_NAMES`)."""
    delimiter: str | None = None
    """What stands between several labels of a text in the label column, such as ';'; by default a cell is one label."""
    label_columns: Annotated[tuple[str, ...], ByComma()] = ()
    """Columns of 0 and 1, one a label, where a text may have several: joy,anger; FIRST:LAST takes all from one to
    another."""
    test: str | os.PathLike[str] | float | None = None
    """Test file, or the share of all rows to hold out, such as 0.3; by default the source's own test part, or 0.3."""
    data: str | os.PathLike[str] | None = None
    """Folder with local copies of published tasks, by name; by default the environment variable TOKENWORTH_DATA."""
    max_texts: int | None = None
    """Sample so many texts of each part, in proportion to the classes, at least two of each; by default all."""
    seed: Seed = 0
    """Of split and sample."""
    group: str | None = None
    """Column whose equal values stay on one side of every split made here."""
    drop_overlap: bool = False
    """Remove training texts that also stand in test, or whose group does."""
