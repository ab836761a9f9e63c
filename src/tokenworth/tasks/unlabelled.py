"""Texts without labels, to predict."""

from __future__ import annotations

import os
from pathlib import Path

from tokenworth.tasks.columns import Columns, choose_texts
from tokenworth.tasks.rows import read_texts
from tokenworth.tasks.table_files import read_table


def load_texts(source: str | os.PathLike[str], *, text: str | None = None, text_pair: str | None = None) -> list[str]:
    """The texts of a .csv, .tsv, .jsonl or .parquet file, pairs joined as in `load_task`.

    Raises:
        TaskError: the file cannot be read, or which column holds the text is unclear.
    """
    table = read_table(Path(source))
    return read_texts(table, choose_texts(table, Columns(text, text_pair)))[0]
