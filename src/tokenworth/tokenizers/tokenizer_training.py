"""Tokenizers trained on sources: those of a run, and those of a file of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tokenworth.base.atomic_files import writing
from tokenworth.errors import SettingError
from tokenworth.settings import build, read_settings, refusal
from tokenworth.tokenizers.document_stream import stream_documents
from tokenworth.tokenizers.source_settings import EXAMPLE, SourceConfig, read_sources
from tokenworth.tokenizers.tokenizer import TokenizerConfig, fertility, train_tokenizer

_BYTES = 20_000_000  # of each source; more changes few pieces and takes minutes
_FERTILITY_TEXTS = 2000


def read_tokenizer_file(path: str | Path) -> tuple[TokenizerConfig, dict[str, SourceConfig]]:
    """The fields of TokenizerConfig and the `sources` of a YAML file; paths in it are relative to it.

    Raises:
        SettingError: an unknown key, no sources, a source without a path, or a value that does not fit: all of them.
    """
    values = read_settings(path, "tokenizer file", EXAMPLE)
    mistakes: list[str] = []
    sources = read_sources(values, "sources", Path(path).resolve().parent, mistakes)
    if not values.get("sources"):
        mistakes.append("a tokenizer needs sources; write 'sources: {name: file}'")
    config, more = build(TokenizerConfig, values.but("sources"), "a tokenizer has")
    mistakes += more
    if config is None or mistakes:
        raise refusal(path, mistakes)
    return config, sources


def train_from_file(path: str | Path, out: str | Path) -> dict[str, Any]:
    """Train what a YAML file says, save it, and report how many tokens the first 2,000 documents of each source take.

    The file has the fields of TokenizerConfig, and `sources` as those of a pretraining run; paths are relative to it.

    Raises:
        SettingError: as `read_tokenizer_file`; a source cannot be read, or has too few different pieces.
    """
    config, sources = read_tokenizer_file(path)
    tokenizer = train_on_sources(config, sources)
    with writing(out) as place:
        tokenizer.save_pretrained(place)
    rows = []
    for name, source in sources.items():
        texts = list(islice(stream_documents(name, source), _FERTILITY_TEXTS))
        rows.append({"source": name, **fertility(tokenizer, texts)})
    return {"kind": config.kind, "vocabulary": len(tokenizer), "sources": rows}


def train_on_sources(config: TokenizerConfig, sources: Mapping[str, SourceConfig]) -> Any:
    """A tokenizer trained on the first 20 MB of every source that has a weight.

    Raises:
        SettingError: a source cannot be read, or the sources have too few different pieces.
    """
    streams = (stream_documents(name, source) for name, source in sources.items() if source.weight)
    tokenizer = train_tokenizer(chain.from_iterable(map(_beginning, streams)), config)
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
