"""Route prompt where a text may have several labels: the model is asked about each label whether it fits the text.

    log-odds of a label = log-likelihood of "yes" - log-likelihood of "no"

A prompt of its own for every text and label, so it costs as many times as there are labels.  From which log-odds on a
label is given is chosen on the validation part: what models think of the word "yes" differs by label.

Axes: N texts, C labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.routes.chat_template import ChatFrame
from tokenworth.adaptation.routes.prompt_predictor import PromptPredictor, load_prompt
from tokenworth.adaptation.routes.prompt_route import fit_prompt
from tokenworth.adaptation.routes.prompt_template import class_words
from tokenworth.backbones import Backbone
from tokenworth.base.aliases import Floats
from tokenworth.endpoints.endpoint_settings import is_endpoint
from tokenworth.errors import SettingError
from tokenworth.settings import quoted
from tokenworth.tasks import Split, Task

YES_NO = ("yes", "no")
PATTERN = "Text: {text}\nDoes the label {label} fit this text, yes or no?\nAnswer:"
SYSTEM = "You are a text classifier. Tell whether the label {label} fits a text. Answer with one of: yes, no."
KIND = "label prompt"


@dataclass(frozen=True, eq=False, slots=True)
class LabelPromptPredictor:
    """A language model, how it is asked about each label, and the examples before the text."""

    of_labels: list[PromptPredictor]
    kind: str = KIND

    def scores(self, texts: list[str]) -> Floats:
        """Log-odds (N, C) of "yes" against "no"."""
        if not texts:
            return np.empty((0, len(self.of_labels)))
        each = [predictor.scores(texts) for predictor in self.of_labels]
        return np.stack([yes_no_N2[:, 0] - yes_no_N2[:, 1] for yes_no_N2 in each], axis=1)

    def save(self, folder: Path) -> dict[str, Any]:
        """Facts of every label, in folders of their own what examples need; the model stays."""
        facts = []
        for number, predictor in enumerate(self.of_labels):
            within = folder / _folder(number)
            within.mkdir()
            facts.append(predictor.save(within))
        return {"of_labels": facts}


def load_label_prompt(folder: Path, facts: dict[str, Any], loading: dict[str, Any]) -> LabelPromptPredictor:
    """The way back from `LabelPromptPredictor.save`; the backbone is loaded once."""
    first, *rest = facts["of_labels"]
    predictors = [load_prompt(folder / _folder(0), first, loading)]
    same = {**loading, "model": predictors[0].backbone}
    predictors += [load_prompt(folder / _folder(number), each, same) for number, each in enumerate(rest, 1)]
    return LabelPromptPredictor(predictors)


def fit_label_prompt(job: Job) -> Fitted:
    """The route prompt of a task of yes and no for every label, one backbone for all.

    Raises SettingError: the model is on a server, or a template does not say where the label goes.
    """
    if is_endpoint(job.model):
        raise SettingError(
            f"in {job.task.name} texts have several labels, and a model on a server is asked for one class; choose a "
            "model that is loaded here, or a task with one class a text"
        )
    pattern = job.config.template or PATTERN
    if "{label}" not in pattern:
        raise SettingError(
            f"the template {quoted(pattern)} does not say where the label goes; put {{label}} in it, which texts have "
            "several of"
        )
    backbone = job.backbone(lm_head=True)
    words = class_words(job.task.name, job.task.label_names, job.config.words_of_classes)
    chat = ChatFrame(backbone.tokenizer, backbone.name, wanted=job.config.chat).is_there
    fitted = [fit_prompt(_about(job, backbone, pattern, number, word, chat=chat)) for number, word in enumerate(words)]
    predictors = [each.predictor for each in fitted]
    assert all(isinstance(each, PromptPredictor) for each in predictors), "a backbone that is loaded answers here"
    kept = {name: value for name, value in fitted[0].facts.items() if name not in ("words", "system")}
    return replace(
        fitted[0],
        predictor=LabelPromptPredictor([each for each in predictors if isinstance(each, PromptPredictor)]),
        facts={**kept, "template": pattern, "labels": words[:200], "prompts a text": len(words)},
    )


def _about(job: Job, backbone: Backbone, pattern: str, number: int, word: str, *, chat: bool) -> Job:
    """The same texts with yes where they have a label and no where they lack it."""
    task = job.task
    parts = {name: _yes_no(part, number) for name, part in (("train", task.train), ("test", task.test))}
    asked = Task(task.name, task.source, YES_NO, parts["train"], parts["test"], task.notes, task.counts, task.seed)
    system = job.config.system
    if system is None and chat:
        system = SYSTEM.replace("{label}", word)
    config = replace(job.config, template=pattern.replace("{label}", word), system=system, label_words=None)
    return replace(job, model=backbone, task=asked, config=config)


def _yes_no(part: Split, number: int) -> Split:
    return Split(part.texts, 1 - part.labels[:, number].astype(np.int64), part.groups)


def _folder(number: int) -> str:
    return f"label-{number}"
