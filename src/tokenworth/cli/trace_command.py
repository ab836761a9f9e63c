"""tokenworth trace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import tokenworth.cli.shared_options as options
from tokenworth.cli.console import progress_report, say, set_verbosity

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a pretraining run.", show_default=False)]
Tasks = Annotated[
    list[str],
    typer.Argument(metavar="TASK...", help="Files, folders, hub ids or published names.", show_default=False),
]
Adapt = Annotated[
    str, typer.Option(help="Checkpoints for LoRA: ends (first, middle, last), last, all, none, or tokens N,N.")
]
Seeds = Annotated[int, typer.Option(min=1, help="Runs of LoRA and of scratch, with seeds from --seed on.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps of LoRA and of scratch.", show_default="1000")]


@options.reads_pickles
def trace(
    run: Run,
    tasks: Tasks,
    adapt: Adapt = "ends",
    seeds: Seeds = 1,
    steps: Steps = None,
    lr: options.Rate = None,
    batch: options.Batch = None,
    rank: options.Rank = None,
    max_length: options.MaxLength = None,
    config: options.Config = None,
    data: options.Data = None,
    max_texts: options.MaxTexts = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the results.", show_default="RUN/trace", parser=options.folder, metavar="PATH"),
    ] = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    cache: options.Cache = None,
    no_cache: options.NoCache = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Perception along a pretraining run: after how many tokens was it worth its cost, if at all?

    OUT gets trace.html, trace.parquet and trace.json; the same command goes on where it was.
    """
    from tokenworth.report import write_report
    from tokenworth.settings import read_settings, with_changes
    from tokenworth.tracing import trace as make
    from tokenworth.tracing.trace_result import PAGE

    set_verbosity(verbose=verbose, quiet=quiet)
    flags = {"steps": steps, "lr": lr, "batch": batch, "rank": rank}
    wished = with_changes(
        {} if config is None else read_settings(config),
        {name: value for name, value in flags.items() if value is not None},
    )
    place = run / "trace" if out is None else out
    with progress_report(quiet=quiet) as progress:
        result = make(
            run,
            tasks,
            data=data,
            max_texts=max_texts,
            max_length=max_length,
            adapt=adapt,
            seeds=seeds,
            config=wished,
            seed=seed,
            device=device,
            cache=options.cache_choice(cache, no_cache),
            out=place,
            started=lambda name: say(name, quiet=quiet),
            progress=progress,
        )
    say(f"report: {write_report(result, place / PAGE)}", quiet=quiet)
    if json:
        typer.echo(result.to_json())
        return
    from tokenworth.report import result_table
    from tokenworth.report.terminal.tables import show

    show(result_table(result))
    for sentence in result.sentences:
        typer.echo(f"- {sentence}")
    for note in result.notes:
        typer.echo(f"! {note}")
