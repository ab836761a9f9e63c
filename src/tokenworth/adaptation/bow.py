"""Route bow: TF-IDF and logistic regression."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file, save_file

from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.predictor import Floats
from tokenworth.probes import BagOfWordsModel, Linear, fit_bag_of_words
from tokenworth.probes.bag_of_words import SETTING


@dataclass(frozen=True, eq=False, slots=True)
class BowPredictor:
    """A fitted bag of words."""

    model: BagOfWordsModel
    kind: str = "bow"

    def scores(self, texts: list[str]) -> Floats:
        """Log-odds (N, C)."""
        return self.model.scores(texts)

    def save(self, folder: Path) -> dict[str, Any]:
        """terms.json and bow.safetensors."""
        (folder / "terms.json").write_text(json.dumps(self.model.terms, ensure_ascii=False), encoding="utf-8")
        linear = self.model.linear
        save_file(
            {"idf": self.model.idf_F, "weights": linear.weights_DC, "intercept": linear.intercept_C},
            folder / "bow.safetensors",
        )
        return {}


def load_bow(folder: Path, _facts: dict[str, Any], _loading: dict[str, Any]) -> BowPredictor:
    """The way back from `BowPredictor.save`."""
    held = load_file(folder / "bow.safetensors")
    terms = json.loads((folder / "terms.json").read_text(encoding="utf-8"))
    if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
        raise ValueError("terms.json is no list of terms")
    return BowPredictor(BagOfWordsModel(terms, held["idf"], Linear(held["weights"], held["intercept"])))


def fit_bow(job: Job) -> Fitted:
    """Fit on the training texts; no tuning."""
    weight = None if job.config.class_weights == "none" else "balanced"
    model = fit_bag_of_words(job.train.texts, job.train.labels, job.n_classes, class_weight=weight)
    n = model.linear.weights_DC.size + model.linear.intercept_C.size
    return Fitted(
        predictor=BowPredictor(model),
        parameters={"trainable": n, "total": n + len(model.terms)},
        facts={"setting": SETTING, "n_features": len(model.terms)},
        flops_per_text=float(2 * job.n_classes * _mean_words(job.train.texts)),
    )


def _mean_words(texts: list[str]) -> float:
    """Word 1-2-grams of a text: what a sparse product costs."""
    return sum(2 * len(text.split()) for text in texts) / len(texts)
