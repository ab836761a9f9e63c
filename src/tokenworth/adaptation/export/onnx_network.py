"""A classifier with a language model in it as one ONNX graph: token ids and mask in, probabilities out.

The graph computes what `predict` computes: the blocks up to the layer that is read, pooling over the tokens that are no
padding, the head, the temperature.  Weights are float32, whatever format the route computed in, and the head's products
are those of float64, as a probe's are here; so int8 leaves it alone.

Axes: B texts, T tokens, D numbers of a pooled text, C classes.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.adaptation.export.onnx_libraries import without_messages
from tokenworth.adaptation.export.sequence_classifier import in_float32
from tokenworth.adaptation.routes.probe_route import ProbePredictor
from tokenworth.adaptation.routes.tuned_predictor import TunedPredictor
from tokenworth.backbones import Backbone
from tokenworth.backbones.structure.structure import block_input
from tokenworth.backbones.twins import with_model
from tokenworth.encode import Reading, normalised, pool
from tokenworth.errors import AdaptError, first_line

_LARGEST_FILE = 1_500_000_000
"""Bytes of weights up to which they are in the graph's own file; protobuf ends at 2 GiB."""
_TRACED = (2, 7)
"""Texts and tokens that the graph is traced with; it takes any numbers of both."""
_OPERATOR = re.compile(r"\b(?:aten|torchvision|prims|transformers|tokenworth)(?:::|\.)(\w+)")


@dataclass(frozen=True, eq=False, slots=True)
class Network:
    """What a classifier computes after its tokenizer."""

    backbone: Backbone
    layer: int
    """0 to L: whose states are read."""
    reading: Reading
    head: nn.Linear
    """Weights (C, D)."""


def network_of(predictor: ProbePredictor | TunedPredictor) -> Network:
    """The network of a classifier whose weights are float32 (`widened`); an adapter is merged into its backbone."""
    backbone = predictor.backbone
    if isinstance(predictor, ProbePredictor):
        linear = predictor.linear
        head = nn.Linear(*linear.weights_DC.shape).double()
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(linear.weights_DC.T.copy()))
            head.bias.copy_(torch.from_numpy(linear.intercept_C))
        return Network(backbone, predictor.layer, predictor.reading, head)
    classifier, model = predictor.classifier, predictor.merged()
    if model is not backbone.model:
        backbone = with_model(backbone, model, "float32")
    head = copy.deepcopy(classifier.head).double()
    return Network(backbone, backbone.n_layers, Reading(classifier.pooling, "raw"), head)


def widened(predictor: ProbePredictor | TunedPredictor) -> ProbePredictor | TunedPredictor:
    """The same predictor in float32, with no feature known beforehand: a copy where its weights would change."""
    if isinstance(predictor, TunedPredictor):
        return in_float32(predictor)
    backbone = predictor.backbone
    if backbone.dtype != torch.float32:
        wide = with_model(backbone, copy.deepcopy(backbone.model).float(), "float32")
        backbone = replace(wide, dtype=torch.float32)
    return replace(predictor, backbone=backbone, known={})


class Graph(nn.Module):
    """The network as a module that can be traced: ids (B, T) and mask (B, T) to probabilities (B, C), float32."""

    def __init__(self, network: Network, temperature: float) -> None:
        super().__init__()
        self.model, self.head = network.backbone.model, network.head
        self.layer, self.reading, self.temperature = network.layer, network.reading, temperature
        self.structure = network.backbone.structure

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Padding stands on the right and has mask 0."""
        states_BTD = self._states(input_ids, attention_mask)
        read_BTD = normalised(states_BTD) if self.reading.states == "normalised" else states_BTD
        pooled_BD = pool(read_BTD, attention_mask.bool(), self.reading.pooling)
        logits_BC: Tensor = self.head(pooled_BD.double()) / self.temperature
        return logits_BC.softmax(-1).float()

    def _states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Of the layer that is read.  The arguments are those of `tokenworth.encode.batches`: causal, no mask."""
        structure, inputs = self.structure, {"input_ids": input_ids}
        more: dict[str, Any] = {"use_cache": False} if "use_cache" in structure.accepts else {}
        if not structure.causal and "attention_mask" in structure.accepts:
            inputs["attention_mask"] = attention_mask
        if self.layer == structure.n_layers:
            return self.model(**inputs, **more).last_hidden_state
        if structure.blocks is None:
            return self.model(**inputs, **more, output_hidden_states=True).hidden_states[self.layer]
        caught: list[Tensor] = []
        hook = structure.blocks[self.layer].register_forward_pre_hook(
            lambda _module, args, kwargs: caught.append(block_input(args, kwargs)), with_kwargs=True
        )
        try:  # what the blocks above compute goes nowhere, and is left out of the graph
            self.model(**inputs, **more)
        finally:
            hook.remove()
        return caught[0]


def write_graph(network: Network, temperature: float, path: Path) -> None:
    """Trace the network and write it as ONNX; large weights into a file beside it.

    Raises AdaptError: the network has an operator that ONNX has none for, or cannot be traced.
    """
    graph = Graph(network, temperature).eval().cpu()
    weights = sum(value.numel() * value.element_size() for value in graph.parameters())
    ids = torch.zeros(_TRACED, dtype=torch.int64)
    dynamic = dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC)
    names = ("input_ids", "attention_mask")
    try:
        with torch.no_grad(), without_messages():
            traced = torch.export.export(
                graph, (ids, torch.ones_like(ids)), dynamic_shapes=dict.fromkeys(names, dynamic), strict=False
            )
            traced.graph_module.graph.eliminate_dead_code()
            form: dict[str, Any] = {"input_names": list(names), "output_names": ["probabilities"], "verbose": False}
            program: Any = torch.onnx.export(traced, (), dynamo=True, **form)
            for node in program.model.graph:  # where it stands in whose files on this machine
                node.metadata_props.clear()
            program.save(path, external_data=weights > _LARGEST_FILE)
    except Exception as error:  # tracing runs the model's own code, which may say in any way that it cannot be
        raise AdaptError(_refusal(network.backbone, error)) from error


def _refusal(backbone: Backbone, error: BaseException) -> str:
    """A sentence on the first cause: what torch.onnx says of it are instructions for those who work on it."""
    cause, remedy = error, "export it with --format transformers, or choose another model"
    while cause.__cause__ is not None:
        cause = cause.__cause__
    operator = _OPERATOR.search(str(cause))
    if "No ONNX function found" in str(cause) and operator:
        return f"{backbone.name} needs the operator {operator[1]}, for which ONNX has none; {remedy}"
    return f"{backbone.name} cannot be written as ONNX ({type(cause).__name__}: {first_line(cause)}); {remedy}"
