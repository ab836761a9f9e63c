"""Settings of an assessment, as data that is saved beside its result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import index
from typing import Annotated, SupportsIndex

from tokenworth.encode import POOLINGS
from tokenworth.errors import SettingError
from tokenworth.scores.context import Prefix
from tokenworth.settings import Count, Natural, OneOf, Seed, check_fields, quoted


@dataclass(frozen=True, kw_only=True, slots=True)
class AssessSettings:
    """Everything that changes the numbers, apart from task and backbone."""

    layers: tuple[int, ...]
    """Layers assessed, 0 (embedding output) to L (after the final norm)."""
    pooling: Annotated[str, OneOf(POOLINGS)] = "mean"
    prefix: Prefix = "sum"
    """Encoded prefix of the context moments: "sum" as published, or "mean"."""
    max_length: int | None = None
    """Tokens kept of a text; None keeps what the backbone can read."""
    batch_tokens: Count | None = None
    """Padded tokens of a batch; None takes the device's default."""
    folds: Count = 10
    """Groups of training texts for the jackknife and for cross-fitting."""
    shuffles: Count = 20
    """Label permutations behind the chance levels."""
    logistic_layers: Natural = 3
    """The best so many layers also get a logistic probe."""
    conventions: bool = False
    """Also compute NTPS in its weighted and published-code conventions."""
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_fields(self)


def parse_layers(layers: str | int | list[int] | tuple[int, ...] | range, n_layers: int) -> tuple[int, ...]:
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
