"""Routes lora, full and scratch: the same head, loop and data; they differ in what learns and where it starts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

import tokenworth.adaptation.training.batch_packing as packing
from tokenworth.adaptation.forecast.training_flops import TrainingCost, count_training
from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.routes.lora import add_lora
from tokenworth.adaptation.routes.quantised_base import quantise
from tokenworth.adaptation.routes.text_classifier import TextClassifier, make_classifier, trainable
from tokenworth.adaptation.routes.tuned_predictor import TunedPredictor, origin_of
from tokenworth.adaptation.training.batch_cuts import StepCost
from tokenworth.adaptation.training.route_training import RouteLearner, RoutePosition, TrainingData
from tokenworth.backbones import Backbone, resolve_device, resolve_dtype
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.twins import random_model, retokenised, with_model
from tokenworth.base.machine import keep_freed_memory
from tokenworth.encode import Tokens, tokenise
from tokenworth.errors import SettingError
from tokenworth.probes.probability_metrics import metric_value, softmax
from tokenworth.tasks import Split
from tokenworth.training.checkpoints import Checkpoints
from tokenworth.training.devices import Compute, whole_state
from tokenworth.training.loop import Loop
from tokenworth.training.tracker import make_tracker


@dataclass(frozen=True, eq=False, slots=True)
class Network:
    """A backbone that may be changed, and what learns of it."""

    backbone: Backbone
    dtype: torch.dtype
    """Of products."""
    adapter: Any = None
    base: dict[str, Any] | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def classifier(self, job: Job) -> TextClassifier:
        """With the head of the protocol."""
        config = job.config
        return make_classifier(
            self.backbone,
            job.n_classes,
            pooling=config.pooling,
            dropout=config.dropout,
            bias=config.head_bias,
            seed=job.seed,
        )


def fit_lora(job: Job) -> Fitted:
    """Low-rank updates of the pretrained weights."""
    return _fit(job, _lora)


def fit_full(job: Job) -> Fitted:
    """All weights, from the pretrained checkpoint."""
    return _fit(job, lambda job: _all_learn(Network(_own(job, job.backbone(dtype="float32")), _products(job))))


def fit_scratch(job: Job) -> Fitted:
    """All weights, from the configuration's own random initialisation."""
    return _fit(job, _scratch)


def _lora(job: Job) -> Network:
    backbone = _own(job, job.backbone())
    base = {**origin_of(backbone, job.loading, job.seed), "quantise": job.config.quantise}
    if job.config.quantise is not None:
        quantise(backbone, job.config.quantise)
    with quiet_transformers():
        adapter = add_lora(backbone.model, backbone.name, job.config, job.seed)
    return Network(backbone, backbone.dtype, adapter, base)


def _scratch(job: Job) -> Network:
    backbone = job.backbone(random=True, dtype="float32")
    if isinstance(job.model, Backbone):
        model = random_model(backbone.model.config, torch.float32, job.seed).to(backbone.device).eval()
        backbone = with_model(backbone, model, f"random, seed {job.seed}")
    if job.config.tokenizer == "retrained":
        backbone = retokenised(backbone, retrained_tokenizer(backbone.tokenizer, job.texts(job.train.texts)), job.seed)
    return _all_learn(Network(backbone, _products(job), facts={"vocabulary": backbone.structure.n_embeddings}))


def _all_learn(network: Network) -> Network:
    network.backbone.model.requires_grad_(True)
    return network


def retrained_tokenizer(tokenizer: Any, texts: list[str]) -> Any:
    """A tokenizer of the same kind and at most the same size, trained on these texts.

    Raises:
        SettingError: it is one that only Python implements, which cannot be trained anew.
    """
    if not tokenizer.is_fast:
        raise SettingError("this backbone's tokenizer cannot be trained anew; choose tokenizer pretrained")
    return tokenizer.train_new_from_iterator(texts, vocab_size=len(tokenizer), show_progress=False)


def _own(job: Job, backbone: Backbone) -> Backbone:
    """A backbone that may be changed: one that the caller gave is copied."""
    if isinstance(job.model, Backbone):
        return with_model(backbone, copy.deepcopy(backbone.model), "copy")
    return backbone


def _products(job: Job) -> torch.dtype:
    """Number format of products; the weights that learn stay in float32."""
    dtype = resolve_dtype(job.dtype, resolve_device(job.loading.get("device") or "auto"))
    if dtype == torch.float16:
        raise SettingError("float16 underflows in training all weights; choose bfloat16 or float32")
    if dtype == torch.float64:
        raise SettingError("weights that all learn are kept in float32; choose float32 or bfloat16 instead of float64")
    return dtype


