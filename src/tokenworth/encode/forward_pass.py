"""The one forward pass: batches through the model, layers to a consumer one at a time.

Axes: B texts, T tokens, D coordinates of a state; layers 0..L as in ``Backbone``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from tokenworth.backbones import Backbone
from tokenworth.backbones.structure.agreement import agree
from tokenworth.backbones.twins import as_it_is_now
from tokenworth.base.machine import is_out_of_memory
from tokenworth.encode.batches import Batch, Queue, make_batch
from tokenworth.encode.layer_hooks import Consume, Delivery, run_batch
from tokenworth.encode.tokens import Tokens
from tokenworth.errors import EncodeError, SettingError

BATCH_TOKENS = {"cpu": 1024}
"""Default padded tokens of a batch by kind of device: what fits a CPU's caches; accelerators want more."""
_BATCH_TOKENS_ELSEWHERE = 16384


@dataclass(slots=True)
class EncodeStats:
    """What a forward pass took."""

    seconds: float = 0.0  # wall-clock time in all
    consume_seconds: float = 0.0  # of which in the consumer
    tokens: int = 0  # real tokens passed
    padded_tokens: int = 0  # tokens passed, padding included
    batches: int = 0  # batches that ran to their end
    halvings: int = 0  # times a batch did not fit into memory and was halved
    batch_tokens: int = 0  # padded tokens allowed in a batch, after halvings


@dataclass(frozen=True, eq=False, slots=True)
class Schedule:
    """The batches of a pass that is written down between them, or shared among processes."""

    queue: Queue  # used up by the pass
    after_batch: Callable[[], None] | None = None
    """Called when every layer of a batch has been handed over; the queue may then be written down."""
    idle_batches: int = 0
    """Forward passes to run at the end without handing anything over: the processes among which a model's weights are
    sharded must all make the same number of them."""


def encode(
    backbone: Backbone,
    tokens: Tokens,
    consume: Consume,
    *,
    layers: Iterable[int] | None = None,
    batch_tokens: int | None = None,
    padding: str = "right",
    progress: Callable[[int, int], None] | None = None,
    schedule: Schedule | None = None,
) -> EncodeStats:
    """Pass every text through the model once and hand over the states of the layers asked for.

    Args:
        backbone: the model.
        tokens: the texts, from ``tokenise`` with this backbone.
        consume: called as ``consume(layer, states, mask, rows)`` with states (B, T, D) on the device in the model's
            dtype, mask (B, T) bool and rows (B,) int64: once for every (layer, text), a batch's layers in rising
            order, one at a time.  The states belong to the model: they must not be kept or written to.  A call that
            runs out of memory must raise before it has changed anything: it comes again with half the texts.
        layers: which of 0..L; default all.  Blocks above the highest are not computed.
        batch_tokens: padded tokens of a batch; default 1024 on a CPU, 16384 elsewhere.
        padding: "right" or "left"; the states of real tokens are the same.
        progress: called as ``progress(done_tokens, total_tokens)`` after every batch.
        schedule: the batches to run, instead of a plan over all texts with ``batch_tokens``.

    Raises:
        SettingError: a layer out of range, an unknown padding side, or fewer than one token a batch.
        EncodeError: states that are NaN or infinite, one text alone too long for the memory, or left padding asked of
            a model that cannot do it.
    """
    backbone = as_it_is_now(backbone)
    wanted = _wanted(backbone, layers)
    if padding not in {"right", "left"}:
        raise SettingError(f"padding {padding!r} is not understood; choose right or left")
    if schedule is None:
        budget = default_batch_tokens(backbone) if batch_tokens is None else batch_tokens
        schedule = Schedule(Queue.plan(tokens.lengths, budget, one_length=backbone.structure.reads_padding))
    if padding == "left" and len(tokens.ids):
        _check_left_padding(backbone, tokens)
    return _Pass(backbone, tokens, consume, wanted, padding, progress).run(schedule)


def default_batch_tokens(backbone: Backbone) -> int:
    """Padded tokens of a batch on the backbone's kind of device."""
    return batch_tokens_on(backbone.device.type)


def batch_tokens_on(device: str) -> int:
    """Padded tokens of a batch on a kind of device: "cpu", "cuda", ..."""
    return BATCH_TOKENS.get(device, _BATCH_TOKENS_ELSEWHERE)


