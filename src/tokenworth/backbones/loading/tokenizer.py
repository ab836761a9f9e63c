"""Tokenizers: the one beside a model, one named apart, or plain bytes.

How much longer the normaliser may make a text is known from its replacements before it is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from tokenworth.backbones.catalog import Published, find_published
from tokenworth.backbones.loading.configuration_check import shorten
from tokenworth.backbones.loading.gguf_file import gguf_tokenizer
from tokenworth.backbones.loading.sources import TOKENIZER_PATTERNS, Source, find_source, is_local
from tokenworth.errors import BackboneError, first_line, is_panic

MOST_GROWTH = 64
"""Characters for one; the usual replacements (a blank by a mark, a line end by a word) stay below 16."""
_NORMALIZER = re.compile(r'"normalizer"\s*:\s*')
_PROBE = "One short text, with a word or 2."

BYTES = "bytes"
"""Name of the tokenizer that needs no file: a text's UTF-8 bytes are its ids."""


def bytes_tokenizer() -> Any:
    """A tokenizer of 256 tokens, one a byte, without special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    inner = Tokenizer(models.BPE(vocab={symbol: byte for byte, symbol in bytes_to_unicode().items()}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, clean_up_tokenization_spaces=False)


def tokenizer_of(name: str, tokenizer: str | None = None) -> tuple[Any, str | None]:
    """A backbone's tokenizer without its weights, and why it is that of bytes where its own cannot be had.
    Raises BackboneError: a local folder without a tokenizer, or one named apart that is not there.
    """
    entry = None if is_local(name) else find_published(name)
    source, reason = published_tokenizer(entry, tokenizer) if entry else (tokenizer_source(tokenizer or name), None)
    return (bytes_tokenizer() if source is None else read_tokenizer(source)), reason


def published_tokenizer(entry: Published, tokenizer: str | None) -> tuple[Source | None, str | None]:
    """Where a published backbone's tokenizer, or one named apart, lies; None (that of bytes) and why it cannot be."""
    if tokenizer is not None:
        return tokenizer_source(tokenizer), None
    try:
        return tokenizer_source(entry.tokenizer), None
    except BackboneError as error:
        return None, str(error)


def tokenizer_source(tokenizer: str) -> Source | None:
    """Where a tokenizer named apart lies; None for that of bytes.  Raises BackboneError: it cannot be had."""
    return None if tokenizer == BYTES else find_source(tokenizer, config=False)


def read_tokenizer(source: Source) -> Any:
    """The tokenizer that lies beside the model, if it has a vocabulary; of an adapter its own, else its base's.
    Raises BackboneError: there is none, it is damaged, or it would make a text many times as long.
    """
    source = tokenizer_place(source)
    if source.gguf is None and not source.matching(TOKENIZER_PATTERNS):
        raise BackboneError(f"{source} has no tokenizer; {_remedy(source)}")
    growth = 1.0 if source.gguf else growth_of(source.folder / "tokenizer.json")
    if growth > MOST_GROWTH:
        raise BackboneError(
            f"the tokenizer of {source} makes texts up to {growth:.3g} times as long before it splits them (the limit "
            f"is {MOST_GROWTH}); {_remedy(source)}"
        )
    try:
        tokenizer = _tokenizer_in(source)
        tokenizer(_PROBE, verbose=False)
        n_tokens, n_special = len(tokenizer), len(tokenizer.all_special_ids)
    except BackboneError:
        raise
    except BaseException as error:  # the Rust side raises plain Exception on a damaged file, and panics beside it
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise BackboneError(
            f"the tokenizer of {source} cannot be read ({shorten(first_line(error))}); {_remedy(source)}"
        ) from error
    if n_tokens <= n_special:
        raise BackboneError(f"the tokenizer of {source} has no vocabulary; {_remedy(source)}")
    return tokenizer


def _tokenizer_in(source: Source) -> Any:
    from transformers import AutoTokenizer

    if source.gguf is not None:
        return gguf_tokenizer(source.gguf)
    return AutoTokenizer.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)


def tokenizer_place(source: Source) -> Source:
    """Where a model's tokenizer lies: beside an adapter, where it brings one, else beside the model."""
    if source.base is None or source.matching(("tokenizer.json", "*.model", "vocab*", "*.tiktoken", "tekken.json")):
        return source
    return source.base


def _remedy(source: Source) -> str:
    bring = "" if source.gguf else f"put its tokenizer.json into {source.folder}, or "
    return f"{bring}name another tokenizer (--tokenizer of assess, rank and adapt; bytes needs no file)"


def growth_of(path: Path) -> float:
    """Characters that a tokenizer.json makes of one at the most: the product over its replacements.

    A replacement of a text of n characters by m gives at most max(1, m / n) for one; a regular expression may match one
    character, or none between two.  1 where there is no such file, or none that can be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return 1.0
    return prod((_growth(replacement) for replacement in _replacements(text)), start=1.0)


def _replacements(text: str) -> Iterator[dict[str, Any]]:
    """The Replace steps of all normalisers in a tokenizer.json, of which the vocabulary (most of it) is not parsed."""
    decoder = json.JSONDecoder()
    for place in _NORMALIZER.finditer(text):
        try:
            waiting = [decoder.raw_decode(text, place.end())[0]]
        except (ValueError, RecursionError):
            continue
        while waiting:
            step = waiting.pop()
            if not isinstance(step, dict):
                continue
            inner = step.get("normalizers")
            waiting += inner if isinstance(inner, list) else []
            if step.get("type") == "Replace":
                yield step


def _growth(replacement: dict[str, Any]) -> float:
    content, pattern = replacement.get("content"), replacement.get("pattern")
    n_after = len(content) if isinstance(content, str) else 0
    literal = pattern.get("String") if isinstance(pattern, dict) else None
    if isinstance(literal, str) and literal:
        return max(1.0, n_after / len(literal))
    wide = _may_match_nothing(pattern.get("Regex") if isinstance(pattern, dict) else None)
    return 1.0 + n_after if wide else max(1.0, n_after)


def _may_match_nothing(expression: Any) -> bool:
    """Whether a replacement may come in between characters: one of the empty text, or one that only looks around."""
    if not isinstance(expression, str) or "(?" in expression:
        return True
    try:
        return re.compile(expression).match("") is not None
    except (re.error, RecursionError, OverflowError):
        return True
