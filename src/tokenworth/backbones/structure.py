"""Where a model's layers are: asked of the model by a short probe, never of its name.

Axes: B texts, T tokens, D coordinates of a state, L blocks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.errors import BackboneError

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


def examine(model: nn.Module, n_embeddings: int, max_length: int, device: torch.device | str = "cpu") -> Structure:
    """Find blocks, width and causality of a base model.

    The inputs of the blocks must equal, bit for bit, what ``output_hidden_states`` gives on the probe (layer 0 may be
    missing there); a model whose blocks do not (shared blocks, sequences reshaped inside) is read through
    ``output_hidden_states`` instead.

    Raises:
        BackboneError: the model does not run, gives no hidden states, or not the same number and width for every token.
    """
    try:
        return _examine(model, n_embeddings, max_length, device)
    except BackboneError:
        raise
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise BackboneError(
            f"{type(model).__name__} does not run on a short text ({reason}); check that config.json fits the model"
        ) from error


def _examine(model: nn.Module, n_embeddings: int, max_length: int, device: torch.device | str) -> Structure:
    length = max(2, min(_PROBE_LENGTH, max_length))
    ids_BT = _probe_ids(n_embeddings, length, device)
    with torch.no_grad():  # not inference mode: routers keep a cast copy of their weights, which is to learn later
        states = _states(model, ids_BT)
        n_layers, width = len(states) - 1, states[-1].shape[-1]
        blocks = _find_blocks(model, ids_BT, n_layers)
        causal = _is_causal(model, ids_BT)
    return Structure(
        blocks=blocks,
        n_layers=n_layers,
        width=width,
        causal=causal,
        n_embeddings=n_embeddings,
        position_padding=position_padding(model),
        accepts=forward_parameters(model),
    )


def position_padding(model: nn.Module) -> int | None:
    """Padding index of a position embedding that has one: positions then start after it."""
    limit = getattr(_text_config(model), "max_position_embeddings", None)
    words = model.get_input_embeddings()  # type: ignore[operator]
    tables = (m for m in model.modules() if isinstance(m, nn.Embedding) and m is not words)
    return next((m.padding_idx for m in tables if m.padding_idx is not None and m.num_embeddings == limit), None)


def forward_parameters(model: nn.Module) -> frozenset[str]:
    """Names the forward pass takes."""
    import inspect

    return frozenset(inspect.signature(model.forward).parameters)


def block_input(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """The states a block was called with, given by position or by the name transformers uses."""
    return args[0] if args else kwargs["hidden_states"]


def _text_config(model: nn.Module) -> Any:
    config: Any = model.config
    return config.get_text_config()


def _probe_ids(n_embeddings: int, length: int, device: torch.device | str) -> Tensor:
    """(2, T) token ids spread over the vocabulary; the rows agree in the first half and nowhere in the second."""
    first = torch.arange(length, device=device) * n_embeddings // length
    second = first.clone()
    second[length // 2 :] = (first[length // 2 :] + max(1, n_embeddings // 3)) % n_embeddings
    return torch.stack([first, second])


def _states(model: nn.Module, ids_BT: Tensor) -> tuple[Tensor, ...]:
    """All L + 1 layers from the model's own record, checked to be of one shape."""
    states = model(input_ids=ids_BT, output_hidden_states=True).hidden_states
    if not states or len(states) < 2:
        raise BackboneError(f"{type(model).__name__} does not tell its hidden states; it cannot be assessed")
    shapes = {tuple(state.shape) for state in states}
    if len(shapes) > 1 or states[-1].shape[:2] != ids_BT.shape:
        found = ", ".join(str(shape) for shape in sorted(shapes))
        raise BackboneError(
            f"the layers of {type(model).__name__} do not all give one state of one width a token "
            f"(for input {tuple(ids_BT.shape)} they give {found}); such a model is not supported"
        )
    return tuple(states)


def _find_blocks(model: nn.Module, ids_BT: Tensor, n_layers: int) -> tuple[nn.Module, ...] | None:
    """The module list whose members' inputs are the layers; None if there is none."""
    lists = (m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == n_layers)
    return next((tuple(blocks) for blocks in lists if _inputs_are_layers(model, tuple(blocks), ids_BT)), None)


def _inputs_are_layers(model: nn.Module, blocks: tuple[nn.Module, ...], ids_BT: Tensor) -> bool:
    seen: list[tuple[int, Tensor]] = []

    def watch(index: int) -> Any:
        def hook(_module: nn.Module, args: Any, kwargs: Any) -> None:
            state = block_input(args, kwargs) if args or "hidden_states" in kwargs else None
            if isinstance(state, Tensor):
                seen.append((index, state.clone()))  # cloned: a block may write into its input

        return hook

    handles = [block.register_forward_pre_hook(watch(i), with_kwargs=True) for i, block in enumerate(blocks)]
    try:
        output = model(input_ids=ids_BT, output_hidden_states=True)
    finally:
        for handle in handles:
            handle.remove()
    in_order = [index for index, _ in seen] == list(range(len(blocks)))
    # Some models (Mamba) record what each block gives and leave out the embedding: there the record is one behind.
    return in_order and any(_recorded(seen[behind:], output.hidden_states, behind) for behind in (0, 1))


def _recorded(seen: list[tuple[int, Tensor]], record: Sequence[Tensor], behind: int) -> bool:
    return len(seen) > 0 and all(_same(state, record[index - behind]) for index, state in seen)


def _same(a: Tensor, b: Tensor) -> bool:
    """Bitwise equality that takes NaN for equal to NaN: a model that overflows is found out later, by layer."""
    return a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)


def _is_causal(model: nn.Module, ids_BT: Tensor) -> bool:
    """Whether the first half of a text keeps its last-layer states when the second half is another.

    A causal model leaves them as they are but for rounding; attention that looks ahead moves them by a share of
    the order of the second half's weight, 1/2 (tiny random encoders: 0.005).
    """
    first, second = model(input_ids=ids_BT[:1]), model(input_ids=ids_BT[1:])
    half = ids_BT.shape[1] // 2
    kept = first.last_hidden_state[0, :half].float()
    change = (second.last_hidden_state[0, :half].float() - kept).norm() / kept.norm()
    exact = first.last_hidden_state.dtype in {torch.float32, torch.float64}
    return not change.item() > (1e-5 if exact else 1e-3)
