"""A served model that is asked for the class of a text.

text -> its examples -> prompt -> questions -> answers, kept -> scores; an answer that names no class is a row of NaN

Axes: N texts, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.adaptation.predictor import with_prefix
from tokenworth.adaptation.routes.answer_forms import AnswerForm, Prompt, form_named
from tokenworth.adaptation.routes.prompt_calibration import log_probabilities
from tokenworth.adaptation.routes.prompt_wording import Example, chat_turns, plain_prompt
from tokenworth.adaptation.routes.similar_texts import SimilarTexts, load_similar
from tokenworth.base.aliases import Floats
from tokenworth.base.machine import cache_folder
from tokenworth.base.sentences import quoted
from tokenworth.endpoints import Endpoint, EndpointSettings, Question, Refusal, Reply, address_of
from tokenworth.errors import AdaptError, EndpointError
from tokenworth.settings.declarations import values_of

ENDPOINT = "endpoint"
"""The kind of predictor."""
_AT_ONCE = 1000
"""Texts whose prompts are in memory."""
_SHOWN = 5
_OF_A_CALL = ("budget", "key_variable")
"""Settings that are not kept with a classifier but given where it is used."""


@dataclass(slots=True)
class Tally:
    """What became of the texts that were asked about."""

    texts: int = 0
    unparsable: int = 0
    """Whose answer names no class, or several."""
    refused: int = 0
    """That the server did not take."""
    said: list[str] = field(default_factory=list)
    """The first answers that name no class, and why texts were refused."""

    def note(self, words: str) -> None:
        """Keep a few of them."""
        if len(self.said) < _SHOWN:
            self.said.append(words[:200])


@dataclass(frozen=True, eq=False, slots=True)
class EndpointPredictor:
    """A served model, how it is asked, and the labelled examples that stand before a text."""

    endpoint: Endpoint
    form: AnswerForm
    pattern: str
    """With {text}."""
    system: str
    """Stands before everything."""
    examples: list[Example]
    """Before every text, unless each has its own."""
    similar: SimilarTexts | None
    bias_C: list[float] | None
    """Subtracted from the log-probabilities of the classes."""
    prefix: str
    tally: Tally = field(default_factory=Tally)
    kind: str = ENDPOINT

    def scores(self, texts: list[str]) -> Floats:
        """As of `Predictor.scores`; a row of NaN where the answer names no class or the server takes no such text."""
        raw_NC = self.raw_scores(texts)
        return raw_NC if self.bias_C is None else log_probabilities(raw_NC) - np.array(self.bias_C)

    def raw_scores(self, texts: list[str]) -> Floats:
        """The same before calibration."""
        scores_NC = np.full((len(texts), len(self.form.words)), np.nan)
        for start in range(0, len(texts), _AT_ONCE):
            some = texts[start : start + _AT_ONCE]
            questions_N = self.questions(some)
            replies = iter(self.endpoint.ask([question for questions in questions_N for question in questions]))
            for row, questions in enumerate(questions_N, start):
                found_C = self._read([next(replies) for _ in questions])
                if found_C is not None:
                    scores_NC[row] = found_C
        return scores_NC

    def questions(self, texts: list[str]) -> list[list[Question]]:
        """What the server is asked about each text."""
        name = self.endpoint.address.name
        prompts = map(self._prompt, self._examples(texts), with_prefix(texts, self.prefix))
        return [self.form.questions(name, prompt) for prompt in prompts]

    def _prompt(self, examples: list[Example], text: str) -> Prompt:
        write: Callable[..., Prompt] = chat_turns if self.form.chat else plain_prompt
        return write(self.pattern, self.system, examples, text)

    def _examples(self, texts: list[str]) -> list[list[Example]]:
        if self.similar is None:
            return [self.examples] * len(texts)
        shown, labels_N, answers = self.similar.texts, self.similar.labels_N, self.form.answers
        return [[(shown[i], answers[int(labels_N[i])]) for i in rows] for rows in self.similar.rows(texts)]

    def _read(self, replies: list[Reply | Refusal]) -> Floats | None:
        self.tally.texts += 1
        answered = [reply for reply in replies if isinstance(reply, Reply)]
        if len(answered) < len(replies):
            refusal = next(reply for reply in replies if isinstance(reply, Refusal))
            if not self.endpoint.ledger.questions:
                raise refused(self.endpoint, refusal)
            self.tally.refused += 1
            self.tally.note(f"refused ({refusal.status}): {refusal.said}")
            return None
        scores_C = self.form.read(answered)
        if scores_C is None:
            self.tally.unparsable += 1
            self.tally.note(answered[0].text)
        return scores_C

    def save(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002 - there are no arrays
        """Facts alone; neither the key nor where it is: a file from elsewhere must not choose what is sent."""
        address, settings = self.endpoint.address, values_of(EndpointSettings, self.endpoint.settings)
        return {
            "model": address.model,
            "settings": {name: value for name, value in settings.items() if name not in _OF_A_CALL},
            "form": self.form.name,
            "chat": self.form.chat,
            "summed": self.form.summed,
            "words": list(self.form.words),
            "pattern": self.pattern,
            "system": self.system,
            "examples": [list(example) for example in self.examples],
            "similar": None if self.similar is None else self.similar.save(),
            "prior": self.bias_C,
            "prefix": self.prefix,
        }


def refused(endpoint: Endpoint, refusal: Refusal) -> EndpointError:
    """The sentence where a server takes no question at all."""
    address = endpoint.address
    listed = f"; it serves {', '.join(endpoint.listed)}" if endpoint.listed else ""
    return EndpointError(
        f"{address.url} takes no question to {quoted(address.name)} ({refusal.status}: {refusal.said}){listed}; give a "
        "name that it has with --model endpoint:NAME, or go without turns of a chat by --no-chat"
    )


def load_endpoint(folder: Path, facts: dict[str, Any], loading: dict[str, Any]) -> EndpointPredictor:  # noqa: ARG001
    """The way back from `EndpointPredictor.save`; answers are kept in the usual cache.

    Raises AdaptError: another model is named than the one it was made for.
    """
    model = loading.get("model") or facts["model"]
    if model != facts["model"]:
        raise AdaptError(
            f"this classifier asks {facts['model']}, and another model would answer otherwise; leave out --model"
        )
    told = {name: loading[name] for name in _OF_A_CALL if loading.get(name) is not None}
    settings = EndpointSettings(**{**facts["settings"], **told})
    endpoint = Endpoint(address_of(model, settings.url, settings.key_variable), settings, cache_folder())
    words, chat, similar = tuple(facts["words"]), facts["chat"], facts["similar"]
    return EndpointPredictor(
        endpoint=endpoint,
        form=form_named(facts["form"], words, chat=chat, summed=facts["summed"]),
        pattern=facts["pattern"],
        system=facts["system"],
        examples=[(text, answer) for text, answer in facts["examples"]],
        similar=None if similar is None else load_similar(similar),
        bias_C=facts["prior"],
        prefix=facts["prefix"],
    )


def with_bias(predictor: EndpointPredictor, bias_C: list[float]) -> EndpointPredictor:
    """The same with what is subtracted from its log-probabilities."""
    return replace(predictor, bias_C=bias_C)
