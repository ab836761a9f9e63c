"""Routes lora, full and scratch, and what contrastive shares: they differ in what learns, for what, and from where."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import torch

import tokenworth.adaptation.training.batch_packing as packing
from tokenworth.adaptation.forecast.training_flops import count_training
from tokenworth.adaptation.job import Fitted, Job, ReadTexts
from tokenworth.adaptation.route_names import ROUTES
from tokenworth.adaptation.routes.route_networks import (
    Network,
    adapted,
    all_weights,
    from_random_weights,
    part_of_weights,
)
from tokenworth.adaptation.routes.tuned_predictor import TunedPredictor, trainable
from tokenworth.adaptation.routes.tunings import KINDS
from tokenworth.adaptation.training.batch_cuts import StepCost
from tokenworth.adaptation.training.rate_restart import with_restart
from tokenworth.adaptation.training.route_training import RouteLearner, RoutePosition, TrainingData
from tokenworth.adaptation.tuning_settings import OWN_WEIGHTS
from tokenworth.backbones import Backbone, dtype_name
from tokenworth.base.machine import keep_freed_memory
from tokenworth.encode import Tokens
from tokenworth.probes.label_set_metrics import value_of_scores
from tokenworth.training.checkpoints import Checkpoints
from tokenworth.training.devices import Compute, whole_state
from tokenworth.training.loop import Loop
from tokenworth.training.tracker import make_tracker

CURVES = ("weighted_f1", "log_loss")
"""Metrics of the validation part that a run keeps of every evaluation, whichever it is judged by."""


ReadOut = Callable[[Job, TunedPredictor], None]


def _no_read_out(_job: Job, _predictor: TunedPredictor) -> None:
    """The head has learnt with the rest."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What a network is trained for."""

    learner: type[RouteLearner] = RouteLearner
    read_out: ReadOut = _no_read_out
    """Fits the head before the network is evaluated or kept."""


CLASSES = Objective()
"""Cross-entropy of the classes, in which the head learns with the rest."""


def fit_lora(job: Job) -> Fitted:
    """Low-rank updates of the pretrained weights, or another tuning that leaves most of them as they are."""
    build = part_of_weights if job.config.tuning in OWN_WEIGHTS else adapted
    return with_restart(job, lambda job: fit_network(job, build))


def fit_full(job: Job) -> Fitted:
    """All weights, from the pretrained checkpoint."""
    return with_restart(job, lambda job: fit_network(job, all_weights))


def fit_scratch(job: Job) -> Fitted:
    """All weights, from the configuration's own random initialisation."""
    return fit_network(job, from_random_weights)


def fit_network(job: Job, build: Callable[[Job], Network], objective: Objective = CLASSES) -> Fitted:
    """Train a network under the protocol; `build` makes one in which what learns requires gradients."""
    network = build(job)
    predictor = network.predictor(job)
    backbone, classifier = network.backbone, predictor.classifier
    tokens = job.tokens(backbone, job.train.texts)
    mean_length, pieces = float(tokens.lengths.mean()), len(tokens.ids) / tokens.n_texts
    head = classifier.head
    lengths = {"length": round(mean_length), "longest": backbone.max_length}
    cost = count_training(backbone.model, head, head.in_features, backbone.device, **lengths)
    learning = sum(weights.numel() for weights in trainable(classifier).values())
    # weights packed in 4 bits hide how many they are; the loaded backbone knows
    frozen = sum(weights.numel() for weights in classifier.parameters() if not weights.requires_grad)
    total = learning + (frozen if network.adapter is None else backbone.n_parameters)
    data = _data(job, network, predictor, tokens, cost.training, objective.read_out)
    keep_freed_memory(backbone.device)
    compute = Compute(job.devices, backbone.device, network.dtype)
    learner = objective.learner(classifier, data, job.config, seed=job.seed, compute=compute)
    resumed = _train(job, learner)
    objective.read_out(job, predictor)
    if job.devices.sharded:  # put together in a network of its own, which one process alone can use
        weights = whole_state(classifier)
        predictor = build(job).predictor(job)
        predictor.classifier.load_state_dict(weights)
    packs, position = data.packer.packing is not None, learner.position
    kept = ("losses", "evaluations", "best_step", "micro_batch", "halvings")
    return Fitted(
        predictor=predictor,
        backbone=predictor.backbone,
        parameters={"trainable": learning, "total": total},
        training={name: getattr(position, name) for name in kept},
        facts={"packs": packs, "products_in": data.identity["number format"], **network.facts},
        cost=position.cost(),
        read=ReadTexts.of(tokens),
        flops_per_text=pieces
        * (mean_length * cost.forward.token + mean_length**2 * cost.forward.pair + cost.forward.text),
        resumed_from_step=resumed,
        notes=() if packs or not job.config.packing else (_padding_note(backbone, position, network),),
    )


def _data(
    job: Job, network: Network, predictor: TunedPredictor, tokens: Tokens, cost: StepCost, read_out: ReadOut
) -> TrainingData:
    config, backbone, part = job.config, network.backbone, job.validation
    may_pack = config.packing and not KINDS[network.tuning].lengthens
    most = ROUTES[job.route].texts_a_row * (config.micro_batch or config.batch)
    packs = packing.can_pack(backbone, tokens.ids, most) if may_pack else None

    def values() -> dict[str, float]:
        assert part is not None, "there is nothing to evaluate on"
        read_out(job, predictor)
        scores_NC = predictor.scores(part.texts)
        names = dict.fromkeys((config.judged_by, *CURVES))
        return {name: value_of_scores(name, part.labels, scores_NC) for name in names}

    return TrainingData(
        packing.Packer(backbone, tokens.ids, cost, packing=packs),
        job.train.labels,
        tokens.counts_N,
        torch.from_numpy(job.class_weights()).float(),
        None if part is None else values,
        {
            "backbone": backbone.fingerprint,
            "texts": job.task.fingerprint,
            "PyTorch": torch.__version__,
            "number format": dtype_name(network.dtype),
        },
    )


def _train(job: Job, learner: RouteLearner) -> int:
    """The step that training went on from."""
    config = job.config
    tracker = make_tracker(config.track, job.folder, f"{job.task.name}-{job.route}", config.asdict())
    checkpoints = Checkpoints(None if job.folder is None else job.folder / "checkpoints")
    with closing(tracker):
        resumed = Loop(learner, checkpoints, tracker, job.progress).run()
    learner.finish()
    return resumed


def _padding_note(backbone: Backbone, position: RoutePosition, network: Network) -> str:
    """What it cost that texts could not share rows as was asked for."""
    if backbone.structure.reads_padding:
        return (
            f"The states of {backbone.name} depend on padding, so only texts of one length shared a pass, which makes "
            "many small passes."
        )
    computed = position.places / max(1, position.tokens)
    why = f"{backbone.name} gives texts in one row other states than alone"
    if KINDS[network.tuning].lengthens:
        why = "A text with virtual tokens before it shares no row with others"
    return f"{why}, so batches were padded: {computed:.2f} tokens were computed for each of the texts'."
