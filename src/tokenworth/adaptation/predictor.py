"""What every route ends in: something that gives scores for texts and can be saved, its backbone by its whereabouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from tokenworth.backbones import Backbone, dtype_name, load_backbone
from tokenworth.backbones.model_names import RANDOM_SUFFIX
from tokenworth.base.aliases import Floats
from tokenworth.errors import AdaptError


class Predictor(Protocol):
    """A fitted route.  N texts, C classes."""

    @property
    def kind(self) -> str:
        """Which of `tokenworth.adaptation.storage.saved_classifier.KINDS` reads it again."""
        ...

    def scores(self, texts: list[str]) -> Floats:
        """Log-odds (N, C), up to a constant a row; of an endpoint also rows of NaN, where an answer names no class."""
        ...

    def save(self, folder: Path) -> dict[str, Any]:
        """Write arrays and weights as safetensors into a folder; returns the facts that classifier.json keeps."""
        ...


def with_prefix(texts: list[str], prefix: str) -> list[str]:
    """Texts with something put before each."""
    return [prefix + text for text in texts]


def origin(backbone: Backbone, tokenizer: str | None, seed: int) -> dict[str, Any]:
    """Where a predictor finds its backbone again, and by what it knows it."""
    base = backbone.name.removesuffix(RANDOM_SUFFIX)
    twin = backbone.name[len(base) :]
    place = str(Path(base).expanduser().resolve()) if Path(base).expanduser().exists() else base
    return {
        "name": place + twin,
        "revision": backbone.source.rpartition("@")[2] if "@" in backbone.source and not twin else None,
        "fingerprint": backbone.fingerprint,
        "tokenizer": tokenizer,
        "dtype": dtype_name(backbone.dtype),
        "seed": seed,
    }


_OF_SERVERS = ("budget", "key_variable")
"""What a classifier is loaded with that no backbone knows."""


def known_backbone(facts: dict[str, Any], loading: dict[str, Any], **more: Any) -> Backbone:
    """The backbone a saved classifier belongs to, by facts of `origin`, checked by its fingerprint.

    ``loading`` and ``more`` are arguments of `load_backbone`; `model` names another place of the same backbone.

    Raises:
        AdaptError: another backbone lies there.
        BackboneError: none does.
    """
    arguments = {name: value for name, value in loading.items() if value is not None and name not in _OF_SERVERS}
    model = arguments.pop("model", None) or facts["name"]
    if isinstance(model, Backbone):
        backbone = model
    else:
        revision = None if Path(str(model)).exists() or model != facts["name"] else facts["revision"]
        defaults = {"dtype": facts["dtype"], "tokenizer": facts["tokenizer"], "revision": revision}
        backbone = load_backbone(model, **{**defaults, "seed": facts.get("seed", 0), **arguments, **more})
    if backbone.fingerprint != facts["fingerprint"]:
        raise AdaptError(
            f"this classifier was made for another backbone than {backbone.name}: the fingerprints are "
            f"{facts['fingerprint'][:12]} and {backbone.fingerprint[:12]}; name the right one with --model"
        )
    return backbone
