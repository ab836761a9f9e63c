"""A classifier as an ONNX folder: graph, tokenizer, facts; run by onnxruntime and compared before it is called done.

N texts, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch

from tokenworth.adaptation.export.onnx_libraries import quantise_weights
from tokenworth.adaptation.export.onnx_usage import load_onnx
from tokenworth.adaptation.routes.bag_of_words_route import BowPredictor
from tokenworth.adaptation.routes.probe_route import ProbePredictor
from tokenworth.adaptation.routes.tuned_predictor import TunedPredictor
from tokenworth.adaptation.storage.saved_classifier import FACTS, Classifier
from tokenworth.backbones import Backbone, dtype_name
from tokenworth.base.aliases import Floats, Ints, Long
from tokenworth.base.atomic_files import write_json
from tokenworth.errors import AdaptError, first_line
from tokenworth.probes.probability_metrics import metric_value, softmax

GRAPH, GRAPH_8 = "model.onnx", "model.int8.onnx"
_EQUAL = 1e-3
"""Difference of a probability up to which two graphs in float32 are the same."""
_BATCH = 16
"""Texts of a pass in the comparison: other than the graph was traced with."""


@dataclass(frozen=True, eq=False, slots=True)
class HeldOut:
    """Texts on which formats are compared."""

    texts: list[str]
    labels_N: Ints | None
    """Their classes, where they are known."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One form of a classifier beside the classifier as it was run."""

    form: str
    megabytes: float
    """Of its graph; of the classifier itself that of float32 weights is not asked."""
    weighted_f1: float | None
    """None where the classes of the texts are not known."""
    largest: float
    """Largest difference of a probability."""
    same: float
    """Share of the texts that get the same class."""
    cpu_seconds: float
    """Of all threads, once everything is loaded; other work on the machine does not count, nor does a card's time."""


def write_onnx(
    classifier: Classifier, folder: Path, held_out: HeldOut, *, int8: bool
) -> tuple[list[Compared], dict[str, Any]]:
    """Write graph, tokenizer and classifier.json, compare them with the classifier on some texts; returns what was
    compared and what classifier.json holds.

    Raises AdaptError: the route leaves nothing that can be a graph, its tokenizer has no file, ONNX lacks an operator,
        or onnxruntime gives other probabilities.
    """
    predictor = classifier.predictor
    if not isinstance(predictor, BowPredictor | ProbePredictor | TunedPredictor):
        raise AdaptError(f"a classifier of kind {predictor.kind} asks a language model and leaves no graph to export")
    classifier.predicted_probabilities(held_out.texts[:1])  # libraries are loaded by the first text
    start = process_time()
    own_NC = classifier.predicted_probabilities(held_out.texts)
    seconds = process_time() - start
    rows = [_compared("tokenworth", None, own_NC, own_NC, held_out, seconds)]
    wide_NC, facts = _written(classifier, predictor, folder, held_out.texts, own_NC)
    facts = {"exported_as": "onnx", "label_names": list(classifier.label_names), **facts}
    facts |= {"temperature": classifier.temperature}  # which is in the graph
    write_json(folder / FACTS, facts)
    for file in (GRAPH, GRAPH_8) if int8 else (GRAPH,):
        if file == GRAPH_8:
            quantise_weights(folder / GRAPH, folder / GRAPH_8)
        found_NC, seconds = _run(folder, file, held_out.texts, 1 if facts["one_length"] else _BATCH)
        if file == GRAPH and not (apart := float(np.abs(found_NC - wide_NC).max())) < _EQUAL:
            raise AdaptError(f"onnxruntime gives other probabilities than the classifier (by up to {apart:.2g})")
        rows.append(_compared(file, folder / file, found_NC, own_NC, held_out, seconds))
    return rows, facts


def _written(
    classifier: Classifier, predictor: Any, folder: Path, texts: list[str], own_NC: Floats
) -> tuple[Floats, dict[str, Any]]:
    """Probabilities of the classifier in float32, and facts of the graph that was written."""
    if isinstance(predictor, BowPredictor):
        from tokenworth.adaptation.export.onnx_bag import write_bag

        return own_NC, {"prefix": "", "inputs": write_bag(predictor.model, classifier.temperature, folder)} | _BAG
    from tokenworth.adaptation.export.onnx_network import network_of, widened, write_graph

    backbone = predictor.backbone
    how = _write_tokenizer(backbone, predictor.max_length, predictor.long, folder / "tokenizer.json")
    wide = widened(predictor)
    wide_NC = softmax(wide.scores(texts) / classifier.temperature)
    write_graph(network_of(wide), classifier.temperature, folder / GRAPH)
    dtype = predictor.dtype if isinstance(predictor, TunedPredictor) else backbone.dtype
    facts = {"prefix": predictor.prefix, "inputs": {"input_ids": how}, "trained_in": dtype_name(dtype)}
    return wide_NC, {**facts, "one_length": backbone.structure.reads_padding}


_BAG = {"trained_in": "float64", "one_length": False}


_SIDES = {"last": "left"}
"""Where tokenizer.json cuts a text off, to keep what is read of it; first is the side that the tokenizer names."""


def _write_tokenizer(backbone: Backbone, max_length: int | None, long: Long, path: Path) -> dict[str, Any]:
    """tokenizer.json, which cuts texts as we do; returns what is to be known beside it."""
    from tokenizers import Tokenizer

    tokenizer: Any = backbone.tokenizer
    if long not in ("first", *_SIDES):
        raise AdaptError(
            f"tokenizer.json cuts long texts at one end, and this classifier was trained with long {long}; export with "
            "--format transformers, or adapt with --long first or last"
        )
    if not tokenizer.is_fast:
        raise AdaptError(
            f"the tokenizer of {backbone.name} is one that only Python implements, so no file can stand for it; "
            "export with --format transformers"
        )
    alone = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    alone.no_padding()
    alone.enable_truncation(max_length or backbone.max_length, direction=_SIDES.get(long, tokenizer.truncation_side))
    alone.save(str(path))
    starts = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    empty = next((int(token) for token in starts if token is not None), backbone.pad_id)
    return {"tokenizer": path.name, "pad": backbone.pad_id, "empty": empty, "mask": True}


def _run(folder: Path, file: str, texts: Sequence[str], batch: int) -> tuple[Floats, float]:
    """Probabilities (N, C), texts of like length together, and the seconds they took.

    Raises AdaptError: onnxruntime lacks an operator, or fails.
    """
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    parts = [order[start : start + batch] for start in range(0, len(order), batch)]
    try:
        class_probabilities = load_onnx(str(folder), file, torch.get_num_threads())
        class_probabilities(list(texts[:1]))
        start = process_time()
        found = [class_probabilities([texts[row] for row in part]) for part in parts]
        seconds = process_time() - start
    except Exception as error:  # onnxruntime has a class of its own for every status
        raise AdaptError(f"onnxruntime does not run {file} ({first_line(error)})") from error
    return np.concatenate(found)[np.argsort(order)].astype(np.float64), seconds


def _compared(
    form: str, path: Path | None, found_NC: Floats, own_NC: Floats, held_out: HeldOut, seconds: float
) -> Compared:
    files = [] if path is None else [file for file in (path, path.with_name(path.name + ".data")) if file.exists()]
    labels_N = held_out.labels_N
    return Compared(
        form,
        sum(file.stat().st_size for file in files) / 1e6,
        None if labels_N is None else metric_value("weighted_f1", labels_N, found_NC),
        float(np.abs(found_NC - own_NC).max()),
        float((found_NC.argmax(1) == own_NC.argmax(1)).mean()),
        seconds,
    )
