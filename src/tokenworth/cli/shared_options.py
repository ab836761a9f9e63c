"""Options that several commands share, declared once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tokenworth.errors import SettingError


def folder(text: str) -> Path:
    """A path as it was given; an empty one, such as that of a variable that is not set, would be the folder of now."""
    if not str(text).strip():
        raise typer.BadParameter("is empty; name a folder, or . for this one")
    return Path(text)


TaskArgument = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="A .csv/.tsv/.jsonl/.parquet file, a folder of train/test files, a hub id, a published name, docstrings.",
        show_default=False,
    ),
]
Text = Annotated[str | None, typer.Option(help="Column that holds the text.", show_default="found by name")]
TextPair = Annotated[
    str | None, typer.Option(help="Column of the second text of a pair.", show_default="found by name")
]
Label = Annotated[str | None, typer.Option(help="Column that holds the label.", show_default="found by name")]
Group = Annotated[str | None, typer.Option(help="Column whose equal values stay on one side of every split.")]
Test = Annotated[str | None, typer.Option(help="Test file, or the share to hold out, such as 0.3.")]
Data = Annotated[
    Path | None, typer.Option(help="Folder with local copies of published tasks.", envvar="TOKENWORTH_DATA")
]
DropOverlap = Annotated[bool, typer.Option("--drop-overlap", help="Remove training texts that also stand in test.")]
MaxTexts = Annotated[int | None, typer.Option(min=2, help="Sample so many texts of each part, by class.")]
Layers = Annotated[str, typer.Option(help="all, last, 0,3,6 or 0-6; 0 is the embedding output.")]
Pooling = Annotated[str, typer.Option(help="mean, last, cls or last+mean.")]
Prefix = Annotated[str, typer.Option(help="Encoded prefix of the context moments: sum (as published) or mean.")]
MaxLength = Annotated[
    int | None, typer.Option(min=1, help="Tokens kept of a text.", show_default="what the model reads")
]
BatchTokens = Annotated[int | None, typer.Option(min=1, help="Padded tokens of a batch.", show_default="by device")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16, float16 or float64.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.")]
Tokenizer = Annotated[
    str | None, typer.Option(help="Folder or hub id of another tokenizer; bytes.", show_default="the model's own")
]
DeviceMap = Annotated[
    str | None,
    typer.Option(help="auto: spread the model over all devices, memory and disk.", show_default="one device"),
]
AllowPickle = Annotated[bool, typer.Option("--allow-pickle", help="Also load weights that are not safetensors.")]
Conventions = Annotated[
    bool, typer.Option("--conventions", help="Also NTPS as printed and as the published code has it.")
]
Seed = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="Of samples, splits, shuffles, folds and random weights.")
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder for the results.", show_default="none written", parser=folder, metavar="PATH"),
]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder where forward passes are kept for reuse.", show_default="TOKENWORTH_CACHE or ~/.cache"),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Keep nothing of the forward pass.")]
MemoryGb = Annotated[
    float | None,
    typer.Option(min=0, help="Memory for the context moments, in GB.", show_default="a share of what is free"),
]
CheckpointSeconds = Annotated[
    float, typer.Option(min=0, help="Seconds between checkpoints of the forward pass; 0: after every batch.")
]
Shard = Annotated[
    bool, typer.Option("--shard", help="Under torchrun: spread one model over the processes, not a replica each.")
]
Route = Annotated[str, typer.Option(help="bow, prompt, probe, lora, full or scratch.")]
Config = Annotated[
    Path | None, typer.Option(help="YAML file of settings; flags go before it.", show_default="protocol")
]
Steps = Annotated[int | None, typer.Option(min=1, help="Optimiser steps.", show_default="10000")]
Batch = Annotated[int | None, typer.Option(min=1, help="Texts of a step.", show_default="8")]
Rate = Annotated[float | None, typer.Option("--lr", help="Highest learning rate.", show_default="1e-4")]
Rank = Annotated[int | None, typer.Option(min=1, help="Rank of LoRA.", show_default="32")]
Targets = Annotated[
    str | None, typer.Option(help="Linear maps that carry LoRA: q_proj,v_proj; auto.", show_default="auto")
]
HeadPooling = Annotated[
    str | None, typer.Option("--pooling", help="last+mean, mean, last or cls.", show_default="last+mean")
]
Tune = Annotated[int | None, typer.Option(min=0, help="Trials of a search over lr, rank and steps.", show_default="0")]
TrainSize = Annotated[int | None, typer.Option(min=2, help="Training texts, by class.", show_default="all")]
Metric = Annotated[str | None, typer.Option(help="What selection goes by.", show_default="weighted_f1")]
ClassWeights = Annotated[str | None, typer.Option(help="none or balanced.", show_default="none")]
Shots = Annotated[int | None, typer.Option(min=0, help="Labelled examples in a prompt.", show_default="0")]
Template = Annotated[str | None, typer.Option(help="Prompt with {text}.", show_default="the task's, or a generic one")]
Track = Annotated[str | None, typer.Option(help="tensorboard or wandb.", show_default="none")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what the libraries say.")]


def reads_pickles(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --allow-pickle for every backbone it meets, those of its processes among them."""

    @functools.wraps(command)
    def run(*, allow_pickle: bool = False, **values: Any) -> None:
        if not allow_pickle:
            return command(**values)
        from tokenworth.backbones.loading.weight_files import pickles_allowed

        with pickles_allowed():
            return command(**values)

    signature = inspect.signature(command, eval_str=True)
    option = inspect.Parameter("allow_pickle", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AllowPickle)
    run.__dict__["__signature__"] = signature.replace(parameters=[*signature.parameters.values(), option])
    return run


def cache_choice(cache: Path | None, no_cache: bool) -> Path | bool:
    """What `assess` takes: a folder, True for the default one, False for none."""
    if no_cache and cache is not None:
        raise SettingError("--cache and --no-cache contradict each other; give one of them")
    return not no_cache if cache is None else cache


# Of a pretraining run's file, each in the place of what the file says.
RunTokens = Annotated[int | None, typer.Option(min=1, help="Tokens of a run.", show_default="the file's")]
RunDevice = Annotated[str | None, typer.Option(help="auto, cpu, cuda, mps.", show_default="the file's")]
RunDtype = Annotated[str | None, typer.Option(help="auto, float32, bfloat16.", show_default="the file's")]
RunSeed = Annotated[
    int | None, typer.Option(min=0, max=2**32 - 1, help="Of weights and order.", show_default="the file's")
]
