"""Settings of an assessment, as data that is saved beside its result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import index
from typing import SupportsIndex, get_args

from tokenworth.encode import POOLINGS
from tokenworth.errors import SettingError
from tokenworth.scores.context import Prefix


@dataclass(frozen=True, kw_only=True, slots=True)
class AssessSettings:
    """Everything that changes the numbers, apart from task and backbone."""

    layers: tuple[int, ...]
    """Layers assessed, 0 (embedding output) to L (after the final norm)."""
    pooling: str = "mean"
    prefix: Prefix = "sum"
    """Encoded prefix of the context moments: "sum" as published, or "mean"."""
    max_length: int | None = None
    """Tokens kept of a text; None keeps what the backbone can read."""
    batch_tokens: int | None = None
    """Padded tokens of a batch; None takes the device's default."""
    folds: int = 10
    """Groups of training texts for the jackknife and for cross-fitting."""
    shuffles: int = 20
    """Label permutations behind the chance levels."""
    logistic_layers: int = 3
    """The best so many layers also get a logistic probe."""
    conventions: bool = False
    """Also compute NTPS in its weighted and published-code conventions."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise SettingError(f"pooling {self.pooling!r} is not understood; choose one of {', '.join(POOLINGS)}")
        if self.prefix not in get_args(Prefix):
            raise SettingError(f"prefix {self.prefix!r} is not understood; choose one of {', '.join(get_args(Prefix))}")


def parse_layers(layers: str | int | list[int] | tuple[int, ...] | range, n_layers: int) -> tuple[int, ...]:
    """Layer numbers in order from "all", "last", "0,3,6", "0-6", an int or a list; negative ones count from the end.

    Raises:
        SettingError: not understood, or outside 0 .. n_layers.
    """
    chosen = _from_text(layers.strip(), n_layers) if isinstance(layers, str) else _from_numbers(layers)
    resolved = sorted({layer + n_layers + 1 if layer < 0 else layer for layer in chosen})
    outside = [layer for layer in chosen if not -n_layers - 1 <= layer <= n_layers]
    if outside or not resolved:
        found = f"layer {outside[0]} does not exist" if outside else "no layer is named"
        raise SettingError(
            f"{found}; this backbone has layers 0 (embedding output) to {n_layers} (after the last block)"
        )
    return tuple(resolved)


def _from_text(text: str, n_layers: int) -> list[int]:
    if text == "all":
        return list(range(n_layers + 1))
    if text == "last":
        return [n_layers]
    try:
        return [layer for part in text.split(",") for layer in _part(part.strip())]
    except ValueError:
        raise SettingError(_not_understood(text)) from None


def _from_numbers(layers: SupportsIndex | Iterable[SupportsIndex]) -> list[int]:
    try:
        return [index(layer) for layer in (layers if isinstance(layers, Iterable) else [layers])]
    except TypeError:
        raise SettingError(_not_understood(layers)) from None


def _not_understood(layers: object) -> str:
    return f"layers {layers!r} are not understood; write all, last, 0,3,6 or 0-6"


def _part(part: str) -> list[int]:
    first, dash, last = part.partition("-")
    if dash and first:
        return list(range(int(first), int(last) + 1))
    return [int(part)]
