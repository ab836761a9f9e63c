"""suggest: which texts of a pool to label next, for a classifier that `adapt` saved.

pool -> texts that are new -> features by one kept pass -> probabilities -> chosen texts, each with why

Axes: N texts of the pool, L labelled texts, C classes, D width, K chosen.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tokenworth.adaptation.routes.probe_route import ProbePredictor
from tokenworth.adaptation.storage.adapt_result import PREDICTIONS
from tokenworth.adaptation.storage.saved_classifier import Classifier, load_classifier
from tokenworth.adaptation.suggest_settings import SuggestCall
from tokenworth.base.aliases import Floats, Ints
from tokenworth.base.atomic_files import read_table
from tokenworth.base.processes import Processes
from tokenworth.errors import SettingError, TaskError
from tokenworth.features import PassSettings, gather_features, open_store
from tokenworth.files import same_form
from tokenworth.probes.batch_selection import COMPARING, Pool, directions, margins, select
from tokenworth.probes.probability_metrics import evened
from tokenworth.settings.signatures import keywords_of
from tokenworth.tasks import load_texts

_DIGITS = 4
_log = logging.getLogger("tokenworth")


@keywords_of(SuggestCall)
def suggest(call: SuggestCall) -> pd.DataFrame:
    """Choose texts of a pool to label next.

    Texts that read the same are one, and those that stand in the run's test part, or among training texts that it kept,
    are left out.  The pool goes through the model once and its features are kept: the same call goes on where an
    interrupted one was, and another n or by takes no further pass.

    Returns:
        A row a text, in the order in which they were chosen: text, label (empty, to be filled in), predicted,
        confidence, why (the two most probable classes, and how like it is to what is labelled or chosen before it), and
        row (its place in the pool, from 0).

    Raises:
        SettingError: a method that compares texts, and a run that is no probe.
        TaskError: the pool cannot be read, or holds no new text.
        AdaptError, BackboneError, EncodeError: see `load_classifier`.
    """
    loading = {name: getattr(call, name) for name in ("model", "device", "allow_pickle", "budget", "key_variable")}
    classifier = load_classifier(call.run, **loading)
    if classifier.thresholds is not None:
        raise SettingError(
            f"{call.run} names several labels a text, and texts are suggested for one class a text alone"
        )
    method = _method(call, classifier)
    texts = load_texts(call.pool, text=call.text, text_pair=call.text_pair)
    rows_N = _new_texts(texts, _labelled(Path(call.run), classifier))
    if not len(rows_N):
        raise TaskError(f"{call.pool} holds no text that is not labelled already; give another file of texts")
    new = [texts[row] for row in rows_N]
    if len(new) < len(texts):
        _log.info("%d of %d texts of the pool are new; the others repeat one", len(new), len(texts))
    pool, classifier = _looked_at(call, classifier, new)
    chosen = select(method, pool, call.n, call.seed)
    table = _table(classifier, pool, chosen, compared=method in COMPARING)
    return table.assign(text=[new[place] for place in chosen], row=rows_N[chosen])


def _method(call: SuggestCall, classifier: Classifier) -> str:
    is_probe = isinstance(classifier.predictor, ProbePredictor)
    if call.by == "auto":
        return "spread" if is_probe else "margin"
    if call.by in COMPARING and not is_probe:
        raise SettingError(
            f"by {call.by} compares texts by the features of a probe, and {call.run} holds a classifier of kind "
            f"{classifier.predictor.kind}; choose margin, entropy or random, or a run of the route probe"
        )
    return call.by


def _labelled(run: Path, classifier: Classifier) -> set[str]:
    """Forms of the texts that have labels, as far as the run says."""
    training = classifier.predictor.training if isinstance(classifier.predictor, ProbePredictor) else None
    texts = [] if training is None else list(training.texts)
    if (run / PREDICTIONS).is_file():
        table = read_table(run / PREDICTIONS, "no predictions; run tokenworth adapt again into an empty folder")
        texts += list(table["text"]) if "text" in table else []
    return set(map(same_form, texts))


def _new_texts(texts: list[str], labelled: set[str]) -> Ints:
    """Rows of the first of texts that read the same, without empty and labelled ones."""
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        if text.strip() and (form := same_form(text)) not in labelled:
            first.setdefault(form, row)
    return np.array(list(first.values()), dtype=np.int64)


def _looked_at(call: SuggestCall, classifier: Classifier, texts: list[str]) -> tuple[Pool, Classifier]:
    """Probabilities of the texts, and for a probe their features, by a pass that is kept."""
    predictor = classifier.predictor
    if not isinstance(predictor, ProbePredictor):
        return Pool(evened(classifier.predicted_probabilities(texts))), classifier
    tokens = predictor.tokens(texts)
    wanted = PassSettings(layers=(predictor.layer,), readings=(predictor.reading,))
    with open_store(call.cache, Processes()) as store:
        passed = gather_features(predictor.backbone, {"pool": tokens}, wanted, store, progress=call.progress)
        features_ND = np.array(passed.part("pool", predictor.layer))
    knowing = replace(predictor, known=dict(zip(texts, features_ND, strict=True)))
    classifier = replace(classifier, predictor=knowing)
    labelled_LD = None if predictor.training is None else predictor.training.features_ND
    return Pool(classifier.predicted_probabilities(texts), features_ND, labelled_LD), classifier


def _table(classifier: Classifier, pool: Pool, chosen: Ints, *, compared: bool) -> pd.DataFrame:
    names, probability_KC = classifier.label_names, pool.probability_NC[chosen]
    best_KC = np.argsort(-probability_KC, axis=1, kind="stable")
    like_K: Any = _likeness(pool, chosen) if compared else [None] * len(chosen)
    reasons = [
        _reason([(names[c], probability_C[c]) for c in best_C[:2]], like)
        for probability_C, best_C, like in zip(probability_KC, best_KC, like_K, strict=True)
    ]
    return pd.DataFrame(
        {
            "text": "",
            "label": "",
            "predicted": [names[best_C[0]] for best_C in best_KC],
            "confidence": probability_KC.max(1).round(_DIGITS),
            "margin": margins(probability_KC).round(_DIGITS),
            "why": reasons,
        }
    )


def _reason(classes: list[tuple[str, float]], like: float | None) -> str:
    said = " or ".join(f"{name} ({100 * share:.0f} %)" for name, share in classes)
    if like is None:
        return said
    return f"{said}; " + (
        "the first of its kind" if np.isneginf(like) else f"nearest labelled or chosen one: {like:.2f}"
    )


def _likeness(pool: Pool, chosen: Ints) -> Floats:
    """Largest cosine of each chosen text with a labelled one, or one chosen before it (K,); -inf where none is."""
    assert pool.features_ND is not None, "of a probe"
    about_D = np.asarray(pool.features_ND, dtype=np.float64).mean(0)
    features_KD = directions(pool.features_ND[chosen], about_D)
    likeness_KK = np.where(np.tri(len(chosen), k=-1, dtype=bool), features_KD @ features_KD.T, -np.inf)
    nearest_K = likeness_KK.max(1)
    if pool.labelled_LD is None:
        return np.asarray(nearest_K)
    return np.maximum(nearest_K, (features_KD @ directions(pool.labelled_LD, about_D).T).max(1))
