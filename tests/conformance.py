"""What works with one architecture: every check of the suite, and the sentence where something cannot.

A check gives an `Outcome`; a `TokenworthError` is an answer (the package says what it cannot do), anything else raised
is a fault of ours.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from architectures import Architecture
from conformance_checks import CHECKS, DEVICE, pooled, token_ids
from gguf_files import FILES, PLAIN, WORTH
from planted import planted_task
from tokenworth.adaptation import adapt, load_classifier
from tokenworth.adaptation.export.sequence_classifier import export_classifier
from tokenworth.backbones import account_of, load_backbone
from tokenworth.backbones.accounting.matrix_products import grouped_formulas
from tokenworth.backbones.accounting.shape_pass import text_inputs
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.errors import TokenworthError, first_line

DTYPES = ("float32", "bfloat16")
ROUTES = ("lora", "full", "scratch")
CONTEXT = 48
_TRAINED = {"steps": 3, "lr": 1e-3, "rank": 2, "batch": 8, "mislabelled": False}
_SAME = {"float32": 1e-6, "bfloat16": 6e-2}
"""Of states, from weights equal in float32; transformers unpacks some kinds (LFM2) in bfloat16: one rounding more."""
_APART = {"float32": 2e-4, "bfloat16": 6e-2}
"""Of probabilities, once loaded again, and of one text alone and among others."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one check in one number format."""

    state: str
    """yes; no: the package says in a sentence that it cannot; wrong: another value; broken: an error of no sentence."""
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Right, or refused in a sentence."""
        return self.state in {"yes", "no"}


def agreement(check: str) -> Callable[[Architecture, Path, str], Outcome]:
    """One of the checks against the library's own class."""

    def run(_architecture: Architecture, folder: Path, dtype: str) -> Outcome:
        found = CHECKS[check](folder, dtype)
        if found.note:
            return Outcome("no", found.note)
        if found.agrees:
            return Outcome("yes")
        return Outcome("wrong", f"{found.apart:.2g} apart, of {found.bound:.2g} that rounding allows")

    return run


def flops_are_counted(_architecture: Architecture, folder: Path, dtype: str) -> Outcome:
    """Without weights against the model as it is, under PyTorch's own counter with all pairs of tokens."""
    found = account_of(str(folder), context=CONTEXT)
    backbone = load_backbone(str(folder), dtype=dtype, device="cpu")
    model = backbone.model
    inputs = text_inputs(model, CONTEXT, use_cache=False)
    formulas = {packet: _with_output(formula) for packet, formula in grouped_formulas().items()}
    counting = FlopCounterMode(display=False, custom_mapping=formulas)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counting as counter:
        model.requires_grad_(False)(**inputs)
    counted = found.flops_per_token()
    halved = sum(part.attention_flops for part in (*found.blocks, found.rest)) / 2 if found.causal else 0
    # Angles of rotary positions and what is on no path to the states are no cost: a fiftieth of so small a model.
    expected = (counter.get_total_flops() - halved) / CONTEXT
    if (found.width, len(found.blocks), found.causal) != (backbone.width, backbone.n_layers, backbone.causal):
        return Outcome("wrong", f"width {found.width}, {len(found.blocks)} layers, causal {found.causal}")
    close = math.isclose(counted, expected, rel_tol=0.02)
    return Outcome("yes") if close else Outcome("wrong", f"{counted:.0f} FLOPs a token for {expected:.0f}")


def _with_output(formula: Any) -> Any:
    """In the form that the counter calls."""

    def of_tensors(*operands: Any, out_val: Any = None, **named: Any) -> int:
        return int(formula(*operands, out_val=out_val, **named))

    of_tensors._get_raw = True  # type: ignore[attr-defined]
    return of_tensors


