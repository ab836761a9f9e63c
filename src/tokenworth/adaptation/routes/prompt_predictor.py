"""A language model that is asked for the class of a text.

    score(class) = mean over the tokens of its words of log p(token | prompt, tokens before), or their sum

Source: Brown et al. (2020), Language Models are Few-Shot Learners (arXiv:2005.14165), for likelihood per token.

Axes: N texts, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tokenworth.adaptation.routes.label_likelihood as likelihood
from tokenworth.adaptation.predictor import known_backbone, with_prefix
from tokenworth.adaptation.routes.chat_template import ChatFrame
from tokenworth.adaptation.routes.nearest_examples import NearestExamples, load_nearest
from tokenworth.adaptation.routes.prompt_calibration import log_probabilities
from tokenworth.adaptation.routes.prompt_format import PromptFormat
from tokenworth.adaptation.routes.prompt_wording import Example
from tokenworth.backbones import Backbone
from tokenworth.base.aliases import Floats


@dataclass(frozen=True, eq=False, slots=True)
class PromptPredictor:
    """A language model, how it is asked, and the labelled examples that stand before a text."""

    backbone: Backbone
    format: PromptFormat
    examples: list[Example]
    """Before every text, unless each has its own."""
    nearest: NearestExamples | None
    bias_C: list[float] | None
    """Subtracted from the log-probabilities of the classes."""
    summed: bool
    """Whether a class scores the sum over its tokens, not their mean."""
    prefix: str
    origin: dict[str, Any]
    kind: str = "prompt"

    def scores(self, texts: list[str]) -> Floats:
        """Log-likelihoods of the classes' words (N, C); calibrated log-probabilities where there is a bias."""
        raw_NC = self.raw_scores(texts)
        return raw_NC if self.bias_C is None else log_probabilities(raw_NC) - np.array(self.bias_C)

    def raw_scores(self, texts: list[str]) -> Floats:
        """The same before calibration."""
        labels = self.format.label_ids()
        examples_N = self._examples(texts)
        prompts = self.format.prompt_ids(examples_N, with_prefix(texts, self.prefix), max(map(len, labels)))
        means_NC = likelihood.mean_log_likelihoods(self.backbone, prompts, labels)
        return means_NC * np.array([len(ids) for ids in labels]) if self.summed else means_NC

    def _examples(self, texts: list[str]) -> list[list[Example]]:
        nearest = self.nearest
        if nearest is None or not texts:
            return [self.examples] * len(texts)
        rows_N, words = nearest.rows(texts), self.format.words
        shown = {row: nearest.texts[row] for rows in rows_N for row in rows}
        ready = {
            row: self.format.example(text, words[int(nearest.labels_N[row])], nearest.shots)
            for row, text in shown.items()
        }
        return [[ready[row] for row in rows] for rows in rows_N]

    def save(self, folder: Path) -> dict[str, Any]:
        """Facts, and features of the training texts where examples are drawn for each text; the model stays."""
        asked = self.format
        return {
            "pattern": asked.pattern,
            "system": asked.system,
            "chat": asked.frame.is_there,
            "words": list(asked.words),
            "max_length": asked.max_length,
            "examples": [list(example) for example in self.examples],
            "nearest": None if self.nearest is None else self.nearest.save(folder),
            "prior": self.bias_C,
            "summed": self.summed,
            "prefix": self.prefix,
            "base": self.origin,
        }


def load_prompt(folder: Path, facts: dict[str, Any], loading: dict[str, Any]) -> PromptPredictor:
    """The way back from `PromptPredictor.save`."""
    backbone = known_backbone(facts["base"], loading, lm_head=True)
    frame = ChatFrame(backbone.tokenizer, backbone.name, wanted=facts.get("chat", True))
    words, cut = tuple(facts["words"]), (facts["max_length"], facts["prefix"])
    examples = [(text, answer) for text, answer in facts["examples"]]
    stored = facts.get("nearest")  # absent, as the next three, from what an older version wrote
    return PromptPredictor(
        backbone=backbone,
        format=PromptFormat(backbone, frame, facts["pattern"], facts.get("system", ""), words, facts["max_length"]),
        examples=examples,
        nearest=None if stored is None else load_nearest(folder, stored, backbone, *cut),
        bias_C=facts["prior"],
        summed=facts.get("summed", False),
        prefix=facts["prefix"],
        origin=facts["base"],
    )
