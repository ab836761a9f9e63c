"""The pretraining loop: one optimiser step after the other, stops safely, goes on exactly.

    sequences of the step -> loss -> gradient -> finite? -> clip -> AdamW -> log -> checkpoint for the trace?

What a step depends on is a function of its number, the seed, and the tensors in the checkpoint: a run that is killed
and started again gives the same losses, bit for bit on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.encode.forward_pass import is_out_of_memory
from tokenworth.errors import PretrainError
from tokenworth.pretraining.data.mixture import Mixture
from tokenworth.pretraining.emphasis import Chosen, Evenly
from tokenworth.pretraining.held_out_loss import HeldOut, evaluate
from tokenworth.pretraining.learning_rate_schedule import rate_at, trace_steps
from tokenworth.pretraining.metrics_log import Journal
from tokenworth.pretraining.next_token_objective import NextToken
from tokenworth.pretraining.pretraining_settings import TrainingConfig
from tokenworth.pretraining.published_models import publish
from tokenworth.training.checkpoints import Checkpoint, Checkpoints
from tokenworth.training.devices import Devices, spread_like, whole
from tokenworth.training.optimiser_state import read_state, set_rate, write_state
from tokenworth.training.tracker import Tracker

Progress = Callable[[str, int, int], None]
"""Called as progress(what, steps_done, steps)."""


@dataclass(slots=True)
class Position:
    """Where the loop stands; saved with every checkpoint."""

    step: int = 0
    micro_batch: int = 0
    halvings: int = 0
    seconds: float = 0.0
    """Of training steps alone."""


@dataclass(frozen=True, eq=False, slots=True)
class Material:
    """What the loop learns from, is measured on, and saves beside the weights."""

    mixture: Mixture
    held_out: Mapping[str, HeldOut]
    tokenizer: Any


class Pretraining:
    """One run of the loop, in RUN/checkpoints, RUN/state and RUN/metrics.jsonl."""

    def __init__(
        self,
        model: Any,
        material: Material,
        config: TrainingConfig,
        *,
        folder: Path,
        devices: Devices,
        device: torch.device,
        dtype: torch.dtype,
        tracker: Tracker,
        identity: str,
        emphasis: Evenly | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.material, self.config, self.folder = material, config, folder
        self.devices, self.device, self.dtype = devices, device, dtype
        self.tracker, self.identity, self.progress = tracker, identity, progress
        self.emphasis = emphasis or Evenly()
        if config.activation_checkpointing:
            _checkpoint_activations(model)
        balance = float(getattr(model.config, "router_aux_loss_coef", 0.0) or 0.0)
        self.objective = NextToken(model.to(device), cross_documents=config.cross_documents, balance=balance)
        self.whole_model = model
        self.called = devices.prepare(self.objective)
        if config.compile:
            self.called = torch.compile(self.called)  # type: ignore[assignment]
        self.parameters = dict(model.named_parameters())
        self.optimiser = _adamw(self.parameters, config)
        self.checkpoints = Checkpoints(folder / "state", PretrainError)
        self.journal = Journal(folder / "metrics.jsonl", writes=devices.processes.is_main)
        self.position = Position(micro_batch=config.micro_batch or config.batch)
        self.looked_at = frozenset(trace_steps(config))

    def run(self) -> int:
        """Train to the last step; returns the step it went on from.

        Raises:
            PretrainError: a loss or gradient that is no finite number, or a checkpoint that cannot be written.
        """
        resumed = self._resume()
        self.called.train()
        if resumed == 0:
            self._look()
        kept_at = perf_counter()
        while self.position.step < self.config.steps:
            began = perf_counter()
            self._step()
            self.position.seconds += perf_counter() - began
            if self.position.step in self.looked_at:
                self._look()
            if self._due(perf_counter() - kept_at):
                self._keep()
                kept_at = perf_counter()
        self._keep()
        return resumed

    # -- one step -------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        """One optimiser step; nothing is changed if it fails."""
        position, config = self.position, self.config
        began = perf_counter()
        chosen = self.material.mixture.step(position.step)
        loss = self._gradient(chosen)
        norm = self.devices.clip(self.parameters.values(), config.clip_norm)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise PretrainError(self._not_finite(chosen, loss, norm))
        rate = rate_at(position.step, config)
        set_rate(self.optimiser, rate)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        position.step += 1
        emphasis = self.emphasis.accept()
        row = {"loss": loss, "learning_rate": rate, "gradient_norm": norm}
        self.tracker.log(row, position.step)
        seconds = perf_counter() - began
        self.journal.add(
            {"step": position.step, "tokens": self.tokens, **row, **emphasis, "seconds": round(seconds, 4)}
        )
        if self.progress:
            self.progress("pretrain", position.step, config.steps)

    def _gradient(self, chosen: Chosen) -> float:
        """Gradient of the mean loss of a step, in as many passes as memory asks for; returns the loss in nats."""
        processes = self.devices.processes
        own = chosen if self.config.ring else chosen[processes.rank :: processes.size]
        while True:
            try:
                self.emphasis.weigh(own, self.token_nats, processes.add_up)
                summed = self._passes(own)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(len(own), error)
        processes.add_up(summed)
        return summed.item()

    def _passes(self, own: Chosen) -> Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        size = self.position.micro_batch
        parts = [own[i : i + size] for i in range(0, len(own), size)]
        summed = torch.zeros(1, dtype=torch.float64)
        for place, part in enumerate(parts):
            with self.devices.without_sync(self.called, last=place == len(parts) - 1):
                inputs, scale_B = self._inputs(part), self.emphasis.scale(part)
                with self._autocast():
                    nats, balance = self.called(*inputs, None if scale_B is None else scale_B.to(self.device))
                mean = nats / self.config.step_tokens
                self.devices.backward(mean + balance * (len(part) / self.config.batch))
                summed += mean.detach().double().cpu()
        return summed

    def _inputs(self, part: Chosen) -> list[Tensor]:
        sequences = self.material.mixture.read(part)
        return [x.to(self.device) for x in (sequences.ids_BT, sequences.targets_BT, sequences.documents_BT)]

    def token_nats(self, chosen: Chosen, objective: NextToken | None = None) -> Tensor:
        """-log p of every token of sequences, (B, T) nats on the CPU, of the model in training or of another one."""
        size = self.position.micro_batch
        with self._autocast():
            found = [
                (objective or self.objective).token_nats(*self._inputs(chosen[i : i + size])).cpu()
                for i in range(0, len(chosen), size)
            ]
        return torch.cat(found)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def _halve(self, n_own: int, error: Exception) -> None:
        size = min(self.position.micro_batch, n_own)
        if size <= 1 or self.devices.wrapped:
            raise PretrainError(
                f"{self.device} has no memory for {size} sequence(s) of {self.config.context} tokens; shorten the "
                "context, set micro_batch lower, or turn activation_checkpointing on"
            ) from error
        self.position.micro_batch = (size + 1) // 2
        self.position.halvings += 1

    def _not_finite(self, chosen: Chosen, loss: float, norm: float) -> str:
        names = self.material.mixture.names
        rows = ", ".join(f"{names[source]} {place}" for source, place in chosen[:8])
        return (
            f"step {self.position.step + 1}: the loss is {loss} and the norm of the gradient {norm} on the sequences "
            f"{rows}{', ...' * (len(chosen) > 8)}; nothing was updated. Lower lr (now {self.config.lr:g}), or choose "
            "dtype float32"
        )

    # -- checkpoints ----------------------------------------------------------------------------------------------

    @property
    def tokens(self) -> int:
        """Learnt from so far."""
        return self.position.step * self.config.step_tokens

    def _look(self) -> None:
        """Measure on held-out documents, and keep a checkpoint for the trace."""
        self.called.eval()
        found = {name: self._evaluated(held) for name, held in self.material.held_out.items()}
        self.called.train()
        self.journal.add({"step": self.position.step, "tokens": self.tokens, "held_out": found})
        self.tracker.log(
            {f"bits_per_byte/{name}": one["bits_per_byte"] for name, one in found.items()}, self.position.step
        )
        place = self.folder / "checkpoints" / f"tokens-{self.tokens}"
        weights = self.whole_weights()
        with self.devices.processes.together():
            if self.devices.processes.is_main:
                publish(self.whole_model, weights, self.material.tokenizer, place)

    def _evaluated(self, held: HeldOut) -> dict[str, float]:
        batch = max(1, min(self.position.micro_batch, 2048 // self.config.context or 1))
        with self._autocast():
            return evaluate(self.called, held, batch, self.device, self.devices.processes, ring=self.config.ring)

    def whole_weights(self) -> dict[str, Tensor]:
        """All weights, those that are spread put together; all processes must ask."""
        return {name: whole(value.detach()).cpu() for name, value in self.whole_model.state_dict().items()}

    def _due(self, seconds: float) -> bool:
        """The main process's clock decides for all: every one of them must take part."""
        due = self.position.step < self.config.steps and seconds >= self.config.checkpoint_seconds
        told = torch.tensor(int(due))
        self.devices.processes.from_main(told)
        return bool(told)

    def _keep(self) -> None:
        tensors, numbers = read_state(self.optimiser, self.parameters)
        weights = {name: whole(value.detach()) for name, value in self.parameters.items()}
        state = {"position": asdict(self.position), "optimiser": numbers, "identity": self.identity}
        state["emphasis"] = self.emphasis.state()
        with self.devices.processes.together():
            if self.devices.processes.is_main:
                self.checkpoints.save(Checkpoint(self.position.step, weights, tensors, state))

    def _resume(self) -> int:
        found = self.checkpoints.newest()
        if found is None:
            self.journal.begin(0)
            return 0
        if found.state["identity"] != self.identity:
            raise PretrainError(
                f"the checkpoints in {self.folder / 'state'} belong to a run with other settings or other tokens; name "
                "another folder with --out, or remove this one"
            )
        self.position = Position(**found.state["position"])
        with torch.no_grad():
            for name, value in found.weights.items():
                self.parameters[name].copy_(spread_like(value, self.parameters[name]))
        write_state(self.optimiser, self.parameters, found.optimiser, found.state["optimiser"])
        self.emphasis.restore(found.state.get("emphasis", {}))
        self.journal.begin(found.step)
        return found.step


def _adamw(parameters: dict[str, nn.Parameter], config: TrainingConfig) -> torch.optim.AdamW:
    """Weight decay on matrices; gains, biases and norms are left alone."""
    values = parameters.values()
    groups = [
        {"params": [p for p in values if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in values if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)


def _checkpoint_activations(model: Any) -> None:
    """Under the name the installed transformers has for it."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable()
