"""A pretraining run as it lies on disk: its checkpoints in order of tokens, what they cost, and their losses.

    RUN/run.json                {"parameters": {"total": N, ...}, "train_flops_per_token": C, ...}
    RUN/metrics.jsonl           one object a line: tokens, loss, and now and then held_out {source: {bits_per_byte}}
    RUN/checkpoints/tokens-N/   plain transformers folders; N tokens were seen, 0 are the first random weights

The first two may be missing, and the checkpoints may lie in RUN itself, be named otherwise, be folders given one by
one, or revisions of a hub id: what was trained elsewhere is a run as well.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenworth.backbones import Account, account_of
from tokenworth.backbones.loading.loader import identity
from tokenworth.backbones.loading.sources import Source
from tokenworth.backbones.model_names import RANDOM_SUFFIX
from tokenworth.base.schema import NUMBER, Shape, read_object
from tokenworth.errors import BackboneError, SettingError, TokenworthError
from tokenworth.settings import known_keywords
from tokenworth.tracing.checkpoint_consistency import check_one_model, label, unreadable
from tokenworth.tracing.checkpoint_settings import CheckpointChoice
from tokenworth.tracing.checkpoint_sources import Runs, find_checkpoints
from tokenworth.tracing.run_losses import Losses, read_losses
from tokenworth.tracing.token_counts import count_tokens

_TRAIN_FLOPS = 6.0
"""Of a parameter and token, forward and backward (Kaplan et al. 2020)."""
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
    name: str = ""
    """What it was called: its folder, or the revision."""
    hub_id: str | None = None
    """Of the repository whose revision it is; None for a folder."""
    revision: str | None = None
    """The commit of a hub id."""
    random: bool = False
    """Whether the weights are drawn, from the configuration in the folder."""

    @property
    def model(self) -> str:
        """What `load_backbone` is asked for, with `revision`."""
        return f"{self.folder.resolve()}{RANDOM_SUFFIX if self.random else ''}" if self.hub_id is None else self.hub_id


@dataclass(frozen=True, slots=True)
class Run:
    """A pretraining run."""

    folder: Path | None
    """Of `pretrain`, or of checkpoints; None where they do not lie in one folder."""
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
    """What had to be assumed, and what cannot be known."""

    @property
    def tokens(self) -> list[int]:
        """Tokens seen by each checkpoint."""
        return [checkpoint.tokens for checkpoint in self.checkpoints]


@known_keywords
def read_run(run: Runs, choice: CheckpointChoice | None = None, *, seed: int = 0) -> Run:
    """Find and check everything before anything is computed.

    Args:
        run: the folder of a run, a pattern with *, a checkpoint or several, or a hub id with revisions.
        choice: which revisions, and how tokens are known.
        seed: of the random weights, where they are asked for.

    Raises:
        SettingError: no checkpoints, tokens unknown or seen by two of them, or a run.json that cannot be read.
        BackboneError: checkpoints that cannot be read, or are of another configuration or tokenizer.
    """
    choice = choice or CheckpointChoice()
    there = find_checkpoints(run, choice.revisions)
    counted = zip(count_tokens(there.names, choice), there.sources, strict=True)
    places = sorted(counted, key=lambda place: place[0])
    _check_distinct(places)
    check_one_model([source for _, source in places])
    checkpoints, notes = _read_checkpoints(places), list[str]()
    if choice.random_start and checkpoints[0].tokens > 0:
        checkpoints = (_random_start(checkpoints[0], seed), *checkpoints)
        notes.append(
            f"At 0 tokens stand random weights drawn here from the configuration (seed {seed}), not those that the "
            "pretraining began with."
        )
    account, stated = account_of(str(checkpoints[0].folder)), _stated(there.folder)
    flops, assumed = _flops_per_token(stated, account)
    losses = Losses({}, (), {}) if there.folder is None else read_losses(there.folder / "metrics.jsonl")
    notes += [*assumed, *losses.notes, *_unknown(losses), *_same_weights(checkpoints)]
    parameters = stated.get("parameters", {}).get("total")
    size = int(parameters) if _positive(parameters) else account.with_head
    return Run(there.folder, there.name, checkpoints, size, flops, losses, tuple(notes))


def _check_distinct(places: list[tuple[int, Source]]) -> None:
    """Raises SettingError: two checkpoints have seen as many tokens."""
    by_tokens = defaultdict[int, list[str]](list)
    for tokens, source in places:
        by_tokens[tokens].append(label(source))
    twice = [f"{' and '.join(names)} have seen {tokens:,} tokens" for tokens, names in by_tokens.items() if names[1:]]
    if twice:
        raise SettingError(f"{'; '.join(twice)}; give each checkpoint once, or say what each has seen (--tokens)")


def _read_checkpoints(places: list[tuple[int, Source]]) -> tuple[Checkpoint, ...]:
    checkpoints, faults = [], {}
    for tokens, source in places:
        commit = source.folder.name if source.hub_id else None
        name = source.revision or source.folder.resolve().name
        try:
            fingerprint = identity(source.name, revision=commit)
        except BackboneError as error:
            faults[label(source)] = str(error)
            continue
        checkpoints.append(Checkpoint(source.folder, tokens, fingerprint, name, source.hub_id, commit))
    if faults:
        raise unreadable(faults)
    return tuple(checkpoints)


def _random_start(first: Checkpoint, seed: int) -> Checkpoint:
    folder = first.folder.resolve()
    return Checkpoint(folder, 0, identity(f"{folder}{RANDOM_SUFFIX}", seed=seed), "random weights", random=True)


def _flops_per_token(stated: dict[str, Any], account: Account) -> tuple[float, list[str]]:
    """Training FLOPs of a token as the run says, or as they are assumed, with a sentence."""
    flops = stated.get("train_flops_per_token")
    if flops is not None and _positive(flops):
        return float(flops), []
    flops = _TRAIN_FLOPS * account.parameters
    sentence = (
        f"The run does not say what a token cost, so 6 FLOPs a parameter are assumed: {flops:.2e} a token "
        f"({account.parameters:,} parameters, the embedding counted once, in the place of the output head)."
    )
    return flops, [sentence]


def _unknown(losses: Losses) -> list[str]:
    """What checkpoints alone cannot tell."""
    if losses.train or losses.bits_per_byte:
        return []
    return ["Training loss, wall time and energy of this pretraining are not known: the checkpoints bring no record."]


def _same_weights(checkpoints: tuple[Checkpoint, ...]) -> list[str]:
    by_weights = defaultdict[str, list[str]](list)
    for checkpoint in checkpoints:
        by_weights[checkpoint.fingerprint].append(checkpoint.name)
    return [f"{' and '.join(names)} hold the same weights." for names in by_weights.values() if names[1:]]


def _stated(folder: Path | None) -> dict[str, Any]:
    path = None if folder is None else folder / "run.json"
    if path is None or not path.is_file():
        return {}
    try:
        return read_object(path, SHAPE, "facts of a pretraining run", "restore it or remove it")
    except TokenworthError as error:
        raise SettingError(str(error)) from error


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
