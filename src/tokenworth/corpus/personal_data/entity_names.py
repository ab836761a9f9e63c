"""Names of persons and places by an entity recogniser, where one is installed.

A recogniser is any callable from a text to findings; the one that a corpus file names is a pipeline of spaCy, an
optional library whose models are packages of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from tokenworth.corpus.personal_data.redaction import Finding
from tokenworth.errors import SettingError, first_line

RECOGNISER = "en_core_web_sm"
_TYPE_OF = {"PERSON": "PERSON", "PER": "PERSON", "GPE": "PLACE", "LOC": "PLACE", "FAC": "PLACE"}
"""What spaCy's models call them: OntoNotes for English and Chinese, WikiNER for most other languages."""
_UNUSED = ("parser", "tagger", "morphologizer", "attribute_ruler", "lemmatizer", "textcat", "senter")
_AT_ONCE = 50_000
Recogniser = Callable[[str], Sequence[Finding]]
"""A text to the names in it, in any order."""


@lru_cache(maxsize=2)
def recogniser(model: str = RECOGNISER) -> Recogniser:
    """Names by a pipeline of spaCy: an installed model by its name, or a folder.

    SettingError: spaCy or the model is not installed; the message is the commands.
    """
    pipeline = _pipeline(model)
    return lambda text: list(_names(pipeline, text))


def recogniser_version(model: str) -> str:
    """What its findings depend on.  SettingError: as `recogniser`."""
    meta = _pipeline(model).meta
    return f"{meta.get('lang')}_{meta.get('name')} {meta.get('version')}, spaCy {meta.get('spacy_version')}"


@lru_cache(maxsize=2)
def _pipeline(model: str) -> Any:
    try:
        import spacy

        return spacy.load(model, exclude=list(_UNUSED))
    except ImportError as error:
        raise SettingError(f"redaction of names needs an entity recogniser: {_commands(model)}") from error
    except (OSError, ValueError) as error:
        raise SettingError(
            f"spaCy cannot load the entity recogniser {model} ({first_line(error)}); {_commands(model)}, or name an "
            "installed one with 'recogniser: ...'"
        ) from error


def _commands(model: str) -> str:
    return f"pip install spacy && python -m spacy download {model}"


def _names(pipeline: Any, text: str) -> Iterator[Finding]:
    """Entities of a text, which is read in pieces: a recogniser's memory grows with what it is given at once."""
    begin = 0
    while begin < len(text):
        end = _piece_end(text, begin)
        for entity in pipeline(text[begin:end]).ents:
            if kind := _TYPE_OF.get(entity.label_):
                yield Finding(kind, begin + entity.start_char, begin + entity.end_char)
        begin = end


def _piece_end(text: str, begin: int) -> int:
    """Behind a line, else a sentence, else a word, in the second half of a piece; else wherever it ends."""
    end = begin + _AT_ONCE
    if end >= len(text):
        return len(text)
    ends = ((text.rfind(mark, begin + _AT_ONCE // 2, end), len(mark)) for mark in ("\n", ". ", " "))
    return next((place + size for place, size in ends if place >= 0), end)
