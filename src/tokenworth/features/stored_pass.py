"""A finished pass on disk: features by layer and pooling, context moments by layer.

Axes: N texts of the set, M texts asked for, D width.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from xxhash import xxh3_128_hexdigest

from tokenworth.base.atomic_files import read_json, write_json
from tokenworth.base.checksums import file_checksum
from tokenworth.encode import Reading, normalised
from tokenworth.errors import EncodeError
from tokenworth.features.feature_shard import LARGEST, REMEDY, Shard, keeping
from tokenworth.features.massive_activations import LargestState, largest_states, together
from tokenworth.scores import ContextMoments

MANIFEST = "pass.json"
RMS_MEAN = "rms-mean"
"""Mean over a text's tokens of states divided by their root mean squares."""
FORMAT = 3
_SELF = "checksum"  # entry of the manifest: the checksum of the others


@dataclass(frozen=True, eq=False, slots=True)
class Entry:
    """What a pass left behind; a shard for each process that took part."""

    folder: Path
    manifest: dict[str, Any]
    shards: tuple[Shard, ...]

    @classmethod
    def open(cls, folder: Path) -> Entry:
        """Open a finished pass.  EncodeError: something of it is missing or damaged."""
        manifest = read_manifest(folder)
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

    def check(self, layers: Iterable[int] | None = None, poolings: Iterable[str] | None = None) -> None:
        """Compare the files of some layers and poolings (by default of all) with their checksums.

        Cost: one read of them, as fast as the disk gives it; what is used next is then in memory.

        Raises EncodeError: a file is not the one that was written.
        """
        for name in sorted(_files(self.folder, self.manifest, layers, poolings)):
            try:
                same = self.manifest["checksums"][name] == file_checksum(self.folder / name)
            except (OSError, KeyError, TypeError) as error:
                raise EncodeError(f"{self.folder / name} cannot be checked ({error!r})") from error
            if not same:
                raise EncodeError(f"{self.folder / name} is not the file that was written: its checksum is another")

    def features(self, layer: int, reading: Reading, places_M: np.ndarray) -> np.ndarray:
        """Pooled features (M, D), or (M, 2 D) for "last+mean", of texts named by their places in the set: float32."""
        kept = zip(reading.pooling.split("+"), kept_as(reading), strict=True)
        parts = [(how, self._pooled(layer, name, places_M)) for how, name in kept]
        single = reading.states == "normalised"  # what is one state alone is divided as it is read
        values = [
            normalised(torch.from_numpy(part_MD)).numpy() if single and how != "mean" else part_MD
            for how, part_MD in parts
        ]
        return values[0] if len(values) == 1 else np.concatenate(values, axis=1)

    def largest_states(self) -> list[LargestState]:
        """The largest state of each layer over all texts."""
        facts_L8 = reduce(together, (shard.largest() for shard in self.shards))
        return largest_states(facts_L8, self.manifest["layers"])

    def _pooled(self, layer: int, pooling: str, places_M: np.ndarray) -> np.ndarray:
        if len(self.shards) == 1:
            return self.shards[0].files[pooling].layer(layer)[places_M]
        values_MD = np.empty((len(places_M), self.manifest["width"]), dtype=np.float32)
        for shard in self.shards:
            local_M = np.searchsorted(shard.rows_R, places_M).clip(max=len(shard.rows_R) - 1)
            mine_M = shard.rows_R[local_M] == places_M if len(shard.rows_R) else np.zeros(len(places_M), dtype=bool)
            values_MD[mine_M] = shard.files[pooling].layer(layer)[local_M[mine_M]]
        return values_MD

    def context(self, layer: int) -> ContextMoments:
        """Context moments of a layer, over all texts of the set.  EncodeError: the file is damaged."""
        try:
            return ContextMoments.load(context_path(self.folder, layer))
        except (OSError, ValueError) as error:
            raise EncodeError(f"{error}; tokenworth cache clear removes it") from error

    def touch(self) -> None:
        """Note that the entry was used now."""
        (self.folder / MANIFEST).touch()


def kept_as(reading: Reading) -> list[str]:
    """The files from which the parts of a reading come: a mean must be taken of divided states."""
    normal = reading.states == "normalised"
    return [RMS_MEAN if normal and how == "mean" else how for how in reading.pooling.split("+")]


def context_path(folder: Path, layer: int) -> Path:
    """Where the moments of a layer lie."""
    return folder / f"context-{layer}.safetensors"


def _files(
    folder: Path, plan: dict[str, Any], layers: Iterable[int] | None = None, poolings: Iterable[str] | None = None
) -> list[str]:
    """Names of the files of a pass below its folder: those of some layers and poolings, by default all."""
    of_shard = [
        "rows.npy",
        LARGEST,
        *(f"{how}.{end}" for how in poolings or plan["poolings"] for end in ("npy", "json")),
    ]
    return [
        *(f"{shard}/{name}" for shard in plan["shards"] for name in of_shard),
        *(context_path(folder, layer).name for layer in layers or plan["layers"]),
    ]


def file_checksums(folder: Path, plan: dict[str, Any]) -> dict[str, str]:
    """Checksums of all files of a pass that is complete, by name.  EncodeError: one of them cannot be read."""
    with keeping(folder):
        return {name: file_checksum(folder / name) for name in _files(folder, plan)}


def save_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write down what the entry holds.  EncodeError: the disk is full, or the folder cannot be written."""
    content = json.loads(json.dumps({"format": FORMAT, **manifest}))  # the same whether written or read
    write_json(folder / MANIFEST, {**content, _SELF: _digest(content)}, remedy=REMEDY, failure=EncodeError)


def read_manifest(folder: Path) -> dict[str, Any]:
    """What `save_manifest` wrote.  EncodeError: it is missing or damaged."""
    manifest: dict[str, Any] = read_json(folder / MANIFEST, failure=EncodeError)
    if not isinstance(manifest, dict) or manifest.pop(_SELF, None) != _digest(manifest):
        raise EncodeError(f"{folder / MANIFEST} is not the file that was written: its checksum is another")
    return manifest


def _digest(manifest: dict[str, Any]) -> str:
    return xxh3_128_hexdigest(json.dumps(manifest, sort_keys=True).encode())
