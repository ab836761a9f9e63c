"""Forward passes that are kept, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tokenworth.backbones.model_names import model_name
from tokenworth.features.feature_store import Kept


def pass_rows(kept: Sequence[Kept]) -> list[dict[str, str]]:
    """A row each."""
    return [
        {
            "pass": one.name[:12],
            "backbone": model_name(one.backbone),
            "state": one.state,
            "texts": f"{one.texts:,}",
            "layers": str(one.layers),
            "size": in_bytes(one.bytes),
            "last used": datetime.fromtimestamp(one.used).strftime("%Y-%m-%d %H:%M"),
        }
        for one in kept
    ]


def in_bytes(n_bytes: int) -> str:
    """For people."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes} bytes"
