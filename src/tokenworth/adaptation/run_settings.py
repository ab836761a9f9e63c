"""What a route is run with on this model and this task: the rule of `recommended_settings`, asked once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tokenworth.adaptation.recommended_settings import as_published, needs_width, resolve
from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.adaptation.training.validation_split import size_of
from tokenworth.backbones import Backbone, account_of, load_backbone
from tokenworth.backbones.model_names import RANDOM_SUFFIX
from tokenworth.errors import BackboneError, SettingError
from tokenworth.probes.label_set_metrics import ONLY_LABEL_SETS
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
        SettingError: train_size leaves fewer texts than classes; see `with_long` and `with_thresholds`.
        BackboneError: the model is not found or cannot be loaded; a run whose rate is given does not ask for it.
    """
    wished = with_thresholds(with_long(wished, route), task)
    if model is None:
        return as_published(wished), {}
    width = width_of(model, loading or {}) if needs_width(wished, route) else None
    return resolve(wished, route, width, size_of(task, wished, seed))


def with_long(wished: AdaptConfig, route: str) -> AdaptConfig:
    """Without a word on long texts where a route reads whole ones.

    Raises:
        SettingError: the route is a prompt, which keeps the beginning of a text whatever is said here, or contrastive,
            whose pairs are of texts and not of pieces.
    """
    if wished.long != "first" and route == "prompt":
        raise SettingError(
            f"the route prompt asks one question about one text and keeps its beginning; long {wished.long} is for "
            "probe and the routes that train a network, so leave it out"
        )
    if wished.long in ("chunks", "choose") and route == "contrastive":
        raise SettingError(
            f"the route contrastive compares whole texts in pairs, and long {wished.long} reads them in pieces; choose "
            "long first, last or ends"
        )
    return replace(wished, long="first") if route == "bow" else wished


def with_thresholds(wished: AdaptConfig, task: Task) -> AdaptConfig:
    """With thresholds where texts may have several labels.

    Raises:
        SettingError: thresholds or a metric of several labels where every text has one; thresholds without a part of
            the training texts to choose them on; a diagnosis of several labels.
    """
    if not task.several:
        if wished.thresholds is not None or wished.metric in ONLY_LABEL_SETS:
            what = f"metric {wished.metric}" if wished.thresholds is None else f"thresholds {wished.thresholds}"
            raise SettingError(f"{what} is of several labels a text, and in {task.name} each has one; leave it out")
        return wished
    if wished.diagnose:
        raise SettingError(f"in {task.name} texts have several labels, and a diagnosis knows one class; leave it out")
    if wished.validation_share == 0 and wished.thresholds != "half":
        raise SettingError(
            "thresholds are chosen on a validation part, and validation_share 0 leaves none; give a share such as 0.1, "
            "or choose thresholds half"
        )
    return replace(wished, thresholds=wished.thresholds or "chosen")


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
