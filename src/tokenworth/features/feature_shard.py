"""What one process writes of a pass: pooled features of its texts, and checkpoints of its moments.

Axes: R texts of this shard, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from tokenworth.base.atomic_files import replacing, write_errors
from tokenworth.base.checksums import tensors_checksum
from tokenworth.encode import FeatureFile
from tokenworth.errors import EncodeError
from tokenworth.features.massive_activations import nothing_seen
from tokenworth.scores import ContextMoments
from tokenworth.scores.context import Prefix
from tokenworth.scores.context_sums import ContextSums
from tokenworth.scores.storage import load_moments, save_moments

REMEDY = (
    "make room and give the same command again, which goes on from the last checkpoint, or choose another folder with "
    "--cache"
)
LARGEST = "largest.npy"
_LARGEST_STATES = "largest states"
_KIND = "pass checkpoint"
_COST_SHARE = 0.02  # checkpoints take at most about this share of the time


def keeping(folder: Path) -> AbstractContextManager[None]:
    """What cannot be written in the block ends in one sentence.

    Raises EncodeError: the disk is full, or the folder cannot be written.
    """
    return write_errors(folder, REMEDY, EncodeError)


@dataclass(slots=True)
class Position:
    """How far a shard has come."""

    group: int = 0  # which group of layers is in work
    queue: dict[str, object] | None = None  # record of its queue; None before its first batch
    counts: dict[str, float] = field(default_factory=dict)  # batches, tokens, seconds, ... so far, over all sessions


class Shard:
    """The texts of one process: which they are, their features by pooling, and the last checkpoint."""

    def __init__(self, folder: Path, rows_R: np.ndarray, files: dict[str, FeatureFile]) -> None:
        self.folder, self.rows_R, self.files = folder, rows_R, files

    @classmethod
    def begin(
        cls, folder: Path, rows_R: np.ndarray, layers: Sequence[int], poolings: Sequence[str], width: int
    ) -> Shard:
        """A new shard, or the one an interrupted run left in the folder.

        Raises EncodeError: the disk has no room, or the folder cannot be written.
        """
        rows = folder / "rows.npy"  # written last: the sign that the files are there
        if rows.is_file():
            return cls(folder, rows_R, {how: FeatureFile.resume(folder, how, layers) for how in poolings})
        with keeping(folder):
            folder.mkdir(parents=True, exist_ok=True)
        files = {how: FeatureFile.create(folder, how, layers, len(rows_R), width) for how in poolings}
        with replacing(rows, REMEDY, EncodeError, ending=".tmp.npy") as part:
            np.save(part, rows_R, allow_pickle=False)
        return cls(folder, rows_R, files)

    @classmethod
    def open(cls, folder: Path, poolings: Sequence[str]) -> Shard:
        """A finished shard, for reading.  EncodeError: a file is missing or damaged."""
        try:
            rows_R: np.ndarray = np.load(folder / "rows.npy", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise EncodeError(f"{folder / 'rows.npy'} cannot be read ({error})") from error
        return cls(folder, rows_R, {how: FeatureFile.open(folder, how) for how in poolings})

    def write(self, layer: int, rows: np.ndarray, pooled: dict[str, Tensor]) -> None:
        """Store the pooled states of some texts, which are named by their places in the whole set."""
        places = np.searchsorted(self.rows_R, rows)
        for how, values in pooled.items():
            self.files[how].write(layer, places, values)

    def finish(self, largest_L8: Tensor) -> None:
        """Close the files, and note the largest states of each layer.

        Raises EncodeError: rows are missing, or the disk is full.
        """
        with keeping(self.folder):
            with replacing(self.folder / LARGEST, REMEDY, EncodeError, ending=".tmp.npy") as part:
                np.save(part, largest_L8.cpu().numpy(), allow_pickle=False)
            for file in self.files.values():
                file.close()

    def largest(self) -> Tensor:
        """Facts of the largest states of each layer (L', 8).  EncodeError: the file is missing or damaged."""
        try:
            return torch.from_numpy(np.load(self.folder / LARGEST, allow_pickle=False))
        except (OSError, ValueError) as error:
            raise EncodeError(f"{self.folder / LARGEST} cannot be read ({error})") from error

    def save(self, position: Position, context: dict[int, ContextMoments], largest_L8: Tensor) -> None:
        """Write a checkpoint: features first, so that it never tells of a row that is not there.

        Raises EncodeError: the disk is full; the checkpoint before is still there.
        """
        sums = {layer: moments.sums.tensors() for layer, moments in context.items()}
        tensors = {f"{layer}.{name}": tensor for layer in sums for name, tensor in sums[layer].items()}
        tensors[_LARGEST_STATES] = largest_L8
        with keeping(self.folder):
            for file in self.files.values():
                file.flush()
            facts = {"position": asdict(position), "checksum": tensors_checksum(tensors)}
            save_moments(self._checkpoint, _KIND, tensors, facts)

    def load(self, prefix: Prefix, n_layers: int) -> tuple[Position, dict[int, ContextMoments], Tensor]:
        """The last checkpoint: where it was made, the moments and the largest states then; the beginning if none.

        Raises EncodeError: it is damaged.
        """
        if not self._checkpoint.is_file():
            return Position(), {}, nothing_seen().expand(n_layers, -1).clone()
        try:
            tensors, facts = load_moments(self._checkpoint, _KIND)
            if facts["checksum"] != tensors_checksum(tensors):
                raise ValueError("its numbers are not those that were written")
            position = Position(**facts["position"])
            largest_L8 = tensors.pop(_LARGEST_STATES)
            layers = sorted({int(name.partition(".")[0]) for name in tensors})
            return position, {layer: _moments(tensors, layer, prefix) for layer in layers}, largest_L8
        except (ValueError, KeyError, TypeError) as error:
            raise EncodeError(f"{self._checkpoint} cannot be read ({error})") from error

    def forget(self) -> None:
        """Remove the checkpoint: the shard begins anew."""
        self._checkpoint.unlink(missing_ok=True)

    def mark_done(self, waiting: np.ndarray) -> None:
        """Every text of this shard but those that still wait (places in the whole set) has its features."""
        done = np.ones(len(self.rows_R), dtype=bool)
        done[np.searchsorted(self.rows_R, waiting)] = False
        for file in self.files.values():
            file.mark_written(np.flatnonzero(done))

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"


def _moments(tensors: dict[str, Tensor], layer: int, prefix: Prefix) -> ContextMoments:
    names = [name for name in tensors if name.startswith(f"{layer}.")]
    sums = ContextSums(**{name.partition(".")[2]: tensors[name] for name in names})
    moments = ContextMoments(len(sums.shift_D), prefix, target_moment=False)
    moments.sums = sums
    return moments


class Due:
    """Whether it is time for a checkpoint: so many seconds after the last, more where one takes long; 0 is always."""

    def __init__(self, every_seconds: float) -> None:
        self.every, self.next = every_seconds, perf_counter() + every_seconds

    def __bool__(self) -> bool:
        return perf_counter() >= self.next

    @contextmanager
    def taken(self) -> Iterator[None]:
        """The block takes the checkpoint; its own cost decides how soon the next may come."""
        start = perf_counter()
        yield
        now = perf_counter()
        self.next = now + (max(self.every, (now - start) / _COST_SHARE) if self.every else 0.0)
