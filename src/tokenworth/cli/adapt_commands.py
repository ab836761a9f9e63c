"""tokenworth adapt, predict, compare and export."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import tokenworth.cli.shared_options as options
from tokenworth.cli.assess_commands import load, write_page
from tokenworth.cli.console import is_main_process, progress_report, say, set_verbosity
from tokenworth.errors import SettingError

if TYPE_CHECKING:
    from tokenworth.adaptation import AdaptResult

Model = Annotated[str | None, typer.Option(help="Folder, hub id or published name; none for bow.", show_default="none")]
Run = Annotated[Path, typer.Argument(metavar="OUT", help="Folder that adapt wrote.", show_default=False)]


def adapt(
    task: options.TaskArgument,
    route: options.Route,
    model: Model = None,
    out: options.Out = None,
    config: options.Config = None,
    steps: options.Steps = None,
    batch: options.Batch = None,
    lr: options.Rate = None,
    rank: options.Rank = None,
    targets: options.Targets = None,
    max_length: options.MaxLength = None,
    pooling: options.HeadPooling = None,
    train_size: options.TrainSize = None,
    tune: options.Tune = None,
    metric: options.Metric = None,
    class_weights: options.ClassWeights = None,
    select_best: Annotated[bool, typer.Option("--best", help="Keep the best step on a validation part.")] = False,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="Fit a temperature on a validation part.")] = False,
    shots: options.Shots = None,
    template: options.Template = None,
    contextual: Annotated[bool, typer.Option("--contextual", help="Calibrate prompts by empty texts.")] = False,
    no_chat: Annotated[bool, typer.Option("--no-chat", help="Prompts without the model's chat template.")] = False,
    retrain_tokenizer: Annotated[
        bool, typer.Option("--retrain-tokenizer", help="For scratch: a tokenizer trained on the task.")
    ] = False,
    diagnose: Annotated[bool, typer.Option("--diagnose", help="Assess the backbone before and after.")] = False,
    track: options.Track = None,
    checkpoint_seconds: Annotated[
        float | None, typer.Option(min=0, help="Seconds between checkpoints.", show_default="60")
    ] = None,
    text: options.Text = None,
    text_pair: options.TextPair = None,
    label: options.Label = None,
    group: options.Group = None,
    test: options.Test = None,
    data: options.Data = None,
    drop_overlap: options.DropOverlap = False,
    max_texts: options.MaxTexts = None,
    device: options.Device = "auto",
    dtype: Annotated[str | None, typer.Option(help="auto, float32 or bfloat16.", show_default="auto")] = None,
    revision: options.Revision = None,
    allow_pickle: options.AllowPickle = False,
    tokenizer: options.Tokenizer = None,
    shard: options.Shard = False,
    seed: options.Seed = 0,
    cache: options.Cache = None,
    no_cache: options.NoCache = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Run one route on a task under the protocol; an interrupted run goes on when the same command is given again."""
    from tokenworth.adaptation import adapt as run
    from tokenworth.adaptation import make_config

    set_verbosity(verbose=verbose, quiet=quiet)
    settings = make_config(
        config,
        steps=steps,
        batch=batch,
        lr=lr,
        rank=rank,
        targets=targets,
        max_length=max_length,
        pooling=pooling,
        train_size=train_size,
        tune=tune,
        metric=metric,
        class_weights=class_weights,
        selection="best" if select_best else None,
        calibrate=calibrate or None,
        shots=shots,
        template=template,
        contextual=contextual or None,
        chat=False if no_chat else None,
        tokenizer="retrained" if retrain_tokenizer else None,
        diagnose=diagnose or None,
        track=track,
        checkpoint_seconds=checkpoint_seconds,
        dtype=dtype,
        shard=shard or None,
    )
    loaded = load(task, text, text_pair, label, group, test, data, drop_overlap, seed)
    loaded = loaded.sample(max_texts, seed=seed) if max_texts is not None else loaded
    with progress_report(quiet=quiet) as progress:
        result = run(
            model,
            loaded,
            route,
            seed=seed,
            config=settings,
            out=out,
            device=device,
            revision=revision,
            allow_pickle=allow_pickle,
            tokenizer=tokenizer,
            cache=options.cache_choice(cache, no_cache),
            progress=progress,
        )
    if is_main_process():
        write_page(result, out, quiet=quiet)
        _print(result, json=json)


@options.reads_pickles
def predict(
    out: Run,
    texts: Annotated[
        Path, typer.Argument(metavar="TEXTS", help="A .csv/.tsv/.jsonl/.parquet file.", show_default=False)
    ],
    model: Annotated[str | None, typer.Option(help="Where the backbone lies now.", show_default="as saved")] = None,
    text: options.Text = None,
    text_pair: options.TextPair = None,
    to: Annotated[Path | None, typer.Option(help="File for the rows with predictions.", show_default="printed")] = None,
    device: options.Device = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Predict the classes of new texts with what adapt saved."""
    from tokenworth.adaptation import load_classifier
    from tokenworth.adaptation.storage.prediction_table import predicted_table, spreadsheet_safe, write_predictions

    set_verbosity(verbose=False, quiet=quiet)
    classifier = load_classifier(out, model=model, device=device)
    table = predicted_table(classifier, texts, text=text, text_pair=text_pair)
    if to is not None:
        write_predictions(table, to)
        say(f"predictions: {to}", quiet=quiet)
    elif json:
        typer.echo(table.to_json(orient="records", force_ascii=False, indent=1))
    else:
        typer.echo(spreadsheet_safe(table).to_csv(index=False).rstrip("\n"))


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="OUT...", help="Folders that adapt wrote.", show_default=False)],
    metric: options.Metric = None,
    json: options.Json = False,
) -> None:
    """Put runs on one task side by side; McNemar's test says whether they err on other texts than the first does."""
    from tokenworth.adaptation import AdaptResult
    from tokenworth.adaptation.evaluation.comparison import compare_results
    from tokenworth.report.terminal.tables import comparison_table, show

    if len(runs) < 2:
        raise SettingError("compare needs two runs or more; give the folders that tokenworth adapt wrote")
    rows = compare_results({str(run): AdaptResult.load(run) for run in runs}, metric=metric or "weighted_f1")
    if json:
        typer.echo(encoder.dumps(rows, indent=1))
        return
    show(comparison_table(rows, metric or "weighted_f1"))


@options.reads_pickles
def export(
    out: Run,
    to: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the checkpoint goes.", show_default=False)],
    model: Annotated[str | None, typer.Option(help="Where the backbone lies now.", show_default="as saved")] = None,
) -> None:
    """Write a trained classifier as a plain transformers sequence-classification checkpoint."""
    from tokenworth.adaptation import load_classifier
    from tokenworth.adaptation.storage.export import export_classifier

    apart = export_classifier(load_classifier(out, model=model), to)
    typer.echo(f"{to}: logits equal to {apart:.1e}")


def _print(result: AdaptResult, *, json: bool) -> None:
    if json:
        typer.echo(result.to_json())
        return
    from tokenworth.report import result_table
    from tokenworth.report.terminal.tables import show

    show(result_table(result))
    for sentence in result.sentences:
        typer.echo(f"- {sentence}")
