"""Documents from files, as rows of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tokenworth.base.keywords import known_keywords
from tokenworth.errors import FileError, SettingError
from tokenworth.files import Fault, ending, whole_text
from tokenworth.measures.loaded_decoder import Decoder
from tokenworth.tasks import load_texts
from tokenworth.tokenizers.tokenizer import SEPARATOR

Ids = NDArray[np.int64]
_AT_ONCE = 64


@known_keywords
def documents_of(paths: Sequence[str | Path], *, whole: bool = False) -> list[str]:
    """Documents of all files, in order.

    Rows of a table (.csv, .tsv, .jsonl, .parquet); of a .txt file, which may be packed as .txt.gz or .txt.zst, what
    stands between separators where there are any, else its paragraphs, or all of it.

    Args:
        paths: files.
        whole: a .txt file is one document.

    Raises:
        SettingError: a text file cannot be read, or there is nothing in the files.
        TaskError: a table cannot be read.
    """
    documents = [text for path in map(Path, paths) for text in _of_file(path, whole=whole) if text.strip()]
    if not documents:
        raise SettingError(f"{', '.join(map(str, paths))}: no documents; give files with text in them")
    return documents


def _of_file(path: Path, *, whole: bool) -> list[str]:
    if ending(path) != ".txt":
        return load_texts(path)
    try:
        text = whole_text(path)
    except FileError as error:
        raise SettingError(str(error)) from error
    if isinstance(text, Fault):
        raise SettingError(text.sentence(path))
    text = text.replace("\r\n", "\n")
    if SEPARATOR in text:
        return text.split(SEPARATOR)
    return [text] if whole else text.split("\n\n")


def tokens_of(decoder: Decoder, text: str) -> list[int]:
    """Token ids of a text, without special tokens around it."""
    return list(decoder.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


@known_keywords
def rows_of(decoder: Decoder, documents: Sequence[str], length: int, *, most: int, seed: int = 0) -> Tensor:
    """The first `length` tokens of documents that have so many, in seeded order: (N, length), N <= most.

    Only where these are fewer than `most`, the next pieces of the same documents follow.  The token that begins a
    document stands first where the tokenizer has one.

    Raises:
        SettingError: fewer than two pieces are as long as that.
    """
    order = np.random.default_rng(seed).permutation(len(documents))
    rows: list[list[int]] = []
    later: list[list[int]] = []
    longest = 0
    for start in range(0, len(order), _AT_ONCE):
        texts = [documents[i] for i in order[start : start + _AT_ONCE]]
        for ids in decoder.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]:
            longest = max(longest, len(decoder.head) + len(ids))
            pieces = _pieces(decoder.head, ids, length)
            rows += pieces[:1]
            later += pieces[1:]
        if len(rows) >= most:
            break
    rows = [*rows, *later][:most]
    if len(rows) < 2:
        raise SettingError(
            f"{len(rows)} of {len(documents)} documents have {length} tokens (the longest has {longest}), and two are "
            "needed; bring longer documents, or ask for shorter texts"
        )
    return torch.tensor(rows)


def _pieces(head: list[int], ids: list[int], length: int) -> list[list[int]]:
    """A document cut into rows of one length, the rest left out; each begins as a document does."""
    size = length - len(head)
    return [head + ids[start : start + size] for start in range(0, len(ids) - size + 1, size)]


def packed(decoder: Decoder, documents: Sequence[str]) -> tuple[Ids, Ids]:
    """All documents as one stream of tokens (N,), and how many tokens of its document stand before each (N,)."""
    ids_of_documents = decoder.tokenizer(list(documents), add_special_tokens=False, verbose=False)["input_ids"]
    rows = [np.array(decoder.head + ids, dtype=np.int64) for ids in ids_of_documents]
    return np.concatenate(rows), np.concatenate([np.arange(len(row)) for row in rows])
