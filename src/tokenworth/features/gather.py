"""The one pass over the texts of a task: looked up, or run, interrupted at will, shared among processes.

key -> in the store? -> begin or go on -> encode, group of layers by group -> add up -> finish
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from tokenworth.backbones import Backbone
from tokenworth.base.checksums import has_hooks, model_checksum
from tokenworth.base.processes import Processes
from tokenworth.encode import Tokens, default_batch_tokens
from tokenworth.errors import EncodeError, SettingError
from tokenworth.features.feature_store import Store
from tokenworth.features.layer_groups import layer_groups, moment_memory
from tokenworth.features.pass_run import Pass
from tokenworth.features.stored_pass import FORMAT, Entry, file_checksums, read_manifest, save_manifest
from tokenworth.features.text_set import TextSet
from tokenworth.scores import ContextMoments
from tokenworth.scores.context import Prefix
from tokenworth.version import NUMERICS

BASE_POOLINGS = ("mean", "last", "cls")
_POOLINGS_SHARE = 0.25
"""All poolings are kept where they take at most this share of the store."""

Progress = Callable[[str, int, int], None]
"""Called as progress(part, done_tokens, total_tokens)."""

_log = logging.getLogger("tokenworth")


@dataclass(frozen=True, slots=True, kw_only=True)
class PassSettings:
    """What is asked of the pass."""

    layers: tuple[int, ...]
    pooling: str = "mean"
    prefix: Prefix = "sum"
    batch_tokens: int | None = None
    """Padded tokens of a batch; None takes the device's default."""
    memory: int | None = None
    """Bytes that moments may take; None takes a share of what is free."""
    checkpoint_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.batch_tokens is not None and self.batch_tokens < 1:
            raise SettingError(f"batch_tokens must be at least 1, not {self.batch_tokens}")