@dataclass(eq=False, slots=True)
class _Pass:
    """What one call of `encode` does with a batch, and what it took so far."""

    backbone: Backbone
    tokens: Tokens
    consume: Consume
    layers: tuple[int, ...]
    padding: str
    progress: Callable[[int, int], None] | None
    stats: EncodeStats = field(default_factory=EncodeStats)

    def run(self, schedule: Schedule) -> EncodeStats:
        """Work through the queue; a batch that does not fit goes back to it as two halves."""
        queue, start, lengths = schedule.queue, perf_counter(), self.tokens.lengths
        total = int(lengths[queue.rows()].sum())
        while (turn := queue.next()) is not None:
            left = self._try(turn.rows, turn.layers or self.layers)
            if left:
                self.stats.halvings += 1
                queue.put_back(turn.rows, left)
                continue
            self.stats.batches += 1
            self.stats.padded_tokens += queue.padded(turn.rows)
            self.stats.tokens += int(lengths[turn.rows].sum())
            if self.progress:
                self.progress(self.stats.tokens, total)
            if schedule.after_batch and queue.whole:
                schedule.after_batch()
        first = np.array([0])
        for _ in range(schedule.idle_batches):
            run_batch(self.backbone, self._batch(first), Delivery(self.backbone, first, (), lambda *_: None))
        self.stats.seconds, self.stats.batch_tokens = perf_counter() - start, queue.batch_tokens
        return self.stats

    def _try(self, rows: np.ndarray, layers: tuple[int, ...]) -> tuple[int, ...]:
        """Run one batch; returns the layers still to be handed over, none unless memory ran out.

        Layers handed over before that stay handed over: the halves run with what is left.
        """
        delivery = Delivery(self.backbone, rows, layers, self.consume)
        try:
            run_batch(self.backbone, self._batch(rows), delivery)
        except EncodeError:
            raise
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if self.backbone.sharded or len(rows) == 1:
                raise EncodeError(self._too_large(rows[0])) from error
        finally:
            self.stats.consume_seconds += delivery.seconds
        if delivery.left and self.backbone.device.type == "cuda":
            torch.cuda.empty_cache()  # after the except block: its traceback held the batch's tensors
        return delivery.left

    def _batch(self, rows: np.ndarray) -> Batch:
        return make_batch(self.backbone, self.tokens.ids, rows, self.padding)

    def _too_large(self, row: int) -> str:
        device = self.backbone.device
        if self.backbone.sharded:
            return (
                f"{device} ran out of memory, and a model sharded over processes cannot halve the batch of one of "
                "them; choose a smaller --batch-tokens"
            )
        return (
            f"text {row} with its {self.tokens.lengths[row]} tokens does not fit into the memory of {device} even "
            "alone; cut texts with --max-length, or choose a smaller model or dtype bfloat16"
        )


def _wanted(backbone: Backbone, layers: Iterable[int] | None) -> tuple[int, ...]:
    """The layers in rising order, each once."""
    last = backbone.n_layers
    if layers is None:
        return tuple(range(last + 1))
    wanted = tuple(sorted(set(layers)))
    outside = [layer for layer in wanted if not 0 <= layer <= last]
    if not wanted:
        raise SettingError(f"no layer is asked for; choose from 0 (embedding) to {last}")
    if outside:
        raise SettingError(f"{backbone.name} has no layer {outside[0]}; choose from 0 (embedding) to {last}")
    return wanted


def _check_left_padding(backbone: Backbone, tokens: Tokens) -> None:
    """Ask with the longest text and the shortest.

    A model with absolute positions that takes no position_ids would shift every text, one with chunks might begin them
    at the padding.
    """
    ids = [tokens.ids[int(tokens.lengths.argmax())], tokens.ids[int(tokens.lengths.argmin())]]
    if len(ids[0]) == len(ids[1]) or backbone.structure.reads_padding:  # nothing will be padded
        return
    alone, beside = _last_states(backbone, ids[1:])[0], _last_states(backbone, ids)[1, -len(ids[1]) :]
    if not agree(beside[None].flatten(1), alone[None].flatten(1), backbone.dtype):
        raise EncodeError(f"{backbone.name} gives other states when it is padded on the left; use padding right")


def _last_states(backbone: Backbone, ids: list[np.ndarray]) -> Tensor:
    batch = make_batch(backbone, ids, np.arange(len(ids)), "left")
    with torch.inference_mode():
        states: Tensor = backbone.model(**batch.inputs).last_hidden_state
    return states.float()
