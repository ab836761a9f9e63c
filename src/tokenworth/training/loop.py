"""One training loop for routes and for pretraining: stops safely, goes on exactly.

    rows of a step -> passes -> gradient -> finite? -> clip -> optimiser -> log -> watch -> checkpoint

What a step depends on is a function of its number, the seed and the tensors in the checkpoint: a run that is killed and
started again gives the same losses, bit for bit on a CPU.  What is trained, and on what, is a `Learner`.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from time import perf_counter

import torch

from tokenworth.base.aliases import Progress
from tokenworth.base.float32_products import float32_products
from tokenworth.base.machine import is_out_of_memory
from tokenworth.training.checkpoints import (
    Checkpoint,
    Checkpoints,
    read_state,
    read_weights,
    set_rate,
    write_state,
    write_weights,
)
from tokenworth.training.learner import Learner, Rows
from tokenworth.training.tracker import Tracker


class Loop:
    """One run of a learner."""

    def __init__(
        self, learner: Learner, checkpoints: Checkpoints, tracker: Tracker, progress: Progress | None = None
    ) -> None:
        self.learner, self.config, self.compute = learner, learner.config, learner.compute
        self.checkpoints, self.tracker, self.progress = checkpoints, tracker, progress

    def run(self) -> int:
        """Train until the learner is done; returns the step it went on from.  Global random state is left as it was.

        Raises:
            TokenworthError: the learner's failure: a loss or gradient that is no finite number, a pass that does not
                fit into memory, or a checkpoint that cannot be written.
        """
        learner, device = self.learner, self.compute.device
        resumed = self._resume()
        learner.model.train()
        if resumed == 0:
            self._watch()
        kept_at = perf_counter()
        kept_state = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
        with kept_state, float32_products():
            while not learner.is_done:
                began = perf_counter()
                self._step()
                learner.position.seconds += perf_counter() - began
                self._watch()
                if self._due(perf_counter() - kept_at):
                    self.keep()
                    kept_at = perf_counter()
        return resumed

    def _step(self) -> None:
        """One optimiser step; nothing is changed if it fails."""
        learner, position, began = self.learner, self.learner.position, perf_counter()
        rows = learner.rows(position.step)
        loss = self._gradient(rows)
        norm = self.compute.devices.clip(learner.parameters.values(), self.config.clip_norm)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise learner.diverged(
                f"step {position.step + 1}: the loss is {loss} and the norm of the gradient {norm} on "
                f"{learner.named(rows)}; nothing was updated. Lower lr (now {self.config.lr:g}), {learner.remedy}"
            )
        rate = learner.rate(position.step)
        set_rate(learner.optimiser, rate)
        learner.optimiser.step()
        learner.optimiser.zero_grad(set_to_none=True)
        position.step += 1
        figures = {"loss": loss, "learning_rate": rate, "gradient_norm": norm}
        self.tracker.log(figures, position.step)
        learner.accept(figures, perf_counter() - began)
        if self.progress:
            self.progress(learner.what, position.step, self.config.steps)

    def _gradient(self, rows: Rows) -> float:
        """Gradient of a step's mean loss, in as many passes as memory asks for; returns the loss over all processes."""
        local = self.learner.local_rows(rows)
        while True:
            try:
                self.learner.prepare(rows, local)
                loss = torch.tensor(self._passes(local), dtype=torch.float64)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    if sentence := self.learner.explain(error):
                        raise self.learner.failure(sentence) from error
                    raise
                self._halve(len(local), error)
        self.compute.processes.add_up(loss)
        return loss.item()

    def _passes(self, local: Rows) -> float:
        """Forward and backward over this process's rows; gradients travel with the last pass."""
        learner, devices = self.learner, self.compute.devices
        learner.optimiser.zero_grad(set_to_none=True)
        groups, loss = learner.groups(local), 0.0
        for place, group in enumerate(groups):
            with devices.without_sync(learner.model, last=place == len(groups) - 1):
                minimised, reported = learner.loss(group)
                devices.backward(minimised)
                loss += reported.item()
        return loss

    def _halve(self, rows: int, error: Exception) -> None:
        position = self.learner.position
        size = min(position.micro_batch, rows)
        if size <= 1 or self.compute.devices.wrapped:
            sentence = f"{self.compute.device} has no memory for {self.learner.no_memory(size)}"
            raise self.learner.failure(sentence) from error
        position.micro_batch = (size + 1) // 2
        position.halvings += 1

    def _watch(self) -> None:
        if figures := self.learner.watch():
            self.tracker.log(figures, self.learner.position.step)

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def _due(self, seconds: float) -> bool:
        """The main process's clock decides for all: every one of them must take part."""
        due = torch.tensor(int(not self.learner.is_done and seconds >= self.config.checkpoint_seconds))
        self.compute.processes.from_main(due)
        return bool(due)

    def keep(self) -> None:
        """Write a checkpoint; all processes must ask."""
        if self.checkpoints.folder is None:
            return
        learner = self.learner
        tensors, numbers = read_state(learner.optimiser, learner.parameters)
        weights = read_weights(learner.parameters) | learner.tensors()
        state = {"position": asdict(learner.position), "optimiser": numbers, "identity": learner.identity}
        with self.compute.processes.together():
            if self.compute.processes.is_main:
                kept = Checkpoint(learner.position.step, weights, tensors, state | learner.state())
                self.checkpoints.save(kept)

    def _resume(self) -> int:
        """Put everything back that the newest checkpoint holds; returns its step."""
        kept, learner = self.checkpoints.newest(), self.learner
        if kept is None:
            learner.begin({}, {})
            return 0
        if difference := learner.difference(kept.state["identity"]):
            where = f"the checkpoints in {self.checkpoints.folder} {difference}"
            raise learner.other_run(f"{where}; name another folder with --out, or remove this one")
        position = kept.state.get("position") or kept.state["running"]  # as routes called it in earlier versions
        learner.position = type(learner.position)(**position)
        others = {name: kept.weights.pop(name) for name in [*kept.weights] if name not in learner.parameters}
        write_weights(learner.parameters, kept.weights)
        write_state(learner.optimiser, learner.parameters, kept.optimiser, kept.state["optimiser"])
        learner.begin(kept.state, others)
        return kept.step
