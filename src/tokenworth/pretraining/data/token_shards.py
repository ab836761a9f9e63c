"""Token shards: documents as numbers on disk, read through memory maps, with the places where documents begin.

    FOLDER/SOURCE/train-00000.tokens.npy     separator, tokens of a document, separator, ...
                  train-00000.starts.npy     where each document begins in it
                  train-00000.bytes.npy      bytes of each document's UTF-8
                  held-00000.tokens.npy      the held-out part, the same way
                  index.json                 written last: what is here, from which tokenizer and documents

A shard is written under another name and renamed; the index names only whole ones with their sizes.  A folder without
an index, or with one of another tokenizer or other documents, is packed anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenworth.base.atomic_files import write_text
from tokenworth.errors import PretrainError, SettingError, first_line

_log = logging.getLogger("tokenworth")
SHARD_TOKENS = 1 << 24
_BATCH = 500
Ints = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Packed:
    """A source's tokens.  Training part and held-out part are lists of shard names."""

    tokenizer: str
    """Fingerprint of the tokenizer."""
    documents_from: str
    """What was packed: path, size and time of the files, share held out, seed."""
    train: list[str]
    held: list[str]
    train_tokens: int
    held_tokens: int
    train_documents: int
    held_documents: int
    train_bytes: int
    """Of the documents' UTF-8."""
    held_bytes: int


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """The same for the same pieces and rules, wherever the tokenizer lies."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:16]


def pack(
    documents: Iterable[str], tokenizer: Any, folder: Path, *, documents_from: str, held_share: float, seed: int,
    by_text: bool = False,
) -> Packed:  # fmt: skip
    """Write documents as shards, or read what an earlier call with the same arguments has written.

    A document is held out by a hash of the seed and its number, so that more documents move none; `by_text`, by one of
    its text, so that none is learnt from and held out at once where it stands several times.

    Raises:
        SettingError: the shards there were made by another tokenizer or from other documents.
        PretrainError: no room, or no documents.
    """
    print_of_tokenizer = tokenizer_fingerprint(tokenizer)
    found = _read_index(folder)
    if found is not None:
        check_shards(found, folder, print_of_tokenizer, documents_from)
        return found
    _log.info("packing %s", folder.name)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        parts = {"train": _Writer(folder, "train", tokenizer), "held": _Writer(folder, "held", tokenizer)}
        for batch in _batches(enumerate(documents)):
            for part, texts in _divided(batch, held_share, seed, by_text=by_text).items():
                parts[part].add(texts)
        packed = _packed(parts, print_of_tokenizer, documents_from)
        write_text(folder / "index.json", json.dumps(asdict(packed), indent=1))
    except OSError as error:
        raise PretrainError(
            f"token shards cannot be written to {folder} ({first_line(error)}); make room and run the same command "
            "again"
        ) from error
    return packed


def check_shards(found: Packed, folder: Path, tokenizer: str, documents_from: str) -> None:
    """Refuse shards that are not what is asked for, and say why."""
    if found.tokenizer != tokenizer:
        raise SettingError(
            f"the shards in {folder} were made by another tokenizer ({found.tokenizer}, not {tokenizer}); name another "
            "folder with --out, or remove this one"
        )
    if found.documents_from != documents_from:
        raise SettingError(
            f"the shards in {folder} were packed from other documents ({found.documents_from}, now {documents_from}); "
            "name another folder with --out, or remove this one"
        )


def read_shards(folder: Path, part: str) -> tuple[list[Ints], list[Ints]]:
    """Memory maps of the tokens, and the starts of documents in them, of part "train" or "held".

    Raises:
        PretrainError: a shard is missing or was cut short.
    """
    index = _read_index(folder)
    names: list[str] = [] if index is None else getattr(index, part)
    tokens, starts = [], []
    for name in names:
        tokens.append(_mapped(folder / f"{name}.tokens.npy"))
        starts.append(_mapped(folder / f"{name}.starts.npy"))
    return tokens, starts


def _mapped(place: Path) -> Ints:
    try:
        found: Ints = np.load(place, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise PretrainError(
            f"the shard {place} is damaged ({first_line(error)}); remove {place.parent} and run the same command "
            "again: it is packed anew"
        ) from error
    return found


class _Writer:
    """One part of a source: documents in, a file whenever a shard is full."""

    def __init__(self, folder: Path, part: str, tokenizer: Any) -> None:
        self.folder, self.part, self.tokenizer = folder, part, tokenizer
        self.kind = np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32
        self.names: list[str] = []
        self.tokens = self.documents = self.bytes = self.held = 0
        self.ids: list[Ints] = []
        self.starts: list[int] = []
        self.sizes: list[int] = []

    def add(self, texts: list[str]) -> None:
        if not texts:
            return
        encoded = self.tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)
        for text, ids in zip(texts, encoded["input_ids"], strict=True):
            self.starts.append(self.held)
            self.ids.append(np.array([self.tokenizer.eos_token_id, *ids], dtype=self.kind))
            self.held += len(self.ids[-1])
            self.documents += 1
            self.sizes.append(len(text.encode("utf-8", errors="surrogatepass")))
            if self.held >= SHARD_TOKENS:
                self.write()

    def write(self) -> None:
        """The shard so far, closed by a separator."""
        if not self.ids:
            return
        name = f"{self.part}-{len(self.names):05d}"
        tokens = np.concatenate([*self.ids, np.array([self.tokenizer.eos_token_id], dtype=self.kind)])
        kept = {"tokens": tokens, "starts": np.array(self.starts, np.int64), "bytes": np.array(self.sizes, np.int64)}
        for kind, values in kept.items():
            place = self.folder / f"{name}.{kind}.npy"
            part = place.with_name(place.name + ".part")
            part.unlink(missing_ok=True)  # a link that somebody put there is not followed
            with part.open("wb") as file:
                np.save(file, values, allow_pickle=False)
            part.replace(place)
        self.names.append(name)
        self.tokens += len(tokens)
        self.bytes += sum(self.sizes)
        self.ids, self.starts, self.sizes, self.held = [], [], [], 0


def _packed(parts: dict[str, _Writer], tokenizer: str, documents_from: str) -> Packed:
    for writer in parts.values():
        writer.write()
    train, held = parts["train"], parts["held"]
    if not train.documents and not held.documents:
        raise PretrainError(f"{documents_from}: no documents with any text in them")
    return Packed(
        tokenizer=tokenizer, documents_from=documents_from, train=train.names, held=held.names,
        train_tokens=train.tokens, held_tokens=held.tokens, train_documents=train.documents,
        held_documents=held.documents, train_bytes=train.bytes, held_bytes=held.bytes)  # fmt: skip


def _read_index(folder: Path) -> Packed | None:
    try:
        return Packed(**json.loads((folder / "index.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _batches(numbered: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    stream = iter(numbered)
    while batch := list(islice(stream, _BATCH)):
        yield batch


def _divided(batch: list[tuple[int, str]], held_share: float, seed: int, *, by_text: bool) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {"train": [], "held": []}
    for number, text in batch:
        digest = hashlib.sha256(f"{seed}:{text if by_text else number}".encode("utf-8", "surrogatepass")).digest()
        held = int.from_bytes(digest[:8], "big") < held_share * 2**64
        parts["held" if held else "train"].append(text)
    return parts
