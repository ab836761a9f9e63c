"""What pretraining brings to the training loop: sequences of a mixture, next-token loss, held-out documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.errors import PretrainError
from tokenworth.pretraining.data.token_shards import tokenizer_fingerprint
from tokenworth.pretraining.data.training_data import Material
from tokenworth.pretraining.group_dro import Chosen, GroupDRO
from tokenworth.pretraining.held_out_loss import evaluate
from tokenworth.pretraining.learning_rate_schedule import rate_at, trace_steps
from tokenworth.pretraining.metrics_log import Journal
from tokenworth.pretraining.next_token_objective import NextToken
from tokenworth.pretraining.pretraining_settings import TrainingConfig
from tokenworth.pretraining.published_models import publish
from tokenworth.training.devices import Compute, whole_state
from tokenworth.training.learner import Learner, Position

_EVALUATED_TOKENS = 2048
"""Of a pass over held-out documents."""


class NextTokenLearner(Learner):
    """A decoder that learns from a mixture of sources; a row is the (source, place) of a sequence.

    It writes RUN/metrics.jsonl, and RUN/checkpoints for the trace.
    """

    what, failure, other_run = "pretrain", PretrainError, PretrainError
    remedy = "or choose dtype float32"

    def __init__(
        self, decoder: Any, material: Material, config: TrainingConfig, compute: Compute, emphasis: GroupDRO | None
    ) -> None:
        self.decoder, self.material, self.config = decoder, material, config
        self.compute, self.emphasis = compute, emphasis
        shards = {name: asdict(packed) for name, packed in material.packed.items()}
        self.identity = json.dumps([tokenizer_fingerprint(material.tokenizer), shards])
        if config.activation_checkpointing:  # under the name the installed transformers has for it
            enable = getattr(decoder, "activation_checkpointing_enable", None) or decoder.gradient_checkpointing_enable
            enable()
        balance = float(getattr(decoder.config, "router_aux_loss_coef", 0.0) or 0.0)
        self.objective = NextToken(decoder.to(compute.device), cross_documents=config.cross_documents, balance=balance)
        self.model = compute.devices.prepare(self.objective)
        if config.compile:
            self.model = torch.compile(self.model)  # type: ignore[assignment]
        self.parameters = dict(decoder.named_parameters())
        self.optimiser = _adamw(self.parameters, config)
        self.position = Position(micro_batch=config.micro_batch or config.batch)
        self.journal = Journal(material.folder / "metrics.jsonl", writes=compute.processes.is_main)
        self.trace_steps = frozenset(trace_steps(config))

    @property
    def tokens(self) -> int:
        """Learnt from so far."""
        return self.position.step * self.config.step_tokens

    def rows(self, step: int) -> Chosen:
        """Sequences of a step, as the mixture draws them."""
        return self.material.mixture.step(step)

    def local_rows(self, rows: Chosen) -> Chosen:
        """In a ring every process reads its part of each sequence."""
        return rows if self.config.ring else super().local_rows(rows)

    def prepare(self, rows: Chosen, local: Chosen) -> None:  # noqa: ARG002
        """Where sources are emphasised: ask how much each sequence counts."""
        if self.emphasis is not None:
            self.emphasis.weigh(local, self.token_nats, self.compute.processes.add_up)

    def groups(self, local: Chosen) -> list[Chosen]:
        """In the order they are drawn in."""
        size = self.position.micro_batch
        return [local[begin : begin + size] for begin in range(0, len(local), size)]

    def loss(self, group: Chosen) -> tuple[Tensor, Tensor]:
        """Nats a token of the step, with the balance of experts and without."""
        inputs = self._inputs(group)
        scale_B = None if self.emphasis is None else self.emphasis.scale(group).to(self.compute.device)
        with self.compute.autocast():
            nats, balance = self.model(*inputs, scale_B)
        mean = nats / self.config.step_tokens
        return mean + balance * (len(group) / self.config.batch), mean.detach()

    def token_nats(self, chosen: Chosen, objective: NextToken | None = None) -> Tensor:
        """-log p of every token of sequences, (B, T) nats on the CPU, of the model in training or of another one."""
        with self.compute.autocast():
            token_nats = (objective or self.objective).token_nats
            return torch.cat([token_nats(*self._inputs(part)).cpu() for part in self.groups(chosen)])

    def _inputs(self, chosen: Chosen) -> list[Tensor]:
        return [tensor.to(self.compute.device) for tensor in self.material.mixture.read(chosen)]

    def rate(self, step: int) -> float:
        """By the schedule of the settings."""
        return rate_at(step, self.config)

    def accept(self, figures: Mapping[str, float], seconds: float) -> None:
        """A line of the journal."""
        weights = {} if self.emphasis is None else self.emphasis.accept()
        row = {"step": self.position.step, "tokens": self.tokens, **figures, **weights, "seconds": round(seconds, 4)}
        self.journal.add(row)

    def watch(self) -> dict[str, float]:
        """At the steps of the trace: measure on held-out documents, and publish the model."""
        if self.position.step not in self.trace_steps:
            return {}
        batch = max(1, min(self.position.micro_batch, _EVALUATED_TOKENS // self.config.context or 1))
        device, processes, ring = self.compute.device, self.compute.processes, self.config.ring
        self.model.eval()
        with self.compute.autocast():
            held_out = {
                name: evaluate(self.model, held, batch, device, processes, ring=ring)
                for name, held in self.material.held_out.items()
            }
        self.model.train()
        self.journal.add({"step": self.position.step, "tokens": self.tokens, "held_out": held_out})
        weights, place = whole_state(self.decoder), self.material.folder / "checkpoints" / f"tokens-{self.tokens}"
        with self.compute.processes.together():
            if self.compute.processes.is_main:
                publish(self.decoder, weights, self.material.tokenizer, place)
        return {f"bits_per_byte/{name}": figures["bits_per_byte"] for name, figures in held_out.items()}

    def state(self) -> dict[str, Any]:
        """Weights of the sources."""
        return {"emphasis": {} if self.emphasis is None else self.emphasis.state()}

    def begin(self, state: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:  # noqa: ARG002
        """Cut the journal back to the position; go on with the emphasis of a checkpoint."""
        if state and self.emphasis is not None:
            self.emphasis.restore(state["emphasis"])
        self.journal.begin(self.position.step)

    def difference(self, kept: Any) -> str:
        """Other tokens, or another tokenizer."""
        return "" if kept == self.identity else "belong to a run with other settings or other tokens"

    def no_memory(self, size: int) -> str:
        """What can be done about a sequence that does not fit."""
        return (
            f"{size} sequence(s) of {self.config.context} tokens; shorten the context, set micro_batch lower, or turn "
            "activation_checkpointing on"
        )

    def named(self, rows: Chosen) -> str:
        """The first of the sequences."""
        names = self.material.mixture.names
        listed = ", ".join(f"{names[source]} {place}" for source, place in rows[:8])
        return f"the sequences {listed}{', ...' * (len(rows) > 8)}"


def _adamw(parameters: dict[str, nn.Parameter], config: TrainingConfig) -> torch.optim.AdamW:
    """Weight decay on matrices; gains, biases and norms are left alone."""
    values = parameters.values()
    groups = [
        {"params": [p for p in values if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in values if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)
