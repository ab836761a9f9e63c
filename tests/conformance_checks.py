"""What the package computes with a model folder against the library's own class, one text at a time.

Each check takes a folder and a number format and gives an `Agreement`: how far apart the two are, and how far rounding
alone may put them.  Texts are longer than the windows of the small models (16 tokens), and shorter than 160.

Axes: N texts, T tokens, D coordinates, C classes.
"""

from __future__ import annotations

import math
import os
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from tokenworth.adaptation.routes.label_likelihood import mean_log_likelihoods
from tokenworth.adaptation.training.batch_packing import can_pack, packed_batch, padded_batch
from tokenworth.backbones import Backbone, load_backbone
from tokenworth.encode import Tokens, encode, pool
from tokenworth.encode.text_loss import text_losses

DEVICE = os.environ.get("TESTS_DEVICE", "cpu")
"""What the package computes on; the library's own classes stay on the processor."""
LENGTHS = (70, 5, 33, 17, 48, 2, 33)
"""Longer and shorter than the windows and chunks of the small models, some of one length."""
SHARED_PREFIX = 40
"""Tokens that all prompts begin with: longer than a window."""
_ROUNDING = {"float32": 2e-4, "float16": 2e-2, "bfloat16": 6e-2}
"""Relative, of a norm: about 2000 and 16 units in the last place, which is what a few blocks make of one."""
_NATS = {"float32": 2e-3, "float16": 5e-2, "bfloat16": 0.25}


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two computations of one thing are apart."""

    apart: float
    """Largest difference: relative for states, in nats for likelihoods; NaN where there is nothing to compare."""
    bound: float
    """Largest difference that rounding makes."""
    note: str = ""
    """Why there is nothing to compare."""

    @property
    def agrees(self) -> bool:
        """Nothing to compare agrees, and a note says why."""
        return bool(self.note) or self.apart <= self.bound


def token_ids(backbone: Backbone, lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> list[np.ndarray]:
    """Random ids that are no special tokens."""
    special = set(backbone.tokenizer.all_special_ids)
    usual = np.array(
        [i for i in range(min(len(backbone.tokenizer), backbone.structure.n_embeddings)) if i not in special]
    )
    rng = np.random.default_rng(seed)
    return [rng.choice(usual, min(length, backbone.max_length)).astype(np.int32) for length in lengths]


def states_agree(folder: Path | str, dtype: str) -> Agreement:
    """Mean states of the last layer of every text of one pass, against the base class of the library."""
    backbone = load_backbone(str(folder), dtype=dtype, device=DEVICE)
    ids = token_ids(backbone)
    expected = np.stack([_plain_state(plain_model(folder, dtype), text) for text in ids])
    return Agreement(_apart(pooled(backbone, ids), expected), _ROUNDING[dtype])


def batches_agree(folder: Path | str, dtype: str) -> Agreement:
    """States of every layer in one pass over all texts and in passes over single ones; vectors of training, too."""
    backbone = load_backbone(str(folder), dtype=dtype, device=DEVICE)
    ids = token_ids(backbone)
    layers = range(backbone.n_layers + 1)
    worst = 0.0
    for layer in layers:
        together = pooled(backbone, ids, layer)
        alone = np.concatenate([pooled(backbone, [text], layer) for text in ids])
        worst = max(worst, _apart(together, alone))
    return Agreement(worst, _ROUNDING[dtype])


def packs_agree(folder: Path | str, dtype: str) -> Agreement:
    """Texts in one packed row against each of them alone."""
    backbone = load_backbone(str(folder), dtype=dtype, device=DEVICE)
    ids = token_ids(backbone)
    if not can_pack(backbone, ids):
        return Agreement(math.nan, _ROUNDING[dtype], "is not packed")
    rows = np.arange(len(ids))
    with torch.inference_mode():
        packed = packed_batch(backbone, ids, rows)
        together = packed.read(packed.states(backbone.model), "last+mean").cpu().numpy()
        singles = [padded_batch(backbone, ids, rows[i : i + 1]) for i in rows]
        alone = torch.cat([one.read(one.states(backbone.model), "last+mean") for one in singles]).cpu().numpy()
    return Agreement(_apart(together, alone), _ROUNDING[dtype])


def prompt_agrees(folder: Path | str, dtype: str) -> Agreement:
    """Likelihoods of labels after prompts with a common beginning, against the logits of the library's class."""
    backbone = load_backbone(str(folder), dtype=dtype, device=DEVICE, lm_head=True)
    beginning = token_ids(backbone, (SHARED_PREFIX,), seed=1)[0].tolist()
    prompts = [beginning + ids.tolist() for ids in token_ids(backbone, (30, 3, 21, 11), seed=2)]
    labels = [ids.tolist() for ids in token_ids(backbone, (1, 3, 2), seed=3)]
    model = causal_model(folder, dtype)
    expected = np.array([[_plain_likelihood(model, prompt, label) for label in labels] for prompt in prompts])
    found = mean_log_likelihoods(backbone, prompts, labels)
    return Agreement(float(np.abs(found - expected).max()), _NATS[dtype])


