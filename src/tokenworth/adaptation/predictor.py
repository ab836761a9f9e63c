"""What every route ends in: something that gives scores for texts and can be saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from tokenworth.base.aliases import Floats


class Predictor(Protocol):
    """A fitted route.  N texts, C classes."""

    @property
    def kind(self) -> str:
        """Which of `tokenworth.adaptation.storage.saved_classifier.KINDS` reads it again."""
        ...

    def scores(self, texts: list[str]) -> Floats:
        """Log-odds (N, C), up to a constant a row."""
        ...

    def save(self, folder: Path) -> dict[str, Any]:
        """Write arrays and weights as safetensors into a folder; returns the facts that classifier.json keeps."""
        ...


def origin(backbone: Any, tokenizer: str | None) -> dict[str, Any]:
    """Where a predictor finds its backbone again, and by what it knows it."""
    name = backbone.name
    base, twin = name.removesuffix("@random"), "@random" if name.endswith("@random") else ""
    place = str(Path(base).expanduser().resolve()) if Path(base).expanduser().is_dir() else base
    return {
        "name": place + twin,
        "revision": backbone.source.rpartition("@")[2] if "@" in backbone.source and not twin else None,
        "fingerprint": backbone.fingerprint,
        "tokenizer": tokenizer,
        "dtype": str(backbone.dtype).removeprefix("torch."),
    }
