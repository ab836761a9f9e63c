"""Checkpoints of training: whole or not there, and the one before is kept.

    RUN/checkpoints/step-00000120/weights.safetensors     parameters that learn
                                  optimiser.safetensors   its tensors
                                  state.json              its numbers, the loop's, the digests of both files, its own

A folder is written under another name and renamed last; a file that is cut short or changed afterwards does not match
its digest, and the checkpoint before is taken.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tokenworth.base.atomic_files import whole_folder
from tokenworth.errors import AdaptError, TokenworthError, first_line

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
    """Digest of plain data, the same before it is written and after it is read."""
    return hashlib.sha256(json.dumps(json.loads(json.dumps(kept)), sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()
