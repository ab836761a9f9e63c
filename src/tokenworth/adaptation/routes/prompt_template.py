"""Words of a prompt: around the text, for the classes, and the system line of a chat."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tokenworth.errors import SettingError
from tokenworth.settings import nearest, quoted

_MOST_NAMED = 100
"""Classes that a system line names; more would leave little room for texts."""


@dataclass(frozen=True, slots=True)
class Template:
    """Words around the text, words for class names that are not words, and what is asked."""

    pattern: str = "Text: {text}\nCategory:"
    """With {text}; ends where the class would be written."""
    words: dict[str, str] = field(default_factory=dict)
    asked: str = "the category of a text"
    """What the classes say of a text, for the system line of a chat."""


_REVIEW = Template("Review: {text}\nSentiment:", {"neg": "negative", "pos": "positive"}, "the sentiment of a review")
TEMPLATES: dict[str, Template] = {
    "sst2": _REVIEW,
    "imdb": _REVIEW,
    "rotten_tomatoes": _REVIEW,
    "yelp_review_full": Template(
        "Review: {text}\nRating:", {"1 star": "1 stars", "2 star": "2 stars"}, "the rating of a review"
    ),
    "emotion": Template("Message: {text}\nFeeling:", asked="the feeling in a message"),
    "clickbait": Template("Headline: {text}\nKind:", {"not clickbait": "news"}, "the kind of a headline"),
    "sms_spam": Template("Message: {text}\nKind:", {"ham": "normal"}, "the kind of a text message"),
    "wiki_toxic": Template("Comment: {text}\nTone:", {"non-toxic": "polite"}, "the tone of a comment"),
    "climate_sentiment": Template("Paragraph: {text}\nClimate outlook:", asked="the outlook on climate of a paragraph"),
    "snli": Template("{text}\nThe second sentence is a case of", asked="what the second sentence is to the first"),
    "dbpedia": Template("Article: {text}\nSubject:", asked="the subject of an article"),
    "bias_in_bios": Template("Biography: {text}\nProfession:", asked="the profession of a person in a biography"),
    "bias_identification": Template("Statement: {text}\nKind of bias:", asked="the kind of bias in a statement"),
    "intent_classification": Template("Request: {text}\nIntent:", asked="the intent of a request"),
    "banking77": Template("Customer: {text}\nTopic:", asked="the topic of a customer's question to a bank"),
    "medical_question_pairs": Template("Questions: {text}\nTheir meaning is", asked="the meaning of two questions"),
    "commonsense_qa": Template("{text}\nAnswer:", asked="the number of the right answer to a question"),
}
"""By name of the published task; every other task has the generic one."""


def template_of(task: str, pattern: str | None) -> Template:
    """The template of a task; a pattern that was given keeps the task's words."""
    template = TEMPLATES.get(task, Template())
    return template if pattern is None else replace(template, pattern=pattern)


def class_words(task: str, label_names: tuple[str, ...], given: Mapping[str, str]) -> list[str]:
    """Words for each class: those given, else the task's own, else the class name made readable.

    Raises SettingError: words are given for a class that there is not, or the same for two classes.
    """
    for name in given:
        if name not in label_names:
            raise SettingError(f"label_words: the task has no class {quoted(name)}; {nearest(name, label_names)}")
    known = {**template_of(task, None).words, **given}
    words = [verbalise(label, known) for label in label_names]
    if len(set(words)) == len(words):
        return words
    if given:
        twice = next(word for word in words if words.count(word) > 1)
        raise SettingError(f"label_words: {quoted(twice)} stands for two classes; give each class words of its own")
    return list(label_names)  # two names that read alike must stay two classes


def verbalise(label: str, words: Mapping[str, str]) -> str:
    """A class name as words: AddToPlaylist becomes "add to playlist", age_limit "age limit"."""
    if label in words:
        return words[label]
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    plain = re.sub(r"[_\-/]+", " ", apart).strip()
    return (plain if plain.isupper() else plain.lower()) or label


def system_line(template: Template, words: list[str]) -> str:
    """What a chat model is told before the first text: the task, and the classes' words unless they are too many."""
    line = f"You are a text classifier. Tell {template.asked}."
    return f"{line} Answer with one of: {', '.join(words)}." if len(words) <= _MOST_NAMED else line
