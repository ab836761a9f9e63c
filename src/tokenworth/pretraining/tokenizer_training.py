"""Tokenizers trained on sources: those of a run, and those of a file of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tokenworth.base.atomic_files import writing
from tokenworth.errors import SettingError
from tokenworth.pretraining.data.document_stream import stream_documents
from tokenworth.pretraining.pretraining_settings import SourceConfig, read_tokenizer_file
from tokenworth.tokenizers.tokenizer import TokenizerConfig, fertility, train_tokenizer

_BYTES = 20_000_000  # of each source; more changes few pieces and takes minutes
_FERTILITY_TEXTS = 2000


def train_from_file(path: str | Path, out: str | Path) -> dict[str, Any]:
    """Train what a YAML file says, save it, and report how many tokens the first 2,000 documents of each source take.

    The file has the fields of TokenizerConfig, and `sources` as those of a pretraining run; paths are relative to it.

    Raises:
        SettingError: an unknown key, no sources, a source that cannot be read, or too few different pieces in them.
    """
    config, sources = read_tokenizer_file(path)
    tokenizer = train_on_sources(config, sources)
    with writing(out) as place:
        tokenizer.save_pretrained(place)
    rows = [{"source": name, **_fertility(tokenizer, name, one)} for name, one in sources.items()]
    return {"kind": config.kind, "vocabulary": len(tokenizer), "sources": rows}


def train_on_sources(config: TokenizerConfig, sources: Mapping[str, SourceConfig]) -> Any:
    """A tokenizer trained on the first 20 MB of every source that has a weight.

    Raises:
        SettingError: a source cannot be read, or the sources have too few different pieces.
    """
    texts = chain.from_iterable(_beginning(stream_documents(name, one)) for name, one in sources.items() if one.weight)
    tokenizer = train_tokenizer(texts, config)
    if len(tokenizer) < config.vocabulary:
        raise SettingError(
            f"the sources support a vocabulary of {len(tokenizer):,} pieces, not {config.vocabulary:,}; set vocabulary "
            f"to {len(tokenizer):,} or less, or bring more text"
        )
    return tokenizer


def _beginning(documents: Iterator[str]) -> Iterator[str]:
    left = _BYTES
    for text in documents:
        yield text
        left -= len(text)
        if left <= 0:
            return


def _fertility(tokenizer: Any, name: str, source: SourceConfig) -> dict[str, float]:
    return fertility(tokenizer, list(islice(stream_documents(name, source), _FERTILITY_TEXTS)))
