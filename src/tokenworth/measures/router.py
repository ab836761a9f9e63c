"""Where a mixture of experts sends its tokens: the load of every expert, layer by layer.

A router gives every token a distribution over E experts by softmax, takes the k likeliest and weighs them by their
probabilities (divided by their sum where the model does so).  Per layer, over N tokens:

    load_e  = (tokens sent to e) / (N k)              sums to 1; 1/E each if balanced
    gate_e  = (weights given to e) / (all weights)    what the experts' outputs count for
    cv      = standard deviation of load / its mean   0 if balanced, sqrt(E - 1) if one expert takes all (k = 1)
    dead    = share of experts without a single token
    entropy = - sum_e load_e ln load_e / ln E         1 if balanced
    balance = E sum_e load_e P_e                      P_e mean probability; 1 if balanced: the usual auxiliary loss

Sources: Shazeer et al. (2017), arXiv 1701.06538 (cv of importance and load); Fedus et al. (2022), JMLR 23(120), arXiv
2101.03961 (balance).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenworth.base.aliases import Floats
from tokenworth.errors import SettingError
from tokenworth.measures.loaded_decoder import Decoder, batches


@dataclass(frozen=True, eq=False, slots=True)
class RouterLoad:
    """Sums over tokens, for L layers with a router and E experts; parts of a corpus add up."""

    tokens: int
    """N, that were counted."""
    experts_per_token: int
    """k."""
    count_LE: Floats
    """Tokens sent to each expert."""
    weight_LE: Floats
    """Weights given to each."""
    probability_LE: Floats
    """Probabilities given to each, before the k likeliest are taken."""

    def merge(self, other: RouterLoad) -> RouterLoad:
        """The load of both parts."""
        sums = [getattr(self, name) + getattr(other, name) for name in ("count_LE", "weight_LE", "probability_LE")]
        return RouterLoad(self.tokens + other.tokens, self.experts_per_token, *sums)

    def layers(self) -> list[dict[str, Any]]:
        """A row a layer: layer, cv, dead, entropy, balance, busiest (largest load), load and gate of each expert."""
        return [
            _row(i, *parts)
            for i, parts in enumerate(zip(self.count_LE, self.weight_LE, self.probability_LE, strict=True))
        ]

    def asdict(self) -> dict[str, Any]:
        """Plain data: the sums and the rows."""
        sums = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in asdict(self).items()}
        return sums | {"layers": self.layers()}


def _row(layer: int, count_E: Floats, weight_E: Floats, probability_E: Floats) -> dict[str, Any]:
    load_E, gate_E, mean_E = (part / part.sum() for part in (count_E, weight_E, probability_E))
    used_E = load_E[load_E > 0]
    return {
        "layer": layer,
        "cv": float(load_E.std() / load_E.mean()),
        "dead": float((count_E == 0).mean()),
        "entropy": float(-(used_E * np.log(used_E)).sum() / math.log(len(load_E))) if len(load_E) > 1 else 1.0,
        "balance": float(len(load_E) * load_E @ mean_E),
        "busiest": float(load_E.max()),
        "load": load_E.tolist(),
        "gate": gate_E.tolist(),
    }


def router_load(decoder: Decoder, ids_NT: Tensor) -> RouterLoad:
    """The load on texts (N, T) without padding; every token counts.

    Raises:
        SettingError: the model has no experts.
    """
    config = decoder.model.config.get_text_config()
    chosen = getattr(config, "num_experts_per_tok", None)
    if not chosen:
        raise SettingError(f"{decoder.name} is dense: no layer of it has a router; give a mixture of experts")
    divided = bool(getattr(config, "norm_topk_prob", True))
    total: RouterLoad | None = None
    with torch.inference_mode():
        for rows in batches(decoder, ids_NT):
            batch_BT = ids_NT[rows].to(decoder.device)
            output = decoder.model(input_ids=batch_BT, use_cache=False, output_router_logits=True)
            part = load_of(torch.stack(tuple(output.router_logits)), chosen, divided=divided)
            total = part if total is None else total.merge(part)
    assert total is not None, "there is a text at least"
    return total


def load_of(logits_LNE: Tensor, chosen: int, *, divided: bool = True) -> RouterLoad:
    """The load that routers' logits give.

    Args:
        logits_LNE: of L layers, N tokens, E experts.
        chosen: k, experts a token.
        divided: whether the k weights are made to sum to 1.
    """
    probability_LNE = logits_LNE.double().softmax(-1)
    weight_LNK, expert_LNK = probability_LNE.topk(chosen, dim=-1)
    if divided:
        weight_LNK = weight_LNK / weight_LNK.sum(-1, keepdim=True)
    empty_LE = torch.zeros(logits_LNE.shape[0], logits_LNE.shape[2], dtype=torch.float64, device=logits_LNE.device)
    flat_LM = expert_LNK.flatten(1)
    counts_LE = empty_LE.scatter_add(1, flat_LM, torch.ones_like(flat_LM, dtype=torch.float64))
    weights_LE = empty_LE.scatter_add(1, flat_LM, weight_LNK.flatten(1))
    sums = (each.cpu().numpy() for each in (counts_LE, weights_LE, probability_LNE.sum(1)))
    return RouterLoad(logits_LNE.shape[1], chosen, *sums)
