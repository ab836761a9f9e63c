"""Files of results: written under a temporary name and renamed last, tables and JSON whatever words are in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError

from tokenworth.errors import TokenworthError, first_line


@contextmanager
def writing(folder: str | Path) -> Iterator[Path]:
    """The folder, made where missing; what cannot be written in the block ends in one sentence.

    Raises:
        TokenworthError: no permission, no room, or a file stands in the way.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except Exception as error:
        if not isinstance(error, OSError | SafetensorError) and type(error) is not Exception:  # as tokenizers raises it
            raise
        reason = getattr(error, "strerror", None) or first_line(error)
        raise TokenworthError(f"{folder} cannot be written ({reason}); choose another folder with --out") from error


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a Parquet file under a temporary name, renamed last; half pairs of surrogates become question marks.

    Raises:
        TokenworthError: as `replacing`.
    """
    with replacing(path) as part:
        writable(table).to_parquet(part, index=False)


def writable(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose words can all be written as UTF-8: a half of a surrogate pair becomes a question mark."""
    return in_words(table, _whole)


def in_words(table: pd.DataFrame, change: Callable[[Any], Any]) -> pd.DataFrame:
    """A table with something done to every text in it, heads of columns among them."""
    words = table.select_dtypes(include=["object", "string"])
    changed: dict[str, Any] = {str(name): [change(value) for value in words[name]] for name in words}
    return table.assign(**changed).rename(columns=change)


def _whole(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


def read_table(path: Path, failure: str) -> pd.DataFrame:
    """What `write_table` wrote, by its columns alone: what other programs note beside them is passed over.

    Raises:
        TokenworthError: it is not there or is damaged; "PATH holds", the failure and why.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(path).to_pandas(ignore_metadata=True)
    except (OSError, ValueError, KeyError, pa.ArrowException, MemoryError) as error:
        raise TokenworthError(f"{path} holds {failure} ({first_line(error)})") from error


def write_text(path: Path, text: str) -> None:
    """Write a file that never looks whole when it is not: temporary name first, renamed last.

    Raises:
        TokenworthError: as `replacing`.
    """
    with replacing(path) as part:
        # A half of a surrogate pair (broken class names have them) becomes its escape, which JSON reads back.
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside a file to write it under; it takes the file's place at the end of the block, or is removed.

    What lies under that name is removed first: a link that somebody put there is not followed.

    Raises:
        TokenworthError: no room, no permission, or something stands in the way.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise TokenworthError(
            f"{path} cannot be written ({error.strerror or error}); make room there or choose another folder with --out"
        ) from error


def jsonable(value: Any) -> Any:
    """Plain data for JSON: keys as text, numbers that are not finite as null."""
    if isinstance(value, dict):
        return {str(key): jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
