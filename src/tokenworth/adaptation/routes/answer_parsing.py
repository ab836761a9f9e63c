"""Which class a model's answer in free words names, if it names one."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence

_AROUND = " \t\r\n\"'`*_.,:;!?()[]{}<>-"
"""What may stand around an answer."""


def class_said(answer: str, words: Sequence[str]) -> int | None:
    """The place of the class that an answer names; None where it names none, or several.

    In this order: the answer is the words of a class; it begins with them; the words of one class alone stand in it
    (words within longer ones of another class do not count).  Upper and lower case and quotation marks make no
    difference.  "not spam" names spam where no class is called so.
    """
    said, known = _plain(answer), [_plain(word) for word in words]
    if said in known:
        return known.index(said)
    places = [_places(said, word) for word in known]
    first = [(len(known[i]), i) for i in range(len(known)) if any(start == 0 for start, _ in places[i])]
    if first:
        return max(first)[1]
    spans = [(start, end, i) for i in range(len(known)) for start, end in places[i]]
    free = {
        i for start, end, i in spans if not any(s <= start and end <= e and (s, e) != (start, end) for s, e, _ in spans)
    }
    return free.pop() if len(free) == 1 else None


def class_in_json(answer: str, words: Sequence[str]) -> int | None:
    """The class in an answer such as {"class": "spam"}; None where it is another."""
    try:
        said = json.loads(answer)["class"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return words.index(said) if said in words else None


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_AROUND)


def _places(text: str, word: str) -> list[tuple[int, int]]:
    """Where a word stands that is no part of a longer one."""
    if not word:
        return []
    return [found.span() for found in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text)]
