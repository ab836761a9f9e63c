"""Files and folders that are there only when they are whole: written under another name, renamed last.

What lies under the other name is removed first, and a link never followed.  Tables and JSON hold whatever words are in
them: a half of a surrogate pair (broken class names have them) can be written, too.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from tokenworth.errors import AdaptError, TokenworthError, first_line

if TYPE_CHECKING:
    import pandas as pd

_ELSEWHERE = "choose another folder with --out"


@contextmanager
def write_errors(place: object, remedy: str, failure: type[TokenworthError] = TokenworthError) -> Iterator[None]:
    """What cannot be written in the block ends in one sentence: "PLACE cannot be written (why); REMEDY".

    Raises TokenworthError: or another ``failure``: no permission, no room, or something stands in the way.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError | SafetensorError) and type(error) is not Exception:  # as tokenizers raises it
            raise
        reason = getattr(error, "strerror", None) or first_line(error)
        raise failure(f"{place} cannot be written ({reason}); {remedy}") from error


@contextmanager
def writing(folder: str | Path) -> Iterator[Path]:
    """The folder, made where missing; what cannot be written in the block ends in one sentence.

    Raises TokenworthError: as `write_errors`.
    """
    folder = Path(folder)
    with write_errors(folder, _ELSEWHERE):
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


@contextmanager
def replacing(
    path: Path,
    remedy: str = f"make room there or {_ELSEWHERE}",
    failure: type[TokenworthError] = TokenworthError,
    ending: str = ".part",
) -> Iterator[Path]:
    """A name beside a file to write it under; it takes the file's place at the end of the block, or is removed.

    Raises TokenworthError: as `write_errors`.
    """
    part = path.with_name(path.name + ending)
    with write_errors(path, remedy, failure):
        part.unlink(missing_ok=True)
        try:
            yield part
            part.replace(path)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """A folder with what is in it, a file, or a link and never what it points to."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def replacing_folder(place: Path, ending: str = ".part") -> Iterator[Path]:
    """A folder to write into; it takes its place at the end of the block, or is removed.

    Raises OSError: it cannot be written.
    """
    part = place.with_name(place.name + ending)
    try:
        remove(part)
        part.mkdir(parents=True)
        yield part
        for path in part.rglob("*"):
            if path.is_file():  # safetensors makes its files for their owner alone; the folder knows what was wished
                path.chmod(part.stat().st_mode & 0o666)
        remove(place)
        part.replace(place)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


@contextmanager
def whole_folder(place: Path, what: str, remedy: str, failure: type[TokenworthError] = AdaptError) -> Iterator[Path]:
    """As `replacing_folder`, with a sentence for what cannot be written.

    Raises AdaptError: or another ``failure``: it cannot be written; the sentence says what it was and the remedy.
    """
    try:
        with replacing_folder(place) as part:
            yield part
    except (OSError, SafetensorError) as error:
        raise failure(f"{what} cannot be written to {place.parent} ({first_line(error)}); {remedy}") from error


def write_text(path: Path, text: str, **as_replacing: Any) -> None:
    """Write a file whole; a half of a surrogate pair becomes its escape, which JSON reads back.

    Raises TokenworthError: as `replacing`, whose further arguments it takes.
    """
    with replacing(path, **as_replacing) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, content: Any, *, indent: int | None = 1, **as_replacing: Any) -> None:
    """Write plain data whole, numbers that are not finite as null.

    Raises TokenworthError: as `replacing`, whose further arguments it takes.
    """
    write_text(path, json.dumps(jsonable(content), ensure_ascii=False, indent=indent), **as_replacing)


def read_json(path: Path, remedy: str = "", failure: type[TokenworthError] = TokenworthError) -> Any:
    """What `write_json` wrote.  TokenworthError: or another ``failure``: it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        advice = f"; {remedy}" if remedy else ""
        raise failure(f"{path} cannot be read ({first_line(error)}){advice}") from error


def jsonable(value: Any) -> Any:
    """Plain data for JSON: keys as text, numbers that are not finite as null."""
    if isinstance(value, dict):
        return {str(key): jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a Parquet file whole; half pairs of surrogates become question marks.  TokenworthError: as `replacing`."""
    with replacing(path) as part:
        writable(table).to_parquet(part, index=False)


def read_table(path: Path, failure: str) -> pd.DataFrame:
    """What `write_table` wrote, by its columns alone: what other programs note beside them is passed over.

    Raises TokenworthError: it is not there or is damaged; "PATH holds", the failure and why.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(path).to_pandas(ignore_metadata=True)
    except (OSError, ValueError, KeyError, pa.ArrowException, MemoryError) as error:
        raise TokenworthError(f"{path} holds {failure} ({first_line(error)})") from error


def writable(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose words can all be written as UTF-8: a half of a surrogate pair becomes a question mark."""
    return in_words(
        table, lambda value: value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value
    )


def in_words(table: pd.DataFrame, change: Callable[[Any], Any]) -> pd.DataFrame:
    """A table with something done to every text in it, heads of columns among them."""
    words = table.select_dtypes(include=["object", "string"])
    changed: dict[str, Any] = {str(name): [change(value) for value in words[name]] for name in words}
    return table.assign(**changed).rename(columns=change)
