"""From states to logits by the language model's own code: everything its class does behind its base model.

Between the last states and the logits a class may scale, cap, transform and add, each in its own way.  None of it is
written down here: the class's forward pass is run while the base model inside it gives the states that are handed in.

Axes: T tokens, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.backbones.structure.bounded_indices import bounded_indices
from tokenworth.backbones.structure.causality import forked_texts
from tokenworth.errors import BackboneError, first_line

_PROBE = 5
_ROUNDING = 1e-2


class LanguageHead:
    """Logits (T, V) of last states (T, D), as the whole model gives them."""

    body: Any
    """The base model as the language model calls it."""

    def __init__(self, model: Any) -> None:
        """Find the base model by a short text.  Raises BackboneError: the model does not run, or has none inside."""
        self.model = model
        try:
            words = model.get_input_embeddings()
            ids_1T = forked_texts(words.num_embeddings, _PROBE, words.weight.device)[:1]
            with bounded_indices(ids_1T.device):
                self.body, self._output, self._logits_TV = _find_body(model, ids_1T)
        except (RuntimeError, ValueError, IndexError, TypeError, AttributeError, AssertionError) as error:
            raise BackboneError(
                f"{type(model).__name__} does not predict the next token of a short text ({first_line(error)}); check "
                "that config.json fits the model"
            ) from error

    def check(self, name: str) -> None:
        """See that last states are all that logits depend on.  Raises BackboneError: they are not."""
        with torch.inference_mode():
            again_TV = self(self._output.last_hidden_state[0])
        apart = (again_TV.float() - self._logits_TV.float()).abs().max() / self._logits_TV.float().abs().max()
        if again_TV.shape != self._logits_TV.shape or apart > _ROUNDING:
            raise BackboneError(
                f"the logits of {name} ({type(self.model).__name__}) do not follow from its last states alone, so it "
                "cannot be prompted and has no text loss here"
            )

    def __call__(self, states_TD: Tensor) -> Tensor:
        """Logits in the format of the class."""
        ids_1T = torch.zeros(1, len(states_TD), dtype=torch.long, device=states_TD.device)
        with _answer_with(self.body, replace(self._output, last_hidden_state=states_TD[None])):
            logits_TV: Tensor = self.model(input_ids=ids_1T).logits[0]
        return logits_TV

    @property
    def n_parameters(self) -> int:
        """Weights outside the base model; 0 where the token embedding serves."""
        inside = {id(weights) for weights in self.body.parameters()}
        return sum(weights.numel() for weights in self.model.parameters() if id(weights) not in inside)


def _find_body(model: nn.Module, ids_1T: Tensor) -> tuple[nn.Module, Any, Tensor]:
    """The outermost model inside, what it gave, and the logits (T, V)."""
    from transformers import PreTrainedModel

    outputs: list[tuple[nn.Module, Any]] = []

    def keep(module: nn.Module, _args: Any, output: Any) -> None:
        if getattr(output, "last_hidden_state", None) is not None:
            outputs.append((module, output))

    with ExitStack() as hooks, torch.inference_mode():
        for part in model.modules():
            if isinstance(part, PreTrainedModel) and part is not model:
                hooks.enter_context(part.register_forward_hook(keep))
        logits_TV = model(input_ids=ids_1T).logits[0]
    if not outputs:
        raise ValueError("it calls no base model")
    return *outputs[-1], logits_TV  # the outermost one is the last to end


@contextmanager
def _answer_with(body: nn.Module, output: Any) -> Iterator[None]:
    """Let a module give an output whatever it is called with."""
    before = body.__dict__.get("forward")  # where a library has put its own (accelerate spreads models so)
    body.__dict__["forward"] = lambda *_args, **_kwargs: output
    try:
        yield
    finally:
        del body.__dict__["forward"]
        if before is not None:
            body.__dict__["forward"] = before
