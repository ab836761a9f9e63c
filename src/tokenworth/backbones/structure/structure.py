"""Where a model's layers are: asked of the model by a short probe, never of its name.

Axes: B texts, T tokens, D coordinates of a state, L blocks.
"""

import inspect
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.backbones.structure.agreement import agree
from tokenworth.backbones.structure.bounded_indices import bounded_indices
from tokenworth.backbones.structure.causality import forked_texts, is_causal
from tokenworth.backbones.structure.module_state import ModuleState
from tokenworth.errors import BackboneError, first_line

_PROBE_LENGTH = 15  # no multiple of anything: models that pad inside show it


@dataclass(frozen=True, eq=False)
class Structure:
    """How states are read, and what the forward pass accepts."""

    blocks: tuple[nn.Module, ...] | None
    """The L blocks, whose inputs are the layers 0..L-1; None where only ``output_hidden_states`` tells them."""
    n_layers: int
    width: int
    causal: bool
    n_embeddings: int
    """Rows of the token embedding: every token id must lie below."""
    position_padding: int | None
    """Padding index of the position embedding where positions are counted from the token ids (RoBERTa), else None."""
    accepts: frozenset[str]
    """Parameter names of the forward pass."""
    reads_padding: bool = False
    """Whether states depend on what shares a batch with a text, so that only texts of one length may."""


def examine(
    model: nn.Module, n_embeddings: int, max_length: int, device: torch.device | str = "cpu", *, pad_id: int = 0
) -> Structure:
    """Find blocks, width and causality of a base model, and whether padding touches its states.

    The model is left as it was; one that a text changes for good (BigBird gives up its sparse attention at the first
    short text) is put back after every pass from now on.

    The inputs of the blocks must equal, bit for bit, what ``output_hidden_states`` gives on the probe (layer 0 may be
    missing there); a model whose blocks do not (shared blocks, sequences reshaped inside) is read through
    ``output_hidden_states`` instead.

    Raises BackboneError: the model does not run, gives no hidden states, or not the same number and width for every
    token.
    """
    try:
        with bounded_indices(device):
            return _examine(model, n_embeddings, max_length, device, pad_id)
    except BackboneError:
        raise
    except Exception as error:  # a value that no constructor looked at is met in the forward pass
        advice = "check that config.json fits the model"
        narrow = {weights.dtype for weights in model.parameters()} & {torch.float16, torch.bfloat16}
        if narrow and isinstance(error, (RuntimeError, ValueError, IndexError, TypeError)):
            advice = f"try --dtype float32, as not every model computes in {str(narrow.pop()).removeprefix('torch.')}"
        raise BackboneError(
            f"{type(model).__name__} does not run on a short text ({first_line(error)}); {advice}"
        ) from error


def _examine(
    model: nn.Module, n_embeddings: int, max_length: int, device: torch.device | str, pad_id: int
) -> Structure:
    length = max(2, min(_PROBE_LENGTH, max_length))
    ids_BT = forked_texts(n_embeddings, length, device)
    before = ModuleState(model)
    with torch.no_grad():  # not inference mode: routers keep a cast copy of their weights, which is to learn later
        states = _states(model, ids_BT)
        n_layers, width = len(states) - 1, states[-1].shape[-1]
        lists = (tuple(m) for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == n_layers)
        blocks = next((blocks for blocks in lists if _inputs_are_layers(model, blocks, ids_BT)), None)
        causal = _is_causal(model, ids_BT, blocks)
        reads_padding = not causal and _reads_padding(model, ids_BT[:1], pad_id)
    if before.put_back() and not causal:
        before.guard()
        reads_padding = True
    return Structure(
        blocks=blocks,
        n_layers=n_layers,
        width=width,
        causal=causal,
        n_embeddings=n_embeddings,
        position_padding=position_padding(model),
        accepts=forward_parameters(model),
        reads_padding=reads_padding,
    )


