"""The pass of one process: its share of the batches, one group of layers after the other, checkpoints between batches.

Axes: B texts of a batch, T tokens, D width.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenworth.backbones import Backbone
from tokenworth.base.aliases import Progress
from tokenworth.base.processes import Processes
from tokenworth.base.progress import StageClock
from tokenworth.encode import Queue, Schedule, encode, normalised, pool
from tokenworth.encode.layer_hooks import Consume
from tokenworth.errors import EncodeError
from tokenworth.features.feature_shard import Due, Position, Shard, keeping
from tokenworth.features.massive_activations import facts_of, together
from tokenworth.features.stored_pass import RMS_MEAN, context_path
from tokenworth.features.text_set import TextSet
from tokenworth.scores import ContextMoments
from tokenworth.scores.context_batch import Places

_SUMS = ("tokens", "padded_tokens", "batches", "halvings")  # counts that add up over processes
_STAGES = ("pooling_seconds", "moments_seconds", "checkpoint_seconds")
_SECONDS = ("seconds", "forward_seconds", *_STAGES)
"""Of these the slowest process's counts.  An accelerator works on after a stage has ended: read them together."""
_log = logging.getLogger("tokenworth")


class Counts(StageClock):
    """What a pass has cost so far, over all its sessions; goes into checkpoints."""

    def __init__(self, before: dict[str, float]) -> None:
        super().__init__()
        self.before, self.sums = before, dict.fromkeys(_SUMS, 0.0)

    def totals(self) -> dict[str, float]:
        """This session's counts and those before it."""
        clock = self.seconds()
        stages = {name: clock.get(name, 0.0) for name in _STAGES}
        seconds = {"seconds": clock["total"], "forward_seconds": clock["total"] - sum(stages.values()), **stages}
        return {name: self.before.get(name, 0.0) + count for name, count in (self.sums | seconds).items()}


