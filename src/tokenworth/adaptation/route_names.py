"""The routes there are: what each is called wherever it is spoken of, and what others have to know of it.

Every page, table and sentence reads this; `tokenworth.adaptation.adapt_route.FITS` has the function that runs each.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenworth.adaptation.tuning_settings import TUNING_DEFAULTS

NETWORK_TRAIN_TEXTS = 500
"""A network must read each once more; an accuracy of 500 texts has a standard error of .022 at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """A way from a labelled task and a model to a classifier."""

    title: str
    """In a table or a chart: LoRA."""
    phrase: str
    """Within a sentence, before `of MODEL` where there is a model: a probe on frozen states."""
    subject: str
    """Begins the sentence of a run, before `reached weighted F1 ...`."""
    of_model: bool = True
    """Whether it needs a model."""
    as_loaded: bool = False
    """Whether it computes in the number format of the model's weights; the others keep those in float32."""
    pooling: str = "last+mean"
    """What the head of a trained network reads under `pooling: auto`."""
    texts_a_row: int = 1
    """Texts that a pass of training reads at most for each text of a batch: itself, and partners."""
    train_texts: int = NETWORK_TRAIN_TEXTS
    """Training texts on which the gap between train and test is measured."""
    on_card: tuple[str, ...] = ()
    """Settings of its own that a model card lists."""
    settings: frozenset[str] | None = None
    """Names of the settings that can change what it finds; None for those that `relevant_settings` knows."""


_SCHEDULE = ("steps", "batch", "lr", "warmup_share", "weight_decay", "selection", "patience", "validation_share")
_OF_TRAINING = (*_SCHEDULE, "pooling", "head_bias")

ROUTES: dict[str, Route] = {
    "bow": Route(
        title="bag of words",
        phrase="a bag of words",
        subject="A bag of words (TF-IDF and logistic regression)",
        of_model=False,
        train_texts=2000,
    ),
    "prompt": Route(
        title="prompt",
        phrase="a prompt",
        subject="Asking the language model",
        as_loaded=True,
        train_texts=200,
        on_card=("shots", "examples", "template"),
    ),
    "probe": Route(
        title="probe",
        phrase="a probe on frozen states",
        subject="A linear probe on frozen features",
        as_loaded=True,
        train_texts=2000,
        on_card=("pooling", "states"),
    ),
    "lora": Route(
        title="LoRA",
        phrase="LoRA",
        subject="LoRA",
        as_loaded=True,
        on_card=(*_OF_TRAINING, "rank", "alpha", "targets", "quantise", *TUNING_DEFAULTS),
    ),
    "full": Route(
        title="full fine-tuning",
        phrase="training all weights",
        subject="Fine-tuning all weights",
        on_card=_OF_TRAINING,
    ),
    "contrastive": Route(
        title="contrastive",
        phrase="contrastive training",
        subject="Contrastive training of all weights, then logistic regression,",
        pooling="mean",
        texts_a_row=3,
        on_card=(*_SCHEDULE, "pooling"),
    ),
    "scratch": Route(
        title="from random weights",
        phrase="training from random weights",
        subject="Training from random weights",
        on_card=(*_OF_TRAINING, "tokenizer"),
    ),
}
"""By name, the cheapest first, which is their order on pages."""


def route_title(route: str) -> str:
    """What a route is called in a table or a chart; of another version's route its name."""
    return ROUTES[route].title if route in ROUTES else route
