"""Small models of many families, written as folders a user could have, and what loading finds out about each."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tokenworth.backbones import load_backbone

WORDS = [f"w{i}" for i in range(60)]
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]

_SMALL = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
_LLAMA = {**_SMALL, "intermediate_size": 48, "max_position_embeddings": 40, "pad_token_id": 1, "initializer_range": 0.3}
_BERT = {**_LLAMA, "type_vocab_size": 2}
_GPT2 = {"vocab_size": 64, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 40, "initializer_range": 0.3}

# family -> (configuration class, its settings, expected: blocks told apart, causal, longest text)
FAMILIES: dict[str, tuple[str, dict[str, Any], tuple[bool, bool, int]]] = {
    "llama": ("LlamaConfig", _LLAMA, (True, True, 40)),
    "gpt2": ("GPT2Config", _GPT2, (True, True, 40)),
    "bert": ("BertConfig", _BERT, (True, False, 40)),
    "roberta": ("RobertaConfig", _BERT, (True, False, 38)),
    "modernbert": (
        "ModernBertConfig",
        {**_LLAMA, "cls_token_id": 0, "sep_token_id": 2, "bos_token_id": 0, "eos_token_id": 2},
        (True, False, 40),
    ),
    "distilbert": (
        "DistilBertConfig",
        {"vocab_size": 64, "dim": 32, "hidden_dim": 48, "n_layers": 3, "n_heads": 4, "max_position_embeddings": 40},
        (True, False, 40),
    ),
    "longformer": ("LongformerConfig", {**_BERT, "attention_window": 4}, (False, False, 38)),
    "mpt": (
        "MptConfig",
        {"vocab_size": 64, "d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": 40},
        (True, True, 40),
    ),
    "albert": ("AlbertConfig", {**_BERT, "embedding_size": 16}, (False, False, 40)),
    "xlnet": (
        "XLNetConfig",
        {"vocab_size": 64, "d_model": 32, "n_layer": 3, "n_head": 4, "d_inner": 48, "pad_token_id": 1},
        (False, False, 2048),
    ),
    "opt": (
        "OPTConfig",
        {**_LLAMA, "ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.3},
        (True, True, 40),
    ),
}


def write_tokenizer(
    folder: Path, *, wrapped: bool = False, pad: str | None = "<pad>", limit: int | None = None, bos: str | None = "<s>"
) -> None:
    """One token a word; ``wrapped`` puts <s> and </s> around every text, as encoders' tokenizers do."""
    vocabulary = {word: i for i, word in enumerate([*SPECIALS, *WORDS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if wrapped:
        inner.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
    names = {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": pad, "bos_token": bos}
    limits = {} if limit is None else {"model_max_length": limit}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, **{k: v for k, v in names.items() if v}, **limits
    )
    tokenizer.save_pretrained(folder)


def write_model(folder: Path, family: str, *, seed: int = 0, **changes: Any) -> None:
    """Random weights of the family's base model with biases and norms moved off their neutral values."""
    class_name, settings, _ = FAMILIES[family]
    config = getattr(transformers, class_name)(**{**settings, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.AutoModel.from_config(config)
        for parameter in model.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(folder)


def write_folder(folder: Path, family: str, *, pad: str | None = "<pad>", **changes: Any) -> Path:
    write_model(folder, family, **changes)
    causal = FAMILIES[family][2][1]
    write_tokenizer(folder, wrapped=not causal, pad=pad)
    return folder


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
    config = transformers.LlamaConfig(**_LLAMA, tie_word_embeddings=False)
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

    config = transformers.LlamaConfig(**_LLAMA, tie_word_embeddings=True)
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
