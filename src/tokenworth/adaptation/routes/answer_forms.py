"""Four ways to have a served model tell a class, and to read what it says as scores of the classes.

    scores     likelihood of each class's words after the prompt: the server repeats prompt and words with the
               log-probability of every token (completions with echo); a question a class
    letters    log-probabilities of A, B, C, ... as the first token of the answer; a letter that is not among the
               likeliest the server lists counts as much as the last of these, which is the most it can have
    schema     an answer bound to the classes' words by a JSON schema
    text       an answer in free words, read by `class_said`

The last two tell a class without its probability: it counts as CERTAIN.

Axes: C classes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenworth.adaptation.routes.answer_parsing import class_in_json, class_said
from tokenworth.adaptation.routes.chat_template import Turn
from tokenworth.base.aliases import Floats
from tokenworth.endpoints import Question, Reply
from tokenworth.errors import SettingError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CERTAIN = 0.99
"""Probability of a class that was told without one; no measurement, and `calibrate` puts another in its place."""
_LISTED = 20
"""Likeliest tokens that a server is asked to list; most list no more."""
Prompt = Sequence[Turn] | str
"""Turns of a chat, or one plain text."""


@dataclass(frozen=True, slots=True)
class AnswerForm(ABC):
    """One of the ways, for a task."""

    words: tuple[str, ...]
    """Of the classes."""
    chat: bool
    """Whether questions are turns of a chat."""
    summed: bool = False
    """Of likelihoods: whether a class scores the sum over its tokens, not their mean."""
    name: str = ""
    has_probabilities: bool = True

    @property
    def answers(self) -> tuple[str, ...]:
        """What stands for each class in examples."""
        return self.words

    @property
    def instruction(self) -> str:
        """What has to stand before everything so that answers can be read; "" for nothing."""
        return ""

    @abstractmethod
    def questions(self, model: str, prompt: Prompt) -> list[Question]:
        """What the server is asked about one text."""

    @abstractmethod
    def read(self, replies: Sequence[Reply]) -> Floats | None:
        """Scores (C,) up to a constant; None where the answers name no class."""

    def works(self, replies: Sequence[Reply]) -> bool:
        """Whether the server did what was asked, by its answers about one text."""
        return self.read(replies) is not None

    def _question(self, model: str, prompt: Prompt, **more: Any) -> Question:
        body = {"model": model, "temperature": 0, **more}
        if isinstance(prompt, str):
            return Question("/completions", body | {"prompt": prompt})
        return Question("/chat/completions", body | {"messages": [dict(turn) for turn in prompt]})


@dataclass(frozen=True, slots=True)
class Scores(AnswerForm):
    """By the likelihood of the words."""

    name: str = "scores"

    def questions(self, model: str, prompt: Prompt) -> list[Question]:
        """One a class; a token more is asked for, as some servers take no 0."""
        assert isinstance(prompt, str), "chats cannot be repeated"
        texts = [f"{prompt} {words}" for words in self.words]
        return [self._question(model, text, echo=True, logprobs=1, max_tokens=1) for text in texts]

    def read(self, replies: Sequence[Reply]) -> Floats | None:
        """(C,)."""
        told = [_told_of(f" {words}", reply) for words, reply in zip(self.words, replies, strict=True)]
        known = [values for values in told if values is not None]
        if len(known) < len(told):
            return None
        return np.array([np.sum(values) if self.summed else np.mean(values) for values in known])


def _told_of(words: str, reply: Reply) -> list[float] | None:
    """Log-probabilities of the tokens of the words, which end what was repeated; the answer's own are behind them."""
    tokens, values = reply.tokens or [], reply.log_probabilities or []
    for behind in dict.fromkeys((reply.tokens_out or 1, 1, 0)):
        end = len(tokens) - behind
        for start in range(end - 1, 0, -1):
            joined = "".join(tokens[start:end])
            if joined == words:
                return values[start:end]
            if len(joined) >= len(words):
                break
    return None