def position_padding(model: Any) -> int | None:
    """Padding index of a position embedding that has one: positions then start after it."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    words = model.get_input_embeddings()
    tables = (m for m in model.modules() if isinstance(m, nn.Embedding) and m is not words)
    return next((m.padding_idx for m in tables if m.padding_idx is not None and m.num_embeddings == limit), None)


def forward_parameters(model: nn.Module) -> frozenset[str]:
    """Names the forward pass takes."""
    return frozenset(inspect.signature(model.forward).parameters)


def block_input(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """The states a block was called with, given by position or by the name transformers uses."""
    return args[0] if args else kwargs["hidden_states"]


def _states(model: nn.Module, ids_BT: Tensor) -> tuple[Tensor, ...]:
    """All L + 1 layers from the model's own record, checked to be of one shape."""
    states = model(input_ids=ids_BT, output_hidden_states=True).hidden_states
    if not states or len(states) < 2:
        raise BackboneError(f"{type(model).__name__} does not tell its hidden states; it cannot be assessed")
    if not all(isinstance(state, Tensor) for state in states):
        raise BackboneError(
            f"{type(model).__name__} has several states a token in a layer; such a model is not supported"
        )
    shapes = {tuple(state.shape) for state in states}
    if len(shapes) > 1 or states[-1].shape[:2] != ids_BT.shape:
        listed = ", ".join(str(shape) for shape in sorted(shapes))
        raise BackboneError(
            f"the layers of {type(model).__name__} do not all give one state of one width a token "
            f"(for input {tuple(ids_BT.shape)} they give {listed}); such a model is not supported"
        )
    return tuple(states)


def _inputs_are_layers(model: nn.Module, blocks: tuple[nn.Module, ...], ids_BT: Tensor) -> bool:
    seen: list[tuple[int, Tensor]] = []

    def watch(index: int) -> Any:
        def hook(_module: nn.Module, args: Any, kwargs: Any) -> None:
            state = block_input(args, kwargs) if args or "hidden_states" in kwargs else None
            if isinstance(state, Tensor):
                seen.append((index, state.clone()))  # cloned: a block may write into its input

        return hook

    with ExitStack() as hooks:
        for i, block in enumerate(blocks):
            hooks.enter_context(block.register_forward_pre_hook(watch(i), with_kwargs=True))
        record = model(input_ids=ids_BT, output_hidden_states=True).hidden_states
    if [index for index, _ in seen] != list(range(len(blocks))):
        return False
    # Some models (Mamba) record what each block gives and leave out the embedding: there the record is one behind.
    return any(
        len(seen) > behind and all(_same(state, record[index - behind]) for index, state in seen[behind:])
        for behind in (0, 1)
    )


def _same(a: Tensor, b: Tensor) -> bool:
    """Bitwise equality that takes NaN for equal to NaN: a model that overflows is found out later, by layer."""
    wide = torch.promote_types(a.dtype, b.dtype)  # a residual stream may be wider than the weights (Mamba)
    return a.shape == b.shape and torch.allclose(a.to(wide), b.to(wide), rtol=0, atol=0, equal_nan=True)


def _reads_padding(model: nn.Module, ids_1T: Tensor, pad_id: int) -> bool:
    """Whether the beginning of a text has other states beside the whole text, padded and masked, than alone."""
    if "attention_mask" not in forward_parameters(model):
        return True
    short = max(1, ids_1T.shape[1] // 3)
    mask_2T = torch.ones(2, ids_1T.shape[1], dtype=torch.long, device=ids_1T.device)
    mask_2T[1, short:] = 0
    ids_2T = torch.cat([ids_1T, ids_1T]).where(mask_2T == 1, pad_id)
    alone = model(input_ids=ids_1T[:, :short]).last_hidden_state[0]
    padded = model(input_ids=ids_2T, attention_mask=mask_2T).last_hidden_state[1, :short]
    return not agree(padded, alone, alone.dtype)


def _is_causal(model: Any, ids_BT: Tensor, blocks: tuple[nn.Module, ...] | None) -> bool:
    """Whether the first half of a text keeps its last-layer states when the second half is another.

    A causal model leaves them as they are but for rounding; attention that looks ahead moves them by a share of
    the order of the second half's weight, 1/2 (tiny random encoders: 0.005).  Where the second half keeps its states
    as well when the first is another, tokens are not mixed at all (random weights may be zero where a block ends, and
    are not any more once they have learned): then other weights are asked.
    """
    exact = next(model.parameters()).dtype in {torch.float32, torch.float64}
    half, bound = ids_BT.shape[1] // 2, 1e-5 if exact else 1e-3
    if _change(model, ids_BT, slice(None, half)) > bound:
        return False
    if _change(model, ids_BT.flip(1), slice(-half, None)) > bound:
        return True
    first_block = next((path for path, part in model.named_modules() if blocks and part is blocks[0]), "")
    try:
        return is_causal(model.config, first_block)
    except BackboneError:  # a model that runs with its own weights alone
        return True


def _change(model: nn.Module, ids_BT: Tensor, part: slice) -> float:
    """How far, relative, the last-layer states of a part are apart in two texts that agree there."""
    first, second = (model(input_ids=ids_1T).last_hidden_state[0, part].float() for ids_1T in ids_BT[:, None])
    return float((second - first).norm() / first.norm())
