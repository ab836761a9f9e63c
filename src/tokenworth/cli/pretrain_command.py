"""tokenworth pretrain: a decoder from a YAML file, resumable, with its report."""

from __future__ import annotations

import json as encoder
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import tokenworth.cli.shared_options as options
from tokenworth.cli.console import is_main_process, progress_report, say, set_verbosity


@options.reads_pickles
def pretrain(
    file: Annotated[Path, typer.Argument(metavar="RUN.yaml", help="Sources, tokenizer, model, training.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="RUN, the folder of the run.",
            show_default="out/pretrain/NAME of the file",
            parser=options.folder,
            metavar="PATH",
        ),
    ] = None,
    tokens: options.RunTokens = None,
    device: options.RunDevice = None,
    dtype: options.RunDtype = None,
    seed: options.RunSeed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Pretrain a decoder on next tokens; the same command goes on after an interruption.

    RUN holds checkpoints/tokens-N (plain transformers folders), metrics.jsonl, run.json and report.html.
    """
    from tokenworth.pretraining import PretrainPage, read_config
    from tokenworth.pretraining import pretrain as train
    from tokenworth.report import write_report

    set_verbosity(verbose=verbose, quiet=quiet)
    config = read_config(file, tokens=tokens, device=device, dtype=dtype, seed=seed)
    place = out or Path("out/pretrain") / file.stem
    with progress_report(quiet=quiet) as progress:
        run = train(config, place, progress=progress)
    if not is_main_process():
        return
    page = write_report(PretrainPage.load(place), place / "report.html")
    if json:
        typer.echo(encoder.dumps(asdict(run)))
    else:
        _print(run.held_out, f"{run.tokens:,} tokens, {run.tokens_per_second:,.0f} a second, in {place}")
    say(f"report: {page.resolve()}", quiet=quiet)


def _print(held_out: dict[str, dict[str, float]], sentence: str) -> None:
    typer.echo(sentence)
    typer.echo(f"{'held out':<24}{'nats a token':>14}{'perplexity':>14}{'bits a byte':>14}")
    for name, one in held_out.items():
        typer.echo(f"{name:<24}{one['nll']:>14.3f}{one['perplexity']:>14.1f}{one['bits_per_byte']:>14.3f}")
