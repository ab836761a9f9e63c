"""Our decoder against transformers' own classes, and every part of 2017 against itself saved and loaded."""

import pytest
import torch
from transformers import AutoModelForCausalLM

import tokenworth as tw
from tokenworth.backbones import load_backbone
from tokenworth.backbones.architectures import register_architectures
from tokenworth.backbones.architectures.decoder.configuration import DecoderConfig

register_architectures()
SIZES = {
    "vocab_size": 97, "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "max_position_embeddings": 32,
}  # fmt: skip
OLD = (
    {"normalisation": "layernorm"},
    {"norm_place": "post"},
    {"feed_forward": "gelu"},
    {"bias": True},
    {"positions": "learned"},
)


def decoder(**parts):
    from tokenworth.backbones.architectures.decoder.modeling import DecoderForCausalLM

    torch.manual_seed(0)
    return DecoderForCausalLM(DecoderConfig(**SIZES, **parts))


def ids(batch=2, length=20):
    return torch.randint(0, 97, (batch, length), generator=torch.Generator().manual_seed(1))


def document_mask(length=20, cut=7):
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    mask[cut:, :cut] = False
    return mask[None, None].expand(2, 1, length, length)


@pytest.mark.parametrize("mask", [None, document_mask()], ids=["causal", "documents"])
@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"num_key_value_heads": 2},
        {"num_key_value_heads": 1},
        {"num_local_experts": 4},
        {"tie_word_embeddings": False},
    ],
    ids=["mha", "gqa", "mqa", "experts", "untied"],
)
def test_equals_transformers_in_logits_and_gradients(parts, mask):
    """The order of sums differs: 1e-6 in float32."""
    ours = decoder(**parts)
    theirs = AutoModelForCausalLM.from_config(ours.config.standard(), dtype=torch.float32)
    assert type(theirs).__name__ == ("MixtralForCausalLM" if "num_local_experts" in parts else "LlamaForCausalLM")
    theirs.load_state_dict(ours.state_dict())
    found, wanted = (model(ids(), labels=ids(), attention_mask=mask) for model in (ours, theirs))
    torch.testing.assert_close(found.logits, wanted.logits, rtol=1e-5, atol=1e-5)
    found.loss.backward()
    wanted.loss.backward()
    for (name, own), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-3, atol=1e-6, msg=name)


@pytest.mark.parametrize("parts", [{}, *OLD, {"num_local_experts": 4}], ids=str)
def test_cached_generation_equals_the_full_forward(parts):
    model = decoder(**parts).eval()
    more = {
        "max_new_tokens": 8,
        "do_sample": False,
        "attention_mask": torch.ones(1, 6, dtype=torch.long),
        "pad_token_id": 0,
    }
    start = ids(1, 6)
    assert torch.equal(model.generate(start, **more), model.generate(start, use_cache=False, **more))


@pytest.mark.parametrize("parts", [{}, {"positions": "learned"}], ids=["rope", "learned"])
def test_generation_behind_padding_is_that_without(parts):
    """A prompt padded on the left begins at position 0 all the same."""
    model, start = decoder(**parts).eval(), ids(1, 6)
    padded = torch.cat([torch.zeros(1, 4, dtype=torch.long), start], dim=1)
    mask = (torch.arange(10) >= 4).long()[None]
    more = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0, "output_scores": True}
    alone, behind = (
        model.generate(tokens, attention_mask=where, return_dict_in_generate=True, **more)
        for tokens, where in ((start, torch.ones_like(start)), (padded, mask))
    )
    torch.testing.assert_close(behind.scores, alone.scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize("parts", OLD, ids=str)
def test_old_parts_are_saved_loaded_and_assessed(parts, tmp_path):
    model = decoder(**parts).eval()
    model.save_pretrained(tmp_path / "old")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "old")
    assert torch.equal(model(ids()).logits, again(ids()).logits)
    backbone = load_backbone(str(tmp_path / "old"), tokenizer="bytes", dtype="float32")
    states = backbone.model(input_ids=ids()).last_hidden_state
    torch.testing.assert_close(states, model.model(input_ids=ids()).last_hidden_state)


def test_every_old_part_changes_what_is_computed():
    new = decoder()(ids()).logits
    for parts in OLD:
        assert not torch.allclose(new, decoder(**parts)(ids()).logits, atol=1e-3), parts


def test_first_weights_have_the_stated_deviations():
    model = decoder(initializer_range=0.1, num_local_experts=2)
    layer = model.model.layers[0]
    assert layer.self_attn.q_proj.weight.std().item() == pytest.approx(0.1, rel=0.1)
    for ending in (layer.self_attn.o_proj.weight, layer.mlp.experts.down_proj):
        assert ending.std().item() == pytest.approx(0.1 / 6**0.5, rel=0.1)
    assert torch.equal(layer.input_layernorm.weight, torch.ones(48))


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"norm_place": "middle"}, "choose pre or post"),
        ({"num_attention_heads": 5}, "multiple of 10"),
        ({"num_key_value_heads": 3}, "cannot share 3"),
        ({"num_local_experts": 2, "bias": True}, "without biases"),
        ({"num_local_experts": 2, "num_experts_per_tok": 3}, "3 of 2 experts"),
    ],
)
def test_impossible_shapes_are_refused(parts, says):
    with pytest.raises(ValueError, match=says):
        DecoderConfig(**{**SIZES, **parts})


@pytest.mark.formats
def test_a_random_twin_of_an_old_decoder_is_assessed_as_any_backbone(tmp_path):
    decoder(bias=True).save_pretrained(tmp_path / "old")
    twin = load_backbone(f"{tmp_path / 'old'}@random", tokenizer="bytes", seed=1)
    assert twin.n_layers == 3
    assert tw.__version__
