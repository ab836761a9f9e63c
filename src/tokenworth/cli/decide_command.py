"""tokenworth decide."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

import typer

import tokenworth.cli.shared_options as options
from tokenworth.cli.assess_commands import load, write_page
from tokenworth.cli.console import progress_report, say, set_verbosity


@options.reads_pickles
def decide(
    task: options.TaskArgument,
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Folders, hub ids or published names.")],
    metric: Annotated[str, typer.Option(help="Compare by weighted_f1 (f1), accuracy or macro_f1.")] = "weighted_f1",
    budget: Annotated[str | None, typer.Option(help="Most that a route may cost: 2h, $5 or 1e15flops.")] = None,
    tolerance: Annotated[float, typer.Option(help="How much of the metric may be lost for a lower cost.")] = 0.01,
    hardware: Annotated[str, typer.Option(help="What routes would run on: here, t4, a100, h100, ...")] = "here",
    price: Annotated[float | None, typer.Option(help="Money an hour of it costs.")] = None,
    calibration: Annotated[
        list[str] | None,
        typer.Option(help="Folder of a study of your own to learn from, or published; several times."),
    ] = None,
    predictor: Annotated[
        str | None, typer.Option(help="Another predictor of docs/results/decision.md.", show_default="the default")
    ] = None,
    pilot: Annotated[
        float | None, typer.Option(help="Share of the learned routes' time to spend on short runs, such as 0.1.")
    ] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Also say how F1 grows with the number of labels.")] = False,
    out: options.Out = None,
    text: options.Text = None,
    text_pair: options.TextPair = None,
    label: options.Label = None,
    group: options.Group = None,
    test: options.Test = None,
    data: options.Data = None,
    drop_overlap: options.DropOverlap = False,
    max_texts: options.MaxTexts = None,
    config: options.Config = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimiser steps.", show_default="those of the calibration's runs")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Highest learning rate.", show_default="that of the calibration's runs")
    ] = None,
    batch: options.Batch = None,
    rank: options.Rank = None,
    max_length: options.MaxLength = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    seed: options.Seed = 0,
    cache: options.Cache = None,
    no_cache: options.NoCache = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Which route is worth its cost: predicted F1 and cost of each, and the cheapest that loses little."""
    from tokenworth.base.locks import claimed
    from tokenworth.decision import decide as run
    from tokenworth.decision.predictors import DEFAULT
    from tokenworth.settings import read_settings, with_changes

    set_verbosity(verbose=verbose, quiet=quiet)
    given = {"steps": steps, "lr": lr, "batch": batch, "rank": rank, "max_length": max_length}
    wished = with_changes(
        {} if config is None else read_settings(config),
        {name: value for name, value in given.items() if value is not None},
    )
    with claimed(out) if out is not None else nullcontext():
        loaded = load(task, text, text_pair, label, group, test, data, drop_overlap, seed)
        with progress_report(quiet=quiet) as progress:
            result = run(
                loaded,
                models,
                metric=metric,
                budget=budget,
                tolerance=tolerance,
                hardware=hardware,
                price=price,
                calibration=calibration or (),
                config=wished,
                pilot=pilot,
                predictor=predictor or DEFAULT,
                labels=labels,
                max_texts=max_texts,
                device=device,
                dtype=dtype,
                seed=seed,
                cache=options.cache_choice(cache, no_cache),
                out=out,
                started=lambda name: say(f"assessing {name}", quiet=quiet),
                progress=progress,
            )
        write_page(result, out, quiet=quiet)
    if json:
        typer.echo(result.to_json())
        return
    from tokenworth.report import result_table
    from tokenworth.report.terminal.tables import show

    show(result_table(result))
    for sentence in result.sentences:
        typer.echo(f"- {sentence}")
    for warning in result.warnings:
        typer.echo(f"! {warning}")
