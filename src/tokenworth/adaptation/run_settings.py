"""What a route is run with on this model and this task: the rule of `recommended_settings`, asked once."""

from __future__ import annotations

from typing import Any

from tokenworth.adaptation.recommended_settings import as_published, needs_width, resolve
from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.adaptation.training.validation_split import size_of
from tokenworth.backbones import Backbone, account_of, load_backbone
from tokenworth.backbones.loading.loader import RANDOM_SUFFIX
from tokenworth.errors import BackboneError
from tokenworth.tasks import Task


def settings_for(
    wished: AdaptConfig,
    route: str,
    model: str | Backbone | None,
    task: Task,
    seed: int,
    loading: dict[str, Any] | None = None,
) -> tuple[ResolvedConfig, dict[str, str]]:
    """Settings of a run, and why for each that the rule chose; `loading` is device, revision and the like.

    Raises:
        SettingError: train_size leaves fewer texts than classes.
        BackboneError: the model is not found or cannot be loaded; a run whose rate is given does not ask for it.
    """
    if model is None:
        return as_published(wished), {}
    width = width_of(model, loading or {}) if needs_width(wished, route) else None
    return resolve(wished, route, width, size_of(task, wished, seed))


def width_of(model: str | Backbone, loading: dict[str, Any]) -> int:
    """Numbers of a state of a model; of one by name from its configuration, or by loading one that cannot be counted.

    Raises:
        BackboneError: it is not found or cannot be loaded.
    """
    if isinstance(model, Backbone):
        return model.width
    try:
        return account_of(model.removesuffix(RANDOM_SUFFIX)).width
    except BackboneError:
        return load_backbone(model, **loading, dtype="float32").width  # no product is kept