class Pass:
    """One process's part in making an entry of the store.

    Args:
        plan: what `tokenworth.features.gather` wrote down: groups of layers, poolings, batch_tokens, shards, prefix.
        folder: where the entry grows.
        every_seconds: between checkpoints.
    """

    def __init__(
        self,
        backbone: Backbone,
        texts: TextSet,
        plan: dict[str, Any],
        folder: Path,
        *,
        processes: Processes,
        every_seconds: float,
        progress: Progress | None = None,
    ) -> None:
        self.backbone, self.texts, self.plan, self.folder = backbone, texts, plan, folder
        self.processes, self.progress, self.due = processes, progress, Due(every_seconds)
        self.groups: list[tuple[int, ...]] = [tuple(group) for group in plan["groups"]]
        place = folder / plan["shards"][processes.rank]
        rows_R = np.sort(self._queue().rows())
        self.shard = Shard.begin(place, rows_R, plan["layers"], plan["poolings"], backbone.width)
        self.position, self.restored, self.largest_L8 = self._restore()

    def run(self) -> dict[str, Any]:
        """All groups of layers; the main process leaves the sums of all processes in the folder.

        Returns:
            Facts of the pass, over all sessions and processes.
        """
        before = self.position.counts.get("tokens", 0.0)
        self._say()
        first = self.processes.most(self.position.group)
        if first > 0:
            self.shard.mark_done(np.empty(0, dtype=np.int64))
        for group in range(first, len(self.groups)):
            if group > self.position.group:  # another process wrote its last checkpoint later than this one
                self.position, self.restored = Position(group, None, self.position.counts), {}
            with self._failing_together():
                context = self._encode(group)
            with self._failing_together():
                self._add_up(context)
            self.processes.wait()  # until the sums are on the disk: a checkpoint beyond this group says so
            with self._failing_together():
                self._checkpoint(Position(group + 1, None, self.position.counts), {})
        with self.processes.together():
            self.shard.finish(self.largest_L8)
        return self._facts(before)

    def _failing_together(self) -> AbstractContextManager[None]:
        """One process's failure becomes everyone's; not so where they wait for each other in the forward pass."""
        return nullcontext() if self.backbone.sharded else self.processes.together()

    def _queue(self) -> Queue:
        lengths, alike = self.texts.tokens.lengths, self.backbone.structure.reads_padding
        rank, size = self.processes.rank, self.processes.size
        return Queue.plan(lengths, self.plan["batch_tokens"], part=rank, parts=size, one_length=alike)

    def _restore(self) -> tuple[Position, dict[int, ContextMoments], Tensor]:
        """The last checkpoint."""
        try:
            return self.shard.load(self.plan["prefix"], len(self.plan["layers"]))
        except EncodeError as error:
            _log.warning("the checkpoint of an interrupted pass is damaged, the pass begins anew: %s", error)
            self.shard.forget()
            return self.shard.load(self.plan["prefix"], len(self.plan["layers"]))

    def _say(self) -> None:
        if not self.processes.is_main:
            return
        if len(self.groups) > 1:
            _log.warning(
                f"the moments of {len(self.plan['layers'])} layers do not fit into memory at once: the texts are "
                f"passed {len(self.groups)} times, for {len(self.groups[0])} layers each"
            )
        if done := self.position.counts.get("tokens"):
            share = done * self.processes.size / (len(self.groups) * self.texts.tokens.n_tokens)
            _log.info(f"an interrupted pass goes on at {min(share, 1):.0%}")

    def _encode(self, group: int) -> dict[int, ContextMoments]:
        """The forward pass for one group of layers; the first also pools the states of every layer."""
        queue, width, prefix = self._queue(), self.backbone.width, self.plan["prefix"]
        context = {layer: ContextMoments(width, prefix, target_moment=False) for layer in self.groups[group]}
        if self.position.queue is not None:
            queue.resume(self.position.queue)
            context |= self.restored
        self.restored = {}
        if group == 0:
            self.shard.mark_done(queue.rows())
        counts = Counts(self.position.counts)

        def after_batch() -> None:
            if self.due:
                with self.due.taken(), counts("checkpoint_seconds"):
                    self._checkpoint(Position(group, queue.record(), counts.totals()), context)

        idle = self.processes.most(len(queue)) - len(queue) if self.backbone.sharded else 0
        stats = encode(
            self.backbone,
            self.texts.tokens,
            self._consumer(context, counts, first=group == 0),
            layers=self.plan["layers"] if group == 0 else self.groups[group],
            progress=self._report(group, int(queue.lengths[queue.rows()].sum()), counts),
            schedule=Schedule(queue, after_batch, idle),
        )
        counts.sums = {name: float(getattr(stats, name)) for name in _SUMS}
        self._checkpoint(Position(group, queue.record(), counts.totals()), context)
        return context

    def _consumer(self, context: dict[int, ContextMoments], counts: Counts, *, first: bool) -> Consume:
        places_of = lru_cache(maxsize=1)(Places.of)  # what a mask says is worked out once for all layers of a batch

        place_of = {layer: place for place, layer in enumerate(self.plan["layers"])}
        normal, kinds = self.plan["states"] == "normalised", self.plan["poolings"]

        def consume(layer: int, states: Tensor, mask: Tensor, rows: np.ndarray) -> None:
            with counts("pooling_seconds"):
                needs_division = (normal and layer in context) or (first and RMS_MEAN in kinds)
                divided = normalised(states) if needs_division else states
                if first:
                    pooled = {how: pool(states, mask, how) for how in kinds if how != RMS_MEAN}
                    if RMS_MEAN in kinds:
                        pooled[RMS_MEAN] = pool(divided, mask, "mean")
                    self.shard.write(layer, rows, pooled)
                    facts = facts_of(states, places_of(mask))
            if layer in context:  # last: it is the part that must not happen twice when memory runs out
                with counts("moments_seconds"):
                    context[layer] = context[layer].update(divided if normal else states, places_of(mask))
            if first:
                place = place_of[layer]
                self.largest_L8[place] = together(self.largest_L8[place], facts.to(self.largest_L8))

        return consume

    def _report(self, group: int, waiting: int, counts: Counts) -> Callable[[int, int], None]:
        """Progress over all groups, as if this process's share were the whole."""
        share = int(self.texts.tokens.lengths[self.shard.rows_R].sum())

        def report(done: int, _total: int) -> None:
            counts.sums["tokens"] = done
            if self.progress and self.processes.is_main:
                self.progress("encode", group * share + share - waiting + done, share * len(self.groups))

        return report

    def _checkpoint(self, position: Position, context: dict[int, ContextMoments]) -> None:
        self.shard.save(position, context, self.largest_L8)
        self.position = position

    def _add_up(self, context: dict[int, ContextMoments]) -> None:
        """One sum over the processes for every moment, written by the main one."""
        add_up, from_main = self.processes.add_up, self.processes.from_main
        for layer, moments in context.items():
            total = moments.reduce(add_up, from_main) if self.processes.size > 1 else moments
            if self.processes.is_main:
                with keeping(self.folder):
                    total.save(context_path(self.folder, layer))

    def _facts(self, before: float) -> dict[str, Any]:
        """Counts of all processes; the checkpoints of an earlier session are in them."""
        counts = self.position.counts
        sums = torch.tensor([counts.get(name, 0.0) for name in _SUMS], dtype=torch.float64)
        self.processes.add_up(sums)
        return {
            **{name: int(total) for name, total in zip(_SUMS, sums.tolist(), strict=True)},
            **{name: self.processes.most(int(1e6 * counts.get(name, 0.0))) / 1e6 for name in _SECONDS},
            "resumed_from_token": int(before),
            "passes": len(self.groups),
            "processes": self.processes.size,
            "batch_tokens": self.plan["batch_tokens"],
        }
