"""Route prompt: the class whose words the language model finds likeliest after the text.  Nothing learns.

words and template -> examples, drawn or looked up for each text -> calibration, if asked for
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.predictor import origin
from tokenworth.adaptation.routes.chat_template import ChatFrame
from tokenworth.adaptation.routes.nearest_examples import fit_nearest
from tokenworth.adaptation.routes.prompt_calibration import EMPTY_TEXTS, contextual_bias, label_share_bias
from tokenworth.adaptation.routes.prompt_format import PromptFormat
from tokenworth.adaptation.routes.prompt_predictor import PromptPredictor
from tokenworth.adaptation.routes.prompt_template import class_words, system_line, template_of
from tokenworth.adaptation.routes.prompt_wording import Example
from tokenworth.backbones import Backbone
from tokenworth.base.aliases import Ints
from tokenworth.errors import SettingError
from tokenworth.tasks.split import sample

_CALIBRATION_TEXTS = 200
"""Training texts over which the classes get their shares."""


def fit_prompt(job: Job) -> Fitted:
    """The template is filled, examples are chosen, the bias is measured if asked for."""
    backbone, config = job.backbone(lm_head=True), job.config
    if backbone.lm_head is None:
        raise SettingError("the route prompt needs the language-model head; give the model by name, not loaded")
    asked = _format(job, backbone)
    predictor = PromptPredictor(
        backbone=backbone,
        format=asked,
        examples=_drawn_examples(job, asked),
        nearest=None,
        bias_C=None,
        summed=config.label_likelihood == "sum",
        prefix=config.prefix,
        origin=origin(backbone, job.loading.get("tokenizer"), job.seed),
    )
    predictor, facts = _with_examples(job, predictor)
    return Fitted(
        predictor=predictor,
        backbone=backbone,
        parameters={"trainable": 0, "total": backbone.n_parameters + backbone.lm_head.n_parameters},
        facts={
            "template": asked.pattern,
            "words": list(asked.words)[:200],
            "shots": len(predictor.examples),
            "contextual": config.contextual,
            "chat": asked.frame.is_there,
            **({"system": asked.system} if asked.system else {}),
            **facts,
        },
    )


def _format(job: Job, backbone: Backbone) -> PromptFormat:
    config, names = job.config, job.task.label_names
    template = template_of(job.task.name, config.template)
    words = class_words(job.task.name, names, config.words_of_classes)
    frame = ChatFrame(backbone.tokenizer, backbone.name, wanted=config.chat)
    system = config.system
    if system is None:
        system = system_line(template, words) if frame.is_there else ""
    return PromptFormat(backbone, frame, template.pattern, system, tuple(words), config.max_length)


def _with_examples(job: Job, predictor: PromptPredictor) -> tuple[PromptPredictor, dict[str, Any]]:
    """Each text's own examples, and the bias.

    Texts without content have no neighbours worth the name, so they get the examples that are drawn; what the labels of
    neighbours say of a text stays with the text.
    """
    config, facts = job.config, dict[str, Any]()
    if config.contextual:
        predictor = replace(predictor, bias_C=contextual_bias(predictor.raw_scores(list(EMPTY_TEXTS))))
    if config.examples == "nearest":
        nearest, facts["nearest"] = fit_nearest(job, predictor.backbone)
        predictor = replace(predictor, nearest=nearest)
    if config.label_shares:
        train = job.train
        shares_C = np.bincount(train.labels, minlength=job.n_classes) / len(train)
        texts = train.take(sample(train.labels, _CALIBRATION_TEXTS, job.seed)).texts
        predictor = replace(predictor, bias_C=label_share_bias(predictor.raw_scores(texts), shares_C))
        facts["label_shares"] = True
    return predictor, facts


def _drawn_examples(job: Job, asked: PromptFormat) -> list[Example]:
    """Labelled training texts, as many of each class as of any other but for one, in random order."""
    train, shots = job.train, min(job.config.shots, len(job.train_rows))
    rows = balanced_rows(train.labels, shots, job.seed)
    return [asked.example(train.texts[i], asked.words[int(train.labels[i])], shots) for i in rows]


def balanced_rows(labels_N: Ints, size: int, seed: int) -> Ints:
    """Rows drawn in rounds of one of each class (a class that has no more is left out), in random order."""
    rng = np.random.default_rng(seed)
    order_N = rng.permutation(len(labels_N))
    round_N = np.empty(len(labels_N))
    for label in np.unique(labels_N):
        rows = order_N[labels_N[order_N] == label]
        round_N[rows] = np.arange(len(rows)) + rng.random()  # in a round, classes come in one random order
    return rng.permutation(np.argsort(round_N, kind="stable")[:size])