def route_works(route: str) -> Callable[[Architecture, Path, str], Outcome]:
    """Three steps, saved, loaded again; one text alone and among others."""

    def run(_architecture: Architecture, folder: Path, dtype: str) -> Outcome:
        task, out = planted_task(16, 8), folder.parent / f"{folder.name}-{route}-{dtype}"
        result = adapt(str(folder), task, route, out=out, config={**_TRAINED, "dtype": dtype}, device=DEVICE)
        classifier = load_classifier(out, device=DEVICE)
        texts = list(task.test.texts)
        together = np.asarray(classifier.predict_proba(texts))
        alone = np.concatenate([np.asarray(classifier.predict_proba([text])) for text in texts])
        kept = np.asarray(result.predictions["p_class 0"], dtype=np.float64)
        apart = max(float(np.abs(together - alone).max()), float(np.abs(together[:, 0] - kept).max()))
        if not np.isfinite(result.training["losses"]).all() or not apart <= _APART[dtype]:
            return Outcome("wrong", f"probabilities {apart:.2g} apart once loaded")
        return Outcome("yes")

    return run


def export_works(_architecture: Architecture, folder: Path, dtype: str) -> Outcome:
    """Three steps of full training as a checkpoint of the library's own class."""
    out = folder.parent / f"{folder.name}-export-{dtype}"
    settings = {**_TRAINED, "dtype": dtype, "pooling": "last", "head_bias": False}
    adapt(str(folder), planted_task(16, 8), "full", out=out, config=settings, device=DEVICE)
    export_classifier(load_classifier(out, device=DEVICE), out / "plain")
    return Outcome("yes")


SUITE: dict[str, Callable[[Architecture, Path, str], Outcome]] = {
    "states": agreement("states"),
    "batches": agreement("batches"),
    "packs": agreement("packs"),
    "prompt": agreement("prompt"),
    "text loss": agreement("text_loss"),
    "FLOPs": flops_are_counted,
    **{route: route_works(route) for route in ROUTES},
    "export": export_works,
}
"""Checks by their column."""


def same_states(file: str, plain: str) -> Callable[[Architecture, Path, str], Outcome]:
    """States of every layer of a GGUF file, and those of the folder with the weights that the file is worth."""

    def run(_architecture: Architecture, place: Path, dtype: str) -> Outcome:
        found, wanted = (load_backbone(str(place.parent / name), dtype=dtype, device=DEVICE) for name in (file, plain))
        ids, apart = token_ids(wanted), 0.0
        for layer in range(wanted.n_layers + 1):
            expected = pooled(wanted, ids, layer)
            apart = max(apart, float(np.linalg.norm(pooled(found, ids, layer) - expected) / np.linalg.norm(expected)))
        return Outcome("yes") if apart <= _SAME[dtype] else Outcome("wrong", f"states {apart:.2g} apart")

    return run


GGUF_SUITE: dict[str, Callable[[Architecture, Path, str], Outcome]] = {
    "float32": same_states(FILES["F32"], PLAIN),
    "16 bits": same_states(FILES["F16"], WORTH["F16"]),
    "8 bits": same_states(FILES["Q8_0"], WORTH["Q8_0"]),
    "4 bits": same_states(FILES["Q4_1"], WORTH["Q4_1"]),
    "FLOPs": flops_are_counted,
    **{route: route_works(route) for route in ROUTES},
    "export": export_works,
}
"""The same of a file that `gguf_files.write_files` wrote."""


def outcome(check: str, architecture: Architecture, folder: Path, dtype: str, suite: Any = SUITE) -> Outcome:
    """Of one check; an error is an outcome."""
    try:
        with quiet_transformers(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return suite[check](architecture, folder, dtype)
    except TokenworthError as error:
        named = str(error).replace(f"{folder} ({architecture.kind})", "the model").replace(f"{folder}", "the model")
        return Outcome("no", named)
    except Exception as error:  # what a table shows as broken
        return Outcome("broken", f"{type(error).__name__}: {first_line(error)}"[:160])
