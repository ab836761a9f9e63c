"""The one forward pass: batches through the model, layers to a consumer one at a time.

Axes: B texts, T tokens, D coordinates of a state; layers 0..L as in ``Backbone``.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from tokenworth.backbones import Backbone
from tokenworth.backbones.structure.agreement import agree
from tokenworth.backbones.twins import as_it_is_now
from tokenworth.encode.batch_queue import Queue
from tokenworth.encode.batches import Batch, make_batch
from tokenworth.encode.layer_hooks import Consume, Delivery, run_batch
from tokenworth.encode.tokens import Tokens
from tokenworth.errors import EncodeError, SettingError

BATCH_TOKENS = {"cpu": 2048}
"""Default padded tokens of a batch by kind of device: what fits a CPU's caches; accelerators want more."""
_BATCH_TOKENS_ELSEWHERE = 16384

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True)
class EncodeStats:
    """What a forward pass took."""

    seconds: float
    """Wall-clock time in all."""
    consume_seconds: float
    """Of which in the consumer."""
    tokens: int
    """Real tokens passed."""
    padded_tokens: int
    """Tokens passed, padding included."""
    batches: int
    """Batches that ran to their end."""
    halvings: int
    """Times a batch did not fit into memory and was halved."""
    batch_tokens: int
    """Padded tokens allowed in a batch, after halvings."""


def encode(
    backbone: Backbone,
    tokens: Tokens,
    consume: Consume,
    *,
    layers: Iterable[int] | None = None,
    batch_tokens: int | None = None,
    padding: str = "right",
    progress: Callable[[int, int], None] | None = None,
    queue: Queue | None = None,
    after_batch: Callable[[], None] | None = None,
    idle_batches: int = 0,
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
        batch_tokens: padded tokens of a batch; default 2048 on a CPU, 16384 elsewhere.
        padding: "right" or "left"; the states of real tokens are the same.
        progress: called as ``progress(done_tokens, total_tokens)`` after every batch.
        queue: the batches to run, instead of a plan over all texts; it is used up, and ``batch_tokens`` is its own.
        after_batch: called when every layer of a batch has been handed over; the queue may then be written down.
        idle_batches: forward passes to run at the end without handing anything over: the processes among which a
            model's weights are sharded must all make the same number of them.

    Raises:
        SettingError: a layer out of range, an unknown padding side, or fewer than one token a batch.
        EncodeError: states that are NaN or infinite, one text alone too long for the memory, or left padding asked of
            a model that cannot do it.
    """
    backbone = as_it_is_now(backbone)
    wanted = _wanted(backbone, layers)
    if padding not in {"right", "left"}:
        raise SettingError(f"padding {padding!r} is not understood; choose right or left")
    if queue is None:
        budget = default_batch_tokens(backbone) if batch_tokens is None else batch_tokens
        queue = Queue.plan(tokens.lengths, budget, one_length=backbone.structure.reads_padding)
    if padding == "left" and len(tokens.ids):
        _check_left_padding(backbone, tokens)
    run = _Pass(backbone, tokens, consume, layers=wanted, padding=padding, progress=progress)
    return run(queue, after_batch, idle_batches)


def default_batch_tokens(backbone: Backbone) -> int:
    """Padded tokens of a batch on the backbone's kind of device."""
    return batch_tokens_on(backbone.device.type)


def batch_tokens_on(device: str) -> int:
    """Padded tokens of a batch on a kind of device: "cpu", "cuda", ..."""
    return BATCH_TOKENS.get(device, _BATCH_TOKENS_ELSEWHERE)


class _Pass:
    """The state of one call of ``encode``: what to do with a batch, and the running counts."""

    def __init__(
        self,
        backbone: Backbone,
        tokens: Tokens,
        consume: Consume,
        *,
        layers: tuple[int, ...],
        padding: str,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.backbone, self.tokens, self.consume = backbone, tokens, consume
        self.layers, self.padding, self.progress = layers, padding, progress
        self.lengths = tokens.lengths
        self.total = self.done = self.padded = self.batches = self.halvings = 0
        self.consume_seconds = 0.0

    def __call__(self, queue: Queue, after_batch: Callable[[], None] | None, idle_batches: int) -> EncodeStats:
        """Work through the queue; a batch that does not fit goes back to it as two halves."""
        start = perf_counter()
        self.total = int(self.lengths[queue.rows()].sum())
        while (turn := queue.next()) is not None:
            left = self._try(turn.rows, turn.layers or self.layers)
            if left:
                self.halvings += 1
                queue.put_back(turn.rows, left)
                continue
            self._count(turn.rows)
            if after_batch and queue.whole:
                after_batch()
        for _ in range(idle_batches):
            run_batch(self.backbone, self._batch(np.array([0])), Delivery(self.backbone, np.array([0]), (), _nothing))
        seconds = perf_counter() - start
        return EncodeStats(
            seconds, self.consume_seconds, self.done, self.padded, self.batches, self.halvings, queue.batch_tokens
        )

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
            if self.backbone.sharded:
                raise EncodeError(_lockstep_memory(self.backbone)) from error
            if len(rows) == 1:
                raise EncodeError(self._too_long(rows[0])) from error
        finally:
            self.consume_seconds += delivery.seconds
        if delivery.left and self.backbone.device.type == "cuda":
            torch.cuda.empty_cache()  # after the except block: its traceback held the batch's tensors
        return delivery.left

    def _batch(self, rows: np.ndarray) -> Batch:
        return make_batch(self.backbone, self.tokens.ids, rows, self.padding)

    def _count(self, rows: np.ndarray) -> None:
        self.batches += 1
        self.padded += len(rows) * int(self.lengths[rows].max())
        self.done += int(self.lengths[rows].sum())
        if self.progress:
            self.progress(self.done, self.total)

    def _too_long(self, row: int) -> str:
        return (
            f"text {row} with its {self.lengths[row]} tokens does not fit into the memory of {self.backbone.device} "
            "even alone; cut texts with --max-length, or choose a smaller model or dtype bfloat16"
        )


def _lockstep_memory(backbone: Backbone) -> str:
    return (
        f"{backbone.device} ran out of memory, and a model sharded over processes cannot halve the batch of one of "
        "them; choose a smaller --batch-tokens"
    )


def _nothing(*_: object) -> None:
    """Consumes nothing."""


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


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device or the machine had no memory left."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()  # the CPU allocator raises a plain RuntimeError
    return any(phrase in text for phrase in _OUT_OF_MEMORY)


def _check_left_padding(backbone: Backbone, tokens: Tokens) -> None:
    """Ask with the longest text and the shortest.

    A model with absolute positions that takes no position_ids would shift every text, one with chunks might begin them
    at the padding.
    """
    ids = [tokens.ids[int(tokens.lengths.argmax())], tokens.ids[int(tokens.lengths.argmin())]]
    if len(ids[0]) == len(ids[1]) or backbone.structure.reads_padding:  # nothing will be padded
        return
    alone = _last_states(backbone, ids[1:])[0]
    beside = _last_states(backbone, ids)[1, -len(ids[1]) :]
    if not agree(beside[None].flatten(1), alone[None].flatten(1), backbone.dtype):
        raise EncodeError(f"{backbone.name} gives other states when it is padded on the left; use padding right")


def _last_states(backbone: Backbone, ids: list[np.ndarray]) -> Tensor:
    batch = make_batch(backbone, ids, np.arange(len(ids)), "left")
    with torch.inference_mode():
        states: Tensor = backbone.model(**batch.inputs).last_hidden_state
    return states.float()