def _fit(job: Job, build: Callable[[Job], Network]) -> Fitted:
    config, network = job.config, build(job)
    backbone, classifier = network.backbone, network.classifier(job)
    predictor = _predictor(job, network, classifier)
    tokens = tokenise(backbone, job.texts(job.train.texts), max_length=config.max_length)
    width, usual = classifier.head.in_features, round(float(tokens.lengths.mean()))
    cost = count_training(backbone.model, classifier.head, width, backbone.device, length=usual)
    parameters = _counted(classifier, network)
    data = _data(job, network, predictor, tokens, cost.training)
    keep_freed_memory(backbone.device)
    compute = Compute(job.devices, backbone.device, network.dtype)
    learner = RouteLearner(classifier, data, config, seed=job.seed, compute=compute)
    resumed = _train(job, learner)
    if job.devices.sharded:  # put together in a network of its own, which one process alone can use
        weights = whole_state(classifier)
        network = build(job)
        classifier = network.classifier(job)
        predictor = _predictor(job, network, classifier)
        classifier.load_state_dict(weights)
    notes = _padding_notes(job, backbone, learner.position, packs=data.packer.packing)
    facts = {"packs": data.packer.packing, "products_in": data.identity["number format"], **network.facts}
    fitted = _fitted(predictor, parameters, learner.position, cost, tokens.lengths, facts)
    return replace(fitted, resumed_from_step=resumed, notes=notes)


def _data(job: Job, network: Network, predictor: TunedPredictor, tokens: Tokens, cost: StepCost) -> TrainingData:
    config, backbone = job.config, network.backbone
    packs = config.packing and packing.can_pack(backbone, tokens.ids, config.micro_batch or config.batch)
    return TrainingData(
        packing.Packer(backbone, tokens.ids, cost, packing=packs),
        job.train.labels,
        torch.from_numpy(job.class_weights()).float(),
        _evaluation(job.validation, predictor, config.metric),
        {
            "backbone": backbone.fingerprint,
            "texts": job.task.fingerprint,
            "PyTorch": torch.__version__,
            "number format": str(network.dtype).removeprefix("torch."),
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


def _padding_notes(job: Job, backbone: Backbone, position: RoutePosition, *, packs: bool) -> tuple[str, ...]:
    """What it cost that texts could not share rows as was asked for."""
    if packs or not job.config.packing:
        return ()
    computed = position.places / max(1, position.tokens)
    note = (
        f"{backbone.name} gives texts in one row other states than alone, so batches were padded: "
        f"{computed:.2f} tokens were computed for each of the texts'."
    )
    if backbone.structure.reads_padding:
        note = (
            f"The states of {backbone.name} depend on padding, so only texts of one length shared a pass, which makes "
            "many small passes."
        )
    return (note,)


def _predictor(job: Job, network: Network, classifier: TextClassifier) -> TunedPredictor:
    return TunedPredictor(
        classifier, network.backbone, job.config.max_length, job.config.prefix, network.dtype, network.adapter,
        network.base,
    )  # fmt: skip


def _counted(classifier: TextClassifier, network: Network) -> dict[str, int]:
    """What learns, and everything; weights packed in 4 bits hide how many they are, the loaded backbone knows."""
    learning = sum(weights.numel() for weights in trainable(classifier).values())
    return {
        "trainable": learning,
        "total": learning + (0 if network.adapter is None else network.backbone.n_parameters),
    }


def _evaluation(part: Split | None, predictor: TunedPredictor, metric: str) -> Any:
    if part is None:
        return None

    def value() -> float:
        return metric_value(metric, part.labels, softmax(predictor.scores(part.texts)))

    return value


def _fitted(
    predictor: TunedPredictor,
    parameters: dict[str, int],
    position: RoutePosition,
    cost: TrainingCost,
    lengths_N: np.ndarray,
    facts: dict[str, Any],
) -> Fitted:
    mean = float(lengths_N.mean())
    return Fitted(
        predictor=predictor,
        backbone=predictor.backbone,
        parameters=parameters,
        training={
            "losses": position.losses,
            "evaluations": position.evaluations,
            "best_step": position.best_step,
            "micro_batch": position.micro_batch,
            "halvings": position.halvings,
        },
        facts=facts,
        cost={
            "tokens": position.tokens,
            "padded_tokens": position.places,
            "train_flops": position.flops,
            "loop_seconds": position.seconds,
        },
        flops_per_text=mean * cost.forward.token + mean**2 * cost.forward.pair + cost.forward.text,
    )
