"""Small models of many families, written as folders a user could have, and what loading finds out about each."""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from small_models import FAMILIES, LLAMA, write_folder, write_model, write_tokenizer
from tokenworth.backbones import load_backbone


@pytest.mark.parametrize("family", FAMILIES)
def test_structure_is_found_by_asking_the_model(family, tmp_path):
    backbone = load_backbone(str(write_folder(tmp_path, family)), dtype="float32")
    told_apart, causal, max_length = FAMILIES[family][2]
    assert (backbone.structure.blocks is not None) == told_apart
    assert bool(backbone.notes) == (not told_apart or max_length == 2048)
    assert (backbone.causal, backbone.max_length) == (causal, max_length)
    assert (backbone.n_layers, backbone.width) == (3, 32)
    assert not backbone.model.training
    assert not hasattr(backbone.model, "lm_head")
    assert getattr(backbone.model, "pooler", None) is None


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_parameters_are_those_of_the_base_model(family, tmp_path):
    folder = write_folder(tmp_path, family)
    backbone = load_backbone(str(folder), dtype="float32")
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", framework="pt") as file:
        sizes = {key: file.get_tensor(key).numel() for key in file.keys() if "pooler" not in key}  # noqa: SIM118
    assert backbone.n_parameters == sum(sizes.values())


def test_a_causal_model_saved_with_its_head_loads_without_it(tmp_path):
    config = transformers.LlamaConfig(**LLAMA, tie_word_embeddings=False)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    backbone = load_backbone(str(tmp_path), dtype="float32")
    assert type(backbone.model).__name__ == "LlamaModel"


def test_a_limit_of_the_tokenizer_bounds_the_text(tmp_path):
    write_model(tmp_path, "llama")
    write_tokenizer(tmp_path, limit=12)
    assert load_backbone(str(tmp_path), dtype="float32").max_length == 12


def test_causality_does_not_follow_from_the_name(tmp_path):
    folder = write_folder(tmp_path, "bert", is_decoder=True)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "bert"
    assert load_backbone(str(folder), dtype="float32").causal


@pytest.mark.parametrize("family", ["llama", "bert", "roberta", "gpt2", "distilbert"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_causality_of_plain_random_twins(family, dtype, tmp_path):
    """At the customary initial scale attention is weakest, and so is the sign of looking ahead."""
    folder = write_folder(tmp_path, family, initializer_range=0.02)
    backbone = load_backbone(f"{folder}@random", dtype=dtype)
    assert backbone.causal == FAMILIES[family][2][1]


def test_tied_embeddings_stored_under_the_heads_name(tmp_path):
    from safetensors.torch import load_file, save_file

    config = transformers.LlamaConfig(**LLAMA, tie_word_embeddings=True)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    words = weights.pop("model.embed_tokens.weight")
    save_file({**weights, "lm_head.weight": words}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    backbone = load_backbone(str(tmp_path), dtype="float32")
    assert torch.equal(backbone.model.embed_tokens.weight, words)
    assert type(backbone.model).__name__ == "LlamaModel"


def test_layer_0_is_the_embedding_also_where_the_models_own_record_leaves_it_out(tmp_path):
    from tokenworth.encode import encode, tokenise

    config = transformers.MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=3, state_size=4)
    config.save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    backbone = load_backbone(f"{tmp_path}@random", dtype="float32")
    assert backbone.structure.blocks is not None
    assert backbone.causal
    found = {}
    tokens = tokenise(backbone, ["w1 w2 w3"])
    encode(backbone, tokens, lambda layer, states, _mask, _rows: found.update({layer: states[0].clone()}))
    assert torch.equal(found[0], backbone.model.get_input_embeddings().weight[[5, 6, 7]])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("family", "causal"), [("llama", True), ("bert", False)])
def test_causality_where_random_weights_mix_no_tokens(tmp_path, dtype, family, causal):
    """Blocks that end in zeros keep tokens apart, whatever they would look at once they have learned."""
    folder = write_folder(tmp_path / family, family)
    weights = load_file(folder / "model.safetensors")
    ends = ("o_proj.weight", "attention.output.dense.weight")
    assert [values.zero_() for name, values in weights.items() if name.endswith(ends)]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_backbone(str(folder), dtype=dtype).causal == causal
