"""tokenworth assess and tokenworth rank."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import tokenworth.cli.shared_options as options
from tokenworth.cli.console import is_main_process, progress_report, say, set_verbosity
from tokenworth.errors import TokenworthError

if TYPE_CHECKING:
    from tokenworth.tasks import Task


def assess(
    task: options.TaskArgument,
    model: Annotated[str, typer.Option(help="Folder, hub id or published name; @random for random weights.")],
    out: options.Out = None,
    text: options.Text = None,
    text_pair: options.TextPair = None,
    label: options.Label = None,
    group: options.Group = None,
    test: options.Test = None,
    data: options.Data = None,
    drop_overlap: options.DropOverlap = False,
    max_texts: options.MaxTexts = None,
    layers: options.Layers = "all",
    pooling: options.Pooling = "mean",
    prefix: options.Prefix = "sum",
    max_length: options.MaxLength = None,
    batch_tokens: options.BatchTokens = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    revision: options.Revision = None,
    allow_pickle: options.AllowPickle = False,
    tokenizer: options.Tokenizer = None,
    device_map: options.DeviceMap = None,
    conventions: options.Conventions = False,
    seed: options.Seed = 0,
    cache: options.Cache = None,
    no_cache: options.NoCache = False,
    memory_gb: options.MemoryGb = None,
    checkpoint_seconds: options.CheckpointSeconds = 30.0,
    shard: options.Shard = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Assess one backbone on a task in one forward pass: every layer, every score, one page."""
    from tokenworth.assessment import assess as run

    set_verbosity(verbose=verbose, quiet=quiet)
    loaded = load(task, text, text_pair, label, group, test, data, drop_overlap, seed)
    with progress_report(quiet=quiet) as progress:
        result = run(
            model,
            loaded,
            layers=layers,
            pooling=pooling,
            prefix=prefix,  # type: ignore[arg-type]  # checked by AssessSettings, which names the choices
            max_texts=max_texts,
            max_length=max_length,
            batch_tokens=batch_tokens,
            device=device,
            dtype=dtype,
            revision=revision,
            allow_pickle=allow_pickle,
            tokenizer=tokenizer,
            device_map=device_map,
            conventions=conventions,
            seed=seed,
            out=out,
            cache=options.cache_choice(cache, no_cache),
            memory_gb=memory_gb,
            checkpoint_seconds=checkpoint_seconds,
            shard=shard,
            progress=progress,
        )
    if is_main_process():
        write_page(result, out, quiet=quiet)
        print_result(result, json=json)


def rank(
    task: options.TaskArgument,
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Folders, hub ids or published names.")],
    out: options.Out = None,
    text: options.Text = None,
    text_pair: options.TextPair = None,
    label: options.Label = None,
    group: options.Group = None,
    test: options.Test = None,
    data: options.Data = None,
    drop_overlap: options.DropOverlap = False,
    max_texts: options.MaxTexts = None,
    layers: options.Layers = "all",
    pooling: options.Pooling = "mean",
    prefix: options.Prefix = "sum",
    max_length: options.MaxLength = None,
    batch_tokens: options.BatchTokens = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    allow_pickle: options.AllowPickle = False,
    device_map: options.DeviceMap = None,
    seed: options.Seed = 0,
    cache: options.Cache = None,
    no_cache: options.NoCache = False,
    memory_gb: options.MemoryGb = None,
    checkpoint_seconds: options.CheckpointSeconds = 30.0,
    shard: options.Shard = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Compare backbones on one task; ties within the noise are marked, a backbone that fails is reported."""
    from tokenworth.assessment import rank as run
    from tokenworth.base.locks import claimed

    set_verbosity(verbose=verbose, quiet=quiet)
    with claimed(out) if out is not None else nullcontext():
        loaded = load(task, text, text_pair, label, group, test, data, drop_overlap, seed)
        with progress_report(quiet=quiet) as progress:
            result = run(
                loaded,
                models,
                layers=layers,
                pooling=pooling,
                prefix=prefix,
                max_texts=max_texts,
                max_length=max_length,
                batch_tokens=batch_tokens,
                device=device,
                dtype=dtype,
                allow_pickle=allow_pickle,
                device_map=device_map,
                seed=seed,
                cache=options.cache_choice(cache, no_cache),
                memory_gb=memory_gb,
                checkpoint_seconds=checkpoint_seconds,
                shard=shard,
                started=lambda name: say(f"assessing {name}", quiet=quiet),
                progress=progress,
            )
        if is_main_process():
            if out is not None:
                result.save(out)
            write_page(result, out, quiet=quiet)
            print_result(result, json=json)
    if not result.assessments:
        reasons = "; ".join(str(row["failed"]) for row in result.rows)
        raise TokenworthError(f"no backbone could be assessed: {reasons}")


def load(
    source: str,
    text: str | None,
    text_pair: str | None,
    label: str | None,
    group: str | None,
    test: str | None,
    data: Path | None,
    drop_overlap: bool,
    seed: int,
) -> Task:
    """The task as the options describe it."""
    from tokenworth.tasks import load_task

    return load_task(
        source,
        text=text,
        text_pair=text_pair,
        label=label,
        group=group,
        test=test,
        data=data,
        drop_overlap=drop_overlap,
        seed=seed,
    )


def write_page(result: Any, out: Path | None, *, quiet: bool) -> None:
    """report.html beside the other results."""
    if out is not None:
        from tokenworth.report import write_report

        say(f"report: {write_report(result, out / 'report.html')}", quiet=quiet)


def print_result(result: Any, *, json: bool) -> None:
    """JSON for programs, a table and the summary for people."""
    if json:
        typer.echo(result.to_json())
        return
    from tokenworth.assessment import Assessment
    from tokenworth.report import result_table, show
    from tokenworth.report.result_values import doubts

    show(result_table(result))
    for sentence in result.sentences:
        typer.echo(f"- {sentence}")
    for doubt in doubts(result) if isinstance(result, Assessment) else ():
        typer.echo(f"! {doubt.score}, {doubt.where}: {doubt.reason}")
