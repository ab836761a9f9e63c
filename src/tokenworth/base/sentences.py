"""How mistakes are told: values cut to what fits into a sentence, the nearest known name, all mistakes at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any

from tokenworth.errors import SettingError

_LONGEST = 60
_SENTENCE = 600
_ITEMS, _LEVELS = 4, 2
_DIGITS = 10**20


def quoted(value: Any) -> str:
    """A value as Python writes it, cut; the time it takes does not grow with the value."""
    shown = _shown(value, _LEVELS)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."


def _shown(value: Any, levels: int) -> str:
    if isinstance(value, str):
        return repr(str(value[:_LONGEST]))
    if isinstance(value, int) and abs(value) > _DIGITS:
        return f"a whole number of about {int(value.bit_length() * 0.30103)} digits"
    if isinstance(value, (bool, int, float, type(None))):
        return repr(value)
    if isinstance(value, Mapping):
        pairs = [f"{quoted(key)}: {_inner(value[key], levels)}" for key in islice(value, _ITEMS)]
        return _several("{", value, pairs, "}")
    if isinstance(value, (list, tuple)):
        opened, closed = ("[", "]") if isinstance(value, list) else ("(", ")")
        return _several(opened, value, [_inner(item, levels) for item in value[:_ITEMS]], closed)
    return f"a value of the type {type(value).__name__}"


def _inner(value: Any, levels: int) -> str:
    nested = isinstance(value, (Mapping, list, tuple)) and bool(value)
    return "..." if nested and not levels else _shown(value, levels - 1)


def _several(opened: str, value: Sequence[Any] | Mapping[Any, Any], first: list[str], closed: str) -> str:
    return opened + ", ".join([*first, *(["..."] if len(value) > _ITEMS else [])]) + closed


def nearest(name: object, known: Iterable[str]) -> str:
    """What to write instead of an unknown name: the one that is spelt most like it, or all there are."""
    names = sorted(known)
    near = get_close_matches(str(name)[:_LONGEST], names, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names) or 'none'}"


def refusal(place: object, mistakes: Sequence[str]) -> SettingError:
    """One error of all the mistakes that were found in a place, each of them once."""
    cut = (text if len(text) <= _SENTENCE else f"{text[:_SENTENCE]}..." for text in mistakes)
    sentences = list(dict.fromkeys(cut))
    if len(sentences) == 1:
        return SettingError(f"{place}: {sentences[0]}" if place else sentences[0], sentences)
    head = f"{place} has {len(sentences)} mistakes" if place else f"{len(sentences)} mistakes"
    return SettingError(f"{head}:\n  " + "\n  ".join(sentences), sentences)
