"""A pretraining run as it lies on disk: its checkpoints in order of tokens, what they cost, and their losses.

    RUN/run.json                {"parameters": {"total": N, ...}, "train_flops_per_token": C, ...}
    RUN/metrics.jsonl           one object a line: tokens, loss, and now and then held_out {source: {bits_per_byte}}
    RUN/checkpoints/tokens-N/   plain transformers folders; N tokens were seen, 0 are the first random weights

The first two may be missing, and the checkpoints may lie in RUN itself: a folder of checkpoints is a run as well.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenworth.backbones import account_of
from tokenworth.backbones.loading.loader import identity
from tokenworth.base.schema import NUMBER, Shape, read_object
from tokenworth.errors import BackboneError, SettingError, TokenworthError, first_line
from tokenworth.tracing.run_losses import Losses, read_losses

_FOLDER = re.compile(r"tokens-(\d+)")
_TRAIN_FLOPS = 6.0
"""Of a parameter and token, forward and backward (Kaplan et al. 2020)."""
_FREE = frozenset({"_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache"})
"""Entries of config.json that leave a model what it is."""
SHAPE: Shape = {"parameters?": {"total?": NUMBER}, "train_flops_per_token?": NUMBER}
"""What of run.json is read here; both are assumed where they are missing."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights after so many tokens."""

    folder: Path
    """A plain transformers folder."""
    tokens: int
    """Seen by then."""
    fingerprint: str
    """Of configuration, tokenizer and weights."""


@dataclass(frozen=True, slots=True)
class Run:
    """A pretraining run."""

    folder: Path
    """Of `pretrain`, or of checkpoints."""
    name: str
    """The folder's."""
    checkpoints: tuple[Checkpoint, ...]
    """Fewest tokens first."""
    parameters: int
    """As run.json says, else counted with the head."""
    flops_per_token: float
    """Of training: forward and backward."""
    losses: Losses
    """Held-out losses along the run, where its log has them."""
    notes: tuple[str, ...]
    """What had to be assumed."""

    @property
    def tokens(self) -> list[int]:
        """Tokens seen by each checkpoint."""
        return [checkpoint.tokens for checkpoint in self.checkpoints]


def read_run(folder: str | Path) -> Run:
    """Find and check everything before anything is computed.

    Raises:
        SettingError: no such folder, no checkpoints in it, or a run.json that cannot be read.
        BackboneError: a checkpoint that cannot be read, or one of another configuration or tokenizer.
    """
    folder = Path(folder)
    places = _checkpoint_folders(folder)
    _same_configuration(places)
    checkpoints = tuple(_checkpoint(tokens, place) for tokens, place in places)
    stated, notes = _stated(folder), []
    counted = account_of(str(checkpoints[0].folder))
    parameters, flops = stated.get("parameters", {}).get("total"), stated.get("train_flops_per_token")
    if not _positive(flops):
        flops = _TRAIN_FLOPS * counted.parameters
        notes.append(
            f"The run does not say what a token cost, so 6 FLOPs a parameter are assumed: {flops:.2e} a token "
            f"({counted.parameters:,} parameters, the embedding counted once, in the place of the output head)."
        )
    losses = read_losses(folder / "metrics.jsonl")
    name = folder.resolve().name
    size = int(parameters or 0) if _positive(parameters) else counted.with_head
    return Run(folder, name, checkpoints, size, float(flops or 0.0), losses, (*notes, *losses.notes))


def _checkpoint_folders(folder: Path) -> list[tuple[int, Path]]:
    """Whole checkpoints by tokens; what is in work has another name."""
    if not folder.is_dir():
        raise SettingError(f"{folder} is no folder; give the folder of a pretraining run")
    for place in (folder / "checkpoints", folder):
        entries = place.iterdir() if place.is_dir() else ()
        named = [(_FOLDER.fullmatch(path.name), path) for path in entries if path.is_dir()]
        folders = sorted((int(match[1]), path) for match, path in named if match)
        if folders:
            return folders
    raise SettingError(
        f"{folder} holds no checkpoints: none in {folder / 'checkpoints'} is called tokens-N; let tokenworth pretrain "
        "write its first one, or name folders after the tokens their weights have seen, such as tokens-1000000"
    )


def _same_configuration(places: list[tuple[int, Path]]) -> None:
    """Checkpoints of one run are one model and one tokenizer.

    Raises:
        BackboneError: config.json cannot be read, or one differs from that of the first checkpoint.
    """
    first_place, first = places[0][1], _object(places[0][1], "config.json")
    first_words = _tokenizer(first_place)
    for _, place in places[1:]:
        other = _object(place, "config.json")
        for name in sorted({*first, *other} - _FREE):
            if first.get(name) == other.get(name):
                continue
            raise BackboneError(
                f"{place} is of another configuration than {first_place.name}: {name} is {other.get(name)!r} and was "
                f"{first.get(name)!r}; keep the checkpoints of one run in a folder"
            )
        if _tokenizer(place) != first_words:
            raise BackboneError(
                f"{place} has another tokenizer than {first_place.name}, so their tokens are not of one kind; keep the "
                "checkpoints of one run in a folder"
            )


def _object(place: Path, name: str) -> dict[str, Any]:
    path = place / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BackboneError(_unreadable(place, f"{name}: {first_line(error)}")) from error
    if not isinstance(content, dict):
        raise BackboneError(_unreadable(place, f"{name} holds no object"))
    return content


def _tokenizer(place: Path) -> dict[str, Any] | None:
    """What tokenizer.json says, apart from how texts were last cut and filled up."""
    if not (place / "tokenizer.json").is_file():
        return None
    tokenizer = _object(place, "tokenizer.json")
    return {name: value for name, value in tokenizer.items() if name not in ("truncation", "padding")}


def _checkpoint(tokens: int, place: Path) -> Checkpoint:
    try:
        return Checkpoint(place, tokens, identity(str(place)))
    except BackboneError as error:
        raise BackboneError(_unreadable(place, str(error))) from error


def _unreadable(place: Path, why: str) -> str:
    return f"the checkpoint {place} cannot be read ({why}); remove it, or write it again from the run"


def _stated(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    if not path.is_file():
        return {}
    try:
        return read_object(path, SHAPE, "facts of a pretraining run", "restore it or remove it")
    except TokenworthError as error:
        raise SettingError(str(error)) from error


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
