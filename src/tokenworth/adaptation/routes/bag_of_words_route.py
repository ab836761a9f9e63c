"""Route bow: n-grams and logistic regression, no language model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file, save_file

from tokenworth.adaptation.job import Fitted, Job
from tokenworth.base.aliases import Floats
from tokenworth.base.schema import TEXT, TRUTH, Each, Shape, mistake_in
from tokenworth.errors import AdaptError
from tokenworth.probes import BagOfWordsModel, Linear, fit_bag_of_words
from tokenworth.probes.bag_of_words import RECIPES
from tokenworth.probes.ngrams import Ngrams


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
        blocks, linear = self.model.blocks, self.model.linear
        terms = {block.kind: block.terms for block in blocks}
        several = {"several": True} if self.model.several else {}
        held = json.dumps({"recipe": self.model.recipe, "terms": terms, **several}, ensure_ascii=False)
        (folder / "terms.json").write_text(held, encoding="utf-8")
        arrays = {"weights": linear.weights_DC, "intercept": linear.intercept_C}
        save_file(arrays | {f"idf.{block.kind}": block.idf_F for block in blocks}, folder / "bow.safetensors")
        return {}


def load_bow(folder: Path, _facts: dict[str, Any], _loading: dict[str, Any]) -> BowPredictor:
    """The way back from `BowPredictor.save`.

    Raises:
        AdaptError: an earlier version wrote the folder, whose bag knew words alone.
        ValueError: the terms are damaged.
    """
    arrays = load_file(folder / "bow.safetensors")
    if "idf" in arrays:
        raise AdaptError(f"{folder} holds a bag of words of an earlier version; run adapt with the route bow again")
    held = json.loads((folder / "terms.json").read_text(encoding="utf-8"))
    shape: Shape = {"recipe": TEXT, "terms": Each([TEXT]), "several?": TRUTH}
    recipe = RECIPES.get(held["recipe"]) if mistake_in(held, shape) is None else None
    if recipe is None or tuple(held["terms"]) != recipe.kinds:
        raise ValueError("terms.json holds no recipe and terms")
    blocks = tuple(Ngrams(kind, terms, arrays[f"idf.{kind}"]) for kind, terms in held["terms"].items())
    linear = Linear(arrays["weights"], arrays["intercept"])
    return BowPredictor(BagOfWordsModel(held["recipe"], blocks, linear, held.get("several", False)))


def fit_bow(job: Job) -> Fitted:
    """Fit on the training texts, the kind of n-grams chosen there."""
    train = job.train
    weight = None if job.config.class_weights == "none" else "balanced"
    model = fit_bag_of_words(
        train.texts, train.labels, job.n_classes, class_weight=weight, groups_N=train.units(), seed=job.seed
    )
    n = model.linear.weights_DC.size + model.linear.intercept_C.size
    return Fitted(
        predictor=BowPredictor(model),
        parameters={"trainable": n, "total": n + model.n_terms},
        facts={"setting": model.setting(), "n_features": model.n_terms},
        flops_per_text=2.0 * job.n_classes * model.terms_per_text(train.texts),
    )
