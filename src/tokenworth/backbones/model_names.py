"""What people call a model that lies in a folder: the model, where the folder only says how far it was trained."""

from __future__ import annotations

import re
from pathlib import Path

RANDOM_SUFFIX = "@random"
"""Behind a model's name: its network with random weights."""
_COUNTED = re.compile(r"(tokens|steps?|global_?steps?|checkpoint|ckpt|iter|epochs?)[-_]?(\d+)", re.IGNORECASE)
_STATES = ("final", "best", "last", "latest", "checkpoint", "adapter")
"""Names of folders that say which weights of a model they hold."""
_BETWEEN = ("checkpoints", "ckpts")
"""Folders between a model and its checkpoints."""
_SNAPSHOT = re.compile(r"models--([^/\\]+)[/\\]snapshots[/\\][0-9a-f]{8,}$")


def model_name(model: str) -> str:
    """The model that a path, hub id or other name means, shortly.

    The last part of a path: llama; of a checkpoint its model and how far that was trained (small after 819,200 tokens,
    small at step 500, small/best), of a copy in the hub's cache the hub id.  The random twin keeps its @random: how far
    the weights were trained means nothing to it.  Nothing need be there.
    """
    place = model.removesuffix(RANDOM_SUFFIX)
    twin = model[len(place) :]
    if found := _SNAPSHOT.search(place):
        return found[1].replace("--", "/", 1) + twin
    path = Path(place)
    counted = _COUNTED.fullmatch(path.name)
    if not path.parent.name or (counted is None and path.name.lower() not in _STATES):
        return path.name + twin
    owner = run_name(path.parent)
    if not owner or twin:
        return (owner or path.name) + twin
    return f"{owner}/{path.name}" if counted is None else f"{owner} {_reached(counted[1].lower(), int(counted[2]))}"


def run_name(folder: Path) -> str:
    """The model whose checkpoints lie in a folder."""
    return folder.parent.name if folder.name in _BETWEEN else folder.name


def _reached(unit: str, count: int) -> str:
    if unit == "tokens":
        return f"after {count:,} tokens"
    if unit.startswith("epoch"):
        return f"after epoch {count}"
    return f"at step {count:,}"
