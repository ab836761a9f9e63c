"""Token shards: documents as numbers on disk, read through memory maps, with the places where documents begin.

    FOLDER/SOURCE/train-00000.tokens.npy     separator, tokens of a document, separator, ...
                  train-00000.starts.npy     where each document begins in it
                  train-00000.bytes.npy      bytes of each document's UTF-8
                  held-00000.tokens.npy      the held-out part, the same way
                  index.json                 written last: what is here, from which tokenizer and documents

A folder without an index is packed anew; one of another tokenizer or other documents is refused.
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
    documents: Iterable[str],
    tokenizer: Any,
    folder: Path,
    *,
    documents_from: str,
    held_share: float,
    seed: int,
    by_text: bool = False,
) -> Packed:
    """Write documents as shards, or read what an earlier call with the same arguments has written.

    A document is held out by a hash of the seed and its number, so that more documents move none; `by_text`, by one of
    its text, so that none is learnt from and held out at once where it stands several times.

    Raises:
        SettingError: the shards there were made by another tokenizer or from other documents.
        PretrainError: no room, or no documents.
    """
    fingerprint = tokenizer_fingerprint(tokenizer)
    packed = _read_index(folder)
    if packed is not None:
        _check(packed, folder, fingerprint, documents_from)
        return packed
    _log.info("packing %s", folder.name)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        named = ((f"{seed}:{text if by_text else number}", text) for number, text in enumerate(documents))
        figures = _write(named, tokenizer, folder, held_share)
        if not figures["train_documents"] and not figures["held_documents"]:
            raise PretrainError(f"{documents_from}: no documents with any text in them")
        packed = Packed(tokenizer=fingerprint, documents_from=documents_from, **figures)
        write_text(folder / "index.json", json.dumps(asdict(packed), indent=1))
    except OSError as error:
        raise PretrainError(
            f"token shards cannot be written to {folder} ({first_line(error)}); make room and run the same command "
            "again"
        ) from error
    return packed


def _write(named: Iterator[tuple[str, str]], tokenizer: Any, folder: Path, held_share: float) -> dict[str, Any]:
    """Write (name, text) of documents as shards; returns fields of `Packed`."""
    writers = {is_held: _Writer(folder, part, tokenizer) for is_held, part in ((False, "train"), (True, "held"))}
    while batch := list(islice(named, _BATCH)):
        parts: dict[bool, list[str]] = {False: [], True: []}
        for name, text in batch:
            digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
            parts[int.from_bytes(digest[:8], "big") < held_share * 2**64].append(text)
        for is_held, texts in parts.items():
            writers[is_held].add(texts)
    return writers[False].figures() | writers[True].figures()


def _check(packed: Packed, folder: Path, tokenizer: str, documents_from: str) -> None:
    """Refuse shards that are not what is asked for, and say why."""
    why = ""
    if packed.documents_from != documents_from:
        why = f"packed from other documents ({packed.documents_from}, now {documents_from})"
    if packed.tokenizer != tokenizer:
        why = f"made by another tokenizer ({packed.tokenizer}, not {tokenizer})"
    if why:
        raise SettingError(f"the shards in {folder} were {why}; name another folder with --out, or remove this one")


def read_shards(folder: Path, part: str) -> tuple[list[Ints], list[Ints]]:
    """Memory maps of the tokens, and the starts of documents in them, of part "train" or "held".

    Raises:
        PretrainError: a shard is missing or was cut short.
    """
    index = _read_index(folder)
    names: list[str] = [] if index is None else getattr(index, part)
    tokens, starts = ([_map(folder / f"{name}.{kind}.npy") for name in names] for kind in ("tokens", "starts"))
    return tokens, starts


def _map(place: Path) -> Ints:
    try:
        values: Ints = np.load(place, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise PretrainError(
            f"the shard {place} is damaged ({first_line(error)}); remove {place.parent} and run the same command "
            "again: it is packed anew"
        ) from error
    return values


class _Writer:
    """One part of a source: documents in, a file whenever a shard is full."""

    def __init__(self, folder: Path, part: str, tokenizer: Any) -> None:
        self.folder, self.part, self.tokenizer = folder, part, tokenizer
        self.kind = np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32
        self.names: list[str] = []
        self.tokens = self.documents = self.bytes = 0
        self._begin()

    def _begin(self) -> None:
        """Begin a new shard."""
        self.size, self.ids = 0, list[Ints]()
        self.starts, self.sizes = list[int](), list[int]()

    def add(self, texts: list[str]) -> None:
        if not texts:
            return
        encoded = self.tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)
        for text, ids in zip(texts, encoded["input_ids"], strict=True):
            self.starts.append(self.size)
            self.ids.append(np.array([self.tokenizer.eos_token_id, *ids], dtype=self.kind))
            self.size += len(self.ids[-1])
            self.documents += 1
            self.sizes.append(len(text.encode("utf-8", errors="surrogatepass")))
            if self.size >= SHARD_TOKENS:
                self.write()

    def write(self) -> None:
        """The shard so far, closed by a separator."""
        if not self.ids:
            return
        name = f"{self.part}-{len(self.names):05d}"
        tokens = np.concatenate([*self.ids, np.array([self.tokenizer.eos_token_id], dtype=self.kind)])
        kept = {"tokens": tokens, "starts": np.array(self.starts, np.int64), "bytes": np.array(self.sizes, np.int64)}
        for kind, values in kept.items():
            np.save(self.folder / f"{name}.{kind}.npy", values, allow_pickle=False)
        self.names.append(name)
        self.tokens += len(tokens)
        self.bytes += sum(self.sizes)
        self._begin()

    def figures(self) -> dict[str, Any]:
        """Fields of `Packed`, once the last shard is written."""
        self.write()
        counts = {name: getattr(self, name) for name in ("tokens", "documents", "bytes")}
        return {self.part: self.names} | {f"{self.part}_{name}": count for name, count in counts.items()}


def _read_index(folder: Path) -> Packed | None:
    try:
        return Packed(**json.loads((folder / "index.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
