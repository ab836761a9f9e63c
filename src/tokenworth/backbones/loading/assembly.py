"""What a backbone is put together from: configuration, tokenizer, what identifies them; and the backbone itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tokenworth.backbones.backbone import Backbone, padding_id
from tokenworth.backbones.catalog import Published, find_published
from tokenworth.backbones.loading.configuration_check import read_stated, shorten
from tokenworth.backbones.loading.configuration_class import published_config, read_config
from tokenworth.backbones.loading.gguf_file import LINK, SUFFIX
from tokenworth.backbones.loading.gguf_header import read_header
from tokenworth.backbones.loading.sources import ADAPTER, TOKENIZER_PATTERNS, Source, find_source, is_local
from tokenworth.backbones.loading.tokenizer import (
    BYTES,
    bytes_tokenizer,
    published_tokenizer,
    read_tokenizer,
    tokenizer_place,
    tokenizer_source,
)
from tokenworth.backbones.structure.structure import examine, position_padding

_CHUNK_BYTES = 1 << 22
_BYTES_INSTEAD = (
    "The tokenizer {} cannot be had, so texts are read byte by byte; bring it and name its folder with --tokenizer "
    "({})."
)
_LENGTH_KEYS = ("max_position_embeddings", "max_seq_len", "max_sequence_length")
_UNSTATED_LENGTH = 2048
_NO_LIMIT = 10**9  # tokenizers without a limit state 1e30
_NO_BLOCKS = "The blocks of this model cannot be told apart: all layers' states of a batch are held in memory at once."
_READS_PADDING = (
    "The states of this model depend on the padding beside a text, so only texts of one length share a pass: as many "
    "passes as there are lengths, at least."
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
    """Everything that makes its fingerprint; weights come last."""
    facts: tuple[str, ...]
    """The same, where there is no file."""
    notes: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """What the backbone is made of, not where it lies or what it is called."""
        return fingerprint(self.files, *self.facts)

    def assemble(self, name: str, model: Any, place: torch.device, *, random: bool) -> Backbone:
        """The backbone of a model, examined once on a short text.  Raises BackboneError: its kind does not run here."""
        max_length, notes = context_length(model, self.tokenizer)
        n_embeddings = model.get_input_embeddings().num_embeddings
        structure = examine(model, n_embeddings, max_length, place, pad_id=padding_id(self.tokenizer, n_embeddings))
        if structure.blocks is None:
            notes += (_NO_BLOCKS,)
        if structure.reads_padding:
            notes += (_READS_PADDING,)
        return Backbone(
            name=name,
            model=model,
            tokenizer=self.tokenizer,
            device=place,
            dtype=next(p.dtype for p in model.parameters() if p.is_floating_point()),
            n_layers=structure.n_layers,
            width=structure.width,
            causal=structure.causal,
            max_length=max_length,
            n_parameters=sum(p.numel() for p in model.parameters()),
            random=random,
            fingerprint=self.fingerprint(),
            source=self.origin,
            notes=(*self.notes, *notes),
            structure=structure,
        )


def fingerprint(files: Iterable[Path], *facts: str) -> str:
    """sha256 hex over the names and contents of files, in the order given, and over further facts.

    Cost: one read of the files, about a second a gigabyte.
    """
    digest = hashlib.sha256()
    for path in files:
        name = LINK if path.suffix == SUFFIX else path.name  # other names are given by their formats
        digest.update(f"{name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    for fact in facts:
        digest.update(f"{fact}\0".encode())
    return digest.hexdigest()


def parts_of(base: str, *, is_random: bool, revision: str | None, tokenizer: str | None, seed: int) -> Parts:
    """What files, or for random weights a published name, say about a backbone; no weights are looked at.
    Raises BackboneError: configuration or tokenizer is missing, damaged or of a kind that is not supported.
    """
    entry = None if is_local(base) or not is_random else find_published(base)
    facts = (f"random, seed {seed}",) if is_random else ()
    return _published(entry, tokenizer, facts) if entry else _from_files(base, revision, tokenizer, facts)


def _from_files(base: str, revision: str | None, tokenizer: str | None, facts: tuple[str, ...]) -> Parts:
    source = find_source(base, revision)
    if facts:  # random weights, which no adapter changes
        source = source.base or source
    config, notes = read_config(source), () if facts else (*_adapter_notes(source), *_packing_notes(source))
    words = tokenizer_place(source) if tokenizer is None else tokenizer_source(tokenizer)
    files, origin = (source.base or source).matching(("config.json",)), _origin(source)
    facts += _header_facts(source, words, is_random=bool(facts))
    if words is None:
        return Parts(config, bytes_tokenizer(), source, origin, files, (BYTES, *facts), notes)
    files += words.matching(TOKENIZER_PATTERNS)
    if words is source.base or words is source:
        files = sorted(set(files))
    return Parts(config, read_tokenizer(words), source, origin, files, facts, notes)


def _header_facts(source: Source, words: Source | None, *, is_random: bool) -> tuple[str, ...]:
    """Of GGUF files whose weights are not among what makes the fingerprint: what stands before the weights."""
    wanted = [source.gguf if is_random else None, words.gguf if words not in {source, source.base} and words else None]
    return tuple(read_header(path).digest for path in wanted if path is not None)


def _origin(source: Source) -> str:
    return str(source) if source.gguf is None else f"{source} ({read_header(source.gguf)})"


def _packing_notes(source: Source) -> tuple[str, ...]:
    packed = (source.base or source).gguf
    if packed is None:
        return ()
    header = read_header(packed)
    kinds = ", ".join(f"{count} tensors {kind}" for kind, count in header.packings.items())
    return (f"The weights are unpacked from a GGUF file of {header.bits:.1f} bits a weight ({kinds}).",)


def _adapter_notes(source: Source) -> tuple[str, ...]:
    path = source.folder / ADAPTER
    if source.base is not None:
        rank = shorten(str(read_stated(path).get("r")))
        return (f"A LoRA adapter of rank {rank} is merged into the weights of {source.base}.",)
    if path.is_file():
        return (f"{ADAPTER} lies beside the weights of {source} and is left aside: the weights are taken as they are.",)
    return ()


def _published(entry: Published, tokenizer: str | None, facts: tuple[str, ...]) -> Parts:
    """Random weights of a published backbone: its configuration is known, its tokenizer has to be found."""
    origin, config = f"{entry.hub}, configuration as published", published_config(entry)
    facts = (json.dumps(entry.config, sort_keys=True), *facts)
    words, reason = published_tokenizer(entry, tokenizer)
    notes = (_BYTES_INSTEAD.format(entry.tokenizer, reason),) if reason else ()
    if words is None:
        return Parts(config, bytes_tokenizer(), None, origin, [], (BYTES, *facts), notes)
    return Parts(config, read_tokenizer(words), None, origin, words.matching(TOKENIZER_PATTERNS), facts, notes)


def context_length(model: Any, tokenizer: Any) -> tuple[int, tuple[str, ...]]:
    """Longest text in tokens: what tokenizer and position table both allow, and a note where neither says."""
    text_config = model.config.get_text_config()
    positions = next((n for key in _LENGTH_KEYS if (n := getattr(text_config, key, None))), None)
    padding = position_padding(model)
    if positions and padding is not None:
        positions -= padding + 1  # positions are counted from behind the padding index
    limits = [n for n in (tokenizer.model_max_length, positions) if n and 0 < n < _NO_LIMIT]
    if limits:
        return int(min(limits)), ()
    return _UNSTATED_LENGTH, (f"The model states no longest text; {_UNSTATED_LENGTH} tokens are taken.",)
