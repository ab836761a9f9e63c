"""What a route is run with on this model and this task: the rule of `recommended_settings`, asked once."""

from __future__ import annotations

from tokenworth.adaptation.recommended_settings import as_published, needs_width, resolve
from tokenworth.adaptation.route_settings import AdaptConfig, ResolvedConfig
from tokenworth.adaptation.training.validation_split import size_of
from tokenworth.backbones import Backbone, account_of
from tokenworth.backbones.loading.loader import RANDOM_SUFFIX
from tokenworth.tasks import Task


def settings_for(
    wished: AdaptConfig, route: str, model: str | Backbone | None, task: Task, seed: int
) -> tuple[ResolvedConfig, dict[str, str]]:
    """Settings of a run, and why for each that the rule chose; of a model by name only the configuration is read.

    Raises:
        SettingError: train_size leaves fewer texts than classes.
        BackboneError: the model is not found, or has no width; a run whose rate is given does not ask for it.
    """
    if model is None:
        return as_published(wished), {}
    width = width_of(model) if needs_width(wished, route) else None
    return resolve(wished, route, width, size_of(task, wished, seed))


def width_of(model: str | Backbone) -> int:
    """Numbers of a state of a model, by name or loaded."""
    return model.width if isinstance(model, Backbone) else account_of(model.removesuffix(RANDOM_SUFFIX)).width
