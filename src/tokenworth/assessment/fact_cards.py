"""Task and backbone as the facts a result keeps of them."""

from __future__ import annotations

from pathlib import Path

from tokenworth.assessment.assessment_result import BackboneCard, TaskCard, TokenCounts
from tokenworth.backbones import Backbone, dtype_name
from tokenworth.backbones.model_names import RANDOM_SUFFIX, model_name
from tokenworth.encode import Tokens
from tokenworth.settings.given_paths import as_named
from tokenworth.tasks import Task


def task_card(task: Task, tokens: dict[str, Tokens]) -> TaskCard:
    """Name, provenance, class names, counts and tokens of a task."""
    return {
        "name": task.name,
        "source": task.source,
        "label_names": list(task.label_names),
        "texts": {"train": len(task.train), "test": len(task.test)},
        "counts": task.counts,
        "notes": list(task.notes),
        "fingerprint": task.fingerprint,
        "seed": task.seed,
        "tokens": {"train": _token_counts(tokens["train"]), "test": _token_counts(tokens["test"])},
    }


def _token_counts(tokens: Tokens) -> TokenCounts:
    lengths_N = tokens.lengths
    return {
        "total": int(lengths_N.sum()),
        "mean": float(lengths_N.mean()),
        "max": int(lengths_N.max()),
        "truncated": tokens.truncated,
        "one_token": tokens.one_token,
        "empty": tokens.empty,
    }


def backbone_card(backbone: Backbone) -> BackboneCard:
    """Name, provenance, sizes and precision of a backbone."""
    return {
        "name": short_name(backbone),
        "source": backbone.source,
        "n_layers": backbone.n_layers,
        "width": backbone.width,
        "n_parameters": backbone.n_parameters,
        "dtype": dtype_name(backbone.dtype),
        "device": str(backbone.device),
        "causal": backbone.causal,
        "random": backbone.random,
        "max_length": backbone.max_length,
        "fingerprint": backbone.fingerprint,
        "notes": list(backbone.notes),
    }


def short_name(backbone: Backbone) -> str:
    """The name as given, of a local folder or file what people call it."""
    place = backbone.name.removesuffix(RANDOM_SUFFIX)
    twin = backbone.name[len(place) :]
    return model_name(f"{as_named(Path(place))}{twin}") if Path(place).exists() else backbone.name
