"""Moments on disk: one safetensors file, the small facts as JSON in its header.  No pickle anywhere."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

_HEADER = "tokenworth"


def save_moments(path: str | Path, kind: str, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    """Write `tensors` and `facts`; a reader never sees half a file (temporary name, renamed last)."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)  # a link that somebody put there is not followed
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(whole, part, metadata={_HEADER: json.dumps({"kind": kind, **facts})})
    part.replace(path)


def load_moments(path: str | Path, kind: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `save_moments` wrote.

    Raises:
        ValueError: the file is damaged, or holds something else than `kind`.
        FileNotFoundError: there is no such file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or cut short ({error}); compute the moments again") from error
    if facts.get("kind") != kind:
        raise ValueError(f"{path} holds {facts.get('kind') or 'no moments'}, not {kind}")
    return tensors, facts
