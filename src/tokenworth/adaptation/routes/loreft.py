"""LoReFT: states of few tokens are moved within a subspace of few dimensions; no weight of the model is touched.

    h  becomes  h + R' (W h + b - R h)        R (r, D) with orthonormal rows, W (r, D), b (r,), all of them learnt

on the first and the last tokens of every text, in the states that each of some layers puts out.  What R reads of h is
thereby set to W h + b; what is orthogonal to the rows of R stays.  One R, W and b a layer serve all its tokens.

Source: Wu et al. (2024), ReFT: Representation Finetuning for Language Models (arXiv 2404.03592).  Unlike in the
authors' code, W begins as R and b as 0, so that training begins at the pretrained model; R is the Q of a QR
factorisation of free numbers.

Axes: B rows, T places of a row, P chosen tokens, D width, r rank.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.adaptation.routes.layer_paths import layer_paths
from tokenworth.adaptation.routes.learnt_check import check_learnt, without_autocast
from tokenworth.adaptation.training.text_spans import Spans, told_spans
from tokenworth.backbones import meta_model
from tokenworth.backbones.accounting.block_calls import depth_and_width
from tokenworth.errors import BackboneError, SettingError, first_line

FACTS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_NAME = "loreft"
"""Of the interventions among the modules of the base model, so that they are moved, trained and counted with it."""


class Intervention(nn.Module):
    """The formula above, for one layer; float32 whatever the states are."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        free_Dr = torch.randn(width, rank)
        self.free = nn.Parameter(free_Dr)
        self.source = nn.Parameter(torch.linalg.qr(free_Dr).Q.T.contiguous())
        self.bias = nn.Parameter(torch.zeros(rank))

    def rotation(self) -> Tensor:
        """R (r, D), with orthonormal rows."""
        return torch.linalg.qr(self.free).Q.T

    def forward(self, states_PD: Tensor) -> Tensor:
        """States (P, D) in the format in which they came."""
        with without_autocast(states_PD.device):
            wide_PD, rotation_rD = states_PD.float(), self.rotation()
            inner_Pr = nn.functional.linear(wide_PD, self.source - rotation_rD, self.bias)
            return (wide_PD + inner_Pr @ rotation_rD).to(states_PD.dtype)


class LoReft:
    """The interventions of a model, which are hooked to its layers; saved as peft saves an adapter."""

    def __init__(self, model: Any, facts: dict[str, Any]) -> None:
        """Put them in, in place, drawn by PyTorch's generator; the rest is frozen.

        Args:
            model: base model, perhaps without weights.
            facts: layers, rank, first and last.

        Raises:
            SettingError: layers that there are not, or a rank above the width.
        """
        paths, width = layer_paths(model, _NAME).layers, depth_and_width(meta_model(model.config))[1]
        layers = facts["layers"] or list(range(1, len(paths) + 1))
        outside = [layer for layer in layers if not 1 <= layer <= len(paths)]
        if outside or facts["rank"] > width:
            what = f"layer {outside[0]}" if outside else f"rank {facts['rank']:,}"
            raise SettingError(
                f"loreft cannot have {what} in {type(model).__name__}, whose {len(paths)} layers have states of "
                f"{width:,} numbers; give reft_layers from 1 to {len(paths)} and a reft_rank up to {width:,}"
            )
        model.requires_grad_(False)
        device = next(model.parameters()).device
        self.facts = {**facts, "layers": layers}
        drawn = {str(layer): Intervention(width, facts["rank"]) for layer in layers}
        self.layers = nn.ModuleDict(drawn).to(device)
        model.add_module(_NAME, self.layers)
        for layer, intervention in zip(layers, self.layers.values(), strict=True):
            block = model.get_submodule(paths[layer - 1][-1])
            block.register_forward_hook(partial(_change, intervention, facts["first"], facts["last"]))

    def save_pretrained(self, folder: Path, **_as_peft: Any) -> None:
        """Settings and weights."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FACTS).write_text(json.dumps(self.facts), encoding="utf-8")
        kept = {name: value.detach().cpu().contiguous() for name, value in self.layers.state_dict().items()}
        save_file(kept, folder / WEIGHTS)


def add_loreft(model: Any, _name: str, config: AdaptConfig, seed: int) -> LoReft:
    """Interventions with the settings of a route, drawn from the seed.  Raises SettingError: see `LoReft`."""
    first, last = config.reft_ends
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        facts = {"layers": list(config.reft_layers), "rank": config.reft_rank, "first": first, "last": last}
        adapter = LoReft(model, facts)
    try:
        check_learnt(model, adapter.layers)
    except (ValueError, LookupError, RuntimeError, BackboneError) as error:  # XLNet's states have the tokens first
        raise SettingError(
            f"tuning loreft does not work with {type(model).__name__} ({first_line(error)}); choose tuning lora"
        ) from error
    return adapter


def load_loreft(model: Any, folder: Path) -> LoReft:
    """What `LoReft.save_pretrained` wrote, put into a base model; whatever of it is damaged shows in some error."""
    with torch.random.fork_rng(devices=[]):
        adapter = LoReft(model, json.loads((folder / FACTS).read_text(encoding="utf-8")))
    adapter.layers.load_state_dict(load_file(folder / WEIGHTS))
    return adapter


def _change(layer: nn.Module, first: int, last: int, _block: nn.Module, _args: Any, output: Any) -> Any:
    """In place of what a block puts out: a tensor, or a tuple that begins with it."""
    states_BTD: Tensor = output if isinstance(output, Tensor) else output[0]
    spans = told_spans() or Spans.whole(*states_BTD.shape[:2])
    rows, places = (torch.from_numpy(index).to(states_BTD.device) for index in spans.ends(first, last))
    changed_BTD = states_BTD.index_put((rows, places), layer(states_BTD[rows, places]))
    return changed_BTD if isinstance(output, Tensor) else (changed_BTD, *output[1:])