@dataclass(frozen=True, eq=False, slots=True)
class Features:
    """Features of the parts of a task and context moments of all its texts, read from disk as they are used."""

    entry: Entry
    settings: PassSettings
    places: dict[str, np.ndarray]
    """By part: where its texts stand in the entry."""
    facts: dict[str, Any]
    """How the pass went: reused, resumed, passes, processes, batches, halvings, tokens, padded_tokens, seconds, ..."""

    def part(self, name: str, layer: int) -> np.ndarray:
        """Pooled features of a part at a layer: (M, D) float32, or (M, 2 D) for "last+mean"."""
        return self.entry.features(layer, self.settings.pooling, self.places[name])

    def context(self, layer: int) -> ContextMoments | None:
        """Context moments of a layer; None where the pooling changes the width."""
        return None if "+" in self.settings.pooling else self.entry.context(layer)


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
        settings: layers, pooling, prefix and the limits of the pass.
        store: where finished passes lie, and where this one goes.
        processes: those that share the pass; by default this one alone.
        progress: called as progress("encode", done_tokens, total_tokens).

    Raises:
        EncodeError: see `tokenworth.encode.encode`; or the disk is full.
        TokenworthError: another run is making the same pass.
    """
    processes = processes or Processes()
    texts = TextSet.of(list(parts.values()))
    places = {name: texts.places(part) for name, part in parts.items()}
    key = pass_key(backbone, texts, settings, processes)
    with processes.together():
        found = _look_up(store, key, settings, processes)
    if found is not None:
        _log.info("the features of these texts are already here, no forward pass is needed (%s)", found.folder)
        return Features(found, settings, places, {**found.manifest.get("facts", {}), "reused": True})
    entry = _make(backbone, texts, settings, store, key, processes, progress)
    return Features(entry, settings, places, {**entry.manifest["facts"], "reused": False})


def pass_key(backbone: Backbone, texts: TextSet, settings: PassSettings, processes: Processes) -> str:
    """Hash of everything that the states depend on: model, precision, texts, batches and the libraries' versions.

    A model with somebody's hooks in it can do anything: its pass is never found again.
    """
    facts = {
        "format": FORMAT,
        "numerics": NUMERICS,
        "fingerprint": backbone.fingerprint,
        "model": model_checksum(backbone.model),
        "hooks": processes.tell(uuid4().hex) if has_hooks(backbone.model) and not backbone.sharded else None,
        "dtype": str(backbone.dtype),
        "device": backbone.device.type,
        "texts": texts.digest,
        "prefix": settings.prefix,
        "batch_tokens": _budget(backbone, settings),
        "versions": [version("torch"), version("transformers")],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def _budget(backbone: Backbone, settings: PassSettings) -> int:
    return default_batch_tokens(backbone) if settings.batch_tokens is None else settings.batch_tokens


def _look_up(store: Store, key: str, settings: PassSettings, processes: Processes) -> Entry | None:
    poolings = tuple(settings.pooling.split("+"))
    try:
        found = store.find(key, settings.layers, poolings)
    except EncodeError as error:
        _log.warning("a pass in the cache is damaged and is made again: %s", error)
        if processes.is_main:
            store.drop_damaged(key)
        found = None
    if processes.most(int(found is None)):  # what one of them cannot see, all of them make
        return None
    if found is not None and processes.is_main:
        found.touch()
    return found


def _make(
    backbone: Backbone,
    texts: TextSet,
    settings: PassSettings,
    store: Store,
    key: str,
    processes: Processes,
    progress: Progress | None,
) -> Entry:
    poolings = _poolings(backbone, texts, settings, store)
    cover = hashlib.sha256(json.dumps([settings.layers, poolings]).encode()).hexdigest()[:8]
    name = f"{key}-{cover}"
    with _held(store, name, processes) as part:
        with processes.together():
            if processes.is_main:
                _begin(part, backbone, texts, settings, poolings, processes)
        processes.wait()
        plan: dict[str, Any] = read_manifest(part)
        with processes.together():
            work = Pass(
                backbone,
                texts,
                plan,
                part,
                processes=processes,
                every_seconds=settings.checkpoint_seconds,
                progress=progress,
            )
        facts = work.run()
        with processes.together():
            if processes.is_main:
                save_manifest(part, {**plan, "facts": facts, "checksums": file_checksums(part, plan)})
                store.finish(name)
                store.trim(keep=name)
        return Entry.open(store.folder(name))


def _poolings(backbone: Backbone, texts: TextSet, settings: PassSettings, store: Store) -> list[str]:
    """All of them if there is room, else those asked for: another pooling then needs no other pass."""
    size = 4 * len(settings.layers) * len(texts) * backbone.width * len(BASE_POOLINGS)
    asked = settings.pooling.split("+")
    return list(BASE_POOLINGS) if size <= _POOLINGS_SHARE * store.max_bytes else asked


@contextmanager
def _held(store: Store, name: str, processes: Processes) -> Iterator[Path]:
    """The folder in work; the main process holds it for all."""
    with ExitStack() as stack:
        with processes.together():
            part = stack.enter_context(store.writing(name)) if processes.is_main else store.part(name)
        yield part


def _begin(
    part: Path, backbone: Backbone, texts: TextSet, settings: PassSettings, poolings: list[str], processes: Processes
) -> None:
    """Write down the plan of a new pass, or leave that of an interrupted one that can go on."""
    shards = [f"shard-{rank}-of-{processes.size}" for rank in range(processes.size)]
    if (part / "pass.json").is_file():
        try:
            if read_manifest(part).get("shards") == shards:
                return
            _log.warning("the interrupted pass in %s was made by another number of processes and begins anew", part)
        except EncodeError as error:
            _log.warning("the interrupted pass cannot be gone on with and begins anew: %s", error)
        for path in part.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    memory = settings.memory or moment_memory(backbone.device)
    groups = layer_groups(settings.layers, backbone.width, memory)
    plan = {
        "backbone": backbone.name,
        "n_texts": len(texts),
        "n_tokens": texts.tokens.n_tokens,
        "width": backbone.width,
        "layers": list(settings.layers),
        "poolings": poolings,
        "prefix": settings.prefix,
        "batch_tokens": _budget(backbone, settings),
        "groups": [list(group) for group in groups],
        "shards": shards,
    }
    save_manifest(part, plan)