@dataclass(frozen=True, slots=True)
class Letters(AnswerForm):
    """By the log-probabilities of one letter a class."""

    name: str = "letters"

    @property
    def answers(self) -> tuple[str, ...]:
        """A, B, C, ..."""
        return tuple(LETTERS[: len(self.words)])

    @property
    def instruction(self) -> str:
        """Which letter stands for what."""
        pairs = ", ".join(f"{letter} for {words}" for letter, words in zip(LETTERS, self.words, strict=False))
        return f"Answer with one letter: {pairs}."

    def questions(self, model: str, prompt: Prompt) -> list[Question]:
        """One."""
        listed = {"logprobs": _LISTED} if isinstance(prompt, str) else {"logprobs": True, "top_logprobs": _LISTED}
        return [self._question(model, prompt, max_tokens=1, **listed)]

    def read(self, replies: Sequence[Reply]) -> Floats | None:
        """(C,)."""
        top = replies[0].top or {}
        found = [[value for token, value in top.items() if token.strip() == letter] for letter in self.answers]
        if not any(found):
            return None
        least = min(top.values())
        return np.array([np.logaddexp.reduce(values) if values else least for values in found])

    def works(self, replies: Sequence[Reply]) -> bool:
        """Whether there are log-probabilities; a text whose answer is no letter may come first."""
        return bool(replies[0].top)


@dataclass(frozen=True, slots=True)
class Schema(AnswerForm):
    """By an answer that can be nothing else."""

    name: str = "schema"
    has_probabilities: bool = False

    def questions(self, model: str, prompt: Prompt) -> list[Question]:
        """One."""
        told = {"type": "object", "properties": {"class": {"type": "string", "enum": list(self.words)}}}
        schema = told | {"required": ["class"], "additionalProperties": False}
        bound = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
        return [self._question(model, prompt, max_tokens=_room(self.words) + 16, response_format=bound)]

    def read(self, replies: Sequence[Reply]) -> Floats | None:
        """(C,)."""
        return _sure_of(class_in_json(replies[0].text, self.words), len(self.words))


@dataclass(frozen=True, slots=True)
class FreeText(AnswerForm):
    """By what it says."""

    name: str = "text"
    has_probabilities: bool = False

    def questions(self, model: str, prompt: Prompt) -> list[Question]:
        """One; of a plain text, up to the end of the line."""
        stop = {"stop": ["\n"]} if isinstance(prompt, str) else {}
        return [self._question(model, prompt, max_tokens=_room(self.words), **stop)]

    def read(self, replies: Sequence[Reply]) -> Floats | None:
        """(C,)."""
        return _sure_of(class_said(replies[0].text, self.words), len(self.words))

    def works(self, replies: Sequence[Reply]) -> bool:  # noqa: ARG002 - every server answers
        """Always."""
        return True


def _room(words: Sequence[str]) -> int:
    """Tokens of an answer: half as many as the longest words have characters, and some to spare."""
    return 8 + max(map(len, words)) // 2


def _sure_of(place: int | None, n_classes: int) -> Floats | None:
    if place is None:
        return None
    scores_C = np.zeros(n_classes)
    scores_C[place] = math.log(CERTAIN / (1 - CERTAIN) * (n_classes - 1))
    return scores_C


FORMS: dict[str, type[AnswerForm]] = {"scores": Scores, "letters": Letters, "schema": Schema, "text": FreeText}
_IN_CHAT, _PLAIN = ("letters", "schema", "text"), ("scores", "letters", "text")
"""In the order in which they are tried."""


def forms_for(wished: str, words: tuple[str, ...], *, chat: bool, summed: bool) -> list[AnswerForm]:
    """The ways to try: all that suit, or the one that is wished.

    Raises SettingError: the one that is wished does not go with a chat, without one, or with so many classes.
    """
    suited = _IN_CHAT if chat else _PLAIN
    if wished == "auto":
        names = [name for name in suited if len(words) <= len(LETTERS) or name in ("schema", "text")]
        return [FORMS[name](words, chat, summed) for name in names]
    if wished not in suited:
        other = "give --no-chat" if chat else "leave out --no-chat"
        raise SettingError(
            f"answers: {wished} does not go with {'a chat' if chat else '--no-chat'}; {other}, or choose auto"
        )
    if wished == "letters" and len(words) > len(LETTERS):
        raise SettingError(
            f"answers: letters has a letter for {len(LETTERS)} classes, and the task has {len(words)}; choose auto"
        )
    return [FORMS[wished](words, chat, summed)]


def form_named(name: str, words: tuple[str, ...], *, chat: bool, summed: bool) -> AnswerForm:
    """The way that a saved classifier has."""
    return FORMS[name](words, chat, summed)
