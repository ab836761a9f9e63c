"""Massive activations: states many times as long as the others, found by a loop over all of them and by the pass."""

import numpy as np
import pytest
import torch

from number_formats import unit
from passes import run_pass
from small_models import write_folder
from tokenworth.assessment.flags import massive_activations
from tokenworth.backbones import load_backbone
from tokenworth.encode import normalised
from tokenworth.features.massive_activations import (
    LargestState,
    facts_of,
    largest_states,
    nothing_seen,
    together,
)
from tokenworth.scores.context_batch import Places


@pytest.fixture
def batches():
    """States of two batches with one huge coordinate, and NaN in the padding."""
    generator = torch.Generator().manual_seed(0)
    parts = []
    for lengths in ([5, 3, 1], [2, 4]):
        states = torch.randn(len(lengths), max(lengths), 16, generator=generator, dtype=torch.float64)
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        parts.append((states, mask))
    parts[1][0][1, 2, 7] = -900.0
    for states, mask in parts:
        states[~mask] = torch.nan
    return parts


def by_hand(batches):
    longest, first, others = (0.0, None), [], []
    for states, mask in batches:
        for text, kept in zip(states.numpy(), mask.numpy(), strict=True):
            for position, state in enumerate(text[kept]):
                norm = np.linalg.norm(state)
                (first if position == 0 else others).append(norm)
                if norm > longest[0]:
                    coordinate = np.abs(state).argmax()
                    longest = (norm, (position, coordinate, state[coordinate]))
    typical = np.exp(np.mean(np.log(others)))
    return longest[0] / typical, *longest[1], np.exp(np.mean(np.log(first))) / typical


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("turn", [1, -1])
def test_the_largest_state_is_that_of_a_loop(batches, dtype, turn):
    facts = nothing_seen()
    for states, mask in batches[::turn]:
        facts = together(facts, facts_of(states.to(getattr(torch, dtype)), Places.of(mask)))
    (state,) = largest_states(facts[None], [3])
    ratio, position, coordinate, value, first_ratio = by_hand(batches)
    assert (state.layer, state.position, state.coordinate) == (3, position, coordinate) == (3, 2, 7)
    assert state.massive
    rounding = 4 * unit(dtype)
    assert (state.ratio, state.value, state.first_ratio) == pytest.approx((ratio, value, first_ratio), rel=rounding)


def test_texts_of_one_token_have_nothing_beside_them():
    facts = facts_of(torch.ones(2, 1, 4), Places.of(torch.ones(2, 1, dtype=torch.bool)))
    assert largest_states(facts[None], [0]) == []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_states_over_their_size(dtype):
    states = torch.randn(3, 5, 32).to(getattr(torch, dtype))
    states[1, 2, 4], states[0, 0] = 3e4, 0
    wide = states.double()
    expected = wide / wide.square().mean(-1, keepdim=True).sqrt()
    assert (normalised(states)[0, 0] == 0).all(), "nothing stays nothing"
    torch.testing.assert_close(normalised(states)[1:].double(), expected[1:], rtol=1e-5, atol=1e-6)
    huge = torch.full((1, 4), 1e30)
    torch.testing.assert_close(normalised(huge), torch.ones(1, 4)), "squares beyond float32"
    torch.testing.assert_close(normalised(huge * 1e-50 + 1e-25), torch.ones(1, 4))


def planted(folder, coordinate=5):
    """A decoder whose second block gives one token a coordinate of thousands, as trained decoders do."""
    backbone = load_backbone(str(folder), device="cpu", dtype="float32")
    block = backbone.model.layers[1]

    def spike(_module, _arguments, output):
        states = output[0] if isinstance(output, tuple) else output
        states[:, 0, coordinate] += 4e3
        return output

    block.register_forward_hook(spike)
    return backbone


def test_a_pass_names_them_and_an_interrupted_one_too(tmp_path):
    backbone = planted(write_folder(tmp_path / "llama", "llama"))
    features = run_pass(backbone, tmp_path / "store", states="normalised")
    by_layer = {state.layer: state for state in features.entry.largest_states()}
    assert not by_layer[1].massive
    assert by_layer[2].massive
    assert (by_layer[2].position, by_layer[2].coordinate) == (0, 5)
    assert by_layer[2].value == pytest.approx(4e3, rel=0.01)

    def interrupt(_part, done, _total):
        if done > 300:
            raise KeyboardInterrupt

    fresh = planted(tmp_path / "llama")
    settings = {"states": "normalised", "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        run_pass(fresh, tmp_path / "other", progress=interrupt, **settings)
    again = run_pass(fresh, tmp_path / "other", **settings)
    assert again.entry.largest_states() == features.entry.largest_states()


def test_the_flag_says_where_how_large_and_what_follows():
    state = LargestState(layer=12, ratio=171.2, position=0, coordinate=319, value=9812.0, first_ratio=170.0)
    others = [LargestState(layer, 12.0, 0, 319, 900.0, 11.0) for layer in (13, 14, 20)]
    small = LargestState(1, 9.0, 0, 1, 30.0, 9.0)
    (flag,) = massive_activations([small, state, *others], "normalised")
    assert (flag["layer"], flag["score"]) == (None, "states")
    assert "at layers 12-14, 20: at layer 12 the state of token 1" in flag["reason"]
    assert "171 times as long as others (coordinate 319 is 9,812)" in flag["reason"]
    assert "so they do not decide" in flag["reason"]
    (raw,) = massive_activations([state], "raw")
    assert "measure them and not the task" in raw["reason"]
    assert massive_activations([small], "raw") == []
