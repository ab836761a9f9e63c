"""Routes lora, full and scratch, and what contrastive shares: they differ in what learns, for what, and from where."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import torch

import tokenworth.adaptation.training.batch_packing as packing
from tokenworth.adaptation.forecast.training_flops import count_training
from tokenworth.adaptation.job import Fitted, Job, ReadTexts
from tokenworth.adaptation.predictor import origin, with_prefix
from tokenworth.adaptation.route_names import ROUTES
from tokenworth.adaptation.routes.lora import quantise
from tokenworth.adaptation.routes.tuned_predictor import TextClassifier, TunedPredictor, shortened, trainable
from tokenworth.adaptation.routes.tunings import KINDS
from tokenworth.adaptation.training.batch_cuts import StepCost
from tokenworth.adaptation.training.lora_products import join_products
from tokenworth.adaptation.training.route_training import RouteLearner, RoutePosition, TrainingData
from tokenworth.adaptation.tuning_settings import OWN_WEIGHTS
from tokenworth.backbones import Backbone, dtype_name, resolve_device, resolve_dtype
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.twins import random_model, retokenised, with_model
from tokenworth.base.machine import keep_freed_memory
from tokenworth.encode import Tokens
from tokenworth.errors import SettingError
from tokenworth.probes.label_set_metrics import value_of_scores
from tokenworth.training.checkpoints import Checkpoints
from tokenworth.training.devices import Compute, whole_state
from tokenworth.training.loop import Loop
from tokenworth.training.tracker import make_tracker

CURVES = ("weighted_f1", "log_loss")
"""Metrics of the validation part that a run keeps of every evaluation, whichever it is judged by."""


@dataclass(frozen=True, eq=False, slots=True)
class Network:
    """A backbone that may be changed, and what learns of it: an adapter, or all weights where there is none."""

    backbone: Backbone
    dtype: torch.dtype
    """Of products."""
    adapter: Any = None
    base: dict[str, Any] | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def tuning(self) -> str:
        """Of the adapter."""
        return (self.base or {}).get("tuning", "lora")

    def predictor(self, job: Job) -> TunedPredictor:
        """With the head of the protocol."""
        config = job.config
        classifier = TextClassifier(
            self.backbone,
            job.n_classes,
            pooling=config.head_pooling,
            dropout=config.dropout,
            bias=config.head_bias,
            seed=job.seed,
        )
        cut = (config.max_length, config.prefix)
        return TunedPredictor(classifier, self.backbone, *cut, self.dtype, self.adapter, self.base, config.read_of_long)


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
    return fit_network(job, _part_of_weights if job.config.tuning in OWN_WEIGHTS else _adapted)


def fit_full(job: Job) -> Fitted:
    """All weights, from the pretrained checkpoint."""
    return fit_network(job, all_weights)


def fit_scratch(job: Job) -> Fitted:
    """All weights, from the configuration's own random initialisation."""
    return fit_network(job, _scratch)


def all_weights(job: Job) -> Network:
    """The pretrained backbone, of which every weight learns."""
    backbone = _changeable(job, job.backbone(dtype="float32"))
    backbone.model.requires_grad_(True)
    return Network(backbone, _products(job))


def _part_of_weights(job: Job) -> Network:
    """As all weights, with those frozen that do not learn."""
    _refuse_sharding(job)
    network = all_weights(job)
    KINDS[job.config.tuning].attach(network.backbone.model, network.backbone.name, job.config, job.seed)
    return network


def _adapted(job: Job) -> Network:
    backbone, config = _changeable(job, job.backbone()), job.config
    base = {**origin(backbone, job.loading.get("tokenizer"), job.seed), "quantise": config.quantise}
    if config.quantise is not None:
        quantise(backbone, config.quantise)
    backbone = shortened(backbone, config.virtual_tokens if KINDS[config.tuning].lengthens else 0)
    with quiet_transformers():
        adapter = KINDS[config.tuning].attach(backbone.model, backbone.name, config, job.seed)
    if config.tuning != "lora":
        _refuse_sharding(job)
        base["tuning"] = config.tuning
    if not job.devices.sharded:  # FSDP asks for a map's weights as the map is called
        join_products(backbone)
    return Network(backbone, backbone.dtype, adapter, base)


def _refuse_sharding(job: Job) -> None:
    if job.devices.sharded:
        raise SettingError(
            f"shard spreads LoRA and all weights over processes, not tuning {job.config.tuning}; leave it out"
        )


def _scratch(job: Job) -> Network:
    backbone = job.backbone(random=True, dtype="float32")
    if isinstance(job.model, Backbone):
        model = random_model(backbone.model.config, torch.float32, job.seed).to(backbone.device).eval()
        backbone = with_model(backbone, model, f"random, seed {job.seed}")
    if job.config.tokenizer == "retrained":
        texts = with_prefix(job.train.texts, job.config.prefix)
        backbone = retokenised(backbone, retrained_tokenizer(backbone.tokenizer, texts), job.seed)
    backbone.model.requires_grad_(True)
    return Network(backbone, _products(job), facts={"vocabulary": backbone.structure.n_embeddings})


def retrained_tokenizer(tokenizer: Any, texts: list[str]) -> Any:
    """A tokenizer of the same kind and at most the same size, trained on these texts.

    Raises SettingError: it is one that only Python implements, which cannot be trained anew.
    """
    if not tokenizer.is_fast:
        raise SettingError("this backbone's tokenizer cannot be trained anew; choose tokenizer pretrained")
    return tokenizer.train_new_from_iterator(texts, vocab_size=len(tokenizer), show_progress=False)


def _changeable(job: Job, backbone: Backbone) -> Backbone:
    """The backbone; a copy of one that the caller gave."""
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
        cost=_spent(position),
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


def _spent(position: RoutePosition) -> dict[str, float]:
    return {
        "tokens": position.tokens,
        "padded_tokens": position.places,
        "train_flops": position.flops,
        "loop_seconds": position.seconds,
    }


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
