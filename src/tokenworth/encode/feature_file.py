"""Pooled features on disk: they grow with the number of texts, so they are never held in memory whole."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.format import open_memmap
from torch import Tensor

from tokenworth.base.atomic_files import write_errors
from tokenworth.errors import EncodeError

if TYPE_CHECKING:
    from typing_extensions import Self


class FeatureFile:
    """Features of N texts at some layers: float32 (L', N, D) in ``NAME.npy``, the layers' numbers in ``NAME.json``.

    While it is written the file is called ``NAME.npy.tmp``; ``close`` gives it its name when every row is there.  As a
    context manager it closes at the end, and removes what was written if an error ends the block.
    """

    def __init__(self, path: Path, layers: Sequence[int], values: np.ndarray, written: np.ndarray) -> None:
        self.path, self.layers = path, tuple(layers)
        self._values, self._written = values, written
        self._place = {layer: place for place, layer in enumerate(self.layers)}

    @classmethod
    def create(cls, folder: Path | str, name: str, layers: Sequence[int], n_texts: int, width: int) -> FeatureFile:
        """Start a file; its whole size is reserved on the disk first.

        Raises EncodeError: the disk has no room, or the folder cannot be written.
        """
        path, shape = Path(folder) / f"{name}.npy", (len(layers), n_texts, width)
        needs = f"it needs {4 * np.prod(shape, dtype=float) / 1e9:.3g} GB: make room or choose another folder"
        with write_errors(path, needs, EncodeError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            _temporary(path).unlink(missing_ok=True)  # a link that somebody put there is not followed
            try:
                values = open_memmap(_temporary(path), mode="w+", dtype=np.float32, shape=shape)
                _reserve(_temporary(path))
            except OSError:
                _temporary(path).unlink(missing_ok=True)
                raise
        return cls(path, layers, values, np.zeros(shape[:2], dtype=bool))

    @classmethod
    def resume(cls, folder: Path | str, name: str, layers: Sequence[int]) -> FeatureFile:
        """Go on with a file that was started, finished or not; which rows it has is for the caller to say.

        Raises EncodeError: it is not there, or cannot be read.
        """
        path = Path(folder) / f"{name}.npy"
        place = path if path.exists() else _temporary(path)
        try:
            values: np.ndarray = np.load(place, mmap_mode="r+", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise EncodeError(f"{place} cannot be read ({error}); encode the texts again") from error
        return cls(path, layers, values, np.zeros(values.shape[:2], dtype=bool))

    @classmethod
    def open(cls, folder: Path | str, name: str) -> FeatureFile:
        """Open a finished file for reading.  EncodeError: it is not there, or cannot be read."""
        path = Path(folder) / f"{name}.npy"
        try:
            layers = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["layers"]
            values: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, KeyError) as error:
            raise EncodeError(f"{path} holds no finished features ({error}); encode the texts again") from error
        return cls(path, layers, values, np.ones(values.shape[:2], dtype=bool))

    def write(self, layer: int, rows: np.ndarray, values: Tensor | np.ndarray) -> None:
        """Store the features (B, D) of some texts at a layer."""
        place = self._place[layer]
        self._values[place, rows] = values.detach().float().cpu().numpy() if isinstance(values, Tensor) else values
        self._written[place, rows] = True

    def mark_written(self, rows: np.ndarray) -> None:
        """Take the word of a checkpoint that these rows have their features at every layer."""
        self._written[:, rows] = True

    def flush(self) -> None:
        """Bring to the disk what the memory map still holds."""
        if isinstance(self._values, np.memmap):
            self._values.flush()

    def layer(self, layer: int) -> np.ndarray:
        """The features (N, D) of a layer, read from the disk as they are used.

        Raises EncodeError: some of its rows have not been written.
        """
        place = self._place[layer]
        missing = int((~self._written[place]).sum())
        if missing:
            raise EncodeError(f"{self.path}: {missing} texts have no features at layer {layer}; encode them first")
        view: np.ndarray = self._values[place].view()
        view.flags.writeable = False
        return view

    def close(self) -> None:
        """Flush the file and give it its final name.

        Raises EncodeError: rows are missing; the file keeps its temporary name.
        """
        for layer in self.layers:
            self.layer(layer)
        temporary = _temporary(self.path)
        if not temporary.exists():
            return
        self.flush()
        self.path.with_suffix(".json").write_text(json.dumps({"layers": list(self.layers)}), encoding="utf-8")
        temporary.replace(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            _temporary(self.path).unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")


def _reserve(path: Path) -> None:
    """Claim the blocks of a sparse file now: a memory map that meets a full disk later kills the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))
