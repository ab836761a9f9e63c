"""The training loop of lora, full and scratch: stops safely, goes on exactly.

    rows -> batch (packed or padded) -> loss / weight of the batch -> gradient -> finite? -> clip -> Adafactor -> next

Everything a step depends on is a function of its number, the seed and the tensors in the checkpoint: order of texts,
learning rate, dropout.  A run that is killed and started again therefore gives the same losses, bit for bit on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from time import perf_counter
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.adaptation.routes.text_classifier import TextClassifier, trainable
from tokenworth.adaptation.training.adafactor import make_optimiser
from tokenworth.adaptation.training.batch_cuts import Group
from tokenworth.adaptation.training.text_order import Order, learning_rate
from tokenworth.adaptation.training.training_state import Outcome, Running, TrainingData
from tokenworth.base.run_record import OtherRunError
from tokenworth.encode.forward_pass import is_out_of_memory
from tokenworth.errors import AdaptError, first_line
from tokenworth.probes.probability_metrics import is_better
from tokenworth.training.checkpoints import Checkpoint, Checkpoints
from tokenworth.training.devices import Devices, spread_like, whole
from tokenworth.training.optimiser_state import read_state, set_rate, write_state
from tokenworth.training.tracker import Tracker

Progress = Callable[[str, int, int], None]
"""Called as progress(what, steps_done, steps)."""


class Training:
    """One run of the loop."""

    def __init__(
        self,
        classifier: TextClassifier,
        data: TrainingData,
        config: AdaptConfig,
        *,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
        devices: Devices,
        checkpoints: Checkpoints,
        tracker: Tracker,
        identity: Mapping[str, str] = MappingProxyType({}),
        progress: Progress | None = None,
    ) -> None:
        self.identity = dict(identity)
        self.classifier, self.data, self.config, self.seed = classifier, data, config, seed
        self.device, self.dtype, self.devices = device, dtype, devices
        self.checkpoints, self.tracker, self.progress = checkpoints, tracker, progress
        self.order = Order(len(data.labels_N), config.batch, seed)
        self.labels_N = torch.from_numpy(data.labels_N).to(device)
        self.weights_C = data.class_weight_C.to(device)
        self.model = devices.prepare(classifier)
        if devices.sharded:
            data.packer.in_one_pass()
        self.parameters = trainable(classifier)
        self.optimiser = make_optimiser(self.parameters, config)
        self.running = Running(micro_batch=config.micro_batch or config.batch)
        self.best: dict[str, Tensor] = {}

    def run(self) -> Outcome:
        """Train to the last step and leave the weights in the classifier.

        Raises:
            AdaptError: a loss or gradient that is no finite number, or a checkpoint that cannot be written.
        """
        resumed = self._resume()
        self.classifier.train()
        kept_at = perf_counter()
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            while self.running.step < self.config.steps:
                start = perf_counter()
                self._step()
                self.running.seconds += perf_counter() - start
                self._evaluate_if_due()
                if self._due(perf_counter() - kept_at):
                    self._keep()
                    kept_at = perf_counter()
        if self.config.selection == "best" and self.best:
            self._put(self.best)
        self.classifier.eval()
        self._add_up_counts()
        return Outcome(self.running, resumed)

    def whole_weights(self) -> dict[str, Tensor]:
        """All parameters and buffers, those that are spread put together; all processes must ask."""
        return {name: whole(value.detach()).cpu() for name, value in self.classifier.state_dict().items()}

    def _add_up_counts(self) -> None:
        """Every process counted its own texts."""
        counts = torch.tensor([self.running.tokens, self.running.places, self.running.flops], dtype=torch.float64)
        self.devices.processes.add_up(counts)
        self.running.tokens, self.running.places = int(counts[0]), int(counts[1])
        self.running.flops = float(counts[2])

    # -- one step -------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        """One optimiser step on one batch; nothing is changed if it fails."""
        running, config = self.running, self.config
        rows = self.order.rows(running.step)
        loss = self._gradient(rows)
        norm = self.devices.clip(self.parameters.values(), config.clip_norm)
        loss = self._of_all(loss)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise AdaptError(self._not_finite(rows, loss, norm))
        rate = learning_rate(running.step, config.steps, config.lr, config.warmup_share)
        set_rate(self.optimiser, rate)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        running.step += 1
        running.losses.append(loss)
        self.tracker.log({"loss": loss, "gradient_norm": norm, "learning_rate": rate}, running.step)
        if self.progress:
            self.progress("train", running.step, config.steps)

    def _gradient(self, rows: np.ndarray) -> float:
        """Gradient of the batch's mean loss, in as many passes as memory asks for; returns this process's share."""
        processes = self.devices.processes
        own = rows[processes.rank :: processes.size]
        total = float(self.weights_C[self.labels_N[torch.from_numpy(rows)]].sum())
        while True:
            try:
                return self._passes(own, total)
            except (RuntimeError, MemoryError) as error:  # noqa: PERF203 - memory is rarely short
                if not is_out_of_memory(error):
                    self._check_format(error)
                    raise
                self._halve(len(own), error)

    def _passes(self, own: np.ndarray, total: float) -> float:
        """Forward and backward over the own texts; every pass adds its share of the batch's mean."""
        self.optimiser.zero_grad(set_to_none=True)
        # Dropout depends on seed, step and process alone, not on what came before.
        torch.manual_seed(self._step_seed())
        groups = self.data.packer.plan(own, self.running.micro_batch)
        # A process without a text of its own takes part in the exchange of gradients with weight 0.
        idle = [Group(np.array([0]), packed=False)] if not groups else []
        loss, counted = 0.0, [0, 0, 0.0]
        for place, group in enumerate(groups or idle):
            with self.devices.without_sync(self.model, last=place >= len(groups) - 1):
                loss += self._pass(group, 0.0 if idle else 1 / total, counted)
        self.running.tokens += int(counted[0])
        self.running.places += int(counted[1])
        self.running.flops += counted[2]
        return loss

    def _pass(self, group: Group, weight: float, counted: list[float]) -> float:
        """One forward and backward pass."""
        batch = self.data.packer.batch(group)
        with self._autocast():
            logits_BC = self.model(batch)
        targets_B = self.labels_N[torch.from_numpy(group.rows).to(self.device)]
        loss: Tensor = weight * cross_entropy(logits_BC, targets_B, weight=self.weights_C, reduction="sum")
        self.devices.backward(loss)
        if weight:
            counted[0] += batch.tokens
            counted[1] += batch.places
            counted[2] += self.data.packer.flops(group)
        return loss.item()

    def _autocast(self) -> AbstractContextManager[Any]:
        """Products in a narrower format than the weights that learn."""
        learning = next(iter(self.parameters.values())).dtype
        if self.dtype in {torch.float32, torch.float64} or learning == self.dtype:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def _check_format(self, error: Exception) -> None:
        """Some models write out numbers that a narrow format does not have."""
        narrow = str(self.dtype).removeprefix("torch.")
        if narrow in {"bfloat16", "float16"} and any(name in str(error) for name in ("BFloat16", "Half", "dtype")):
            raise AdaptError(
                f"{type(self.classifier.model).__name__} cannot be trained in {narrow} ({first_line(error)}); choose "
                "dtype float32"
            ) from error

    def _halve(self, n_own: int, error: Exception) -> None:
        size = min(self.running.micro_batch, n_own)
        if size <= 1 or self.devices.wrapped:
            raise AdaptError(
                f"{self.device} has no memory for {size} text(s) of step {self.running.step + 1}; cut texts with "
                "--max-length, set micro_batch lower, or choose dtype bfloat16"
            ) from error
        self.running.micro_batch = (size + 1) // 2
        self.running.halvings += 1

    def _step_seed(self) -> int:
        processes = self.devices.processes
        words = np.random.SeedSequence([self.seed, self.running.step, processes.rank]).generate_state(1, np.uint64)
        return int(words[0] >> 1)

    def _of_all(self, loss: float) -> float:
        summed = torch.tensor(loss, dtype=torch.float64)
        self.devices.processes.add_up(summed)
        return summed.item()

    def _not_finite(self, rows: np.ndarray, loss: float, norm: float) -> str:
        return (
            f"step {self.running.step + 1}: the loss is {loss} and the norm of the gradient {norm} on the batch of "
            f"training texts {', '.join(map(str, rows.tolist()))}; nothing was updated. Lower lr (now "
            f"{self.config.lr:g}), choose dtype float32, or look at these texts"
        )

    # -- validation, checkpoints ----------------------------------------------------------------------------------

    def _evaluate_if_due(self) -> None:
        running, config = self.running, self.config
        if self.data.evaluate is None or config.selection != "best":
            return
        every = config.eval_steps or max(1, config.steps // 10)
        if running.step % every and running.step != config.steps:
            return
        value = self.data.evaluate()
        self.classifier.train()
        running.evaluations.append({"step": running.step, config.metric: value})
        self.tracker.log({f"validation_{config.metric}": value}, running.step)
        if is_better(config.metric, value, running.best):
            running.best, running.best_step, self.best = value, running.step, self._weights()

    def _due(self, seconds: float) -> bool:
        """The main process's clock decides for all: every one of them must take part."""
        processes = self.devices.processes
        due = self.running.step < self.config.steps and seconds >= self.config.checkpoint_seconds
        if processes.size == 1:
            return due
        told = torch.tensor(int(due))
        processes.from_main(told)
        return bool(told)

    def _keep(self) -> None:
        if self.checkpoints.folder is None:
            return
        tensors, numbers = read_state(self.optimiser, self.parameters)
        weights = self._weights() | {f"best|{name}": value for name, value in self.best.items()}
        state = {"running": asdict(self.running), "optimiser": numbers, "identity": self.identity}
        with self.devices.processes.together():
            if self.devices.processes.is_main:
                self.checkpoints.save(Checkpoint(self.running.step, weights, tensors, state))

    def _resume(self) -> int:
        found = self.checkpoints.newest()
        if found is None:
            return 0
        kept = found.state["identity"]
        before = kept if isinstance(kept, dict) else {}  # a text in checkpoints of earlier versions
        if changed := [name for name, value in self.identity.items() if before.get(name) != value]:
            raise OtherRunError(
                f"the checkpoints in {self.checkpoints.folder} were made with another {', another '.join(changed)}; "
                "name another folder with --out, or remove this one"
            )
        self.running = Running(**found.state["running"])
        own = {name: value for name, value in found.weights.items() if not name.startswith("best|")}
        self.best = {name.removeprefix("best|"): v for name, v in found.weights.items() if name not in own}
        self._put(own)
        write_state(self.optimiser, self.parameters, found.optimiser, found.state["optimiser"])
        return found.step

    def _weights(self) -> dict[str, Tensor]:
        return {name: whole(weights.detach()).clone() for name, weights in self.parameters.items()}

    def _put(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in weights.items():
                self.parameters[name].copy_(spread_like(value, self.parameters[name]))
