"""Route prompt: the class whose words the language model finds likeliest after the text, per token of the words.

    score(class) = mean over the tokens of its words of log p(token | prompt, tokens before)

Contextual calibration subtracts the log of the probability the class gets for prompts without content.
Source: Zhao et al. (2021), Calibrate Before Use; Brown et al. (2020) for scoring by likelihood per token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import tokenworth.adaptation.routes.label_likelihood as likelihood
from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.predictor import known_backbone, origin, with_prefix
from tokenworth.adaptation.routes.chat_template import ChatFrame
from tokenworth.backbones import Backbone
from tokenworth.base.aliases import Floats
from tokenworth.errors import SettingError
from tokenworth.probes.probability_metrics import softmax
from tokenworth.tasks.split import sample

GENERIC = "Text: {text}\nCategory:"
EMPTY_TEXTS = ("N/A", "", "[MASK]")
"""Texts without content, as in the source."""


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
    return template if pattern is None else replace(template, pattern=pattern)


def verbalise(label: str, words: dict[str, str]) -> str:
    """A class name as words: AddToPlaylist becomes "add to playlist", age_limit "age limit"."""
    if label in words:
        return words[label]
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    plain = re.sub(r"[_\-/]+", " ", apart).strip()
    return (plain if plain.isupper() else plain.lower()) or label


@dataclass(frozen=True, eq=False, slots=True)
class PromptPredictor:
    """A language model, words for the classes, and the labelled examples that stand before every text."""

    backbone: Backbone
    pattern: str
    words: list[str]
    examples: list[list[str]]
    """Pairs of text and words."""
    prior_C: list[float] | None
    """Log-probabilities of the classes for prompts without content."""
    max_length: int | None
    prefix: str
    origin: dict[str, Any]
    frame: ChatFrame
    kind: str = "prompt"

    def scores(self, texts: list[str]) -> Floats:
        """Length-normalised log-likelihoods (N, C), calibrated if there is a prior."""
        raw_NC = self._raw(with_prefix(texts, self.prefix))
        if self.prior_C is None:
            return raw_NC
        return np.asarray(np.log(np.maximum(softmax(raw_NC), 1e-30)) - np.array(self.prior_C))

    def prior(self) -> list[float]:
        """Mean probability of each class over prompts without content, as logarithms."""
        mean_C = softmax(self._raw(list(EMPTY_TEXTS))).mean(0)
        return list(map(float, np.log(np.maximum(mean_C, 1e-30))))

    def _raw(self, texts: list[str]) -> Floats:
        shots = "".join(f"{_filled(self.pattern, text)} {words}\n\n" for text, words in self.examples)
        pattern = _filled(shots, "") + self.pattern
        (short,) = self.frame.prompts([_filled(pattern, "x")])
        labels = likelihood.label_ids(self.backbone, short, self.words, self.frame.is_there)
        room = self._room_for_text(pattern, max(map(len, labels)))
        filled = [_filled(pattern, likelihood.cut(self.backbone, text, room)) for text in texts]
        prompts = [likelihood.plain_ids(self.backbone, prompt) for prompt in self.frame.prompts(filled)]
        return likelihood.mean_log_likelihoods(self.backbone, prompts, labels)

    def _room_for_text(self, pattern: str, longest_label: int) -> int:
        limit = min(self.max_length or self.backbone.max_length, self.backbone.max_length)
        (empty,) = self.frame.prompts([_filled(pattern, "")])
        around = len(likelihood.plain_ids(self.backbone, empty))
        room = limit - around - longest_label - 2
        if room < 1:
            raise SettingError(
                f"the prompt without its text takes {around} of {limit} tokens, so there is no room for the text; use "
                "fewer shots, a shorter template, or a larger max_length"
            )
        return room

    def save(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002 - there are no arrays
        """Nothing but facts: the model stays where it is."""
        stated = {"pattern": self.pattern, "words": self.words, "examples": self.examples, "prior": self.prior_C}
        cut = {"max_length": self.max_length, "prefix": self.prefix}
        return {**stated, **cut, "base": self.origin, "chat": self.frame.is_there}


def _filled(pattern: str, text: str) -> str:
    return pattern.replace("{text}", text)


def load_prompt(_folder: Path, facts: dict[str, Any], loading: dict[str, Any]) -> PromptPredictor:
    """The way back from `PromptPredictor.save`."""
    backbone = known_backbone(facts["base"], loading, lm_head=True)
    frame = ChatFrame(backbone.tokenizer, backbone.name, wanted=facts.get("chat", True))
    asked = (facts["pattern"], facts["words"], facts["examples"], facts["prior"])
    return PromptPredictor(backbone, *asked, facts["max_length"], facts["prefix"], facts["base"], frame)


def fit_prompt(job: Job) -> Fitted:
    """Nothing learns: the template is filled, examples are drawn, the prior is measured if asked for."""
    backbone, config = job.backbone(lm_head=True), job.config
    if backbone.lm_head is None:
        raise SettingError("the route prompt needs the language-model head; give the model by name, not loaded")
    template = template_of(job.task.name, config.template)
    words = [verbalise(label, template.words) for label in job.task.label_names]
    if len(set(words)) < len(words):  # two names that read alike must stay two classes
        words = list(job.task.label_names)
    place = origin(backbone, job.loading.get("tokenizer"), job.seed)
    examples = _examples(job, backbone, words)
    frame = ChatFrame(backbone.tokenizer, backbone.name, wanted=config.chat)
    predictor = PromptPredictor(
        backbone, template.pattern, words, examples, None, config.max_length, config.prefix, place, frame
    )
    if config.contextual:
        predictor = replace(predictor, prior_C=predictor.prior())
    return Fitted(
        predictor=predictor,
        backbone=backbone,
        parameters={"trainable": 0, "total": backbone.n_parameters + backbone.lm_head.n_parameters},
        facts={
            "template": template.pattern,
            "words": words[:200],
            "shots": len(predictor.examples),
            "contextual": config.contextual,
            "chat": frame.is_there,
        },
    )


def _examples(job: Job, backbone: Backbone, words: list[str]) -> list[list[str]]:
    """Labelled training texts drawn by class, in random order; long ones are cut so that all fit with the text."""
    train, shots = job.train, min(job.config.shots, len(job.train_rows))
    if not shots:
        return []
    rng = np.random.default_rng(job.seed)
    chosen = rng.permutation(sample(train.labels, shots, job.seed))[:shots]
    room = max(4, (job.config.max_length or backbone.max_length) // (shots + 1) - 16)
    return [[likelihood.cut(backbone, train.texts[i], room), words[int(train.labels[i])]] for i in chosen]
