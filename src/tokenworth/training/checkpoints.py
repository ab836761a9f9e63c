"""Checkpoints of training: whole or not there, and the one before is kept.

    RUN/checkpoints/step-00000120/weights.safetensors     parameters that learn
                                  optimiser.safetensors   its tensors
                                  state.json              its numbers, the loop's, the digests of both files, its own

A folder is written under another name and renamed last; a file that is cut short or changed afterwards does not match
its digest, and the checkpoint before is taken.  Weights and the state of any optimiser are tensors and numbers by name,
so that they are saved without pickle.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tokenworth.base.atomic_files import whole_folder
from tokenworth.base.cell_store import content_hash
from tokenworth.errors import AdaptError, TokenworthError, first_line
from tokenworth.training.devices import spread_like, whole

KEPT = 2
_DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, SafetensorError)
"""What reading a damaged checkpoint raises."""
_log = logging.getLogger("tokenworth")


@dataclass(frozen=True, eq=False, slots=True)
class Checkpoint:
    """Everything a run needs to go on."""

    step: int
    """Steps done."""
    weights: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    state: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run; a folder of None keeps nothing."""

    def __init__(self, folder: Path | None, failure: type[TokenworthError] = AdaptError) -> None:
        self.folder, self.failure = folder, failure

    def save(self, checkpoint: Checkpoint) -> None:
        """Write one and remove all but the newest two.

        Raises:
            AdaptError: or another ``failure``: it cannot be written; those before are still there.
        """
        if self.folder is None:
            return
        remedy = "make room and run the same command again: it goes on from the checkpoint before"
        place, what = self.folder / f"step-{checkpoint.step:08d}", f"the checkpoint of step {checkpoint.step}"
        with whole_folder(place, what, remedy, self.failure) as part:
            digests = {}
            for name, tensors in (("weights", checkpoint.weights), ("optimiser", checkpoint.optimiser)):
                file = part / f"{name}.safetensors"
                save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, file)
                digests[name] = _digest(file)
            kept = {"step": checkpoint.step, "digests": digests, "state": checkpoint.state}
            text = json.dumps({**kept, "digest": _digest_of(kept)})
            (part / "state.json").write_text(text, encoding="utf-8")
        for old in self._there()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def newest(self) -> Checkpoint | None:
        """The newest whole one; those that are damaged are passed over, and said."""
        for place in self._there():
            try:
                return _read(place)
            except _DAMAGE as error:  # noqa: PERF203 - two of them
                why = first_line(error)
                _log.warning("the checkpoint %s is damaged (%s); the one before is taken", place.name, why)
        return None

    def _there(self) -> list[Path]:
        """Folders of the checkpoints, newest first."""
        if self.folder is None or not self.folder.is_dir():
            return []
        return sorted((path for path in self.folder.glob("step-*") if path.suffix != ".part"), reverse=True)


def _read(place: Path) -> Checkpoint:
    kept = json.loads((place / "state.json").read_text(encoding="utf-8"))
    stated = kept.pop("digest", None)  # older ones have none
    if stated not in (None, _digest_of(kept)):
        raise ValueError("state.json is not the file that was written")
    tensors = {}
    for name, digest in kept["digests"].items():
        file = place / f"{name}.safetensors"
        if _digest(file) != digest:
            raise ValueError(f"{name}.safetensors is not the file that was written")
        tensors[name] = load_file(file)
    return Checkpoint(kept["step"], tensors["weights"], tensors["optimiser"], kept["state"])


def _digest_of(kept: dict[str, Any]) -> str:
    """Of plain data, the same before it is written and after it is read."""
    return content_hash(json.loads(json.dumps(kept)))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def read_weights(parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """The parameters, those that are spread over processes put together; all of them must ask."""
    return {name: whole(weights.detach()) for name, weights in parameters.items()}


@torch.no_grad()
def write_weights(parameters: dict[str, nn.Parameter], tensors: dict[str, Tensor]) -> None:
    """The way back from `read_weights`."""
    for name, value in tensors.items():
        parameters[name].copy_(spread_like(value, parameters[name]))


def read_state(
    optimiser: torch.optim.Optimizer, parameters: dict[str, nn.Parameter]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and plain numbers of the state, by "parameter|entry"."""
    state = {
        f"{name}|{entry}": value
        for name, weights in parameters.items()
        for entry, value in optimiser.state.get(weights, {}).items()
    }
    tensors = {key: whole(value) for key, value in state.items() if isinstance(value, Tensor)}
    return tensors, {key: value for key, value in state.items() if key not in tensors}


def write_state(
    optimiser: torch.optim.Optimizer,
    parameters: dict[str, nn.Parameter],
    tensors: dict[str, Tensor],
    numbers: dict[str, Any],
) -> None:
    """The way back from `read_state`."""
    for key, value in {**tensors, **numbers}.items():
        name, _, entry = key.rpartition("|")
        weights = parameters[name]
        optimiser.state[weights][entry] = spread_like(value, weights) if isinstance(value, Tensor) else value
