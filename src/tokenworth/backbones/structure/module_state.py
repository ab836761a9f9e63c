"""What a model is besides its weights: the plain attributes, parts and buffers of its modules, kept and put back.

A forward pass should leave a model as it was, and some do not: one goes over to another attention for good when it
meets a short text, another lengthens a table when it meets a long one.
"""

from __future__ import annotations

from typing import Any

from torch import nn

_PLAIN = (str, int, float, bool, type(None))


class ModuleState:
    """The state of all modules of a model at one moment; copied with the model, it belongs to the copy."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.record()

    def record(self, *_: Any) -> None:
        """Keep the state of now; also as a hook before a forward pass."""
        self.writes = _writes(self.model)
        self.kept = [
            (module, _plain(module), dict(module._modules), dict(module._buffers)) for module in self.model.modules()
        ]

    def put_back(self) -> bool:
        """Make the model what it was; whether it was anything else.

        Attributes that go with weights which were rewritten stay as they are (RWKV scales its maps for inference).
        """
        if _writes(self.model) != self.writes:
            return False
        changed = False
        for module, plain, parts, buffers in self.kept:
            if (
                _plain(module).items() >= plain.items()
                and _same(module._modules, parts)
                and _same(module._buffers, buffers)
            ):
                continue
            changed = True
            module.__dict__.update(plain)
            module._modules.clear()
            module._modules.update(parts)
            module._buffers.clear()
            module._buffers.update(buffers)
        return changed

    def guard(self) -> None:
        """From now on every pass leaves the model as it met it; between passes it may be trained or extended."""
        self.model.register_forward_pre_hook(self.record)
        self.model.register_forward_hook(self, always_call=True)  # a pass may be left early

    def __call__(self, *_: Any) -> None:
        """Put back, as a hook after a forward pass, whose output stays."""
        self.put_back()


def _plain(module: nn.Module) -> dict[str, Any]:
    """Attributes with public names: the others tell of hooks, which stay (transformers' record of states)."""
    values = module.__dict__.items()
    return {
        name: value for name, value in values if isinstance(value, _PLAIN) and name[0] != "_" and name != "training"
    }


def _writes(model: nn.Module) -> int:
    return sum(weights._version for weights in model.parameters() if not weights.is_inference())


def _same(now: dict[str, Any], before: dict[str, Any]) -> bool:
    return len(now) == len(before) and all(now.get(name) is value for name, value in before.items())
