"""IA3 through peft: keys, values and hidden units of the feed-forward part are each multiplied by a learnt number.

The numbers begin as 1, so that training begins at the pretrained model.  Which maps put out keys and values and which
one reads the hidden units, peft lists by kind of model; a kind that it does not list has the row whose names it has.

Source: Liu et al. (2022), Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.adaptation.routes.lora import linear_paths, target_modules
from tokenworth.errors import SettingError, first_line


def add_ia3(model: Any, name: str, config: AdaptConfig, seed: int) -> Any:
    """Put IA3 into a base model (in place) and freeze the rest; returns peft's wrapper.

    Raises SettingError: maps that there are not, or that peft does not take.
    """
    from peft import IA3Config, get_peft_model

    targets, inner = _maps(model, name, config.targets)
    fields = {"target_modules": targets, "feedforward_modules": inner, **config.peft}
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return get_peft_model(model, IA3Config(**fields))
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"peft cannot put IA3 on {', '.join(targets)} of {type(model).__name__} ({first_line(error)}); name other "
            "targets, or leave out settings of peft"
        ) from error


def _maps(model: nn.Module, name: str, wanted: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Maps whose outputs are multiplied, with those whose inputs are; and the latter alone."""
    from peft.utils import constants

    listed = constants.TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
    inner = constants.TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING
    paths = linear_paths(model)
    if wanted != ("auto",):
        known = {own for names in inner.values() for own in names}
        targets = target_modules(model, name, wanted)
        return targets, [target for target in targets if target in known]
    kind: Any = model.config.model_type  # type: ignore[union-attr]
    for row in dict.fromkeys((kind, *listed)):
        if row in listed and all(any(_ends(path, own) for path in paths) for own in listed[row]):
            return sorted(listed[row]), sorted(inner.get(row, []))
    raise SettingError(
        f"peft does not list which maps of a {kind} make keys, values and hidden units; name them with --targets, such "
        "as k_proj,v_proj,down_proj"
    )


def _ends(path: str, own: str) -> bool:
    return path == own or path.endswith(f".{own}")
