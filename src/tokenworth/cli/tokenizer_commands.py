"""tokenworth tokenizer: train one, and see what it costs by source."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import Annotated

import typer

import tokenworth.cli.shared_options as options

app = typer.Typer(help="Tokenizers of your own.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Tokenizers of your own."""


@app.command()
def train(
    file: Annotated[Path, typer.Argument(metavar="TOKENIZER.yaml", help="Kind, vocabulary, sources.")],
    out: Annotated[Path, typer.Option(help="Folder of the tokenizer.", parser=options.folder, metavar="PATH")] = Path(
        "out/tokenizer"
    ),
    json: options.Json = False,
) -> None:
    """Train byte-level BPE or Unigram; OUT is a plain transformers folder."""
    from tokenworth.base.atomic_files import write_text, writing
    from tokenworth.tokenizers.tokenizer_training import train_from_file

    with writing(out) as place:
        report = train_from_file(file, place)
        text = encoder.dumps(report, indent=1)
        write_text(place / "fertility.json", text)
    if json:
        typer.echo(text)
        return
    typer.echo(f"{report['kind']}, {report['vocabulary']:,} tokens, in {out}")
    typer.echo(f"{'source':<24}{'tokens a word':>14}{'bytes a token':>14}{'texts':>8}")
    for row in report["sources"]:
        counts = f"{row['tokens_per_word']:>14.3f}{row['bytes_per_token']:>14.3f}{row['texts']:>8,}"
        typer.echo(f"{row['source']:<24}{counts}")
