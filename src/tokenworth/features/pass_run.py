"""The pass of one process: its share of the batches, one group of layers after the other, checkpoints between batches.

Axes: B texts of a batch, T tokens, D width.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenworth.backbones import Backbone
from tokenworth.base.processes import Processes
from tokenworth.encode import Queue, encode, pool
from tokenworth.encode.layer_hooks import Consume
from tokenworth.errors import EncodeError
from tokenworth.features.feature_shard import Due, Position, Shard, keeping
from tokenworth.features.pass_counts import SECONDS, SUMS, Counts
from tokenworth.features.stored_pass import context_path
from tokenworth.features.text_set import TextSet
from tokenworth.scores import ContextMoments
from tokenworth.scores.context_batch import Places

_log = logging.getLogger("tokenworth")


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
        progress: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self.backbone, self.texts, self.plan, self.folder = backbone, texts, plan, folder
        self.processes, self.progress = processes, progress
        self.groups: list[tuple[int, ...]] = [tuple(group) for group in plan["groups"]]
        self.shard = self._shard()
        self.due = Due(every_seconds)
        self.position, self.restored = self._restore()

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
            with self._told_to_all():
                context = self._encode(group)
            with self._told_to_all():
                self._add_up(context)
            self.processes.wait()  # until the sums are on the disk: a checkpoint beyond this group says so
            with self._told_to_all():
                self._checkpoint(Position(group + 1, None, self.position.counts), {})
        with self.processes.together():
            self.shard.finish()
        return self._facts(before)

    def _told_to_all(self) -> AbstractContextManager[None]:
        """One process's failure becomes everyone's; not so where they wait for each other in the forward pass."""
        return nullcontext() if self.backbone.sharded else self.processes.together()

    def _queue(self) -> Queue:
        lengths, rank, size = self.texts.tokens.lengths, self.processes.rank, self.processes.size
        alike = self.backbone.structure.reads_padding
        return Queue.plan(lengths, self.plan["batch_tokens"], part=rank, parts=size, one_length=alike)

    def _shard(self) -> Shard:
        rows_R = np.sort(self._queue().rows())
        folder = self.folder / self.plan["shards"][self.processes.rank]
        return Shard.begin(folder, rows_R, self.plan["layers"], self.plan["poolings"], self.backbone.width)

    def _restore(self) -> tuple[Position, dict[int, ContextMoments]]:
        """The last checkpoint."""
        try:
            return self.shard.load(self.plan["prefix"])
        except EncodeError as error:
            _log.warning("the checkpoint of an interrupted pass is damaged, the pass begins anew: %s", error)
            return Position(), {}

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
        queue, context = self._queue(), {layer: self._fresh() for layer in self.groups[group]}
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

        stats = encode(
            self.backbone,
            self.texts.tokens,
            self._consumer(context, counts, pooling=group == 0),
            layers=self.plan["layers"] if group == 0 else self.groups[group],
            progress=self._report(group, int(queue.lengths[queue.rows()].sum()), counts),
            queue=queue,
            after_batch=after_batch,
            idle_batches=self.processes.most(len(queue)) - len(queue) if self.backbone.sharded else 0,
        )
        counts.finish(stats)
        self._checkpoint(Position(group, queue.record(), counts.totals()), context)
        return context

    def _fresh(self) -> ContextMoments:
        return ContextMoments(self.backbone.width, self.plan["prefix"], target_moment=False)

    def _consumer(self, context: dict[int, ContextMoments], counts: Counts, *, pooling: bool) -> Consume:
        poolings = self.plan["poolings"] if pooling else ()
        places = _Places()

        def consume(layer: int, states: Tensor, mask: Tensor, rows: np.ndarray) -> None:
            with counts("pooling_seconds"):
                self.shard.write(layer, rows, {how: pool(states, mask, how) for how in poolings})
            if layer in context:  # last: it is the part that must not happen twice when memory runs out
                with counts("moments_seconds"):
                    context[layer] = context[layer].update(states, places.of(mask))

        return consume

    def _report(self, group: int, waiting: int, counts: Counts) -> Callable[[int, int], None]:
        """Progress over all groups, as if this process's share were the whole."""
        share = int(self.texts.tokens.lengths[self.shard.rows_R].sum())

        def report(done: int, _total: int) -> None:
            counts.tokens(done)
            if self.progress and self.processes.is_main:
                self.progress("encode", group * share + share - waiting + done, share * len(self.groups))

        return report

    def _checkpoint(self, position: Position, context: dict[int, ContextMoments]) -> None:
        self.shard.save(position, context)
        self.position = position

    def _add_up(self, context: dict[int, ContextMoments]) -> None:
        """One sum over the processes for every moment, written by the main one."""
        for layer, moments in context.items():
            whole = (
                moments.reduce(self.processes.add_up, self.processes.from_main) if self.processes.size > 1 else moments
            )
            if self.processes.is_main:
                with keeping(self.folder):
                    whole.save(context_path(self.folder, layer))

    def _facts(self, before: float) -> dict[str, Any]:
        """Counts of all processes; the checkpoints of an earlier session are in them."""
        counts = torch.tensor([self.position.counts.get(name, 0.0) for name in SUMS], dtype=torch.float64)
        self.processes.add_up(counts)
        slowest = {name: self.processes.most(int(1e6 * self.position.counts.get(name, 0.0))) / 1e6 for name in SECONDS}
        return {
            **{name: int(count) for name, count in zip(SUMS, counts.tolist(), strict=True)},
            **slowest,
            "resumed_from_token": int(before),
            "passes": len(self.groups),
            "processes": self.processes.size,
            "batch_tokens": self.plan["batch_tokens"],
        }


class _Places:
    """What the mask of a batch says, worked out once for all its layers."""

    def __init__(self) -> None:
        self._mask: Tensor | None = None
        self._places: Places | None = None

    def of(self, mask_BT: Tensor) -> Places:
        """The places of a mask; the same object again for the same mask."""
        if self._places is None or mask_BT is not self._mask:
            self._mask, self._places = mask_BT, Places.of(mask_BT)
        return self._places
