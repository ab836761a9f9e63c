"""What the commands under `tokenworth measure` share: arguments, loading, and how numbers are printed."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenworth.cli.console import print_rows, say, set_verbosity
from tokenworth.errors import SettingError

if TYPE_CHECKING:
    from tokenworth.measures import Decoder

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Folder or hub id; @random appended: random weights.")]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help=".txt, .txt.zst, .csv, .jsonl or .parquet.")]
Whole = Annotated[bool, typer.Option("--whole", help="A .txt file is one document.")]
Most = Annotated[int, typer.Option("--texts", min=2, help="Documents to read, sampled.")]
Prefixes = Annotated[str, typer.Option(help="Lengths in tokens, such as 16,64.")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16, float16 or float64.")]


def load(model: str, device: str, dtype: str, seed: int, quiet: bool) -> Decoder:
    """A decoder, and how much is said while it works."""
    from tokenworth.measures import load_decoder

    set_verbosity(verbose=False, quiet=quiet)
    return load_decoder(model, device=device, dtype=dtype, seed=seed)


def counts(text: str) -> list[int]:
    """Numbers of tokens, written 16,64,128."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise SettingError(f"{text!r} is no list of numbers of tokens; write them as 16,64,128") from error


def given(name: str, result: dict[str, Any], out: Path | None, *, json: bool, quiet: bool) -> bool:
    """Write and print the result as JSON where that is asked for; whether it was printed."""
    from tokenworth.base.atomic_files import jsonable, write_text, writing

    text = encoder.dumps(jsonable(result), indent=1)
    if out is not None:
        with writing(out) as place:
            write_text(place / f"{name}.json", text)
        say(f"{name}: {out / name}.json", quiet=quiet)
    if json:
        typer.echo(text)
    return json


def show(rows: list[dict[str, Any]], left: tuple[str, ...] = ()) -> None:
    """A table; columns of words stand on the left."""
    print_rows(rows, json=False, right=[head for head in rows[0] if head not in left])


def nats(row: dict[str, Any], name: str) -> str:
    """A mean without its interval."""
    return f"{row[name]:.3f}"


def ends(row: dict[str, Any], name: str, sign: str = "+") -> str:
    """A mean with its interval."""
    value, low, high = (f"{row[key]:{sign}.3f}" for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value} ({low} to {high})"


def share(row: dict[str, Any], name: str) -> str:
    """A share with its interval."""
    return f"{row[name]:.0%} ({row[f'{name}_low']:.0%} to {row[f'{name}_high']:.0%})"


def places(row: dict[str, Any]) -> str:
    """The positions of a row."""
    return f"{row['first']}-{row['last']}" if row["last"] > row["first"] else str(row["first"])


def times(row: dict[str, Any]) -> str:
    """How often spans stand in the corpus."""
    if row["times"] < 2:
        return "once" if row["times"] else "never seen"
    return f"{row['times']}-{row['times_last']}"


def shortened(text: str) -> str:
    """A text on one line."""
    plain = " ".join(text.split())
    return plain if len(plain) <= 100 else f"{plain[:99]}…"
