"""What a config.json may say: read within bounds, types and sizes checked before a model is built from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenworth.errors import BackboneError, first_line

MOST_LAYERS = 1_000
"""Blocks of a stack; the deepest published language models have fewer than 200."""
_MOST_LABELS = 1_000_000
_LARGEST = 2**40
_MOST_BYTES = 64 << 20
_DEPTHS = re.compile(r"(^|_)(layers|layer|depth|blocks)$")
_LABELS = frozenset({"id2label", "label2id"})
_OBJECTS = frozenset({*_LABELS, "quantization_config", "text_config"})
_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
_FLAGS = re.compile(
    "add_cross_attention|is_(encoder_)?decoder|output_(attentions|hidden_states)|return_dict|tie_word_embeddings|use_cache"
)
_FETCH = "correct it, or fetch config.json again"


def read_stated(path: Path) -> dict[str, Any]:
    """The object in a JSON file.  Raises BackboneError: it is too long, no JSON, nested without end, or no object."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BackboneError(f"{path} has {path.stat().st_size:,} bytes, too many for settings; fetch it again")
        stated = json.loads(path.read_text(encoding="utf-8"))
    except BackboneError:
        raise
    except (ValueError, RecursionError, OSError) as error:
        raise BackboneError(f"{path} cannot be read as JSON ({first_line(error)}); fetch it again") from error
    if not isinstance(stated, dict):
        kind = {list: "a list", str: "a text", type(None): "null", bool: "a flag"}.get(type(stated), "a number")
        raise BackboneError(f"{path} holds {kind} where an object of settings belongs; fetch it again")
    return stated


def check_stated(path: Path, stated: dict[str, Any]) -> None:
    """Raises BackboneError: numbers that a configuration's constructor would loop over or allocate for, or no-flags."""
    for name in _OBJECTS & stated.keys():
        if not isinstance(stated[name], dict | None):
            raise wrong_value(path, name, stated[name], "an object")
    for name, value in _settings(stated):
        if _FLAGS.fullmatch(name) and not isinstance(value, bool | None):
            raise wrong_value(path, name, value, "true or false")
        if name == "num_labels" and not (value is None or (_is_whole(value) and 0 <= value <= _MOST_LABELS)):
            raise wrong_value(path, name, value, f"a number of classes up to {_MOST_LABELS:,}")
        if _is_whole(value) and _DEPTHS.search(name) and value > MOST_LAYERS:
            raise wrong_value(path, name, value, f"a number of layers up to {MOST_LAYERS:,}")
        if _is_whole(value) and abs(value) > _LARGEST:
            raise wrong_value(path, name, value, "a size that a model can have")


def check_sizes(path: Path, config: Any) -> None:
    """Raises BackboneError, with the key as the file spells it: a model without width, blocks, heads or tokens."""
    text_config = config.get_text_config()
    if not hasattr(text_config, "get_text_config"):
        raise wrong_value(path, "text_config", text_config, "an object of settings")
    spelled = getattr(text_config, "attribute_map", {})
    for size in _SIZES:
        value = getattr(text_config, size, None)
        if isinstance(value, int | float) and value < 1:
            raise wrong_value(path, spelled.get(size, size), value, "a whole number above 0")


def not_understood(path: Path, error: Exception) -> BackboneError:
    """What the library says of a value of the wrong type, as a sentence with key, value and expectation."""
    said = " ".join(str(error).split())
    field = re.search(r"Field '(\w+)' (?:expected .*?, got \w+ \(value: (.*)\)|with value (.*?) doesn't match)", said)
    if field is None:
        return BackboneError(f"{path} is not understood ({shorten(said) or type(error).__name__}); fetch it again")
    named = None if field.group(2) is None else re.search(r"expected (.*?), got", said)
    listed = [kind.rpartition(".")[2] for kind in re.findall(r"<class '([\w.]+)'>", said.partition(" Errors")[0])]
    *most, last = [_WORDS.get(kind, kind) for kind in (listed if named is None else [named.group(1)])] or [""]
    expected = " or ".join(filter(None, (", ".join(most), last))) or "another kind of value"
    return BackboneError(
        f"{path}: {field.group(1)} is {shorten(field.group(2) or field.group(3))}, expected is {expected}; {_FETCH}"
    )


_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "NoneType": "null",
    "list": "a list",
    "dict": "an object",
}


def wrong_value(path: Path, name: str, value: Any, expected: str) -> BackboneError:
    """The error that says of a key what it is and what it should be."""
    return BackboneError(f"{path}: {name} is {shorten(_as_json(value))}, expected is {expected}; {_FETCH}")


def shorten(text: str, most: int = 160) -> str:
    """At most so many characters."""
    return text if len(text) <= most else f"{text[:most]}..."


def _settings(stated: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and values, those of configurations inside among them."""
    waiting = [stated]
    while waiting:
        for name, value in waiting.pop().items():
            if isinstance(value, dict) and name not in _LABELS:
                waiting.append(value)
            else:
                yield name, value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _as_json(value: Any) -> str:
    """As JSON writes it; a number of thousands of digits by its size, since Python does not print it."""
    if _is_whole(value) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    return json.dumps(value)
