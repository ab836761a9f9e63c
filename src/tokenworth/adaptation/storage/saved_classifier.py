"""Saved classifiers: a folder with classifier.json, weights as safetensors, and what the route needs beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from tokenworth.adaptation.predictor import Predictor
from tokenworth.adaptation.routes.bag_of_words_route import load_bow
from tokenworth.adaptation.routes.endpoint_predictor import ENDPOINT, load_endpoint
from tokenworth.adaptation.routes.label_prompt_route import KIND as LABEL_PROMPT
from tokenworth.adaptation.routes.label_prompt_route import load_label_prompt
from tokenworth.adaptation.routes.probe_route import load_probe
from tokenworth.adaptation.routes.prompt_predictor import load_prompt
from tokenworth.adaptation.routes.tuned_predictor import load_tuned
from tokenworth.adaptation.storage.adapt_result import NO_CLASS_NAME
from tokenworth.backbones import Backbone
from tokenworth.base.aliases import LONG, Floats
from tokenworth.base.atomic_files import whole_folder
from tokenworth.base.schema import (
    COUNT,
    FINITE,
    OBJECT,
    TEXT,
    TRUTH,
    WHOLE,
    Kind,
    Maybe,
    Shape,
    mistake_in,
    read_object,
)
from tokenworth.errors import AdaptError, TokenworthError, first_line
from tokenworth.probes.label_set_metrics import sigmoid
from tokenworth.probes.probability_metrics import evened, predicted_classes, softmax
from tokenworth.settings import Place, checked_arguments
from tokenworth.tasks.task import label_lists

FORMAT = 1
FACTS = "classifier.json"
MODEL = "model"
"""Folder of the classifier within that of a run."""

Load = Callable[[Path, dict[str, Any], dict[str, Any]], Predictor]
KINDS: dict[str, Load] = {
    "bow": load_bow,
    "prompt": load_prompt,
    LABEL_PROMPT: load_label_prompt,
    ENDPOINT: load_endpoint,
    "probe": load_probe,
    "tuned": load_tuned,
}

_REMEDY = "run tokenworth adapt again with --out"
_DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ImportError, SafetensorError)
"""AttributeError and RuntimeError: tensors of other shapes or names than the facts promise."""
SHAPE: Shape = {"format": WHOLE, "kind": TEXT, "label_names": [TEXT], "temperature": FINITE, "predictor": OBJECT}
SHAPE |= {"thresholds?": Maybe([FINITE])}
_LONG = Kind(f"one of {', '.join(LONG)}", lambda value: value in LONG)
_WHERE: Shape = {"name": TEXT, "revision": Maybe(TEXT), "fingerprint": TEXT, "tokenizer": Maybe(TEXT)}
_BASE: Shape = {**_WHERE, "dtype": TEXT, "seed?": WHOLE, "quantise?": Maybe(TEXT), "tuning?": TEXT}
_CUT: Shape = {"max_length": Maybe(COUNT), "prefix": TEXT, "longest?": COUNT, "long?": _LONG}
_TRAINING: Shape = {"texts": [TEXT], "penalty": FINITE}
_NEAREST: Shape = {"layer": COUNT, "pooling": TEXT, "shots": COUNT, "texts": [TEXT]}
_PROMPT: Shape = {"pattern": TEXT, "words": [TEXT], "examples": [[TEXT]], "prior": Maybe([FINITE])}
_PROMPT |= {"system?": TEXT, "summed?": TRUTH, "nearest?": Maybe(_NEAREST)}
_ENDPOINT: Shape = {"model": TEXT, "settings": OBJECT, "form": TEXT, "chat": TRUTH, "summed": TRUTH, "system": TEXT}
_ENDPOINT |= {"pattern": TEXT, "words": [TEXT], "examples": [[TEXT]], "prior": Maybe([FINITE]), "prefix": TEXT}
_ENDPOINT |= {"similar": Maybe({"texts": [TEXT], "labels": [COUNT], "shots": COUNT})}
PREDICTORS: dict[str, Shape] = {
    "bow": OBJECT,
    "prompt": {**_CUT, **_PROMPT, "base": _BASE},
    LABEL_PROMPT: {"of_labels": [{**_CUT, **_PROMPT, "base": _BASE}]},
    ENDPOINT: _ENDPOINT,
    "probe": {**_CUT, "layer": COUNT, "pooling": TEXT, "states?": TEXT, "base": _BASE, "training?": _TRAINING},
    "tuned": {**_CUT, "pooling": TEXT, "bias": TRUTH, "dtype": TEXT, "base": Maybe(_BASE)},
}
"""What each kind of predictor keeps in classifier.json."""


@dataclass(frozen=True, eq=False, slots=True)
class Classifier:
    """A route's result, ready to use."""

    predictor: Predictor
    """What scores texts: (N,) texts to (N, C) log-odds, up to a constant a row."""
    label_names: tuple[str, ...]
    """The C class names, in the order of the columns."""
    temperature: float = 1.0
    """What scores are divided by before the softmax: 1 unless the route was calibrated."""
    thresholds: tuple[float, ...] | None = None
    """(C,) from which probability on each of several labels is predicted; None where a text has one class."""

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The most probable class name of each text; "" where an endpoint's answer names none.

        Raises AdaptError: texts have several labels here; `predict_labels` gives them.
        """
        if self.thresholds is not None:
            raise AdaptError("this classifier gives a text several labels, or none; call predict_labels")
        names = (*self.label_names, NO_CLASS_NAME)
        return [names[place] for place in predicted_classes(self.predicted_probabilities(texts))]

    def predict_labels(self, texts: Sequence[str]) -> list[list[str]]:
        """Of each text the names of the labels whose probability reaches their threshold; of one class a text it."""
        if self.thresholds is None:
            return [[name] if name else [] for name in self.predict(texts)]
        return label_lists(self.predicted_probabilities(texts) >= np.array(self.thresholds), self.label_names)

    def predict_proba(self, texts: Sequence[str]) -> Floats:
        """Probabilities (N, C), columns in the order of `label_names`; all alike where an answer names no class.

        Of several labels a text each is a probability of its own, and a row need not sum to 1.
        """
        return evened(self.predicted_probabilities(texts))

    def predicted_probabilities(self, texts: Sequence[str]) -> Floats:
        """The same with rows of NaN where an answer names no class."""
        if not len(texts):
            return np.empty((0, len(self.label_names)))
        scores_NC = self.predictor.scores(list(texts)) / self.temperature
        return softmax(scores_NC) if self.thresholds is None else sigmoid(scores_NC)

    def save(self, folder: Path, more: dict[str, Any] | None = None) -> None:
        """Write the classifier into a folder that is there only when it is whole.

        Raises AdaptError: it cannot be written.
        """
        with whole_folder(folder, "the classifier", "make room there and run the same command again") as part:
            facts: dict[str, Any] = {"format": FORMAT, "kind": self.predictor.kind}
            facts |= {"label_names": list(self.label_names), "temperature": self.temperature}
            facts |= {} if self.thresholds is None else {"thresholds": list(self.thresholds)}
            facts |= {"predictor": self.predictor.save(part), **(more or {})}
            (part / FACTS).write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")


@checked_arguments
def load_classifier(
    path: Place,
    *,
    model: str | Backbone | None = None,
    device: str = "auto",
    dtype: str | None = None,
    allow_pickle: bool = False,
    budget: float | None = None,
    key_variable: str | None = None,
) -> Classifier:
    """Read what `adapt` saved.

    Args:
        path: the folder given as `out`, or the folder `model` in it.
        model: where the backbone of a probe, prompt or adapter lies now, or a loaded one; None: where it lay.
        device: "auto", "cpu", "cuda", "mps".
        dtype: number format of that backbone; None takes the one it was used in.
        allow_pickle: also load a backbone whose weights are not safetensors.
        budget: most money that the answers of an endpoint may cost, at the prices of the run; None: no limit.
        key_variable: environment variable that holds the key of an endpoint; None: TOKENWORTH_API_KEY.

    Raises AdaptError: it is no saved classifier, is damaged, or belongs to another backbone.
    """
    loading: dict[str, Any] = {"model": model, "device": device, "dtype": dtype, "allow_pickle": allow_pickle}
    loading |= {"budget": budget, "key_variable": key_variable}
    folder = Path(path) / MODEL if (Path(path) / MODEL).is_dir() else Path(path)
    try:
        facts = _facts(folder / FACTS)
        predictor = KINDS[facts["kind"]](folder, facts["predictor"], loading)
    except TokenworthError:
        raise
    except _DAMAGED as error:
        raise AdaptError(f"{path} holds no classifier that can be read ({first_line(error)}); {_REMEDY}") from error
    thresholds = None if facts.get("thresholds") is None else tuple(facts["thresholds"])
    return Classifier(predictor, tuple(facts["label_names"]), facts["temperature"], thresholds)


def _facts(path: Path) -> dict[str, Any]:
    """classifier.json, checked.  Raises AdaptError: it is not there, is damaged, or was written by another version."""
    try:
        facts = read_object(path, SHAPE, "classifier", _REMEDY)
    except TokenworthError as error:
        raise AdaptError(str(error)) from error
    if facts["format"] != FORMAT or facts["kind"] not in KINDS:
        raise AdaptError(
            f"{path} holds a classifier of kind {facts['kind']!r} in format {facts['format']}, and this version of "
            f"tokenworth reads {', '.join(KINDS)} in format {FORMAT}; {_REMEDY}, or use the version that wrote it"
        )
    mistake = mistake_in(facts["predictor"], PREDICTORS[facts["kind"]], "predictor")
    uneven = len(facts.get("thresholds") or facts["label_names"]) != len(facts["label_names"])
    if mistake is not None or not facts["label_names"] or facts["temperature"] <= 0 or uneven:
        mistake = mistake or "it names no class or not a threshold for each, or its temperature is not above 0"
        raise AdaptError(f"{path} holds no classifier that can be used: {mistake}; {_REMEDY}")
    return facts
