"""What rules about words need to know of a language: where its words are, and which of them stand in every text."""

# ruff: noqa: RUF001 - words of other scripts are meant
from __future__ import annotations

import re
from collections import Counter

from tokenworth.corpus.word_hashes import UNSPACED

_LETTERS = re.compile(r"[^\W\d_]|[\u0e31-\u0e4e]")
_HEAD = 4000
"""Characters that tell the script of a text."""
CHARACTERS_PER_WORD = {"han": 2, "thai": 4}
"""Of scripts without spaces: Han and Kana, and Thai, Lao, Khmer and Burmese.  Chinese words have 1.66 characters on
average (60 million words counted in the dictionary of jieba 0.42), Thai ones 4.1 and 3.9 (33 and 3 million words of two
national corpora, in pythainlp 5.4)."""


def characters_per_word(text: str) -> int | None:
    """Of a text that is mostly written without spaces; None of all others."""
    if text.isascii():
        return None
    head = text[:_HEAD]
    counts = Counter(str(match.lastgroup) for match in UNSPACED.finditer(head))
    if not counts or 2 * sum(counts.values()) < len(_LETTERS.findall(head)):
        return None
    return CHARACTERS_PER_WORD[counts.most_common(1)[0][0]]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FREQUENT: dict[str, frozenset[str]] = {
    "en": _words("the be to of and that have with"),  # Gopher's eight
    "bg": _words("и на да се за не от че"),
    "ca": _words("de la i que el en per els"),
    "cs": _words("a se v na je že to s"),
    "da": _words("og i at det er en til af"),
    "de": _words("der die und in den von zu das ist mit"),
    "el": _words("και το να η του για με την"),
    "es": _words("de la que el en y los se por con"),
    "fi": _words("ja on ei että oli se kun myös"),
    "fr": _words("de la le et les des en un que est"),
    "hr": _words("i je se u na da za su"),
    "hu": _words("a az és hogy nem is egy volt"),
    "it": _words("di e che la il un per è in non"),
    "la": _words("et in est ad non ut cum quod"),
    "nl": _words("de van het een en in is dat op te"),
    "no": _words("og i det er på til som en av at"),
    "pl": _words("i w na z się nie do to że jest"),
    "pt": _words("de a que o e do da em para um"),
    "ro": _words("de și în a la cu pe că din să"),
    "ru": _words("и в не на что с по как это из"),
    "sk": _words("a sa v na je že to s"),
    "sr": _words("је и у да се на за су"),
    "sv": _words("och i att det som en på är av för"),
    "tr": _words("ve bir bu da de için ile çok"),
    "uk": _words("і в на не що з та до"),
}
"""Frequent small words by language (ISO 639-1), written with spaces; words of about the length of English ones."""
FREQUENT["nb"] = FREQUENT["nn"] = FREQUENT["no"]
