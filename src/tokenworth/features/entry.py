"""A finished pass on disk: features by layer and pooling, context moments by layer.

Axes: N texts of the set, M texts asked for, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from tokenworth.errors import EncodeError
from tokenworth.features.shard import Shard, read_json, write_json
from tokenworth.scores import ContextMoments

MANIFEST = "pass.json"
FORMAT = 1


@dataclass(frozen=True, eq=False, slots=True)
class Entry:
    """What a pass left behind; a shard for each process that took part."""

    folder: Path
    manifest: dict[str, Any]
    shards: tuple[Shard, ...]

    @classmethod
    def open(cls, folder: Path) -> Entry:
        """Open a finished pass.

        Raises:
            EncodeError: something of it is missing or damaged.
        """
        manifest: dict[str, Any] = read_json(folder / MANIFEST)
        try:
            shards = tuple(Shard.open(folder / name, manifest["poolings"]) for name in manifest["shards"])
            for layer in manifest["layers"]:
                with safe_open(context_path(folder, layer), framework="pt"):
                    pass  # opening compares what the header states with the length of the file
            n_texts = sum(len(shard.rows_R) for shard in shards)
        except (KeyError, TypeError) as error:
            raise EncodeError(f"{folder / MANIFEST} cannot be read ({error!r})") from error
        except (OSError, SafetensorError) as error:
            raise EncodeError(f"moments in {folder} cannot be read ({error})") from error
        if n_texts != manifest["n_texts"]:
            raise EncodeError(f"{folder} is not complete ({n_texts} of {manifest['n_texts']} texts)")
        return cls(folder, manifest, shards)

    def features(self, layer: int, pooling: str, places_M: np.ndarray) -> np.ndarray:
        """Pooled features (M, D), or (M, 2 D) for "last+mean", of texts named by their places in the set: float32."""
        return np.concatenate([self._one(layer, how, places_M) for how in pooling.split("+")], axis=1)

    def _one(self, layer: int, pooling: str, places_M: np.ndarray) -> np.ndarray:
        if len(self.shards) == 1:
            return self.shards[0].files[pooling].layer(layer)[places_M]
        found = np.empty((len(places_M), self.manifest["width"]), dtype=np.float32)
        for shard in self.shards:
            local_M = np.searchsorted(shard.rows_R, places_M).clip(max=len(shard.rows_R) - 1)
            mine_M = shard.rows_R[local_M] == places_M if len(shard.rows_R) else np.zeros(len(places_M), dtype=bool)
            found[mine_M] = shard.files[pooling].layer(layer)[local_M[mine_M]]
        return found

    def context(self, layer: int) -> ContextMoments:
        """Context moments of a layer, over all texts of the set.

        Raises:
            EncodeError: the file is damaged.
        """
        try:
            return ContextMoments.load(context_path(self.folder, layer))
        except (OSError, ValueError) as error:
            raise EncodeError(f"{error}; tokenworth cache clear removes it") from error

    def touch(self) -> None:
        """Note that the entry was used now."""
        (self.folder / MANIFEST).touch()


def context_path(folder: Path, layer: int) -> Path:
    """Where the moments of a layer lie."""
    return folder / f"context-{layer}.safetensors"


def save_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write down what the entry holds."""
    write_json(folder / MANIFEST, {"format": FORMAT, **manifest})
