"""Route contrastive: the backbone learns to put texts of a class together, then logistic regression reads it.

Source: Tunstall et al. (2022), Efficient Few-Shot Learning Without Prompts (SetFit), 2209.11055.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.route_names import ROUTES
from tokenworth.adaptation.routes.route_networks import Network, all_weights
from tokenworth.adaptation.routes.trained_routes import Objective, fit_network
from tokenworth.adaptation.routes.tuned_predictor import TunedPredictor
from tokenworth.adaptation.training.contrastive_training import ContrastiveLearner
from tokenworth.errors import AdaptError, SettingError
from tokenworth.probes.logistic import unit_logistic


def fit_contrastive(job: Job) -> Fitted:
    """Every weight learns from pairs of texts; the head is a logistic regression on what they became.

    Raises:
        SettingError: a decoder, texts with several labels, or sharded weights.
        AdaptError: no two classes, or none with two texts.
    """
    notes = _looked_at(job)
    if job.config.pooling == "auto":
        job = replace(job, config=replace(job.config, pooling=ROUTES[job.route].pooling))
    fitted = fit_network(job, _encoder, Objective(ContrastiveLearner, _fit_head))
    return replace(fitted, facts={**fitted.facts, "pooling": job.config.pooling}, notes=(*fitted.notes, *notes))


def _encoder(job: Job) -> Network:
    """The backbone, of which every weight learns."""
    network = all_weights(job)
    if network.backbone.causal:
        raise SettingError(
            f"the route contrastive is for encoders, and {network.backbone.name} is a decoder; choose lora or full, or "
            "an encoder such as sentence-transformers/all-MiniLM-L6-v2"
        )
    return network


def _looked_at(job: Job) -> tuple[str, ...]:
    """What is to be said of the classes; none where pairs of all of them can be made."""
    if job.task.several:
        raise SettingError(
            f"the route contrastive compares texts of one class with others, and in {job.task.name} texts have several "
            "labels; choose lora, full, probe or bow"
        )
    if job.config.shard:
        raise SettingError("the route contrastive does not spread weights over processes; leave shard out")
    counts_C = np.bincount(job.train.labels, minlength=job.n_classes)
    if (counts_C > 0).sum() < 2:
        raise AdaptError(
            f"all training texts of {job.task.name} are of one class, and the route contrastive learns from texts of "
            "two; bring texts of another"
        )
    if counts_C.max() < 2:
        raise AdaptError(
            f"{job.task.name} has one training text a class, and the route contrastive pairs texts of one class; bring "
            "a second of each, or choose the route probe"
        )
    alone = [job.task.label_names[label] for label in np.flatnonzero(counts_C == 1)]
    names = ", ".join(alone[:3]) + (f" and {len(alone) - 3} more" if len(alone) > 3 else "")
    return (f"Classes of one training text, which has no pair of its own class: {names}.",) if alone else ()


def _fit_head(job: Job, predictor: TunedPredictor) -> None:
    """Put a logistic regression on pooled training texts in the place of the head."""
    head, train = predictor.classifier.head, job.train
    fitted = unit_logistic(
        predictor.pooled(train.texts), train.labels, job.class_weights(), intercept=head.bias is not None
    )
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(fitted.weights_DC.T))
        if head.bias is not None:
            head.bias.copy_(torch.from_numpy(fitted.intercept_C))
