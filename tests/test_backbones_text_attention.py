"""Attention text by text gives what attention over the whole row gives under the row's mask."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from small_models import write_folder
from tokenworth.adaptation.training.batch_packing import can_pack, packed_batch
from tokenworth.backbones import load_backbone
from tokenworth.backbones.structure import text_attention
from tokenworth.backbones.structure.text_attention import TextAttention, chunks_of

HEADS, GROUPS, WIDTH, WIDE = 6, 2, 8, 5
LENGTHS = {"usual": [5, 9, 3], "tokens": [1, 1, 1], "one text": [7], "long and short": [30, 4, 90, 2]}
ERROR = {torch.float32: 1e-5, torch.bfloat16: 0.02}
"""Of the largest number: PyTorch's own kernel rounds what it sums in other places."""


def mask_of(lengths, window=None, *, causal=True):
    """Who sees whom, token by token."""
    places = [(text, place) for text, length in enumerate(lengths) for place in range(length)]
    return torch.tensor(
        [
            [
                text == other and (not causal or place >= before) and (window is None or place - before < window)
                for other, before in places
            ]
            for text, place in places
        ]
    )[None, None]


def written_out(query, key, value, mask, scale):
    """Attention (1, S, H, D) in float64, head by head."""
    found = []
    for head in range(HEADS):
        group = head // (HEADS // GROUPS)
        scores = query[0, head].double() @ key[0, group].double().T * scale
        found.append(torch.softmax(scores.masked_fill(~mask[0, 0], -torch.inf), -1) @ value[0, group].double())
    return torch.stack(found, 1)[None]


def attended(function, inputs, *more):
    """Outputs and gradients of a sum with fixed weights."""
    inputs = [x.detach().clone().requires_grad_(True) for x in inputs]
    output = function(*inputs, *more)
    weights = torch.sin(torch.arange(output.numel())).view(output.shape)
    (output.double() * weights).sum().backward()
    return [output.detach(), *(x.grad for x in inputs)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_outputs_and_gradients_are_those_written_out(lengths, window, dtype, monkeypatch):
    monkeypatch.setattr(text_attention, "_SCORES", 1500)  # several chunks
    torch.manual_seed(0)
    size, mask = sum(lengths), mask_of(lengths, window)
    query = torch.randn(1, HEADS, size, WIDTH).to(dtype)
    key, value = (torch.randn(1, GROUPS, size, width).to(dtype) for width in (WIDTH, WIDE))
    ours = TextAttention(lengths, sdpa_attention_forward)
    ours.know(mask)

    def by_text(*inputs):
        return ours(SimpleNamespace(), *inputs, mask, scaling=0.3)[0]

    for found, expected in zip(
        attended(by_text, (query, key, value)), attended(written_out, (query, key, value), mask, 0.3), strict=True
    ):
        error = (found.double() - expected.double()).abs().max()
        # alone a token sees itself only, so that queries and keys have no gradient
        assert error <= ERROR[dtype] * max(float(expected.double().abs().max()), 1e-2)
    assert ours.answers_all


def test_chunks_hold_every_token_once_and_neighbours_alone():
    lengths = [3, 200, 5, 5, 400, 1]
    chunks = chunks_of(lengths, heads=9)
    places = [(chunk.start + chunk.tokens_NL)[chunk.real_NL] for chunk in chunks]
    assert torch.cat(places).tolist() == list(range(sum(lengths)))
    assert sum(chunk.tokens_NL.shape[0] for chunk in chunks) == len(lengths)
    for chunk in chunks:
        n, longest = chunk.tokens_NL.shape
        assert n == 1 or n * 9 * longest**2 <= 2**19
        flat = torch.arange(chunk.tokens_NL.numel()).view(n, longest)
        assert flat[chunk.real_NL].tolist() == chunk.slots_T.tolist()


@pytest.mark.parametrize(
    "options", [{"dropout": 0.1}, {"position_bias": torch.zeros(1, HEADS, 3, 3)}, {"mask": "another"}], ids=str
)
def test_what_it_does_not_know_is_left_to_the_usual_function(options):
    mask, asked = mask_of([2, 1]), []
    ours = TextAttention([2, 1], lambda *_args, **_kwargs: (asked.append(1), None))
    ours.know(mask)
    options = dict(options)
    given = mask.clone() if options.pop("mask", None) else mask
    ours(SimpleNamespace(), *[torch.randn(1, HEADS, 3, WIDTH)] * 3, given, **options)
    assert asked == [1]
    assert not ours.answers_all


def test_decoders_attend_text_by_text_and_others_say_that_they_do_not(tmp_path):
    ids = [np.arange(4, 4 + n, dtype=np.int32) for n in (3, 9, 1, 6)]
    llama = load_backbone(str(write_folder(tmp_path / "llama", "llama")), dtype="float32")
    assert can_pack(llama, ids) == "texts"
    llama.model.set_attn_implementation("eager")
    assert can_pack(llama, ids) == "row"
    packed = packed_batch(llama, ids, np.arange(4))
    row = packed.states(llama.model)
    llama.model.set_attn_implementation("sdpa")
    torch.testing.assert_close(packed.states(llama.model), row, rtol=1e-4, atol=1e-5)