def text_loss_agrees(folder: Path | str, dtype: str) -> Agreement:
    """Nats a token of texts, against the logits of the library's class."""
    backbone = load_backbone(str(folder), dtype=dtype, device=DEVICE, lm_head=True)
    texts = [backbone.tokenizer.decode(ids) for ids in token_ids(backbone, (60, 9, 30))]
    losses = text_losses(backbone, texts, max_length=min(100, backbone.max_length))
    model = causal_model(folder, dtype)
    expected = []
    for text in texts:
        ids = backbone.tokenizer(text, truncation=True, max_length=min(100, backbone.max_length))["input_ids"]
        expected.append(-_plain_likelihood(model, ids[:1], ids[1:]))
    return Agreement(float(np.abs(losses.nats_N / losses.tokens_N - expected).max()), _NATS[dtype])


CHECKS = {
    "states": states_agree,
    "batches": batches_agree,
    "packs": packs_agree,
    "prompt": prompt_agrees,
    "text_loss": text_loss_agrees,
}
"""By name."""


def pooled(backbone: Backbone, ids: list[np.ndarray], layer: int | None = None) -> np.ndarray:
    """(N, D) mean states of a layer, the last by default, as an assessment reads them."""
    states_ND = np.zeros((len(ids), backbone.width), dtype=np.float32)

    def keep(_: int, states_BTD: Any, mask_BT: Any, rows_B: np.ndarray) -> None:
        states_ND[rows_B] = pool(states_BTD, mask_BT).cpu().numpy()

    encode(
        backbone,
        Tokens(ids, 0, 0, 0, backbone.max_length),
        keep,
        layers=[backbone.n_layers if layer is None else layer],
    )
    return states_ND


def plain_model(folder: Path | str, dtype: str) -> Any:
    """The base class of the library, as anybody would load it; of a pair the encoder, or the decoder that left it."""
    model = transformers.AutoModel.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    if not hasattr(model, "decoder") or not hasattr(model, "encoder"):
        return model
    alone = model.config.is_decoder and not model.config.is_encoder_decoder
    return causal_model(folder, dtype).get_decoder() if alone else model.get_encoder()


def causal_model(folder: Path | str, dtype: str) -> Any:
    """The library's class that predicts next tokens."""
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()


def _plain_state(model: Any, ids: np.ndarray) -> np.ndarray:
    with torch.inference_mode():  # of a copy: some models are no longer the same after a text (BigBird)
        states = deepcopy(model)(input_ids=torch.from_numpy(ids.astype(np.int64))[None]).last_hidden_state
    return states[0].float().mean(0).cpu().numpy()


def _plain_likelihood(model: Any, prompt: list[int], label: list[int]) -> float:
    with torch.inference_mode():
        logits_TV = model(input_ids=torch.tensor([[*prompt, *label]])).logits[0].float().log_softmax(-1)
    places = range(len(prompt) - 1, len(prompt) + len(label) - 1)
    return float(np.mean([logits_TV[place, token].item() for place, token in zip(places, label, strict=True)]))


def _apart(values_ND: np.ndarray, expected_ND: np.ndarray) -> float:
    """Largest relative distance of a row; rows that are no finite numbers are infinitely far."""
    distance_N = np.linalg.norm(values_ND - expected_ND, axis=1) / np.linalg.norm(expected_ND, axis=1)
    return float(np.nan_to_num(distance_N, nan=math.inf).max())
