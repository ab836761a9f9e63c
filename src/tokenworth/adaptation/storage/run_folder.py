"""The folder of a run: what it was started with, so that it goes on only as what it began."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenworth.adaptation.route_names import ROUTES
from tokenworth.adaptation.storage.adapt_result import RESULT, AdaptResult
from tokenworth.backbones import Backbone, dtype_name, resolve_device, resolve_dtype
from tokenworth.base.run_record import note_or_compare, recorded_dtype
from tokenworth.endpoints.endpoint_settings import is_endpoint
from tokenworth.version import NUMERICS

RUN = "run.json"
_FREE = frozenset({"checkpoint_seconds", "track", "key_variable", "budget", "concurrency", "timeout", "retries"})
"""Settings that change no number."""


def number_format(folder: Path | None, route: str, model: str | Backbone | None, wished: str, device: str) -> str:
    """The format of a run's products, as its record keeps it: the wished one, or for "auto" the one it was begun in.

    Raises SettingError: the wished format or the device is not understood.
    """
    if not ROUTES[route].of_model or is_endpoint(model):
        return wished  # nothing is computed in it
    if isinstance(model, Backbone) and ROUTES[route].as_loaded:
        return dtype_name(model.dtype)
    begun = None if folder is None else recorded_dtype(folder / RUN, wished)
    if begun is not None:
        return begun
    return dtype_name(resolve_dtype(wished, resolve_device(device)) if wished == "auto" else wished)


def started_with(
    route: str, model: str | None, task_fingerprint: str, seed: int, settings: dict[str, Any], loading: dict[str, Any]
) -> dict[str, Any]:
    """Everything that a run's numbers depend on, as JSON keeps it."""
    kept = {name: value for name, value in settings.items() if name not in _FREE}
    if kept.get("chat"):  # the default says nothing, as in folders from before there was the setting
        del kept["chat"]
    facts: dict[str, Any] = {"version of the numbers": NUMERICS, "route": route, "model": model}
    facts |= {"task": task_fingerprint, "seed": seed, **loading, **kept}
    facts["device"] = loading["device"].partition(":")[0]  # which of several cards makes no difference
    return dict(json.loads(json.dumps(facts, default=str)))


def begin(folder: Path, facts: dict[str, Any]) -> AdaptResult | None:
    """Note what the run is, or check that it is the one that lies there; returns its result if it is finished.

    Raises OtherRunError: another run lies there; the error shows in what they differ.
    """
    note_or_compare(folder / RUN, facts)
    return AdaptResult.load(folder) if (folder / RESULT).is_file() else None
