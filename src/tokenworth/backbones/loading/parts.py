"""What a backbone is put together from, its weights aside: a configuration, a tokenizer, and what identifies them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenworth.backbones.catalog import Published, find_published
from tokenworth.backbones.loading.adapter import note_of
from tokenworth.backbones.loading.configuration_class import published_config, read_config
from tokenworth.backbones.loading.sources import ADAPTER, TOKENIZER_PATTERNS, Source, find_source, is_local
from tokenworth.backbones.loading.tokenizer import (
    BYTES,
    bytes_tokenizer,
    read_tokenizer,
    tokenizer_place,
    tokenizer_source,
)
from tokenworth.errors import BackboneError

_BYTES_INSTEAD = (
    "The tokenizer {} cannot be had, so texts are read byte by byte; bring it and name its folder with --tokenizer "
    "({})."
)


@dataclass(slots=True)
class Parts:
    """What a backbone is put together from."""

    config: Any
    tokenizer: Any
    source: Source | None
    origin: str
    """In words."""
    files: list[Path]
    """Everything but weights that makes its fingerprint."""
    facts: tuple[str, ...]
    """The same, where there is no file."""
    notes: tuple[str, ...] = ()


def parts_of(base: str, *, is_random: bool, revision: str | None, tokenizer: str | None, seed: int) -> Parts:
    """What files, or for random weights a published name, say about a backbone; no weights are looked at.
    Raises BackboneError: configuration or tokenizer is missing, damaged or of a kind that is not supported.
    """
    entry = None if is_local(base) or not is_random else find_published(base)
    return _published(entry, tokenizer, seed) if entry else _from_files(base, revision, tokenizer, is_random, seed)


def _from_files(base: str, revision: str | None, tokenizer: str | None, is_random: bool, seed: int) -> Parts:
    source = find_source(base, revision)
    if is_random:
        source = source.base or source
    config = read_config(source)
    words = tokenizer_place(source) if tokenizer is None else tokenizer_source(tokenizer)
    files = (source.base or source).matching(("config.json",))
    facts = (f"random, seed {seed}",) if is_random else ()
    notes = () if is_random else _notes_on(source)
    if words is None:
        return Parts(config, bytes_tokenizer(), source, str(source), files, (BYTES, *facts), notes)
    found = read_tokenizer(words)
    if words is source.base or words is source:
        files = sorted({*files, *words.matching(TOKENIZER_PATTERNS)})
    else:
        files += words.matching(TOKENIZER_PATTERNS)
    return Parts(config, found, source, str(source), files, facts, notes)


def _notes_on(source: Source) -> tuple[str, ...]:
    """What is done with an adapter in the folder."""
    if source.base is not None:
        return (note_of(source),)
    if (source.folder / ADAPTER).is_file():
        return (f"{ADAPTER} lies beside the weights of {source} and is left aside: the weights are taken as they are.",)
    return ()


def _published(entry: Published, tokenizer: str | None, seed: int) -> Parts:
    """Random weights of a published backbone: its configuration is known, its tokenizer has to be found."""
    origin = f"{entry.hub}, configuration as published"
    facts = (json.dumps(entry.config, sort_keys=True), f"random, seed {seed}")
    config = published_config(entry)
    notes: tuple[str, ...] = ()
    try:
        words = tokenizer_source(tokenizer or entry.tokenizer)
    except BackboneError as error:
        if tokenizer is not None:
            raise
        words, notes = None, (_BYTES_INSTEAD.format(entry.tokenizer, error),)
    if words is None:
        return Parts(config, bytes_tokenizer(), None, origin, [], (BYTES, *facts), notes)
    return Parts(config, read_tokenizer(words), None, origin, words.matching(TOKENIZER_PATTERNS), facts, notes)
