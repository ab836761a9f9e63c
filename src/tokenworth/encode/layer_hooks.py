"""One batch through the model: the states of each layer are caught on the way and handed over at once.

Axes: B texts, T tokens, D coordinates of a state.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from tokenworth.backbones import Backbone
from tokenworth.backbones.structure.structure import block_input
from tokenworth.base.float32_products import float32_products, short_attention
from tokenworth.encode.batches import Batch
from tokenworth.errors import EncodeError

Consume = Callable[[int, Tensor, Tensor, np.ndarray], object]


class Delivery:
    """Hands the layers of one batch to the consumer, in order, and remembers which are left."""

    def __init__(self, backbone: Backbone, rows: np.ndarray, layers: tuple[int, ...], consume: Consume) -> None:
        self.backbone, self.rows, self.left, self.consume = backbone, rows, layers, consume
        self.seconds = 0.0

    def hand_over(self, layer: int, states_BTD: Tensor, mask_BT: Tensor) -> None:
        """Check the states of one layer and give them to the consumer.

        Raises:
            EncodeError: the layer is not the next one, there is not one state a token, or a real token's state is NaN
                or infinite.
        """
        if self.left[:1] != (layer,):
            raise EncodeError(
                f"{self.backbone.name} computed layer {layer} where {self.left[0] if self.left else 'none'} was "
                "expected: its blocks do not run once each in their order on every text; such a model is not supported"
            )
        if self.backbone.structure.reads_padding:  # texts of one length: what is more is padding of the model's own
            states_BTD = states_BTD[:, : mask_BT.shape[1]]
        if states_BTD.shape[:2] != mask_BT.shape:
            raise EncodeError(
                f"{self.backbone.name} has states of shape {tuple(states_BTD.shape)} at layer {layer} for tokens of "
                f"shape {tuple(mask_BT.shape)}; a model that reshapes texts inside is not supported"
            )
        mask_BT = mask_BT.to(states_BTD.device)  # the layers of one model may lie on several devices
        states_BTD = self._finite(layer, states_BTD, mask_BT)
        start = perf_counter()
        # Outside inference mode: tensors the consumer makes are then ordinary ones, which can be changed later on.
        with torch.inference_mode(False), torch.no_grad():
            self.consume(layer, states_BTD, mask_BT, self.rows)
        self.seconds += perf_counter() - start
        self.left = self.left[1:]

    def _finite(self, layer: int, states_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """The states, zero at padding if something is not finite there."""
        if torch.isfinite(states_BTD.sum(dtype=torch.float32)):  # one pass, nothing stored: the usual case
            return states_BTD
        states_BTD = states_BTD.masked_fill(~mask_BT[:, :, None], 0)
        fine_B = torch.isfinite(states_BTD).flatten(1).all(1)
        if fine_B.all():
            return states_BTD
        row = self.rows[int((~fine_B).int().argmax())]
        dtype = str(self.backbone.dtype).removeprefix("torch.")
        advice = "the weights may be damaged" if dtype in {"float32", "float64"} else "try --dtype float32"
        raise EncodeError(
            f"the states of {self.backbone.name} at layer {layer} are NaN or infinite in {dtype} (text {row}); {advice}"
        )


def run_batch(backbone: Backbone, batch: Batch, delivery: Delivery) -> None:
    """Run the model on a batch until the last layer asked for has been handed over."""
    # Sharded weights are exchanged in tensors that inference mode cannot make.
    ungraded = torch.no_grad() if backbone.sharded else torch.inference_mode()
    with ungraded, float32_products(), short_attention(batch.mask_BT.shape[1], backbone.dtype, backbone.device):
        if backbone.structure.blocks is None:
            _from_record(backbone, batch, delivery)
        else:
            _from_blocks(backbone, backbone.structure.blocks, batch, delivery)


def _from_record(backbone: Backbone, batch: Batch, delivery: Delivery) -> None:
    """All layers at once, from the model's own record: for models whose blocks cannot be told apart."""
    output = backbone.model(**batch.inputs, output_hidden_states=True)
    states = (*output.hidden_states[:-1], output.last_hidden_state)
    for layer in delivery.left:
        delivery.hand_over(layer, states[layer], batch.mask_BT)


def _from_blocks(backbone: Backbone, blocks: tuple[nn.Module, ...], batch: Batch, delivery: Delivery) -> None:
    """Layer i is the input of block i, caught as the block is called; layer L is the model's output."""
    # A model sharded over processes gathers its weights block by block: all of them go through all blocks.
    top = None if backbone.sharded else delivery.left[-1]

    def catch(layer: int, states_BTD: Tensor) -> None:
        delivery.hand_over(layer, states_BTD, batch.mask_BT)
        if layer == top:
            raise _EnoughError

    with _caught(blocks, delivery.left, catch):
        try:
            output = backbone.model(**batch.inputs)
        except _EnoughError:
            return
    if delivery.left:
        delivery.hand_over(len(blocks), output.last_hidden_state, batch.mask_BT)


class _EnoughError(Exception):
    """Leaves the forward pass: nothing above the highest layer asked for is needed."""


@contextmanager
def _caught(
    blocks: tuple[nn.Module, ...], layers: tuple[int, ...], catch: Callable[[int, Tensor], None]
) -> Iterator[None]:
    """Call ``catch(layer, states)`` with the inputs of some blocks inside the block."""
    handles = [
        blocks[layer].register_forward_pre_hook(
            lambda _module, args, kwargs, layer=layer: catch(layer, block_input(args, kwargs)), with_kwargs=True
        )
        for layer in layers
        if layer < len(blocks)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
