"""The one pass over the texts of a task: looked up, or run, interrupted at will, shared among processes.

key -> in the store? -> begin or go on -> encode, group of layers by group -> add up -> finish
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import numpy as np

from tokenworth.backbones import Backbone
from tokenworth.base.aliases import Facts, Progress
from tokenworth.base.cell_store import CellStore, content_hash, content_key
from tokenworth.base.checksums import has_hooks, model_checksum
from tokenworth.base.processes import Processes
from tokenworth.encode import Reading, Tokens, default_batch_tokens
from tokenworth.encode.long_texts import mean_of_pieces
from tokenworth.errors import EncodeError, SettingError
from tokenworth.features.feature_store import Store
from tokenworth.features.layer_groups import layer_groups, moment_memory
from tokenworth.features.pass_run import Pass
from tokenworth.features.stored_pass import (
    FORMAT,
    MANIFEST,
    RMS_MEAN,
    Entry,
    file_checksums,
    kept_as,
    read_manifest,
    save_manifest,
)
from tokenworth.features.text_set import TextSet
from tokenworth.scores import ContextMoments
from tokenworth.scores.context import Prefix

BASE_POOLINGS = ("mean", "last", "cls", RMS_MEAN)
_POOLINGS_SHARE = 0.25  # all poolings are kept where they take at most this share of the store
_log = logging.getLogger("tokenworth")


@dataclass(frozen=True, slots=True, kw_only=True)
class PassSettings:
    """What is asked of the pass."""

    layers: tuple[int, ...]
    readings: tuple[Reading, ...] = (Reading(),)
    """That will be asked for; the context moments are of the states of the first."""
    prefix: Prefix = "sum"
    batch_tokens: int | None = None  # padded tokens of a batch; None takes the device's default
    memory: int | None = None  # bytes that moments may take; None takes a share of what is free
    checkpoint_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.batch_tokens is not None and self.batch_tokens < 1:
            raise SettingError(f"batch_tokens must be at least 1, not {self.batch_tokens}")


@dataclass(frozen=True, eq=False, slots=True)
class Features:
    """Features of the parts of a task and context moments of all its texts, read from disk as they are used."""

    entry: Entry
    settings: PassSettings
    places: dict[str, np.ndarray]  # by part: where its texts stand in the entry
    counts: dict[str, np.ndarray | None]
    """By part: pieces of each text, where texts were read in pieces."""
    facts: dict[str, Any]
    """How the pass went: reused, resumed, passes, processes, batches, halvings, tokens, padded_tokens, seconds, ..."""

    @property
    def width(self) -> int:
        """Of the states, D."""
        return int(self.entry.manifest["width"])

    def part(self, name: str, layer: int, reading: Reading | None = None) -> np.ndarray:
        """Pooled features of a part at a layer: (M, D) float32, or (M, 2 D) for "last+mean"; by the first reading.

        Of a text that was read in pieces the mean over them, each as much as the others: they are of one length.
        """
        found_P = self.entry.features(layer, reading or self.settings.readings[0], self.places[name])
        return mean_of_pieces(found_P, self.counts[name])

    def context(self, layer: int) -> ContextMoments | None:
        """Context moments of a layer; None where the first reading changes the width."""
        return None if "+" in self.settings.readings[0].pooling else self.entry.context(layer)


def gather_features(
    backbone: Backbone,
    parts: dict[str, Tokens],
    settings: PassSettings,
    store: Store,
    *,
    processes: Processes | None = None,
    progress: Progress | None = None,
) -> Features:
    """Features and context moments of the texts of all parts together: from the store, or by one pass.

    The context moments are those of all texts, whichever part they are in: they see no labels, and another split of the
    same texts then needs no other pass.

    Args:
        backbone: the model.
        parts: tokenised texts by part ("train", "test").
        settings: what is asked of the pass.
        store: where finished passes lie, and where this one goes.
        processes: those that share the pass; by default this one alone.
        progress: called as progress("encode", done_tokens, total_tokens).

    Raises:
        EncodeError: see `tokenworth.encode.encode`; or the disk is full.
        TokenworthError: another run is making the same pass.
    """
    texts = TextSet.of(list(parts.values()))
    places = {name: texts.places(part) for name, part in parts.items()}
    passes = Passes(store, backbone, texts, settings, processes or Processes(), progress)
    entry = passes.once(pass_key(backbone, texts, settings, passes.processes), passes.run)
    if not passes.was_run:
        _log.info("the features of these texts are already here, no forward pass is needed (%s)", entry.folder)
    counts = {name: part.counts_N for name, part in parts.items()}
    return Features(entry, settings, places, counts, {**entry.manifest.get("facts", {}), "reused": not passes.was_run})


def pass_key(backbone: Backbone, texts: TextSet, settings: PassSettings, processes: Processes) -> str:
    """Hash of everything that the states depend on: model, precision, texts, batches and the libraries' versions.

    A model with somebody's hooks in it can do anything: its pass is never found again.
    """
    facts = {
        "fingerprint": backbone.fingerprint,
        "model": model_checksum(backbone.model),
        "hooks": processes.tell(uuid4().hex) if has_hooks(backbone.model) and not backbone.sharded else None,
        "dtype": str(backbone.dtype),
        "device": backbone.device.type,
        "texts": texts.digest,
        "prefix": settings.prefix,
        "states": settings.readings[0].states,
        "batch_tokens": _batch_tokens(backbone, settings),
        "versions": [version("torch"), version("transformers")],
    }
    return content_key(facts, layout=FORMAT)


def _batch_tokens(backbone: Backbone, settings: PassSettings) -> int:
    return default_batch_tokens(backbone) if settings.batch_tokens is None else settings.batch_tokens


@dataclass(eq=False, slots=True)
class Passes(CellStore[str, Facts, Entry]):
    """The passes of a store as some processes see them together: named by their key, held and kept by the main one."""

    store: Store
    backbone: Backbone
    texts: TextSet
    settings: PassSettings
    processes: Processes
    progress: Progress | None
    was_run: bool = False
    contended: ClassVar[bool] = True

    def find(self, name: str) -> Entry | None:
        """A pass that holds the layers and poolings asked for; what one process cannot see, all of them make."""
        with self.processes.together():
            try:
                entry = self.store.find(name, self.settings.layers, tuple(self._wanted()))
            except EncodeError as error:
                _log.warning("a pass in the cache is damaged and is made again: %s", error)
                entry = None
                if self.processes.is_main:
                    self.store.drop_damaged(name)
            if self.processes.most(int(entry is None)):
                return None
            if entry is not None and self.processes.is_main:
                entry.touch()
            return entry

    @contextmanager
    def hold(self, name: str) -> Iterator[Path]:
        """The folder in work; the main process holds it for all."""
        place = self._place(name)
        with ExitStack() as stack:
            with self.processes.together():
                part = self.store.part(place)
                if self.processes.is_main:
                    stack.enter_context(self.store.writing(place))
            yield part
        with suppress(OSError):
            part.rmdir()  # still there, and empty, where another run has finished the pass meanwhile

    def run(self, part: Path) -> Facts:
        """Make the pass in its folder, or go on with it; returns its manifest."""
        with self.processes.together():
            if self.processes.is_main:
                self._begin(part)
        self.processes.wait()
        plan = read_manifest(part)
        with self.processes.together():
            work = Pass(
                self.backbone,
                self.texts,
                plan,
                part,
                processes=self.processes,
                progress=self.progress,
                every_seconds=self.settings.checkpoint_seconds,
            )
        return {**plan, "facts": work.run()}

    def keep(self, name: str, result: Facts) -> Entry:
        """Give the pass its name."""
        place, self.was_run = self._place(name), True
        with self.processes.together():
            if self.processes.is_main:
                part = self.store.part(place)
                save_manifest(part, {**result, "checksums": file_checksums(part, result)})
                self.store.finish(place)
        return Entry.open(self.store.root / place)

    def _place(self, key: str) -> str:
        return f"{key}-{content_hash([self.settings.layers, self._poolings()])[:8]}"

    def _poolings(self) -> list[str]:
        """All of them if there is room, else those asked for: another pooling then needs no other pass."""
        size = 4 * len(self.settings.layers) * len(self.texts) * self.backbone.width * len(BASE_POOLINGS)
        fits = size <= _POOLINGS_SHARE * self.store.max_bytes
        return list(BASE_POOLINGS) if fits else self._wanted()

    def _wanted(self) -> list[str]:
        """The files that will be read."""
        return sorted({name for reading in self.settings.readings for name in kept_as(reading)})

    def _begin(self, part: Path) -> None:
        """Write down the plan of a new pass, or leave that of an interrupted one that can go on."""
        shards = [f"shard-{rank}-of-{self.processes.size}" for rank in range(self.processes.size)]
        if (part / MANIFEST).is_file():
            try:
                if read_manifest(part).get("shards") == shards:
                    return
                _log.warning("the interrupted pass in %s was made by another number of processes and begins anew", part)
            except EncodeError as error:
                _log.warning("the interrupted pass cannot be gone on with and begins anew: %s", error)
            for path in part.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        backbone, settings = self.backbone, self.settings
        memory = settings.memory or moment_memory(backbone.device)
        plan = {
            "backbone": backbone.name,
            "n_texts": len(self.texts),
            "n_tokens": self.texts.tokens.n_tokens,
            "width": backbone.width,
            "layers": list(settings.layers),
            "poolings": self._poolings(),
            "prefix": settings.prefix,
            "states": settings.readings[0].states,
            "batch_tokens": _batch_tokens(backbone, settings),
            "groups": [list(group) for group in layer_groups(settings.layers, backbone.width, memory)],
            "shards": shards,
        }
        save_manifest(part, plan)
