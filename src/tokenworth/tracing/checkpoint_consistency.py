"""Whether checkpoints are those of one model: one configuration and one tokenizer, and all of them readable.

Tokens of another tokenizer, or FLOPs of another width, would be of another kind, so that no curve goes through both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tokenworth.backbones.loading.configuration_class import read_config
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.loading.sources import Source
from tokenworth.errors import BackboneError, first_line

_FREE = frozenset({"_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache", "architectures"})
"""Entries of config.json that leave a model what it is."""


def check_one_model(sources: Sequence[Source]) -> None:
    """Compare all checkpoints with the first.

    Raises:
        BackboneError: some cannot be read, or are of another configuration or tokenizer; every one of them is named.
    """
    stated, faults, differences = [], dict[str, str](), dict[tuple[str, str], list[str]]()
    with quiet_transformers():
        for source in sources:
            try:
                stated.append((_configuration(source), _tokenizer(source)))
            except BackboneError as error:  # noqa: PERF203 - all of them are told
                faults[label(source)] = str(error)
    if faults:
        raise unreadable(faults)
    for source, (configuration, tokenizer) in zip(sources, stated, strict=True):
        if entry := _difference(stated[0][0], configuration):
            differences.setdefault(("is", f"of another configuration than {{}}: {entry}"), []).append(label(source))
        elif tokenizer != stated[0][1]:
            words = "another tokenizer than {}, so that tokens are not of one kind"
            differences.setdefault(("has", words), []).append(label(source))
    if differences:
        first = sources[0].revision or sources[0].folder.name
        parts = [_clause(names, verb, words.replace("{}", first)) for (verb, words), names in differences.items()]
        raise BackboneError(f"{'; '.join(parts)}; give checkpoints of one model, with one configuration and tokenizer")


def label(source: Source) -> str:
    """A checkpoint in a sentence."""
    return f"{source.hub_id}@{source.revision}" if source.hub_id else str(source.folder)


def unreadable(faults: dict[str, str]) -> BackboneError:
    """One error for the checkpoints that cannot be read, by name with the reason."""
    listed = [f"{name} cannot be read ({reason})" for name, reason in faults.items()]
    return BackboneError(f"the checkpoint {'; the checkpoint '.join(listed)}; remove what is damaged or bring it again")


def _clause(names: list[str], verb: str, words: str) -> str:
    return f"{', '.join(names)} {verb if len(names) == 1 else {'is': 'are', 'has': 'have'}[verb]} {words}"


def _configuration(source: Source) -> dict[str, Any]:
    """Entries that make a model what it is, those that are left to their defaults among them."""
    return {name: value for name, value in read_config(source).to_dict().items() if name not in _FREE}


def _difference(first: dict[str, Any], other: dict[str, Any]) -> str:
    """The first entry that differs, with both values; "" where none does."""
    for name in sorted({*first, *other}):
        if first.get(name) != other.get(name):
            return f"{name} is {other.get(name)!r} and was {first.get(name)!r}"
    return ""


def _tokenizer(source: Source) -> dict[str, Any] | None:
    """What tokenizer.json says, apart from how texts were last cut and filled up."""
    path = source.folder / "tokenizer.json"
    if not path.is_file():
        return None
    try:
        tokenizer = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BackboneError(f"tokenizer.json: {first_line(error)}") from error
    if not isinstance(tokenizer, dict):
        raise BackboneError("tokenizer.json holds no object")
    return {name: value for name, value in tokenizer.items() if name not in ("truncation", "padding")}
