"""Settings of `assess` and `rank`; those that change numbers are saved beside the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, SupportsIndex

from tokenworth.backbones.model_choice import ModelChoice
from tokenworth.base.aliases import Progress
from tokenworth.errors import SettingError
from tokenworth.settings import Count, Natural, NonNegative, OneOf, OutFolder, Seed, Settings, quoted
from tokenworth.settings.declarations import NoOption
from tokenworth.tasks import Task

if TYPE_CHECKING:
    from tokenworth.backbones import Backbone

    Model = str | Backbone
else:
    Model = str | object

Layers = str | int | list[int] | tuple[int, ...] | range
ProgressCall = Annotated[Progress | None, NoOption()]
Started = Annotated[Callable[[str], None] | None, NoOption()]


def poolings() -> tuple[str, ...]:
    """The words there are, without loading what pools before they are asked for."""
    from tokenworth.encode import POOLINGS

    return ("auto", *POOLINGS)


@dataclass(frozen=True, kw_only=True)
class AssessOptions(Settings):
    """Everything that changes the numbers, apart from task and backbone."""

    layers: Layers = "all"
    """all, last, 0,3,6, 0-6 or numbers; 0 is the embedding output, L the last block's."""
    pooling: Annotated[str, OneOf(poolings)] = "auto"
    """mean, last, cls or last+mean; auto: the closed forms read the mean, the probes what is best by cross-fitted
    error on training texts.  With last+mean alone the scores that compare subspaces do not exist."""
    states: Literal["normalised", "raw"] = "normalised"
    """normalised: each token's state divided by its root mean square, each coordinate by its standard deviation over
    tokens, so that massive activations do not decide; raw: as published."""
    prefix: Literal["sum", "mean"] = "sum"
    """Encoded prefix of the context moments: sum, as published, or mean."""
    max_length: int | None = None
    """Tokens kept of a text; by default what the model reads."""
    long: Literal["first", "last", "ends"] = "first"
    """Which tokens of longer texts: their first, their last, or both ends, half of each."""
    batch_tokens: Count | None = None
    """Padded tokens of a batch; by default as the device takes them."""
    folds: Count = 10
    """Groups of training texts for the jackknife and for cross-fitting."""
    shuffles: Count = 20
    """Label permutations behind the chance levels."""
    logistic_layers: Natural = 3
    """The best so many layers also get a logistic probe."""
    conventions: bool = False
    """Also NTPS in its weighted form and as the published code has it."""
    seed: Seed = 0
    """Of samples, splits, shuffles, folds and random weights."""


@dataclass(frozen=True, kw_only=True)
class AssessSettings(AssessOptions):
    """The same where the backbone's layers are known."""

    layers: tuple[int, ...] = ()
    """Layers assessed, 0 (embedding output) to L (after the final norm)."""


@dataclass(frozen=True, kw_only=True)
class PassLimits:
    """What the forward pass may use; nothing here changes a number."""

    cache: str | Path | bool = True
    """Folder where forward passes are kept for reuse; by default TOKENWORTH_CACHE or ~/.cache."""
    memory_gb: NonNegative | None = None
    """Memory for the context moments, in GB; what does not fit takes further passes; by default a share of the free."""
    checkpoint_seconds: NonNegative = 30.0
    """Seconds between checkpoints of the forward pass; 0: after every batch."""
    shard: bool = False
    """Under torchrun: spread one model's weights over the processes, not a replica each."""


@dataclass(frozen=True, kw_only=True)
class AssessKeywords(PassLimits, ModelChoice, AssessOptions):
    """All that an assessment takes beside model and task."""

    max_texts: int | None = None
    """Sample so many texts of each part, by class; by default all."""
    out: OutFolder = None
    """Folder for the results; by default none are written."""
    baseline: Annotated[dict[str, Any] | None, NoOption()] = None
    """The bag-of-words row of an earlier assessment of the same task, to save fitting it again."""
    progress: ProgressCall = None
    """Called as progress(part, done_tokens, total_tokens)."""


@dataclass(frozen=True, kw_only=True)
class AssessCall(AssessKeywords):
    """What `assess` takes."""

    model: Model = field(kw_only=False)
    """Folder, GGUF file, hub id or published name, with @random for random weights; in Python also a Backbone."""
    task: str | Task = field(kw_only=False)
    """A file (.csv, .tsv, .jsonl, .parquet), a folder of train and test files, a hub id, a published name, docstrings;
    in Python also a Task."""


@dataclass(frozen=True, kw_only=True)
class RankCall(AssessKeywords):
    """What `rank` takes."""

    task: str | Task = field(kw_only=False)
    """A file (.csv, .tsv, .jsonl, .parquet), a folder of train and test files, a hub id, a published name, docstrings;
    in Python also a Task."""
    models: Sequence[str] = field(kw_only=False)
    """Folders, hub ids or published names; one that fails is reported, and the others go on."""
    started: Started = None
    """Called with each model's name before it is assessed."""


def parse_layers(layers: Layers, n_layers: int) -> tuple[int, ...]:
    """Layer numbers in order from "all", "last", "0,3,6", "0-6", an int or a list; negative ones count from the end.

    Raises:
        SettingError: not understood, or outside 0 .. n_layers.
    """
    ranges = _from_text(layers.strip(), n_layers) if isinstance(layers, str) else _from_numbers(layers)
    ends = [end for numbers in ranges if numbers for end in (numbers[0], numbers[-1])]
    outside = [end for end in ends if not -n_layers - 1 <= end <= n_layers]  # before any range is written out
    resolved = (
        set() if outside else {layer + n_layers + 1 if layer < 0 else layer for numbers in ranges for layer in numbers}
    )
    if not resolved:
        problem = f"layer {quoted(outside[0])} does not exist" if outside else "no layer is named"
        raise SettingError(
            f"{problem}; this backbone has layers 0 (embedding output) to {n_layers} (after the last block)"
        )
    return tuple(sorted(resolved))


def _from_text(text: str, n_layers: int) -> list[range]:
    if text == "all":
        return [range(n_layers + 1)]
    if text == "last":
        return [range(n_layers, n_layers + 1)]
    try:
        return [_part(part.strip()) for part in text.split(",")]
    except ValueError:
        raise SettingError(_not_understood(text)) from None


def _from_numbers(layers: SupportsIndex | Iterable[SupportsIndex]) -> list[range]:
    if isinstance(layers, range):
        return [layers]
    try:
        numbers = [index(layer) for layer in (layers if isinstance(layers, Iterable) else [layers])]
        return [range(number, number + 1) for number in numbers]
    except TypeError:
        raise SettingError(_not_understood(layers)) from None


def _not_understood(layers: object) -> str:
    return f"layers {quoted(layers)} are not understood; write all, last, 0,3,6 or 0-6"


def _part(part: str) -> range:
    first, dash, last = part.partition("-")
    if dash and first:
        return range(int(first), int(last) + 1)
    return range(int(part), int(part) + 1)
