"""How a text is put to a language model, and what its classes are called there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

GENERIC = "Text: {text}\nCategory:"


@dataclass(frozen=True, slots=True)
class Template:
    """Words around the text, and words for class names that are not words."""

    pattern: str
    """With {text}; ends where the class would be written."""
    words: dict[str, str] = field(default_factory=dict)


_REVIEW = Template("Review: {text}\nSentiment:", {"neg": "negative", "pos": "positive"})
TEMPLATES: dict[str, Template] = {
    "sst2": _REVIEW,
    "imdb": _REVIEW,
    "rotten_tomatoes": _REVIEW,
    "yelp_review_full": Template("Review: {text}\nRating:", {"1 star": "1 stars", "2 star": "2 stars"}),
    "emotion": Template("Message: {text}\nFeeling:"),
    "clickbait": Template("Headline: {text}\nKind:", {"not clickbait": "news"}),
    "sms_spam": Template("Message: {text}\nKind:", {"ham": "normal"}),
    "wiki_toxic": Template("Comment: {text}\nTone:", {"non-toxic": "polite"}),
    "climate_sentiment": Template("Paragraph: {text}\nClimate outlook:"),
    "snli": Template("{text}\nThe second sentence is a case of"),
    "dbpedia": Template("Article: {text}\nSubject:"),
    "bias_in_bios": Template("Biography: {text}\nProfession:"),
    "bias_identification": Template("Statement: {text}\nKind of bias:"),
    "intent_classification": Template("Request: {text}\nIntent:"),
    "banking77": Template("Customer: {text}\nTopic:"),
    "medical_question_pairs": Template("Questions: {text}\nTheir meaning is"),
    "commonsense_qa": Template("{text}\nAnswer:"),
}
"""By name of the published task; every other task has the generic one."""


def template_of(task: str, pattern: str | None) -> Template:
    """The template of a task; a pattern that was given keeps the task's words."""
    template = TEMPLATES.get(task, Template(GENERIC))
    return template if pattern is None else Template(pattern, template.words)


def verbalise(label: str, words: dict[str, str]) -> str:
    """A class name as words: AddToPlaylist becomes "add to playlist", age_limit "age limit"."""
    if label in words:
        return words[label]
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    plain = re.sub(r"[_\-/]+", " ", apart).strip()
    return (plain if plain.isupper() else plain.lower()) or label
