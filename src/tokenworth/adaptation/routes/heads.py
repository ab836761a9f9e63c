"""The heads of the routes on frozen or tuned backbones: saved beside the backbone's whereabouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenworth.backbones import Backbone, load_backbone
from tokenworth.errors import AdaptError


def known_backbone(facts: dict[str, Any], loading: dict[str, Any], **more: Any) -> Backbone:
    """The backbone a saved classifier belongs to, checked by its fingerprint.

    Args:
        facts: as `tokenworth.adaptation.predictor.origin` wrote them.
        loading: device, dtype and others; `model` names another place of the same backbone.
        more: further arguments of `load_backbone`.

    Raises:
        AdaptError: another backbone lies there.
        BackboneError: none does.
    """
    arguments = {name: value for name, value in loading.items() if value is not None}
    model = arguments.pop("model", None) or facts["name"]
    if isinstance(model, Backbone):
        backbone = model
    else:
        revision = None if Path(str(model)).is_dir() or model != facts["name"] else facts["revision"]
        defaults = {"dtype": facts["dtype"], "tokenizer": facts["tokenizer"], "revision": revision}
        backbone = load_backbone(model, **{**defaults, "seed": facts.get("seed", 0), **arguments, **more})
    if backbone.fingerprint != facts["fingerprint"]:
        raise AdaptError(
            f"this classifier was made for another backbone than {backbone.name}: the fingerprints are "
            f"{facts['fingerprint'][:12]} and {backbone.fingerprint[:12]}; name the right one with --model"
        )
    return backbone
