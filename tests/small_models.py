"""Small models of many families, written as folders a user could have."""

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = [f"w{i}" for i in range(60)]
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]

_SMALL = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
LLAMA = {**_SMALL, "intermediate_size": 48, "max_position_embeddings": 40, "pad_token_id": 1, "initializer_range": 0.3}
_BERT = {**LLAMA, "type_vocab_size": 2}
_GPT2 = {"vocab_size": 64, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 40, "initializer_range": 0.3}

# family -> (configuration class, its settings, expected: blocks told apart, causal, longest text)
FAMILIES: dict[str, tuple[str, dict[str, Any], tuple[bool, bool, int]]] = {
    "llama": ("LlamaConfig", LLAMA, (True, True, 40)),
    "gpt2": ("GPT2Config", _GPT2, (True, True, 40)),
    "bert": ("BertConfig", _BERT, (True, False, 40)),
    "roberta": ("RobertaConfig", _BERT, (True, False, 38)),
    "modernbert": (
        "ModernBertConfig",
        {**LLAMA, "cls_token_id": 0, "sep_token_id": 2, "bos_token_id": 0, "eos_token_id": 2},
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
        {**LLAMA, "ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.3},
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


def write_model(folder: Path, family: str, *, seed: int = 0, lm_head: bool = False, **changes: Any) -> None:
    """Random weights of the family's base model with biases and norms moved off their neutral values."""
    class_name, settings, _ = FAMILIES[family]
    config = getattr(transformers, class_name)(**{**settings, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = (transformers.AutoModelForCausalLM if lm_head else transformers.AutoModel).from_config(config)
        for parameter in model.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(folder)


def write_folder(folder: Path, family: str, *, pad: str | None = "<pad>", **changes: Any) -> Path:
    write_model(folder, family, **changes)
    causal = FAMILIES[family][2][1]
    write_tokenizer(folder, wrapped=not causal, pad=pad)
    return folder
