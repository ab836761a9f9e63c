"""Tiny configurations of every architecture that the library builds and a text classifier could stand on.

Two to six blocks of width 32; windows and chunks of 16 tokens, so that texts of the checks are longer than any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

WINDOW, LONGEST = 16, 160
_WORDS = {"vocab_size": 264}
_IDS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
_BASE = {
    **_WORDS, **_IDS, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": LONGEST, "initializer_range": 0.15,
}  # fmt: skip
_GROUPED = {**_BASE, "num_key_value_heads": 2}
_HEADS = {**_GROUPED, "head_dim": 8}
_SLIDING = {**_HEADS, "sliding_window": WINDOW}
_SCALED = {**_SLIDING, "query_pre_attn_scalar": 8}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
_LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
_ROUTED = {
    "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "first_k_dense_replace": 1,
    "n_group": 1, "topk_group": 1,
}  # fmt: skip
_LATENT = {
    **_GROUPED, "num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8, "v_head_dim": 8,
}  # fmt: skip
_DELTA = {
    **_HEADS, "num_hidden_layers": 4, "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}  # fmt: skip
_STATES = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1}
_GPT = {**_WORDS, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": LONGEST, "initializer_range": 0.15,
        "bos_token_id": 0, "eos_token_id": 2}  # fmt: skip
_RECURRENT = {**_WORDS, "hidden_size": 32, "num_hidden_layers": 3, "bos_token_id": 0, "eos_token_id": 2}
_TYPED = {**_BASE, "type_vocab_size": 2}
_NARROW = {**_TYPED, "embedding_size": 16}
_PAIR = {
    **_WORDS, **_IDS, "d_model": 32, "encoder_layers": 3, "decoder_layers": 3, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": LONGEST,
}  # fmt: skip
_MODERN = {**_BASE, "num_hidden_layers": 4, "local_attention": WINDOW, "cls_token_id": 0, "sep_token_id": 2}
_XLM = {**_WORDS, "emb_dim": 32, "n_layers": 3, "n_heads": 4, "max_position_embeddings": LONGEST, "pad_index": 1,
        "bos_index": 0, "eos_index": 2, "unk_index": 3, "mask_index": 4}  # fmt: skip
_T5 = {**_WORDS, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 3, "num_heads": 4, "pad_token_id": 1,
       "eos_token_id": 2}  # fmt: skip

DECODERS: dict[str, dict[str, Any]] = {
    "llama": _GROUPED, "mistral": _SLIDING, "qwen2": {**_GROUPED, "tie_word_embeddings": True}, "qwen3": _HEADS,
    "gemma": _HEADS, "gemma2": _SCALED, "gemma3_text": {**_SCALED, "num_hidden_layers": 6},
    "gemma3n_text": {
        **_SLIDING, "num_hidden_layers": 5, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 264,
        "num_kv_shared_layers": 2, "laurel_rank": 8, "activation_sparsity_pattern": None,
        "layer_types": [f"{kind}_attention" for kind in ("sliding", "sliding", "full", "sliding", "full")],
    },
    "gemma4_text": {
        **_SLIDING, "num_hidden_layers": 6, "global_head_dim": 8, "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": 264,
    },
    "phi": {**_GROUPED, "num_key_value_heads": 4}, "phi3": {**_GROUPED, "sliding_window": WINDOW},
    "phimoe": {**_GROUPED, **_LOCAL_EXPERTS}, "olmo": _GROUPED, "olmo2": _GROUPED,
    "olmo3": {**_GROUPED, "sliding_window": WINDOW, "num_hidden_layers": 4}, "olmoe": {**_GROUPED, **_EXPERTS},
    "mixtral": {**_HEADS, **_LOCAL_EXPERTS, "sliding_window": None},
    "qwen2_moe": {**_GROUPED, **_EXPERTS, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24},
    "qwen3_moe": {**_HEADS, **_EXPERTS, "moe_intermediate_size": 24},
    "qwen3_next": {**_DELTA, **_EXPERTS, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24},
    "qwen3_5_text": _DELTA, "gpt2": _GPT, "gpt_bigcode": _GPT, "openai-gpt": _GPT, "codegen": {**_GPT, "rotary_dim": 4},
    "gptj": {**_GPT, "rotary_dim": 4}, "ctrl": {**_GPT, "dff": 48},
    "gpt_neo": {
        **_RECURRENT, "num_layers": 4, "num_hidden_layers": 4, "num_heads": 4, "window_size": WINDOW,
        "attention_types": [[["global", "local"], 2]], "max_position_embeddings": LONGEST,
    },
    "gpt_neox": _BASE, "opt": {**_BASE, "ffn_dim": 48, "word_embed_proj_dim": 32},
    "opt: narrow embedding": {**_BASE, "ffn_dim": 48, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
    "xglm": {**_WORDS, **_IDS, "d_model": 32, "ffn_dim": 48, "num_layers": 3, "attention_heads": 4,
             "max_position_embeddings": LONGEST},
    "biogpt": _BASE, "bloom": {**_WORDS, **_IDS, "hidden_size": 32, "n_layer": 3, "n_head": 4},
    "falcon": {**_BASE, "num_kv_heads": 1, "multi_query": True, "parallel_attn": True, "alibi": False},
    "falcon: alibi": {**_BASE, "alibi": True, "multi_query": False, "parallel_attn": False},
    "falcon: new decoder": {**_BASE, "num_kv_heads": 2, "new_decoder_architecture": True},
    "mpt": {**_WORDS, "d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": LONGEST, "initializer_range": 0.15},
    "starcoder2": {**_GROUPED, "sliding_window": WINDOW}, "stablelm": _GROUPED, "persimmon": _BASE,
    "granite": {**_GROUPED, "logits_scaling": 8.0, "embedding_multiplier": 12.0, "residual_multiplier": 0.22},
    "granitemoe": {**_GROUPED, **_LOCAL_EXPERTS, "logits_scaling": 6.0},
    "granitemoehybrid": {**_GROUPED, **_LOCAL_EXPERTS, **_STATES, "shared_intermediate_size": 24,
                         "layer_types": ["mamba", "attention", "mamba"]},
    "smollm3": {**_GROUPED, "num_hidden_layers": 4},
    "lfm2": {**_GROUPED, "layer_types": ["conv", "full_attention", "conv"]},
    "deepseek_v2": {**_LATENT, **_ROUTED, "n_shared_experts": 1, "topk_method": "greedy"},
    "deepseek_v3": {**_LATENT, **_ROUTED, "n_shared_experts": 1},
    "gpt_oss": {**_SLIDING, **_LOCAL_EXPERTS, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
    "glm": _HEADS, "glm4": _HEADS, "glm4_moe": {**_HEADS, **_ROUTED},
    "exaone4": {**_SLIDING, "sliding_window_pattern": 4, "num_hidden_layers": 4},
    "cohere": {**_GROUPED, "logit_scale": 0.0625},
    "cohere2": {**_GROUPED, "logit_scale": 0.0625, "sliding_window": WINDOW, "num_hidden_layers": 4},
    "ministral": _SLIDING, "ministral3": _HEADS, "mamba": {**_RECURRENT, "state_size": 8},
    "mamba2": {**_RECURRENT, "state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": WINDOW},
    "falcon_mamba": {**_RECURRENT, "state_size": 8},
    "rwkv": {**_RECURRENT, "attention_hidden_size": 32, "context_length": LONGEST},
    "xlstm": {**_RECURRENT, "num_heads": 4, "qk_dim_factor": 1.0, "chunk_size": WINDOW},
    "recurrent_gemma": {**_GROUPED, "lru_width": 32, "attention_window_size": WINDOW, "num_key_value_heads": 1},
    "falcon_h1": {**_GROUPED, **_STATES, "mamba_d_ssm": 64, "lm_head_multiplier": 0.05, "embedding_multiplier": 5.0},
    "jamba": {**_GROUPED, **_EXPERTS, "num_hidden_layers": 4, "attn_layer_period": 4, "attn_layer_offset": 2,
              "expert_layer_period": 2, "mamba_d_state": 8, "mamba_dt_rank": 4, "use_mamba_kernels": False},
    "bamba": {**_GROUPED, **_STATES, "attn_layer_indices": [1]},
    "zamba2": {**_GROUPED, "num_hidden_layers": 4, "num_key_value_heads": 4, "mamba_d_state": 8, "mamba_ngroups": 1,
               "mamba_headdim": 16, "n_mamba_heads": 4, "use_shared_attention_adapter": False, "num_mem_blocks": 1,
               "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"]},
    "nemotron": _GROUPED,
    "nemotron_h": {**_HEADS, "num_hidden_layers": 4, "hybrid_override_pattern": "M-*-", "ssm_state_size": 8,
                   "mamba_num_heads": 8, "mamba_head_dim": 8, "mamba_n_groups": 1, "n_groups": 1},
    "ernie4_5": _HEADS,
    "ernie4_5_moe": {**_HEADS, "moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 24,
                     "moe_num_shared_experts": 1, "moe_layer_start_index": 1},
    "hunyuan_v1_dense": _HEADS, "seed_oss": _HEADS, "apertus": _GROUPED, "arcee": _GROUPED, "helium": _HEADS,
    "minicpm3": _LATENT, "nanochat": _GROUPED, "diffllama": _GROUPED, "bitnet": _GROUPED, "vaultgemma": _SCALED,
    "llama4_text": {**_HEADS, "num_hidden_layers": 4, "num_local_experts": 4, "num_experts_per_tok": 1,
                    "intermediate_size_mlp": 48, "attention_chunk_size": WINDOW},
    "minimax": {**_HEADS, **_LOCAL_EXPERTS, "block_size": WINDOW, "num_hidden_layers": 4},
    "modernbert-decoder": _MODERN, "bert: decoder": {**_TYPED, "is_decoder": True},
    "bart: decoder": {**_PAIR, "is_decoder": True, "is_encoder_decoder": False},
    "reformer": {**_BASE, "attention_head_size": 8, "feed_forward_size": 48, "attn_layers": ["local", "lsh", "local"],
                 "axial_pos_shape": [8, 20], "axial_pos_embds_dim": [16, 16], "local_attn_chunk_length": 8,
                 "lsh_attn_chunk_length": 8, "is_decoder": True, "num_buckets": 4},
}  # fmt: skip
"""By kind, and what is special after a colon."""

ENCODERS: dict[str, dict[str, Any]] = {
    "bert": _TYPED, "roberta": _TYPED, "xlm-roberta": _TYPED, "camembert": _TYPED, "ernie": _TYPED,
    "megatron-bert": _TYPED, "roberta-prelayernorm": _TYPED, "nomic_bert": _TYPED, "gte": _TYPED,
    "jina_embeddings_v3": _TYPED, "fnet": _TYPED, "mpnet": _BASE, "eurobert": _HEADS, "neomme": _BASE,
    "distilbert": {**_WORDS, "dim": 32, "hidden_dim": 48, "n_layers": 3, "n_heads": 4, "pad_token_id": 1,
                   "max_position_embeddings": LONGEST},
    "albert": _NARROW, "electra": _NARROW, "convbert": _NARROW, "roformer": _NARROW,
    "deberta": {**_TYPED, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False},
    "deberta-v2": {**_BASE, "type_vocab_size": 0, "relative_attention": True, "position_buckets": WINDOW,
                   "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": ["p2c", "c2p"],
                   "position_biased_input": False},
    "modernbert": {**_MODERN, "global_attn_every_n_layers": 3}, "longformer": {**_TYPED, "attention_window": 8},
    "big_bird": {**_TYPED, "attention_type": "block_sparse", "block_size": 4, "num_random_blocks": 1},
    "big_bird: full": {**_TYPED, "attention_type": "original_full"},
    "funnel": {**_WORDS, "block_sizes": [1, 1, 1], "block_repeats": [1, 1, 1], "d_model": 32, "n_head": 4,
               "d_head": 8, "d_inner": 48, "num_decoder_layers": 1, "pad_token_id": 1},
    "xlnet": {**_WORDS, **_IDS, "d_model": 32, "n_layer": 3, "n_head": 4, "d_inner": 48},
    "mobilebert": {**_NARROW, "intra_bottleneck_size": 16, "true_hidden_size": 16},
    "squeezebert": {**_TYPED, "embedding_size": 32, "q_groups": 2, "k_groups": 2, "v_groups": 2},
    "rembert": {**_TYPED, "input_embedding_size": 16, "output_embedding_size": 24},
    "nystromformer": {**_TYPED, "num_landmarks": 8, "segment_means_seq_len": 8}, "flaubert": _XLM, "xlm": _XLM,
    "luke": {**_TYPED, "entity_vocab_size": 10, "entity_emb_size": 8},
    "t5": _T5, "t5: encoder": _T5, "bart": {**_PAIR, "is_encoder_decoder": True},
    "mbart": {**_PAIR, "is_encoder_decoder": True},
}  # fmt: skip

ARCHITECTURES = {**DECODERS, **ENCODERS}
FAST = ("llama", "gemma3_text", "gpt_oss", "mamba", "deepseek_v3", "falcon_h1", "modernbert", "deberta", "albert",
        "qwen3_next", "t5", "gpt_neo")  # fmt: skip
"""One of every kind, for tests that run all the time."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """One row of the tables."""

    name: str

    @property
    def kind(self) -> str:
        """The library's model_type."""
        return self.name.partition(":")[0]

    @property
    def is_decoder(self) -> bool:
        """Whether it predicts next tokens."""
        return self.name in DECODERS

    def config(self) -> Any:
        """Its tiny configuration."""
        return transformers.CONFIG_MAPPING[self.kind](**ARCHITECTURES[self.name])

    def write(self, folder: Path) -> Path:
        """A folder with weights and tokenizer; noise on every weight, so that none is at its neutral value."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = self._model(self.config())
            with torch.no_grad():
                for weights in model.parameters():
                    weights.add_(0.05 * torch.randn_like(weights))
        model.save_pretrained(folder)
        write_byte_tokenizer(folder, wrapped=not self.is_decoder)
        return folder

    def _model(self, config: Any) -> Any:
        if self.is_decoder:
            return transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config)
        if self.name == "t5: encoder":
            return transformers.T5EncoderModel(config)
        config.architectures = config.architectures or []  # the library iterates over it where a kind has two classes
        return transformers.AutoModel.from_config(config)


def write_byte_tokenizer(folder: Path, *, wrapped: bool) -> None:
    """A token a byte, in the form that every kind's own tokenizer class leaves as it is; `wrapped` in <s> and </s>."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: place for place, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *alphabet])}
    inner = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    form = "<s> $A </s>" if wrapped else "<s> $A"
    inner.post_processor = processors.TemplateProcessing(single=form, special_tokens=[("<s>", 0), ("</s>", 2)])
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **names).save_pretrained(folder)


def fit_for_tests(names: tuple[str, ...] | None = None) -> list[str]:
    """Those whose kind the installed library knows."""
    return [name for name in names or ARCHITECTURES if Architecture(name).kind in transformers.CONFIG_MAPPING]
